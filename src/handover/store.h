#pragma once

/*
 * The store of a service manager (FDSTORE, see sd_notify(3)), which keeps descriptors while no process of the service
 * runs: the way in which a mount is handed over from one run of the service to the next. Each descriptor's name there
 * holds the number under which the ledger knows it.
 *
 * What a keeper and its first server have is there from the start, in case both are killed; all else that the ledger
 * names when the mount is handed over.
 */

#include "base/manager.h"
#include "ledger/ledger.h"

/* What is to be in the store as long as the mount is. Called again, it changes nothing. 0 or -errno. */
int store_keep(const Manager *manager, const Ledger *ledger);

/*
 * All that another run needs; returns when it is there. For when no server runs. *left is how many descriptors the
 * service manager has no room for, which it would drop without a word: they are not given, and what was open by them is
 * lost. 0 or -errno; -ENOSPC: there is no room for what store_keep() keeps.
 */
int store_give(const Manager *manager, const Ledger *ledger, unsigned *left);

/* Whether the environment says that a store was given to this process. */
bool store_is_given(void);

/*
 * Takes what was in the store to its numbers, before anything else is opened: the number of the ledger's descriptor, or
 * -1 where there is none. *given (int, to be freed) is what there was.
 */
int store_receive(GArray **given);

/* Takes out of the store what was given to this process, but for what store_keep() keeps; or all. 0 or -errno. */
int store_forget(const Manager *manager, const Ledger *ledger, const GArray *given);
