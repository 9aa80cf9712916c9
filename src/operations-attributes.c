/* Operations on what stat(2) and statfs(2) show. */
#include "operations-common.h"

#include "region.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

static void reply_attributes(fuse_req_t req, fuse_ino_t id, int fd) {
        struct stat st;

        if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
                return reply_result(req, -errno);
        if (S_ISREG(st.st_mode))
                operations_fill_gap(operations_of(req), id, fd, &st);
        fuse_reply_attr(req, &st, operations_attribute_timeout(operations_of(req), &st));
}

void operation_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
        auto_descriptor fd = operations_open_node(operations_of(req), id, O_PATH);

        if (fd < 0)
                return reply_result(req, fd);
        reply_attributes(req, id, fd);
}

static int set_owner(int fd, const struct stat *wanted, int which) {
        uid_t uid = which & FUSE_SET_ATTR_UID ? wanted->st_uid : (uid_t)-1;
        gid_t gid = which & FUSE_SET_ATTR_GID ? wanted->st_gid : (gid_t)-1;

        return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int set_mode(int fd, mode_t mode) {
        char path[DESCRIPTOR_PATH_MAX];

        return chmod(descriptor_path(fd, path), mode & 07777) < 0 ? -errno : 0;
}

/* Where the client holds a handle that is served here, the handle's own right to write counts, not the mode. */
static int set_length(const Operations *operations, int fd, off_t length, const struct fuse_file_info *file) {
        int handle;

        if (file && file->fh && handles_file(operations->handles, file->fh, &handle) == 0)
                fd = handle;
        return region_set_length(fd, length);
}

static int set_times(int fd, const struct stat *wanted, int which) {
        struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };

        if (which & FUSE_SET_ATTR_ATIME_NOW)
                times[0].tv_nsec = UTIME_NOW;
        else if (which & FUSE_SET_ATTR_ATIME)
                times[0] = wanted->st_atim;
        if (which & FUSE_SET_ATTR_MTIME_NOW)
                times[1].tv_nsec = UTIME_NOW;
        else if (which & FUSE_SET_ATTR_MTIME)
                times[1] = wanted->st_mtim;
        return utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int set_attributes(fuse_req_t req, int fd, const struct stat *wanted, int which,
                          const struct fuse_file_info *file) {
        int result = 0;

        if (which & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
                result = set_owner(fd, wanted, which);
        /* After the owner, whose change takes set-id bits off. */
        if (result == 0 && (which & FUSE_SET_ATTR_MODE))
                result = set_mode(fd, wanted->st_mode);
        if (result == 0 && (which & FUSE_SET_ATTR_SIZE)) {
                result = set_length(operations_of(req), fd, wanted->st_size, file);
                if (result == 0 && operations_drops_setid(req))
                        result = region_drop_setid(fd);
        }
        if (result == 0 && (which & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)))
                result = set_times(fd, wanted, which);
        return result;
}

void operation_setattr(fuse_req_t req, fuse_ino_t id, struct stat *wanted, int which, struct fuse_file_info *file) {
        auto_descriptor fd = operations_open_node(operations_of(req), id, O_PATH);
        int result;

        if (fd < 0)
                return reply_result(req, fd);
        result = set_attributes(req, fd, wanted, which, file);
        if (result < 0)
                return reply_result(req, result);
        reply_attributes(req, id, fd);
}

void operation_statfs(fuse_req_t req, fuse_ino_t id) {
        struct statvfs st;

        if (fstatvfs(operations_of(req)->pool->fd, &st) < 0)
                return reply_result(req, -errno);
        fuse_reply_statfs(req, &st);
}
