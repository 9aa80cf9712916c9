#pragma once

/*
 * The operations that the kernel asks for: each resolves its nodes, acts in the pool or the registry, and replies
 * exactly once, with the errno of whatever refused.
 */

#include "credentials.h"
#include "handles.h"
#include "lifetime.h"
#include "namespaces.h"
#include "pool.h"
#include "refresher.h"
#include "registry.h"

#define FUSE_USE_VERSION 317
#include <fuse_lowlevel.h>

/* The user data of the session. All of it is borrowed. */
typedef struct Operations {
        const Pool *pool;
        Registry *registry;
        Handles *handles;
        const Credentials *credentials;
        Lifetimes *lifetimes;
        const Namespaces *namespaces; /* NULL: none */
        Refresher *refresher;
        struct fuse_session *session;
        dev_t device;     /* of the mount, once it is made */
        bool passthrough; /* wanted before INIT; in force after */
} Operations;

extern const struct fuse_lowlevel_ops operations_table;
