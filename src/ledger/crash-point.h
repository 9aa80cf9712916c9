#pragma once

/*
 * Crash points: where a test may stop the server, besides its system calls. What a dead server leaves behind is what
 * its system calls have done, and what it has stored in the ledger: so each such store has a point before it. A point
 * is a system call that does nothing, which whoever traces the server sees (tests/crash/steps-tracer.h). Without the
 * Meson option crash-points it is nothing at all.
 */

/* What a point closes: never a descriptor. */
#define CRASH_POINT_DESCRIPTOR (-4321)

#ifdef REGIONFS_CRASH_POINTS

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline void crash_point(void) {
        int before = errno;

        syscall(SYS_close, CRASH_POINT_DESCRIPTOR);
        errno = before;
}

#else

static inline void crash_point(void) {
}

#endif
