#include "pool/region.h"

#include "base/descriptor.h"
#include "pool/stored.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <regionfs/regionfs.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* as of Linux 5.14 */
#endif

/* Bytes that are mapped at a time. */
#define FILLED_AT_ONCE (UINT64_C(1) << 30)

uint64_t region_page_size(void) {
        return sysconf(_SC_PAGESIZE);
}

uint64_t region_padded_length(uint64_t logical) {
        uint64_t page = region_page_size();

        return (logical + page - 1) / page * page;
}

#define POLICY_ATTRIBUTE "policy"

/* The bytes of a kept policy; what is not there, as an older or newer regionfs wrote it, is as by default. */
enum { POLICY_LIFETIME, POLICY_ALLOCATION, POLICY_SEALED, POLICY_SIZE };

int region_read_policy(int fd, RegionPolicy *policy) {
        uint8_t kept[POLICY_SIZE] = { 0 };
        ssize_t size = stored_get(fd, POLICY_ATTRIBUTE, kept, sizeof(kept));

        *policy = (RegionPolicy){ 0 };
        if (size < 0)
                return size == -ENODATA || size == -ENOTSUP ? 0 : size;
        policy->lifetime = kept[POLICY_LIFETIME] == REGION_HANDLES ? REGION_HANDLES : REGION_KEPT;
        policy->allocation = kept[POLICY_ALLOCATION] == REGION_COMMITTED ? REGION_COMMITTED : REGION_DELAYED;
        policy->sealed = kept[POLICY_SEALED];
        return 0;
}

int region_write_policy(int fd, const RegionPolicy *policy) {
        const uint8_t kept[POLICY_SIZE] = {
                [POLICY_LIFETIME] = policy->lifetime,
                [POLICY_ALLOCATION] = policy->allocation,
                [POLICY_SEALED] = policy->sealed,
        };

        return stored_set(fd, POLICY_ATTRIBUTE, kept, sizeof(kept));
}

int region_start_policy(int fd, const RegionPolicy *policy) {
        if (policy->lifetime == REGION_KEPT && policy->allocation == REGION_DELAYED && !policy->sealed)
                return 0;
        return region_write_policy(fd, policy);
}

int region_inherit_policy(int directory, int fd) {
        RegionPolicy policy;
        int result = region_read_policy(directory, &policy);

        return result < 0 ? result : region_start_policy(fd, &policy);
}

/*
 * The file itself, opened as it is needed. Opened, and not changed by path: whoever watches for its last close learns
 * of the close, but of truncate(2) he would not. A descriptor that can already do what is asked is duplicated, as the
 * mode may no longer allow what its handle does.
 */
static int reopen(int fd, int access) {
        char path[DESCRIPTOR_PATH_MAX];
        int flags = fcntl(fd, F_GETFL);
        int file;

        if (flags >= 0 && !(flags & O_PATH) && ((flags & O_ACCMODE) == access || (flags & O_ACCMODE) == O_RDWR))
                file = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        else
                file = descriptor_open(descriptor_path(fd, path), access);
        return file < 0 ? -errno : file;
}

/* What there is room for is not what root finds room for: the file system may keep some back. */
static bool has_room(int file, uint64_t bytes) {
        struct statvfs fs;

        /* Without a limit of its own a tmpfs says that it has no blocks at all. */
        return fstatvfs(file, &fs) < 0 || fs.f_blocks == 0 || bytes <= (uint64_t)fs.f_bavail * fs.f_frsize;
}

/*
 * Behind the end as well, so that the length stays. What a failing call has allocated, a tmpfs gives back; other file
 * systems leave it there, so what is known to be too much is not tried, and what is behind the end then is cut off.
 */
