#pragma once

/* Who has a region open or mapped: found in /proc. */

#include <glib.h>
#include <stdbool.h>
#include <sys/stat.h>

/* A handle that a process has, or a view. */
typedef struct Holder {
        pid_t pid;
        uid_t user;
        char *command;            /* owned */
        int handle;               /* descriptor number; -1: this is a view */
        guint64 begin, end;       /* of a view: addresses */
        guint64 offset;           /* of a view: where in the region it begins, in bytes */
        bool read, write, execute; /* what may be done by it */
        bool shared;              /* of a view: else it is private, copy-on-write */
} Holder;

typedef struct Holders {
        GPtrArray *found; /* owned: of Holder */
        unsigned hidden;  /* processes that may not be looked into */
} Holders;

#define HOLDERS_INIT { NULL, 0 }

/*
 * Looks for the region in all processes but this one, without a request to any file system. Descriptors that are not
 * open (O_PATH) are no handles. What is in no process's table (on its way through a socket, held by the kernel) is not
 * found.
 */
void holders_find(Holders *holders, const struct stat *region);
void holders_clear(Holders *holders);

/* Whether there is a view among them. */
bool holders_have_view(const Holders *holders);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Holders, holders_clear)
