#pragma once

/*
 * Has the kernel learn a region's length.
 *
 * A length that was set by other ways than the kernel's own (the attribute logical_length) is unknown to it: copying,
 * and without passthrough appending, reading and the faults of views go by the old one, until someone looks. So we
 * look, or with passthrough tell, before the client that set it goes on; from a process of its own (see visitor.h), and
 * not from a thread that answers requests, as that may make one: all of them might be waiting.
 */

#include "mount/channel.h"
#include "pool/pool.h"

#include <stdint.h>

typedef struct Refresher Refresher;

/* Called when the kernel knows; from the refresher's thread. */
typedef void (*RefresherDone)(void *data);

/* All is borrowed. fd is the channel's descriptor. */
Refresher *refresher_new(const Pool *pool, const Channel *channel, int fd);

/*
 * Ends the thread: what is handed over from now on is done at once, without a look. While requests are still answered.
 */
void refresher_stop(Refresher *refresher);
void refresher_free(Refresher *refresher);

/*
 * fd is open on the region in the pool, O_PATH included. A region that has no name cannot be looked at: done at once.
 * One that has lost the name by which it was opened is looked for in the whole pool, where it cannot be reached by
 * handle.
 */
void refresher_look(Refresher *refresher, int fd, RefresherDone done, void *data);

/*
 * For passthrough: tells of a length, in bytes, that may have grown. That one has become shorter nothing there needs to
 * know.
 */
void refresher_tell(Refresher *refresher, uint64_t node, off_t length, RefresherDone done, void *data);

/* The same, and waits until it is done; for a tenth of a second at most, so that nobody can stop who calls. */
void refresher_tell_now(Refresher *refresher, uint64_t node, off_t length);
