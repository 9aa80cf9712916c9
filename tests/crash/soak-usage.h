#pragma once

/* What a mount and its server use, to be compared before and after. */

#include "soak-mount.h"

typedef struct Usage {
        int64_t bytes, files; /* free ones, of the file system */
        int64_t regions;
        int64_t descriptors; /* of the server; -1: cannot be seen */
} Usage;

void usage_take(const Mount *mount, Usage *usage);

/*
 * How much more is used than before (never less than nothing). As memory and descriptors come back a moment later than
 * they are given up, it is asked again for some seconds. Free space counts only where nobody else uses it.
 */
void usage_compare(const Mount *mount, const Usage *before, bool alone, Usage *leaked);
