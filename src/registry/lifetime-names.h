#pragma once

/* Taking away the names of a region that has ended. For lifetime.c alone. */

#include "pool/pool.h"
#include "registry/lifetime.h"
#include "registry/registry.h"

/* A name that was removed. */
typedef struct LifetimeName {
        uint64_t parent; /* the registry's id of its directory; 0: the kernel does not know it */
        char *name;      /* owned */
} LifetimeName;

/* Of LifetimeName. */
GArray *lifetime_names_new(void);

/*
 * Takes away all names of a region that nobody uses and nobody can open meanwhile, and adds them to gone: whether none
 * is left. file is open on it, O_PATH included. In between names may not change in the registry. Changes the working
 * directory of the calling thread meanwhile.
 */
bool lifetime_names_remove(const Pool *pool, Registry *registry, const PoolRef *ref, int file, LedgerEnd *end,
                           GArray *gone);

/*
 * What a dead server has removed of a region that it was ending. Whether that is over is noted and counted at once; the
 * names are told when requests are answered, since telling may have to wait for that. All of it before any other region
 * is ended. What is left of the region is looked at again like all that the dead one may not have finished.
 */
void lifetime_names_take_over(const Pool *pool, Registry *registry, Ledger *ledger);
void lifetime_names_tell(const Pool *pool, Registry *registry, Ledger *ledger, LifetimesNameGone name_gone, void *data);
