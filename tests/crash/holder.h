#pragma once

/*
 * Holds requests in servers' hands: a thread that has taken a request of one operation is stopped (ptrace(2)) at the
 * first call about files that it makes of the kernel after that, and stays there: it has begun, and not answered. All
 * others go on: the server's other threads, and the keeper. So it is with each server that the keeper starts.
 *
 * One that the server only has to say a word about in its log, as it refuses it, is let go.
 *
 * It is done by another process, a child of the test's. Whatever it holds goes on when that ends.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Holder Holder;

/* The kernel's numbers, as of <linux/fuse.h>. */
typedef enum HolderOperation {
        HOLDER_LOOKUP = 1,
        HOLDER_GETATTR = 3,
        HOLDER_SETATTR = 4,
        HOLDER_MKDIR = 9,
        HOLDER_UNLINK = 10,
        HOLDER_RENAME = 12,
        HOLDER_SETXATTR = 21,
        HOLDER_OPEN = 14,
        HOLDER_CREATE = 35,
        HOLDER_FALLOCATE = 43,
} HolderOperation;

/* Whether this process may trace those that are not its children, as daemons are not. */
bool holder_works(void);

/* Holds the next requests of an operation, as many as said, from when this returns. Fails the test where it cannot. */
Holder *holder_new(HolderOperation operation, unsigned most);

/* Lets go; frees. */
void holder_free(Holder *holder);

/* How many have been held. */
unsigned holder_held(const Holder *holder);

/* Waits until there are so many; fails the test if that takes long. The server that has the last one in hand. */
pid_t holder_wait(const Holder *holder, unsigned held);
