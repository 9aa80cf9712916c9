#pragma once

/*
 * Attributes that regionfs itself keeps with the files of the pool. Clients do not reach them: the attributes' table
 * answers their prefix.
 *
 * An ordinary user's daemon has no more rights to a file than the mode leaves its owner. What it has to keep is not
 * hindered by that: the right is lent for a moment.
 *
 * fd may be O_PATH. Results are as of getxattr(2) and setxattr(2), or -errno.
 */

#include <sys/types.h>

ssize_t stored_get(int fd, const char *name, void *value, size_t size);
int stored_set(int fd, const char *name, const void *value, size_t size);
