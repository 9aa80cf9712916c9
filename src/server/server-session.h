#pragma once

/* The server's session with the kernel. For server.c alone. */

#include "operations/operations.h"
#include "server/server.h"

/*
 * A session on the place's channel, whose descriptor it takes over, with what both sides can do settled: by the
 * kernel's first request, or, where a dead server has answered that, as it was then. NULL with error otherwise.
 */
struct fuse_session *server_session_new(const ServerPlace *place, Operations *operations, GError **error);

/* Answers a request, as it was received, with EIO, and names it in the log. */
void server_session_refuse(struct fuse_session *session, const void *request);

/*
 * Has the kernel hand out once more what a dead server has taken and not answered. Whether it does that (since Linux
 * 6.9).
 */
bool server_session_ask_again(struct fuse_session *session);

/* Whether the kernel still waits for the answer to a request. */
bool server_session_is_awaited(const struct fuse_session *session, uint64_t unique);

/* Answers a request with EIO. */
void server_session_fail(struct fuse_session *session, uint64_t unique);
