#pragma once

/*
 * The service manager that has started this process, if one has: told how it is (sd_notify(3)), and given descriptors to keep
 * (FDSTORE). The protocol is written out here, as libsystemd opens a descriptor with each call, which a keeper may not.
 */

#include <glib.h>
#include <stdbool.h>

typedef struct Manager Manager;

bool manager_is_there(void);

/* NULL: nobody wants to be told. Takes a descriptor until manager_free(). */
Manager *manager_new(void);
void manager_free(Manager *manager);

int manager_descriptor(const Manager *manager);

/* Tells it lines "NAME=value", with a descriptor for it to have, or -1. 0 or -errno. */
int manager_tell(const Manager *manager, const char *lines, int fd);

/* Returns when it has taken what it was told. 0 or -errno; -ETIMEDOUT after some seconds. Opens descriptors for a moment. */
int manager_wait(const Manager *manager);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Manager, manager_free)