static int reserve(int file, uint64_t length) {
        struct stat st;
        int result = 0;

        if (length == 0)
                return 0;
        if (length > G_MAXINT64)
                return -EFBIG;
        if (fstat(file, &st) < 0)
                return -errno;
        if (length > (uint64_t)st.st_blocks * 512 && !has_room(file, length - (uint64_t)st.st_blocks * 512))
                return -ENOSPC;
        if (fallocate(file, FALLOC_FL_KEEP_SIZE, 0, length) < 0) {
                result = -errno;
                if (ftruncate(file, st.st_size) < 0)
                        g_warning("cannot give back what a region did not get: %s", g_strerror(errno));
        }
        return result;
}

int region_set_length(int fd, int rules, off_t length) {
        auto_descriptor file = reopen(fd, O_WRONLY);
        RegionPolicy policy;
        int result;

        if (file < 0)
                return file;
        /* After opening: while it is open for writing nobody can seal it. */
        result = region_read_policy(rules, &policy);
        if (result == 0 && policy.sealed)
                result = -EPERM;
        if (result == 0 && policy.allocation == REGION_COMMITTED && length >= 0)
                result = reserve(file, region_padded_length(length));
        if (result == 0 && ftruncate(file, length) < 0)
                result = -errno;
        return result;
}

int region_commit(int fd, uint64_t end) {
        auto_descriptor file = reopen(fd, O_WRONLY);
        struct stat st;

        if (file < 0)
                return file;
        if (fstat(file, &st) < 0)
                return -errno;
        return reserve(file, region_padded_length(MAX((uint64_t)st.st_size, end)));
}

bool region_is_memory(int fd) {
        struct statfs fs;

        return fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

/* Touched as by a client's view, which takes no lock that a write holds; contents stay as they are. */
static int touch(int file, uint64_t offset, uint64_t length) {
        void *view = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, offset);
        int result = 0;

        if (view == MAP_FAILED)
                return -errno;
        if (madvise(view, length, MADV_POPULATE_WRITE) < 0)
                result = errno == EFAULT ? -ENOSPC : -errno;
        munmap(view, length);
        return result;
}

int region_fill(int fd) {
        auto_descriptor file = reopen(fd, O_RDWR);
        uint64_t end;
        struct stat st;
        int result = 0;

        if (file < 0)
                return file;
        if (fstat(file, &st) < 0)
                return -errno;
        end = region_padded_length(st.st_size);
        /* What a failing fill has taken is not given back, so what is known to be too much is not tried. */
        if (end > (uint64_t)st.st_blocks * 512 && !has_room(file, end - (uint64_t)st.st_blocks * 512))
                return -ENOSPC;
        for (uint64_t offset = 0; offset < end && result == 0; offset += FILLED_AT_ONCE)
                result = touch(file, offset, MIN(end - offset, FILLED_AT_ONCE));
        return result;
}

bool region_lacks_memory(const struct stat *st) {
        return (uint64_t)st->st_blocks * 512 < region_padded_length(st->st_size);
}

/* A lease is granted to the only user of a file, or the only kind: it is taken to see that, and given back at once. */
static int try_lease(int file, int kind) {
        if (fcntl(file, F_SETLEASE, kind) < 0)
                return errno == EAGAIN ? 1 : -errno;
        fcntl(file, F_SETLEASE, F_UNLCK);
        return 0;
}

int region_in_use(int file) {
        return try_lease(file, F_WRLCK);
}

int region_has_writers(int fd) {
        auto_descriptor file = reopen(fd, O_RDONLY);

        return file < 0 ? file : try_lease(file, F_RDLCK);
}

int region_drop_setid(int fd, bool stranger) {
        char path[DESCRIPTOR_PATH_MAX];
        struct stat st;
        mode_t mode;

        if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
                return -errno;
        mode = st.st_mode & ~S_ISUID;
        if (stranger || mode & S_IXGRP)
                mode &= ~S_ISGID;
        if (mode != st.st_mode && chmod(descriptor_path(fd, path), mode & 07777) < 0)
                return -errno;
        return 0;
}
