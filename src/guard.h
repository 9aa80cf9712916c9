#pragma once

/*
 * The guard: a process that the keeper leaves behind when it becomes another program, and that can do what it could. When the new
 * image ends before its server answers, killed or broken, the guard goes on with the mount, as if nothing had been tried.
 *
 * Which of the two has the mount is one word in the ledger, which changes once.
 */

#include "ledger.h"

/*
 * In the keeper, when no server runs: false, guarded or not. In the guard, once it is called for: true; the process goes on as
 * keeper, with descriptors of its own.
 */
bool guard_post(const Ledger *ledger);

/* In the new image. */
bool guard_is_posted(const Ledger *ledger);

/* The mount is the new image's, or nobody's any more. Nothing happens where there is no guard. */
void guard_dismiss(const Ledger *ledger);
