/* Operations on contents. With passthrough, reads and writes never come here. */
#include "operations/operations-common.h"

#include "operations/contents.h"

#include <sys/stat.h>

/* The descriptor for a handle's contents. *owned is what the caller has to close, or -1. */
static int contents(const Operations *operations, fuse_ino_t id, const struct fuse_file_info *file, int flags,
                    int *owned) {
        int fd, result;

        if (file && file->fh) {
                result = handles_file(operations->handles, file->fh, &fd);
                return result < 0 ? result : fd;
        }
        return *owned = operations_open_contents(operations, id, flags);
}

/* After the client has changed the contents of fd by a request. */
static void settle_change(fuse_req_t req, fuse_ino_t id, int fd) {
        int result = operations_drop_setid(req, id, fd);
        struct stat st;

        if (result < 0)
                g_warning("cannot take the set-id bits off a changed region: %s", g_strerror(-result));
        if (fstat(fd, &st) == 0)
                operations_fill_gap(operations_of(req), id, fd, &st);
}

/*
 * The calling thread's buffer for what is read, of the largest size that was asked for: kept, because libfuse would
 * allocate one for each reply, and the heap grow by some for each thread.
 */
static char *read_buffer(size_t size) {
        typedef struct Buffer {
                size_t size;
                char data[];
        } Buffer;
        static GPrivate key = G_PRIVATE_INIT(g_free);
        Buffer *buffer = g_private_get(&key);

        if (!buffer || buffer->size < size) {
                buffer = g_malloc(sizeof(*buffer) + size);
                buffer->size = size;
                g_private_replace(&key, buffer);
        }
        return buffer->data;
}

void operation_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file) {
        auto_descriptor owned = -1;
        int fd = contents(operations_of(req), id, file, O_RDONLY, &owned);
        char *buffer = read_buffer(size);
        ssize_t length;

        if (fd < 0)
                return reply_result(req, fd);
        length = pread(fd, buffer, size, offset);
        if (length < 0)
                return reply_result(req, -errno);
        fuse_reply_buf(req, buffer, length);
}

/*
 * What changes contents has closed them again before the client hears of it: it may seal the region next, which a
 * descriptor of ours that can write would stand in the way of.
 */
static ssize_t write_contents(fuse_req_t req, fuse_ino_t id, const char *data, size_t size, off_t offset,
                              struct fuse_file_info *file) {
        auto_descriptor owned = -1;
        int fd = contents(operations_of(req), id, file, O_WRONLY, &owned);
        ssize_t written;

        if (fd < 0)
                return fd;
        /* Not as an errand: too frequent, and what it fails with would be lost, where the kernel writes back. */
        written = pwrite(fd, data, size, offset);
        if (written < 0)
                return -errno;
        settle_change(req, id, fd);
        return written;
}

void operation_write(fuse_req_t req, fuse_ino_t id, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *file) {
        ssize_t written = write_contents(req, id, data, size, offset, file);

        if (written < 0)
                return reply_result(req, written);
        fuse_reply_write(req, written);
}

void operation_fsync(fuse_req_t req, fuse_ino_t id, int data_only, struct fuse_file_info *file) {
        auto_descriptor owned = -1;
        int fd = contents(operations_of(req), id, file, O_RDONLY, &owned);

        if (fd < 0)
                return reply_result(req, fd);
        reply_result(req, (data_only ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0);
}

/* What a committed region does not let go of, and what it needs before it grows. */
static int prepare_allocation(const Operations *operations, fuse_ino_t id, int fd, int mode, off_t offset,
                              off_t length) {
        const RegionPolicy policy = registry_policy(operations->registry, id);

        if (policy.allocation != REGION_COMMITTED)
                return 0;
        if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_UNSHARE_RANGE))
                return -EOPNOTSUPP;
        if (mode & FALLOC_FL_KEEP_SIZE)
                return 0;
        return contents_commit(operations_errands(operations, id), fd, (uint64_t)offset + length);
}

static int allocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset, off_t length, struct fuse_file_info *file) {
        auto_descriptor owned = -1;
        int fd = contents(operations_of(req), id, file, O_WRONLY, &owned);
        int result;

        if (fd < 0)
                return fd;
        result = prepare_allocation(operations_of(req), id, fd, mode, offset, length);
        if (result < 0)
                return result;
        result = contents_allocate(operations_errands(operations_of(req), id), fd, mode, offset, length);
        if (result == 0)
                settle_change(req, id, fd);
        return result;
}

void operation_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset, off_t length,
                         struct fuse_file_info *file) {
        reply_result(req, allocate(req, id, mode, offset, length, file));
}

void operation_lseek(fuse_req_t req, fuse_ino_t id, off_t offset, int whence, struct fuse_file_info *file) {
        auto_descriptor owned = -1;
        int fd = contents(operations_of(req), id, file, O_RDONLY, &owned);
        off_t position;

        if (fd < 0)
                return reply_result(req, fd);
        position = contents_seek(operations_errands(operations_of(req), id), fd, offset, whence);
        if (position < 0)
                return reply_result(req, position);
        fuse_reply_lseek(req, position);
}

static ssize_t copy_contents(fuse_req_t req, fuse_ino_t from, off_t from_offset, struct fuse_file_info *from_file,
                             fuse_ino_t to, off_t to_offset, struct fuse_file_info *to_file, size_t size, int flags) {
        const Operations *operations = operations_of(req);
        auto_descriptor from_owned = -1, to_owned = -1;
        int from_fd = contents(operations, from, from_file, O_RDONLY, &from_owned);
        int to_fd = contents(operations, to, to_file, O_WRONLY, &to_owned);
        ssize_t copied;

        if (from_fd < 0)
                return from_fd;
        if (to_fd < 0)
                return to_fd;
        copied = contents_copy(operations_errands(operations, to), from_fd, from_offset, to_fd, to_offset, size, flags);
        if (copied >= 0)
                settle_change(req, to, to_fd);
        return copied;
}

void operation_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_offset, struct fuse_file_info *from_file,
                               fuse_ino_t to, off_t to_offset, struct fuse_file_info *to_file, size_t size, int flags) {
        ssize_t copied = copy_contents(req, from, from_offset, from_file, to, to_offset, to_file, size, flags);

        if (copied < 0)
                return reply_result(req, copied);
        fuse_reply_write(req, copied);
}
