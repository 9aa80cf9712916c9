#include "operations/contents.h"

#include "base/descriptor.h"
#include "pool/region.h"

#include <sys/stat.h>

/* How long a request waits that would be answered as well without: milliseconds. */
#define PATIENCE_TO_FILL 100

/* A call and its arguments, each of those that it takes. */
typedef struct Change {
        int fd, other; /* -1: none */
        off_t offset, other_offset, length;
        size_t size;
        int mode;
        unsigned flags;
        bool stranger;
        struct timespec times[2];
} Change;

static int64_t run(Errands *errands, int patience, ErrandCall call, Change *change) {
        const int needed[] = { change->fd, change->other };

        if (!errands)
                return call(change);
        return errands_run(errands, patience, call, change, needed, change->other >= 0 ? 2 : 1);
}

static int64_t set_length(void *data) {
        const Change *change = data;

        return region_set_length(change->fd, change->other, change->length);
}

int contents_set_length(Errands *errands, int fd, int rules, off_t length) {
        return run(errands, -1, set_length, &(Change){ .fd = fd, .other = rules, .length = length });
}

static int64_t commit(void *data) {
        const Change *change = data;

        return region_commit(change->fd, change->length);
}

int contents_commit(Errands *errands, int fd, uint64_t end) {
        return run(errands, -1, commit, &(Change){ .fd = fd, .other = -1, .length = end });
}

int contents_fill(Errands *errands, int fd) {
        return run(errands, PATIENCE_TO_FILL, commit, &(Change){ .fd = fd, .other = -1 });
}

static int64_t drop_setid(void *data) {
        const Change *change = data;

        return region_drop_setid(change->fd, change->stranger);
}

int contents_drop_setid(Errands *errands, int fd, bool stranger) {
        return run(errands, -1, drop_setid, &(Change){ .fd = fd, .other = -1, .stranger = stranger });
}

static int64_t set_times(void *data) {
        const Change *change = data;

        return utimensat(change->fd, "", change->times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

int contents_set_times(Errands *errands, int fd, const struct timespec times[2]) {
        return run(errands, -1, set_times, &(Change){ .fd = fd, .other = -1, .times = { times[0], times[1] } });
}

static int64_t allocate(void *data) {
        const Change *change = data;

        return fallocate(change->fd, change->mode, change->offset, change->length) < 0 ? -errno : 0;
}

int contents_allocate(Errands *errands, int fd, int mode, off_t offset, off_t length) {
        return run(errands, -1, allocate,
                   &(Change){ .fd = fd, .other = -1, .mode = mode, .offset = offset, .length = length });
}

static int64_t seek(void *data) {
        const Change *change = data;
        off_t position = lseek(change->fd, change->offset, change->mode);

        return position < 0 ? -errno : position;
}

int64_t contents_seek(Errands *errands, int fd, off_t offset, int whence) {
        return run(errands, -1, seek, &(Change){ .fd = fd, .other = -1, .offset = offset, .mode = whence });
}

static int64_t copy(void *data) {
        Change *change = data;
        ssize_t copied = copy_file_range(change->other, &change->other_offset, change->fd, &change->offset,
                                         change->size, change->flags);

        return copied < 0 ? -errno : copied;
}

int64_t contents_copy(Errands *errands, int from, off_t from_offset, int to, off_t to_offset, size_t size,
                      unsigned flags) {
        return run(errands, -1, copy,
                   &(Change){ .fd = to, .other = from, .offset = to_offset, .other_offset = from_offset, .size = size,
                              .flags = flags });
}
