#pragma once

/* What a regionfs mount tells of its pool and its server. */

#include "regionctl/facts/mount.h"

#include <stdbool.h>

typedef struct PoolStatus {
        guint64 size, used, available; /* bytes of memory */
        guint64 files, files_limit;    /* regions, directories, links, ... */
        gint64 regions, server_pid;    /* -1: not known */
        gint64 passthrough, io_uring;  /* flags; -1: not known */
        unsigned channel; /* number of the connection, as in /sys/fs/fuse/connections */
} PoolStatus;

/* Asks the mount. 0 or -errno. */
int pool_status_read(PoolStatus *status, const Mount *mount);
