#pragma once

/* The regions of a directory, in an order. */

#include "regionctl/facts/region-info.h"
#include "regionctl/words/complaint.h"

typedef enum ListingKey {
        LISTING_NAME,
        LISTING_LOGICAL,
        LISTING_PADDED,
        LISTING_RESIDENT,
        LISTING_HANDLES,
        LISTING_AGE,
        LISTING_KEYS, /* how many there are */
} ListingKey;

/* What is to be listed, and how. */
typedef struct ListingRequest {
        unsigned wanted; /* set of attributes; see region-info.h */
        dev_t device;    /* what lies in other file systems is not descended into */
        bool recursive;
        bool regions_only; /* directories, links, ... are left out */
        bool quiet;        /* nothing is said of what lies below and cannot be read */
} ListingRequest;

/* The key of that name; LISTING_KEYS if there is none. */
ListingKey listing_key(const char *name);

/* The set of attributes that sorting by the key takes. */
unsigned listing_key_wants(ListingKey key);

/*
 * Adds what is in the directory (a descriptor, which may be O_PATH) to regions (an array of RegionInfo). Names begin
 * with shown, which is empty or ends with a slash, and paths with path. What goes away meanwhile is left out. Returns 0
 * or -errno of the directory itself; what lies there and cannot be read is said, and the first such status put into
 * *status. Takes a descriptor for each directory on the way down.
 */
int listing_read(GPtrArray *regions, int directory, const char *shown, const char *path, const ListingRequest *request,
                 Status *status);

/* By name from a on, or by a number from the largest on (by age: from the oldest on), or the other way round. */
void listing_sort(GPtrArray *regions, ListingKey key, bool reverse);
