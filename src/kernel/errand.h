#pragma once

/*
 * Calls that may wait for as long as a client likes, each from a process of its own. The kernel lets who writes to a
 * file keep its inode locked until the memory that is written from is there, which may be never; whoever truncates the
 * file meanwhile cannot be killed. Clients have no way to files of the pool but the mount, where the kernel makes them
 * wait for one another before it asks us. A persisted region's file they have by its own path.
 *
 * So a thread of the server waits for the process, and not for the file: the server can be killed, ended and replaced.
 * And only so many wait at once, that threads are left for all other requests.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Errands Errands;

/* At most so many at once. */
Errands *errands_new(unsigned most);
void errands_free(Errands *errands);

/* Who waits is told that it is in vain: for the end. */
void errands_stop(Errands *errands);

/* At most so many, and each is waited for so long, in milliseconds (-1, as at first: for good). Before any. */
void errands_restrict(Errands *errands, unsigned most, int patience);

/*
 * What is called: system calls, and nothing that takes a lock of another thread's. Its result is not negative, or
 * -errno.
 */
typedef int64_t (*ErrandCall)(void *data);

/*
 * Calls in a process that has the descriptors alone which call needs (count of them; what is negative counts for none).
 * What it has returned; -EBUSY where too many wait already and none of them ends soon, or nothing came of it in patience milliseconds (-1: as
 * set): then it may be carried out later.
 */
int64_t errands_run(Errands *errands, int patience, ErrandCall call, void *data, const int *needed, size_t count);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Errands, errands_free)
