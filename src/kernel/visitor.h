#pragma once

/*
 * What may have to wait for answers of the server that asks for it: done by a process of its own.
 *
 * A thread that waits for an answer of the server that it belongs to must not be killed together with it: it would wait
 * for ever, and keep the channel open. The visitor has closed the channel, so that it meets an error instead; where it
 * needs it, the next server answers.
 *
 * Results are 0 or -errno: -ETIMEDOUT after ten seconds without an answer.
 */

#include <stdint.h>
#include <sys/types.h>

/* Has the kernel ask for the attributes of what path, in the mount, names; and so tells whether the mount answers. */
int visitor_look(const char *path);

/* Has what views hold in the page cache written to the pool. */
int visitor_sync(const char *mountpoint);

/*
 * Tells the kernel that the region of this node has at least so many bytes, at least one. For passthrough alone: it
 * goes by way of the mount's page cache, which is of no use then. It may have to wait for a read, if someone has asked
 * for reading ahead all the same. channel: the descriptor of /dev/fuse.
 *
 * If keeper and servers are all killed while it waits, it cannot end, and keeps the connection: whoever asks the mount
 * waits with it, until the connection is aborted (umount -f).
 */
int visitor_tell_length(uint64_t node, off_t length, int channel);
