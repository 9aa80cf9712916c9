#pragma once

/* The regionfs mount that a path lies in. */

#include "regionctl/words/complaint.h"

#include <sys/types.h>

typedef struct Mount {
        char *root;    /* owned: absolute path of the mount's root directory */
        char *version; /* owned: of the regionfs that serves it; NULL where it does not tell */
        dev_t device;
} Mount;

#define MOUNT_INIT { NULL, NULL, 0 }

/*
 * Finds the mount. The path need not exist, but its directory has to. Symbolic links on the way are followed. Says what
 * is wrong and returns another status than STATUS_DONE otherwise.
 */
Status mount_find(Mount *mount, const char *path);
void mount_clear(Mount *mount);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Mount, mount_clear)
