#pragma once

/* The regionfs mounts that there are. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* The paths of their root directories, each mount once: an array that frees them. NULL with error. */
GPtrArray *mounts_list(GError **error);

/* Whether the device is that of a regionfs mount. */
bool mounts_have(dev_t device);
