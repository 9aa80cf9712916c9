#pragma once

/*
 * How much a pool of our own may hold: the limits of its tmpfs. fd is open on its root, O_PATH included.
 *
 * Calls return 0 or -errno. A limit below what is in use is not set: -EBUSY.
 */

#include <stdint.h>

/* How many regions a limit may allow: tmpfs accounts for each in kibibytes, in a word. */
#define POOL_LIMITS_REGIONS_MAX ((uint64_t)INT64_MAX / 4096)

/* Of all regions together, in bytes: whole pages. */
int pool_limits_size(int fd, uint64_t *bytes);
int pool_limits_set_size(int fd, uint64_t bytes);

/* Regions, directories and all else, but for the root. */
int pool_limits_regions(int fd, uint64_t *count);
int pool_limits_set_regions(int fd, uint64_t count);
