#pragma once

/* All regions of a directory and below at one time, and the pool: what regionctl top shows. */

#include "regionctl/facts/listing.h"
#include "regionctl/facts/pool-status.h"

typedef struct Snapshot {
        GPtrArray *regions; /* owned: RegionInfo */
        PoolStatus pool;
} Snapshot;

#define SNAPSHOT_INIT { NULL }

/* Asks the mount. path is absolute, of a directory. 0 or -errno. */
int snapshot_read(Snapshot *snapshot, const Mount *mount, const char *path);
void snapshot_clear(Snapshot *snapshot);

/*
 * The same as bytes for another process of this program, and back: what reading came to (0 or -errno; then there is
 * nothing else). -EIO for bytes that are not all there.
 */
void snapshot_put(const Snapshot *snapshot, int result, GByteArray *bytes);
int snapshot_get(Snapshot *snapshot, const GByteArray *bytes);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Snapshot, snapshot_clear)
