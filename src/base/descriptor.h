#pragma once

/* Descriptors that close themselves, and the path by which calls that take none reach one. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/resource.h>
#include <unistd.h>

/* Takes the descriptor out of *fd and leaves -1 there: the caller owns what it gets. */
static inline int descriptor_steal(int *fd) {
        int taken = *fd;

        *fd = -1;
        return taken;
}

/* Closes *fd unless it is negative; keeps errno. */
static inline void descriptor_clear(int *fd) {
        int saved = errno;

        if (*fd >= 0)
                close(*fd);
        *fd = -1;
        errno = saved;
}

/* A local variable that closes its descriptor when it goes out of scope. */
#define auto_descriptor __attribute__((cleanup(descriptor_clear))) int

#define DESCRIPTOR_PATH_MAX 32

/*
 * Opens as open(2), but does not wait for whoever holds a lease on the file: EWOULDBLOCK, with which nobody can hold up
 * the daemon. Our own leases, which are tests, last a moment: that is waited for.
 */
static inline int descriptor_open(const char *path, int flags) {
        int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);

        for (int tries = 0; fd < 0 && errno == EWOULDBLOCK && tries < 20; tries++) {
                g_usleep(500);
                fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);
        }
        return fd;
}

/* What a descriptor is to be kept for: handles leave some for nodes without names, and both leave some for requests. */
typedef enum DescriptorUse {
        DESCRIPTOR_OF_NODE = 1,
        DESCRIPTOR_OF_HANDLE = 2,
} DescriptorUse;

/* How many are left for requests and nodes, unless the limit is low: as many as all threads may need. */
#define DESCRIPTORS_LEFT 512

/*
 * Whether fd may be kept for a client: 0, or -EMFILE where too few would be left. Numbers are given out from the
 * lowest: below this one all are in use, but for a few.
 */
static inline int descriptor_may_be_kept(int fd, DescriptorUse use) {
        struct rlimit limit;
        rlim_t left;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
                return 0;
        left = MIN(limit.rlim_cur / 4, DESCRIPTORS_LEFT) * use / DESCRIPTOR_OF_HANDLE;
        return (rlim_t)fd < limit.rlim_cur - left ? 0 : -EMFILE;
}

/* Writes the path that names fd itself, for calls such as setxattr(2) that refuse O_PATH descriptors. */
static inline const char *descriptor_path(int fd, char path[DESCRIPTOR_PATH_MAX]) {
        g_snprintf(path, DESCRIPTOR_PATH_MAX, "/proc/self/fd/%d", fd);
        return path;
}
