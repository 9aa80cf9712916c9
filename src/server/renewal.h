#pragma once

/*
 * After a connection that was lost: the pool goes on under a new one. For the keeper and the server.
 *
 * Requests that come over io_uring (see server-rings.h) are lost with the server that has them in hand: the kernel does
 * not hand them out again, and their clients would wait for ever. So the keeper ends the connection and mounts afresh.
 * The kernel has forgotten all nodes and handles then, and what the ledger says of them is void. What is left concerns
 * the pool:
 *
 *   backing ids    stay registered as long as a client keeps anything of the old mount, and with them the memory of regions
 *                  that have ended meanwhile. They are given up while there is a descriptor to do so.
 *   lifetimes      Regions that end with their last handle and have had one are looked at. A handle of old is an open
 *                  file of the pool still, and like a view it keeps its region until it is closed, although the new
 *                  server counts none.
 *   regions        are counted again, as what was under way is not known.
 *
 * A server may die in the midst of it: it is done again, from the beginning, until the ledger says no longer that the
 * connection is lost.
 */

#include "ledger/ledger.h"
#include "pool/pool.h"

/* In the keeper, while the old connection is there: gives up what it has registered. channel is its descriptor. */
void renewal_release(Ledger *ledger, int channel);

/*
 * In the new server, before it opens anything. descriptors (int): those of the keeper; all others are closed. 0 or
 * -errno.
 */
int renewal_begin(Ledger *ledger, const Pool *pool, const GArray *descriptors);
