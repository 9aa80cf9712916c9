#pragma once

/* What exists in a regionfs mount and is to be changed: held without being opened, whatever happens to its name. */

#include "base/descriptor.h"
#include "regionctl/words/complaint.h"

#include <sys/stat.h>

typedef struct Target {
        const char *name; /* borrowed: as it was given */
        int fd;           /* owned: O_PATH, so that it does not count as a handle */
        struct stat st;
} Target;

#define TARGET_INIT { NULL, -1, { 0 } }

/*
 * Finds what the path names; symbolic links are followed as long as they stay in the mount. Says what is wrong and
 * returns another status than STATUS_DONE otherwise.
 */
Status target_find(Target *target, const char *name);
void target_clear(Target *target);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Target, target_clear)
