#pragma once

/*
 * The unmounter: a process of an ordinary user's daemon that takes the mount away, when it is asked to, or when
 * everybody who could ask has gone: also after a SIGKILL of keeper and server, so that no dead mount is left.
 *
 * It stands beside them because fusermount3 is set-user-id root, which means nothing to processes that may get no new
 * rights, as they may not. It keeps the rights of the user. All it listens to is a socket, on which one byte can come;
 * it has no other descriptor, the channel least of all, which has to be closed for the mount to end. It ends with its
 * work.
 */

#include <stdbool.h>

/*
 * Takes the mount away unless it has gone; what went wrong (to be freed), or NULL. asked: somebody is there who knows.
 */
typedef char *(*UnmounterWork)(const void *data, bool asked);

/*
 * Starts it: the descriptor, which the caller owns, by which it is asked and waits for the last one to close it; or
 * -errno.
 */
int unmounter_start(UnmounterWork work, const void *data);

/* Has it do its work, and end: what went wrong (to be freed), or NULL. */
char *unmounter_ask(int unmounter);

/* There is nothing left to take away: it ends. */
void unmounter_dismiss(int unmounter);
