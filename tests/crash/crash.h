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
        eventually(process_is_gone(server));
}
