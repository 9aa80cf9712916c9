#pragma once

/*
 * The operations that the kernel asks for: each resolves its nodes, acts in the pool or the registry, and replies
 * exactly once, with the errno of whatever refused.
 */

#include "kernel/errand.h"
#include "operations/credentials.h"
#include "operations/handles.h"
#include "operations/namespaces.h"
#include "operations/refresher.h"
#include "operations/requests.h"
#include "pool/pool.h"
#include "registry/lifetime.h"
#include "registry/registry.h"

#define FUSE_USE_VERSION 317
#include <fuse_lowlevel.h>
#include <pthread.h>

/* The user data of the session. All of it is borrowed. */
typedef struct Operations {
        const Pool *pool;
        Registry *registry;
        Handles *handles;
        Ledger *ledger;
        Requests *requests;
        const Credentials *credentials;
        Lifetimes *lifetimes;
        const Namespaces *namespaces; /* NULL: none */
        Refresher *refresher;
        Errands *errands; /* changes of what clients have other ways to */
        struct fuse_session *session;
        dev_t device;     /* of the mount, once it is made */
        double attr_timeout; /* of regions, in seconds: a write through a view changes times and blocks unseen */
        bool unlisted;    /* our own attributes are not listed */
        bool passthrough; /* wanted before INIT; in force after */
        bool rings;       /* requests come over io_uring: the same */
        pthread_key_t prepared; /* not NULL in a thread of libfuse's that is ready to answer them */
        GMutex gate;            /* held until the rest of this is there: such threads wait */
} Operations;

/*
 * Takes back what the current request has counted when a dead server had it in hand, so that it can be carried out from
 * its beginning.
 */
void operations_take_back(const Operations *operations);

/*
 * The current request has changed names in the pool when its server died: what follows from that is done, so that it
 * need not come again for that. Before there are threads.
 */
void operations_complete(const Operations *operations);

/*
 * Nobody will be told what came of the current request: what it has counted for the client is given up. What it has
 * changed stays as it is.
 */
void operations_abandon(const Operations *operations);

extern const struct fuse_lowlevel_ops operations_table;
