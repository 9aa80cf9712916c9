#pragma once

/* The regionfs mounts that there are. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* The paths of their root directories, each mount once: an array that frees them. NULL with error. */
GPtrArray *mounts_list(GError **error);

/* Whether the device is that of a regionfs mount. */
bool mounts_have(dev_t device);

/*
 * Whether the path lies in a regionfs mount that only the user who mounted it may use: others, and root as well, are
 * told EACCES of all of it.
 */
bool mounts_refuse(const char *path);
