#pragma once

/* What the tests of crashes share. */

#include "fixture.h"

#include <regionfs/regionfs.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/xattr.h>

/* The server dies; returns when it is dead. */
static inline void crash(int signal) {
        pid_t server = fixture_server();

        must(kill(server, signal));
        eventually(process_is_gone(server));
}

/* While the mount may be away, or made afresh. */
static inline bool has_restarted(int times) {
        char value[16] = "";

        return getxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_RESTARTS, value, sizeof(value) - 1) > 0 &&
               atoi(value) == times;
}
