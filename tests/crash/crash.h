#pragma once

/* What the tests of crashes share. */

#include "fixture.h"

#include <regionfs/regionfs.h>
#include <signal.h>
#include <stdlib.h>

/* The server dies; returns when it is dead. */
static inline void crash(int signal) {
        pid_t server = fixture_server();

        must(kill(server, signal));
        eventually(kill(server, 0) < 0 && errno == ESRCH);
}

static inline bool has_logged(const char *words) {
        g_autofree char *log = fixture_log();

        return strstr(log, words);
}

/* How many servers have been replaced. */
static inline int restarts(void) {
        g_autofree char *value = must_get(fixture_mountpoint(), REGIONFS_ATTRIBUTE_RESTARTS);

        return atoi(value);
}
