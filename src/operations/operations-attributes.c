/* Operations on what stat(2) and statfs(2) show. */
#include "operations/operations-common.h"

#include "operations/contents.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

/* Others may change a persisted region's file by its own path. */
static double attribute_timeout(const Operations *operations, fuse_ino_t id, const struct stat *st) {
        return registry_source(operations->registry, id) ? 0 : operations_attribute_timeout(operations, st);
}

static void reply_attributes(fuse_req_t req, fuse_ino_t id, int fd) {
        struct stat st;
        int result = operations_stat(operations_of(req), id, fd, &st);

        if (result < 0)
                return reply_result(req, result);
        fuse_reply_attr(req, &st, attribute_timeout(operations_of(req), id, &st));
}

void operation_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
        auto_descriptor owned = -1;
        int fd = operations_reach_node(operations_of(req), id, &owned);

        if (fd < 0)
                return reply_result(req, fd);
        reply_attributes(req, id, fd);
}

/* When the node was made; false where the pool's file system does not keep that. */
static bool find_birth(int fd, struct statx_timestamp *birth) {
        struct statx stx;

        if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &stx) < 0 || !(stx.stx_mask & STATX_BTIME))
                return false;
        *birth = stx.stx_btime;
        return true;
}

static struct statx_timestamp timestamp_of(struct timespec time) {
        return (struct statx_timestamp){ .tv_sec = time.tv_sec, .tv_nsec = time.tv_nsec };
}

/* Asked instead of getattr by who wants to know the birth time. */
void operation_statx(fuse_req_t req, fuse_ino_t id, int flags, int mask, struct fuse_file_info *file) {
        const Operations *operations = operations_of(req);
        auto_descriptor owned = -1;
        int fd = operations_reach_node(operations, id, &owned);
        struct statx stx = { .stx_mask = STATX_BASIC_STATS };
        struct stat st;
        int result = fd < 0 ? fd : operations_stat(operations, id, fd, &st);

        if (result < 0)
                return reply_result(req, result);
        stx.stx_blksize = st.st_blksize;
        stx.stx_nlink = st.st_nlink;
        stx.stx_uid = st.st_uid;
        stx.stx_gid = st.st_gid;
        stx.stx_mode = st.st_mode;
        stx.stx_ino = st.st_ino;
        stx.stx_size = st.st_size;
        stx.stx_blocks = st.st_blocks;
        stx.stx_atime = timestamp_of(st.st_atim);
        stx.stx_ctime = timestamp_of(st.st_ctim);
        stx.stx_mtime = timestamp_of(st.st_mtim);
        stx.stx_rdev_major = major(st.st_rdev);
        stx.stx_rdev_minor = minor(st.st_rdev);
        if (find_birth(fd, &stx.stx_btime))
                stx.stx_mask |= STATX_BTIME;
        fuse_reply_statx(req, 0, &stx, attribute_timeout(operations, id, &st));
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
static int set_length(fuse_req_t req, fuse_ino_t id, int fd, off_t length, const struct fuse_file_info *file) {
        const Operations *operations = operations_of(req);
        const Source *source = registry_source(operations->registry, id);
        auto_descriptor owned = -1;
        int handle, contents = fd, result;

        if (file && file->fh && handles_file(operations->handles, file->fh, &handle) == 0)
                contents = handle;
        else if (source)
                contents = owned = source_open(source, O_WRONLY);
        if (contents < 0)
                return contents;
        result = contents_set_length(operations_errands(operations, id), contents, fd, length);
        return result == 0 ? operations_drop_setid(req, id, contents) : result;
}

/* The times of a persisted region are those of its file: to be set as utimensat(2) lets the caller set that file's. */
static int open_times(fuse_req_t req, const Source *source, int which) {
        static const int now = FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
        bool all_now = (which & now) == now;

        if (!source_owned_by(source, fuse_req_ctx(req)->uid) && !(all_now && source_is_writable(source)))
                return -EPERM;
        return source_open(source, O_PATH);
}

static int set_times(Errands *errands, int fd, const struct stat *wanted, int which) {
        struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };

        if (which & FUSE_SET_ATTR_ATIME_NOW)
                times[0].tv_nsec = UTIME_NOW;
        else if (which & FUSE_SET_ATTR_ATIME)
                times[0] = wanted->st_atim;
        if (which & FUSE_SET_ATTR_MTIME_NOW)
                times[1].tv_nsec = UTIME_NOW;
        else if (which & FUSE_SET_ATTR_MTIME)
                times[1] = wanted->st_mtim;
        return contents_set_times(errands, fd, times);
}

static int set_attributes(fuse_req_t req, fuse_ino_t id, int fd, const struct stat *wanted, int which,
                          const struct fuse_file_info *file) {
        const Source *source = registry_source(operations_of(req)->registry, id);
        auto_descriptor timed = -1;
        int result = 0;

        if (which & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) {
                result = set_owner(fd, wanted, which);
                operations_lose_backing(operations_of(req), id);
        }
        /* After the owner, whose change takes set-id bits off. */
        if (result == 0 && (which & FUSE_SET_ATTR_MODE))
                result = set_mode(fd, wanted->st_mode);
        if (result == 0 && (which & FUSE_SET_ATTR_SIZE))
                result = set_length(req, id, fd, wanted->st_size, file);
        if (result < 0 || !(which & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)))
                return result;
        if (source)
                timed = open_times(req, source, which);
        if (source && timed < 0)
                return timed;
        return set_times(operations_errands(operations_of(req), id), source ? timed : fd, wanted, which);
}

void operation_setattr(fuse_req_t req, fuse_ino_t id, struct stat *wanted, int which, struct fuse_file_info *file) {
        auto_descriptor owned = -1;
        int fd = operations_reach_node(operations_of(req), id, &owned);
        int result;

        if (fd < 0)
                return reply_result(req, fd);
        result = set_attributes(req, id, fd, wanted, which, file);
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
