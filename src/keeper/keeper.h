#pragma once

/*
 * The keeper: the process that owns what must outlive a server: channel, mount, pool, ledger. It starts the server,
 * waits, and starts another one when that dies.
 *
 * Keeper and servers share one table of descriptors (clone(2), CLONE_FILES). Whatever a server has open is open, by the
 * same number, when it has died: descriptors of regions without names, those that handles are served with, the group
 * that reports closed regions. Nothing has to be handed over, on no request; the ledger says which of them the next
 * server needs, and it closes the others.
 *
 * So the keeper opens no descriptor while a server runs, and does not log: the descriptor of the system log would be
 * one. Its memory is what servers start from (fork(2)): it has no threads, and takes no memory while it waits.
 */

#include "base/background.h"
#include "base/log.h"
#include "base/manager.h"
#include "handover/successor.h"
#include "ledger/ledger.h"
#include "options/options.h"

#include <signal.h>

#define KEEPER_GIVE SIGUSR2

/*
 * Mounts and serves until the mount has ended. The program's exit status; what went wrong at the start has been said on
 * stderr. background (borrowed, or NULL) is told when the mount answers. SIGHUP has successor go on with the mount;
 * KEEPER_GIVE has the next run of the service do so, and ends this one.
 *
 * With a ledger (taken over, or NULL) that was handed over: goes on with the mount of that. given (int; borrowed, or
 * NULL) is what has come from the store of the service manager. manager: taken over, or NULL for none.
 */
int keeper_run(const Options *options, const Successor *successor, Ledger *ledger, GArray *given, Manager *manager,
               Log *log, Background *background);
