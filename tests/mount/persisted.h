#pragma once

/* What the tests of persisted regions and of pools in a directory share. */

#include "fixture.h"

#include <grp.h>
#include <regionfs/regionfs.h>
#include <sys/xattr.h>

#define OTHER 64201
#define TEAM 64203 /* a supplementary group */

/* Of the test's own, beside the mount: the fixture's directory has to be empty at the end. */
static inline char *beside(const char *name) {
        return g_build_filename(fixture_directory(), name, NULL);
}

static inline int set_source(const char *region, int fd) {
        g_autofree char *number = g_strdup_printf("%d", fd);

        return setxattr(region, REGIONFS_ATTRIBUTE_SOURCE, number, strlen(number), 0);
}

static inline void make_persisted(const char *region, int fd) {
        must(mknod(region, S_IFREG | 0644, 0));
        must(set_source(region, fd));
}

static inline void become_other(void) {
        const gid_t team = TEAM;

        must(setgroups(1, &team));
        must(setgid(OTHER));
        must(setuid(OTHER));
}
