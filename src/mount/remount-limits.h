#pragma once

/* How much the pool of a mount that is there may hold, as its root directory's attributes tell and set it. */

#include "pool/pool.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Bytes, in whole pages, and regions with all else; 0 where nothing is wanted. */
typedef struct RemountLimits {
        uint64_t size, regions;
} RemountLimits;

/* False where the pool is none of the daemon's own, or the daemon does not know of limits that change. */
bool remount_limits_read(const char *mountpoint, RemountLimits *limits);

/* What these settings ask for. */
RemountLimits remount_limits_of(const PoolSettings *settings);

/* Sets what is wanted, and not present yet: both or none. */
bool remount_limits_set(const char *mountpoint, const RemountLimits *present, const RemountLimits *wanted,
                        GError **error);
