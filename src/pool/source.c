#include "pool/source.h"

#include "base/descriptor.h"
#include "pool/stored.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

struct Source {
        int fd;     /* owned: O_PATH; -1: the file was not found again */
        int access; /* O_RDONLY or O_RDWR */
        char *path; /* owned, of a file that was not found again: where it was */
};

#define ORIGIN_ATTRIBUTE "origin"

/*
 * Bytes of a file handle that are enough to tell files apart: inode and generation come first, wherever there are any.
 */
#define HANDLE_MAX 32

/*
 * What is kept. With its time of creation, and the generation that is in a file handle, an inode number means one file
 * only, also when the number is used again.
 */
typedef struct Origin {
        uint64_t file_system; /* as of statfs(2) */
        uint64_t inode;
        int64_t created;
        uint32_t created_nanoseconds;
        uint32_t writable;
        int32_t handle_type;
        uint32_t handle_size; /* 0: the file system has no handles */
        unsigned char handle[HANDLE_MAX];
        char path[PATH_MAX]; /* without a NUL in the attribute */
} Origin;

Source *source_new(int fd, int access) {
        Source *source = g_new0(Source, 1);

        source->fd = fd;
        source->access = access;
        return source;
}

void source_free(Source *source) {
        if (!source)
                return;
        descriptor_clear(&source->fd);
        g_free(source->path);
        g_free(source);
}

bool source_is_writable(const Source *source) {
        return source->access == O_RDWR;
}

int source_descriptor(const Source *source) {
        return source->fd;
}

bool source_is_there(const Source *source) {
        return source->fd >= 0;
}

static void identify_handle(int fd, Origin *origin) {
        union {
                struct file_handle header;
                unsigned char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
        } handle = { .header.handle_bytes = MAX_HANDLE_SZ };
        int mount_id;

        if (name_to_handle_at(fd, "", &handle.header, &mount_id, AT_EMPTY_PATH) < 0)
                return;
        origin->handle_type = handle.header.handle_type;
        origin->handle_size = MIN(handle.header.handle_bytes, HANDLE_MAX);
        memcpy(origin->handle, handle.header.f_handle, origin->handle_size);
}

static int identify(int fd, Origin *origin) {
        struct statx stx;
        struct statfs fs;

        if (fstatfs(fd, &fs) < 0)
                return -errno;
        memcpy(&origin->file_system, &fs.f_fsid, sizeof(origin->file_system));
        if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_TYPE | STATX_BTIME, &stx) < 0)
                return -errno;
        if (!S_ISREG(stx.stx_mode))
                return -ESTALE;
        identify_handle(fd, origin);
        origin->inode = stx.stx_ino;
        origin->created = stx.stx_mask & STATX_BTIME ? stx.stx_btime.tv_sec : 0;
        origin->created_nanoseconds = stx.stx_mask & STATX_BTIME ? stx.stx_btime.tv_nsec : 0;
        return 0;
}

int source_keep(const Source *source, int node) {
        Origin origin = { .writable = source_is_writable(source) };
        int result = identify(source->fd, &origin), length;

        if (result < 0)
                return result;
        length = source_path(source, origin.path);
        if (length == 0)
                return -ENAMETOOLONG;
        return stored_set(node, ORIGIN_ATTRIBUTE, &origin, offsetof(Origin, path) + length);
}

/* Opens what is at the kept path, if it is the same file. */
static int find_again(const Origin *kept) {
        /* Looked at before it is opened for anything: it may be anyone's by now, as may links on the way. */
        struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
        auto_descriptor fd = syscall(SYS_openat2, AT_FDCWD, kept->path, &how, sizeof(how));
        Origin found = { 0 };
        int result = fd < 0 ? -errno : identify(fd, &found);

        if (result < 0)
                return result;
        found.writable = kept->writable;
        if (memcmp(&found, kept, offsetof(Origin, path)) != 0)
                return -ESTALE;
        return descriptor_steal(&fd);
}

int source_restore(int node, Source **source) {
        Origin kept = { 0 };
        ssize_t size = stored_get(node, ORIGIN_ATTRIBUTE, &kept, sizeof(kept) - 1);
        int fd;

        *source = NULL;
        if (size == -ENODATA || size == -ENOTSUP)
                return 0;
        if (size < 0)
                return size;
        fd = (size_t)size > offsetof(Origin, path) ? find_again(&kept) : -EIO;
        if (fd < 0) {
                /* Clients choose names: a line of the log stays one. */
                g_autofree char *path = g_strescape(kept.path, NULL);

                g_warning("the file of a persisted region is not at %s any more, or is another one: the region cannot be "
                          "opened", path);
        }
        *source = source_new(MAX(fd, -1), kept.writable ? O_RDWR : O_RDONLY);
        if (fd < 0)
                (*source)->path = g_strdup(kept.path);
        return 0;
}

int source_open(const Source *source, int flags) {
        char path[DESCRIPTOR_PATH_MAX];
        int fd;

        if (source->fd < 0)
                return -ESTALE;
        if (flags & O_PATH)
                fd = fcntl(source->fd, F_DUPFD_CLOEXEC, 0);
        else if ((flags & O_ACCMODE) != O_RDONLY && !source_is_writable(source))
                return -EACCES;
        else
                fd = descriptor_open(descriptor_path(source->fd, path), flags);
        return fd < 0 ? -errno : fd;
}

static bool later(const struct timespec *a, const struct timespec *b) {
        return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

void source_stat(const Source *source, struct stat *st) {
        struct stat contents;

        if (source->fd < 0 || fstatat(source->fd, "", &contents, AT_EMPTY_PATH) < 0)
                return;
        st->st_size = contents.st_size;
        st->st_blocks = contents.st_blocks;
        st->st_blksize = contents.st_blksize;
        st->st_atim = contents.st_atim;
        st->st_mtim = contents.st_mtim;
        if (later(&contents.st_ctim, &st->st_ctim))
                st->st_ctim = contents.st_ctim;
}

bool source_owned_by(const Source *source, uid_t uid) {
        struct stat st;

        return uid == 0 || (source->fd >= 0 && fstatat(source->fd, "", &st, AT_EMPTY_PATH) == 0 && st.st_uid == uid);
}

int source_path(const Source *source, char path[PATH_MAX]) {
        char link[DESCRIPTOR_PATH_MAX];
        ssize_t size;

        if (source->fd < 0)
                return g_strlcpy(path, source->path ? source->path : "", PATH_MAX);
        size = readlink(descriptor_path(source->fd, link), path, PATH_MAX - 1);
        size = MAX(size, 0);
        path[size] = '\0';
        return size;
}
