#pragma once

/*
 * The guard: a process that the keeper leaves behind when it becomes another program, and that can do what it could.
 * When the new image ends before its server answers, killed or broken, or takes too long for that, the guard goes on
 * with the mount, as if nothing had been tried.
 *
 * Which of the two has the mount is one word in the ledger, which changes once: by the new server, when the mount
 * answers, or by the guard. Until then that server dies with its keeper (PR_SET_PDEATHSIG), and the guard waits for the
 * death of both: they have a pipe open, the lifeline, whose other end it has. So there are never two servers.
 */

#include "ledger/ledger.h"

#include <sys/types.h>

/*
 * In the keeper, when no server runs: false, guarded or not. In the guard, once it is called for and alone: true; the
 * process goes on as keeper, with descriptors of its own.
 */
bool guard_post(const Ledger *ledger);

/* In the new image: whether the mount is not its own yet. The lifeline, which it keeps until then; -1: none. */
bool guard_is_posted(const Ledger *ledger);
int guard_lifeline(const Ledger *ledger);

/* In a server, first of all: its keeper's death is to be told it (SERVER_ORPHANED), or, with a guard, to be its own. */
void guard_watch_keeper(bool guarded, pid_t keeper);

/* In a server, by the same thread, once it can answer: whether the mount is its own. If not, it is to end at once. */
bool guard_pass(const Ledger *ledger, pid_t keeper);

/* In the keeper: the mount is its own, or nobody's any more. Nothing happens where there is no guard. */
void guard_dismiss(const Ledger *ledger);

/* In the keeper: a child has ended, which may have been the guard. */
void guard_take_end(const Ledger *ledger, pid_t process);
