#pragma once

/*
 * The rings: a session's requests over io_uring, one queue for each of the machine's processors. For server*.c alone.
 *
 * libfuse answers them, with a thread for each queue; it makes them while it processes the kernel's first request. The
 * workers read /dev/fuse as without them: what is forgotten comes there, and what came before the rings were ready.
 */

#include "operations/operations.h"

/* Whether this libfuse knows of them; whether it can be had to use them is seen afterwards. */
bool server_rings_known(void);

/* Has a session that is to be made with the arguments use them, where the kernel has them enabled. */
void server_rings_ask(struct fuse_args *arguments);

/* Whether this process has made any. */
bool server_rings_made(void);

/*
 * Keeps their mappings from children. One that waits for an answer would keep the rings by them, and by these the
 * connection, when this process has died, and so wait for good.
 */
void server_rings_hide(void);

/* Ends their threads, of a session that has exited. */
void server_rings_stop(struct fuse_session *session);
