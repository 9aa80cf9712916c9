#pragma once

/*
 * The service manager that has started this process, if one has: told how it is (sd_notify(3)), and given descriptors
 * to keep (FDSTORE). The protocol is written out here, as libsystemd opens a descriptor with each call, which a keeper
 * may not.
 */

#include <glib.h>
#include <stdbool.h>

typedef struct Manager Manager;

/*
 * Takes it out of the environment: programs that this one runs are none of its services. NULL: nobody wants to be told.
 * Takes a descriptor until manager_free().
 */
Manager *manager_new(void);
void manager_free(Manager *manager);

/* Whether a program that this process becomes is to find it in the environment. */
void manager_pass_on(const Manager *manager, bool on);

/* How many descriptors it keeps ($FDSTORE); 0: it does not say. */
unsigned manager_room(const Manager *manager);

/* Tells it lines "NAME=value", with a descriptor for it to have, or -1. 0 or -errno. */
int manager_tell(const Manager *manager, const char *lines, int fd);

/*
 * Returns when it has taken what it was told. 0 or -errno; -ETIMEDOUT after some seconds. Opens descriptors for a
 * moment.
 */
int manager_wait(const Manager *manager);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Manager, manager_free)
