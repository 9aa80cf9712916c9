#pragma once

/*
 * The watchdog: finds a server that lives and does not get on. The keeper has it, looks at short intervals, and kills
 * the server that hangs. It reads the ledger and asks the channel; it never writes to the ledger while a server lives,
 * and neither takes memory nor opens descriptors once it is made.
 *
 * A server hangs if for the given time
 *   a request is in hand    of this server, whoever has it: the thread that has received it, or what it was left to
 *                           (requests_leave()). There is no other sign of progress on a request than its end.
 *   requests are not taken  the channel has some to be read, each time that is looked, and none is begun meanwhile. So
 *                           a server that is stopped is found, whoever stopped it, and one whose threads all hang
 *                           before they have received anything, but not before a client waits: one that nobody needs
 *                           is left alone.
 *   it does not serve       though it was started to.
 *
 * Why the channel and not a heartbeat: poll(2) on /dev/fuse tells whether requests wait, which is what matters, in
 * every mode, and costs the server nothing. A heartbeat says that one thread of the server runs, which need not be one
 * that answers; it wakes an idle server for ever, and has one killed that someone looks at with a debugger while nobody
 * needs it. The kernel's count of waiting requests (/sys/fs/fuse/connections) includes those in hand, and is not
 * mounted everywhere.
 *
 * Time counts as far as the keeper has run: after a look that comes late, no more than one interval has passed. A
 * machine or a group of processes that was frozen, keeper and server together, is not taken for a server that hangs.
 */

#include "ledger/ledger.h"

#include <time.h>

typedef struct Watchdog Watchdog;

/* seconds: from 1. ledger is borrowed. */
Watchdog *watchdog_new(const Ledger *ledger, unsigned seconds);
void watchdog_free(Watchdog *watchdog);

/* A server has been started. channel (borrowed): a descriptor that can be read when requests wait. */
void watchdog_begin(Watchdog *watchdog, int channel);

/* How long to wait for the next look. */
struct timespec watchdog_interval(const Watchdog *watchdog);

/* Whether the server is to be killed: says so once in its life. now: monotonic, microseconds. */
bool watchdog_look(Watchdog *watchdog, int64_t now);

/* The server has died: if that was the watchdog's doing, what hung then and is in hand still has hung once more. */
void watchdog_end(Watchdog *watchdog);

/* Why the last server was killed, as a sentence (to be freed); NULL: not by us. For the next one, which logs it. */
char *watchdog_explain(const Watchdog *watchdog);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Watchdog, watchdog_free)
