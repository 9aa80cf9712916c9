#pragma once

/*
 * Handing over: another program image, a newer version perhaps, goes on with the mount that this keeper has. What it
 * needs is
 *
 *   the ledger          a descriptor, whose number the environment tells
 *   its descriptors     all that the ledger names, by the same numbers
 *   what the keeper has the ledger's LedgerKeeper, which is filled at the start
 *
 * so that its server starts as one that follows a dead one. Until the old server has ended nothing is handed over, and
 * from then on nobody else uses the table of descriptors. A keeper that becomes another image (execve(2)) keeps its
 * process number, its signals that are pending, and its place in whatever watches over it.
 *
 * Another run of the service gets the descriptors from the service manager instead: see store.h.
 *
 * The paths that the options name are not looked at again, and what the options say of the mount and the pool is as it
 * was.
 */

#include "kernel/notifier.h"
#include "ledger/ledger.h"
#include "mount/channel.h"
#include "options/options.h"
#include "pool/pool.h"

/* Notes in the ledger what the keeper has, and the path of its program. */
void handover_note(const Ledger *ledger, const Channel *channel, const Pool *pool, const Options *options,
                   const char *program);

/* The same of the notifier and its process; 0: it has none. */
void handover_note_notifier(const Ledger *ledger, const Notifier *notifier, pid_t process);

/* What was noted: to be freed as if it had been made anew. */
Channel *handover_channel(const Ledger *ledger);
Pool *handover_pool(const Ledger *ledger);
Notifier *handover_notifier(const Ledger *ledger, pid_t *process);

/* Notes the arguments (NULL at the end) that the mount was made with. */
void handover_note_arguments(const Ledger *ledger, char **arguments);

/*
 * Reads options for a mount that was handed over: those of the arguments, and where these cannot be read, which is
 * said, the last ones that could. Says which of them would take a new mount; what was settled with the mount becomes as
 * it is in force. Returns the arguments that were read, to be freed; NULL with error where there are none.
 */
char **handover_read_options(const Ledger *ledger, Options *options, char **argv, GError **error);

/*
 * Before this process becomes another image: descriptors and the environment are as that needs them. handover_cancel():
 * it has not.
 */
void handover_prepare(const Ledger *ledger);
void handover_cancel(void);

/* In the new image: whether anything was handed over so; and the ledger's descriptor, once, or -1 if that cannot be. */
bool handover_is_given(void);
int handover_receive(void);

/* Whether what nobody can do without has come with the ledger, and what that says can be meant. */
bool handover_is_whole(const Ledger *ledger);

/* Whether the mount is there, be it covered by another one. */
bool handover_is_mounted(const Ledger *ledger);

/*
 * Calls back with the descriptors of what is there as long as the mount is (the keeper's, the group of reports, the
 * root directory's); and with those of all else that the ledger names. -1 is among them. Not while a server runs, but
 * for the first.
 */
typedef void (*HandoverFound)(void *data, int fd);
void handover_lasting(const Ledger *ledger, HandoverFound found, void *data);
void handover_named(const Ledger *ledger, HandoverFound found, void *data);

/*
 * In the new image, before the first server: the descriptors (int) of the keeper, among all those that were handed
 * over; to be freed. From here on an image that this process becomes gets none of them.
 */
GArray *handover_descriptors(const Ledger *ledger);
