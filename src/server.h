#pragma once

/* The server: the FUSE session, the threads that answer its requests, and the mount. */

#include "log.h"
#include "options.h"

typedef struct Server Server;

/*
 * Mounts and serves pool, until the last of server_run() and server_free(). Returns once the mount answers; NULL and a
 * sentence in error otherwise, with nothing left mounted. pool and options are borrowed.
 *
 * The caller has blocked the signals that server_run() takes, in all threads.
 */
Server *server_new(const Options *options, const Pool *pool, Log *log, GError **error);

/* Serves until SIGTERM, SIGINT or SIGHUP comes, or the mount is taken away. */
void server_run(Server *server);

/* Unmounts. */
void server_free(Server *server);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Server, server_free)
