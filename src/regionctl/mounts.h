#pragma once

/* The regionfs mounts that there are. */

#include <glib.h>

/* The paths of their root directories, each mount once: an array that frees them. NULL with error. */
GPtrArray *mounts_list(GError **error);
