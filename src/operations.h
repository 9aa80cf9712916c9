#pragma once

/*
 * The operations that the kernel asks for: each resolves its nodes, acts in the pool or the registry, and replies
 * exactly once, with the errno of whatever refused.
 */

#include "credentials.h"
#include "pool.h"
#include "registry.h"

#define FUSE_USE_VERSION 317
#include <fuse_lowlevel.h>

/* The user data of the session. All of it is borrowed. */
typedef struct Operations {
        const Pool *pool;
        Registry *registry;
        const Credentials *credentials;
        struct fuse_session *session;
        bool passthrough; /* wanted before INIT; in force after */
        GRWLock names;    /* held for writing while a name changes in the pool and the registry, for reading while nodes
                             are resolved that are reached by one */
} Operations;

extern const struct fuse_lowlevel_ops operations_table;
