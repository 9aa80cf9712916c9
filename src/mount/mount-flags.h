#pragma once

/* Options of mount(8) that belong to one mount, and not to the file system in it. */

#include <stdbool.h>

/*
 * Whether option is such a one; then it takes effect on flags, MOUNT_ATTR_… of <sys/mount.h>. The last one of those
 * that exclude one another counts.
 */
bool mount_flags_take(const char *option, unsigned *flags);
