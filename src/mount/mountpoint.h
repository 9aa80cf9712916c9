#pragma once

/* The place to mount on. Of daemons that are started on it at once, one mounts, and the others find it mounted. */

#include <glib.h>
#include <stdbool.h>

/*
 * Keeps others from mounting on path until *claim is closed: a descriptor that the caller owns, or -1 where nobody can
 * be kept out (the directory cannot be read, or someone else has had a lock on it for seconds). False with error where
 * a regionfs is mounted already.
 */
bool mountpoint_claim(const char *path, int *claim, GError **error);
