#pragma once

/*
 * Kills a server at one of its steps, by tracing it (ptrace(2)). A step is a system call that leaves something behind,
 * or, where the server has been built with the Meson option crash-points, a store in the ledger. It dies before it.
 * Between two steps nothing happens that the next server could find: a server that has been killed at each has been
 * killed everywhere.
 */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* Never: the server is only watched. */
#define TRACER_NEVER 0

/* What came of it. */
typedef struct Trace {
        unsigned steps;  /* that were seen, the last one included */
        unsigned stores; /* of these, in the ledger */
        bool killed;
        char step[32];   /* the one it died before, for messages */
} Trace;

/*
 * Has act called in a thread of its own, and kills the server before the step with that number, the first being 1.
 * Returns when act has returned, and the server, unless it died, has had nothing to do for quiet milliseconds. What act
 * returned. Fails the test when that takes more than 20 s.
 */
int tracer_run(pid_t server, unsigned kill_at, unsigned quiet, int (*act)(void *data), void *data, Trace *trace);

/*
 * Stops the keeper, so that no server follows one that is killed. To be let go by the same thread, or to be had start
 * the next server, which is killed as soon as it has had the kernel hand out again what the dead one had in hand.
 */
void tracer_hold(pid_t keeper);
void tracer_let_go(pid_t keeper);
void tracer_kill_next(pid_t keeper);
