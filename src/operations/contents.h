#pragma once

/*
 * Changes of a region's contents, each of which waits for whoever has locked the file's inode. With errands, which a
 * persisted region's file takes, as clients have ways of their own to that, no thread of ours does. NULL: it is called
 * here. Knows nothing of FUSE.
 *
 * Descriptors stay the caller's. Results are those of the calls, or -errno: -EBUSY as of errands_run().
 */

#include "kernel/errand.h"

#include <sys/stat.h>
#include <time.h>

/* As region_set_length(), region_commit() and region_drop_setid(). */
int contents_set_length(Errands *errands, int fd, int rules, off_t length);
int contents_commit(Errands *errands, int fd, uint64_t end);
int contents_drop_setid(Errands *errands, int fd, bool stranger);

/*
 * What a write that was not seen has left out is given its memory; nobody waits long for that. fd may be O_PATH. 0 or
 * -errno.
 */
int contents_fill(Errands *errands, int fd);

/* fd may be O_PATH for the times. */
int contents_set_times(Errands *errands, int fd, const struct timespec times[2]);
int contents_allocate(Errands *errands, int fd, int mode, off_t offset, off_t length);
int64_t contents_seek(Errands *errands, int fd, off_t offset, int whence);
int64_t contents_copy(Errands *errands, int from, off_t from_offset, int to, off_t to_offset, size_t size,
                      unsigned flags);
