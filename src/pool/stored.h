#pragma once

/*
 * Attributes that regionfs itself keeps with the files of the pool, under a prefix of its own. Clients do not reach
 * them.
 *
 * A privileged daemon keeps them as trusted attributes: those of the users' class can be written by the owner of a file
 * where a directory pool is reached by its path, and the daemon goes by them with its own rights. An ordinary user's
 * daemon has no more rights than the owner, who may do with them as he likes; nor has it more rights to a file than the
 * mode leaves its owner, so that where the mode is in the way the right is lent for a moment.
 *
 * fd may be O_PATH; name is without prefix. Results are as of getxattr(2) and setxattr(2), or -errno.
 */

#include <stdbool.h>
#include <sys/types.h>

ssize_t stored_get(int fd, const char *name, void *value, size_t size);
int stored_set(int fd, const char *name, const void *value, size_t size);

/* Whether a full name of an attribute is one that only the daemon may touch, and is not among the clients' own. */
bool stored_owns(const char *name);
