#pragma once

/*
 * The server: the FUSE session, and the threads that answer its requests. One process of several, one after the other.
 */

#include "base/log.h"
#include "kernel/notifier.h"
#include "ledger/ledger.h"
#include "mount/channel.h"
#include "operations/namespaces.h"
#include "options/options.h"
#include "server/watchdog.h"

#include <signal.h>

/* Where a server finds what its keeper has made. All of it is borrowed. */
typedef struct ServerPlace {
        pid_t keeper;
        const Options *options;
        Log *log;
        bool background; /* logs to the system once the mount answers */
        bool guarded;    /* the mount may still become another process's: see guard.h */
        const Pool *pool;
        const Namespaces *namespaces; /* NULL: none */
        Ledger *ledger;
        Channel *channel;
        Notifier *notifier;
        GArray *descriptors; /* int: those of the keeper */
        int previous;        /* how the server before died, as of waitpid(2); of one of another image: by SERVER_YIELDED */
        Watchdog *watchdog;  /* the keeper's, which knows why it killed that; NULL: none */
} ServerPlace;

/*
 * Signals: from the server to the keeper, the mount answers; to the server, the keeper has died, or asks it to make
 * way.
 */
#define SERVER_READY SIGUSR1
#define SERVER_ORPHANED SIGUSR2
#define SERVER_YIELD SIGHUP

/* The exit status of one that has made way: the mount is there. */
#define SERVER_YIELDED 92

/*
 * Blocks the signals that the server asks for, and no others; before there are threads. One that has come stays
 * pending.
 */
void server_block_signals(void);

/*
 * Serves until SIGTERM or SIGINT comes, or the mount is taken away; takes it away. Or until the keeper asks it to make
 * way. The process's exit status: what went wrong at the start has been said on stderr.
 *
 * What the ledger holds of a dead server goes on where that died.
 */
int server_main(const ServerPlace *place);

/* The descriptors that this process has open (int), to be freed. */
GArray *server_descriptors_open(void);
