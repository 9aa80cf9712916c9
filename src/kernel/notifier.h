#pragma once

/*
 * The notifier: tells the kernel of names that have gone without its asking. A process of its own, beside the servers.
 *
 * To take a name out of its memory the kernel waits for the directory's lock, and cannot be killed meanwhile. Whoever
 * holds the lock may be waiting for an answer of the server: so the thread that tells must not belong to it. A server
 * that is killed would not die before the lock is free, and the lock not be free before the next server answers.
 *
 * The lock may be held for as long as a client likes. So each directory is told of by a thread of its own, if that
 * takes longer than a moment, and names in others go meanwhile. What such a thread has is lost when the notifier is killed.
 *
 * What is told goes through a socket. It stays there when a server dies, and when the notifier is killed: the keeper
 * starts another. The notifier has a table of descriptors to itself, with nothing in it but its end of the socket and
 * the channel, so it ends when keeper and server are gone, and the channel with it. But for one case: if it waits for a
 * lock then, whose holder waits for an answer, both wait until the connection is aborted (/sys/fs/fuse/connections), or
 * the holder is killed.
 */

#include <glib.h>
#include <stdint.h>

typedef struct Notifier Notifier;

/* Bytes of what is told of a name at most: part of the ledger's format. */
#define NOTIFIER_MESSAGE_SIZE 280

/* The socket alone. NULL with error where there is none. */
Notifier *notifier_new(GError **error);
void notifier_free(Notifier *notifier);

/*
 * The ends of the socket, its own; and one on such ends, which are taken over: with what had been told and not passed
 * on.
 */
void notifier_descriptors(const Notifier *notifier, int ends[2]);
Notifier *notifier_open(const int ends[2]);

/*
 * Passes on what is told over channel, a descriptor of /dev/fuse, until it is asked to end. For a process of its own.
 */
void notifier_run(Notifier *notifier, int channel);

/*
 * The node with that id (as the kernel knows it) has lost the name in the directory with id parent. Returns when the
 * notifier is sure to learn it, and not when the kernel has: from any thread, without locks. May wait for requests to
 * be answered; for some seconds at most, where there is no notifier any more.
 */
void notifier_tell(Notifier *notifier, uint64_t parent, uint64_t id, const char *name);

/* In place of an id: the kernel may remember that there is no such name, and is to look again. */
#define NOTIFIER_ANY_NODE UINT64_MAX

/* Has the notifier end, when the kernel knows all that was told. To be called as long as requests are answered. */
void notifier_end(Notifier *notifier);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Notifier, notifier_free)
