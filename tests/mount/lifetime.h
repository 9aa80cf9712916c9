#pragma once

/* What the tests of lifetimes share. */

#include "fixture.h"

#include <regionfs/regionfs.h>
#include <sys/mman.h>
#include <sys/xattr.h>

/*
 * How long a name may stay after the last user has gone. A tenth of a second is promised, and as a rule it is a
 * millisecond; but what is tested here is that it goes, on a machine that may be busy with other things.
 */
#define PATIENCE_US 10000000

static inline int new_region(const char *name) {
        int fd = must_open(in_mount(name), O_RDWR | O_CREAT | O_EXCL, 0600);

        must(fsetxattr(fd, REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        must(ftruncate(fd, 8192));
        ck_assert_int_eq(pwrite(fd, "data", 4, 0), 4);
        return fd;
}

static inline char *map(int fd, int protection) {
        char *view = mmap(NULL, 8192, protection, MAP_SHARED, fd, 0);

        ck_assert_msg(view != MAP_FAILED, "mmap: %s", g_strerror(errno));
        return view;
}

static inline bool is_there(const char *name) {
        return access(in_mount(name), F_OK) == 0;
}

static inline void check_gone(const char *name) {
        for (int waited = 0; is_there(name); waited += 1000) {
                ck_assert_msg(waited < PATIENCE_US, "%s is still there", name);
                g_usleep(1000);
        }
        must_fail(open(in_mount(name), O_RDWR), ENOENT);
        must(close(must_open(in_mount(name), O_RDWR | O_CREAT | O_EXCL, 0600)));
        /* Where new regions end with their handles, this one may be gone too. */
        ck_assert(unlink(in_mount(name)) == 0 || errno == ENOENT);
}

/* It stays: for longer than it would take to go. */
static inline void check_there(const char *name) {
        char found[4];
        int fd;

        g_usleep(20000);
        fd = must_open(in_mount(name), O_RDWR, 0);
        ck_assert_int_eq(pread(fd, found, 4, 0), 4);
        ck_assert_mem_eq(found, "data", 4);
        must(close(fd));
        g_usleep(20000);
        ck_assert(is_there(name));
}
