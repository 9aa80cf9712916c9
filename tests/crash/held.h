#pragma once

/*
 * What a client has of a mount, of every kind: open handles, views, locks, a working directory, regions without names,
 * a directory stream, rules, regions that end with their users. Whatever becomes of the daemon, it is to go on.
 */

#include "../mount/fixture.h"

typedef struct Held Held;

/* In an empty mount. */
Held *held_take(void);

/* Uses all of it, and takes changes further; as often as you like. Fails the test where something is not as it was. */
void held_check(Held *held);

/* Gives it up, and checks that what is to end with that does. Nothing is left in the mount. */
void held_end(Held *held);

/* Whether an attribute of the mount's root directory has that value. */
bool root_has(const char *name, const char *value);

/*
 * Clients that make, write, read, move and remove, and verify every answer; and how often they did when they are
 * stopped.
 */
typedef struct Hammer Hammer;
Hammer *hammer_start(int clients);
uint64_t hammer_stop(Hammer *hammer);

