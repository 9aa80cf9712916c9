#pragma once

/*
 * Calls on our own mount, made by a process of its own.
 *
 * A thread that waits for an answer of the server that it belongs to must not be killed together with it: it would wait
 * for ever, and keep the channel open. The visitor closes the channel first, so that it meets an error instead.
 *
 * channel is the descriptor of /dev/fuse. Results are 0 or -errno: -ETIMEDOUT after ten
 * seconds without an answer.
 */

/* Has the kernel ask for the attributes of what path, in the mount, names; and so tells whether the mount answers. */
int visitor_look(const char *path, int channel);

/* Has what views hold in the page cache written to the pool. */
int visitor_sync(const char *mountpoint, int channel);
