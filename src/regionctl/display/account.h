#pragma once

/* What regionctl stat tells of one region. */

#include "regionctl/display/object.h"
#include "regionctl/display/picture.h"
#include "regionctl/facts/holders.h"
#include "regionctl/facts/region-info.h"

typedef struct Account {
        RegionInfo *info; /* owned */
        Holders holders;  /* of a region alone, and so is picture */
        Picture picture;
} Account;

#define ACCOUNT_INIT { NULL, HOLDERS_INIT, PICTURE_INIT }

/*
 * Finds it all out about what the path names; links are followed. The caller sets the names of info. False with errno,
 * which is EXDEV where the path leads out of the file
 * system of that device.
 */
bool account_take(Account *account, const char *path, dev_t device);
void account_clear(Account *account);

/* For people, in several lines. */
void account_print(const Account *account);

/* As an object. */
void account_add(const Account *account, JsonBuilder *builder, Names *names);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Account, account_clear)
