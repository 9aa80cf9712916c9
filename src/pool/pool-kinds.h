#pragma once

/* The kinds of pool: how each one's directory descriptor comes about. For pool.c alone. */

#include "pool/pool.h"

/* A tmpfs that is attached to no mount namespace. Needs CAP_SYS_ADMIN. Fills fd and mount_fd. */
bool pool_tmpfs_make(Pool *pool, const PoolSettings *settings, GError **error);

/* A private directory on a tmpfs that the user may write to. Fills fd and path. */
bool pool_private_directory_make(Pool *pool, GError **error);
void pool_private_directory_remove(Pool *pool);

/*
 * Takes the user's directory, whose path is for messages, for this daemon alone: false with error where another one has
 * it, or a newer regionfs made it. pool->fd keeps it.
 */
bool pool_claim(const Pool *pool, const char *path, GError **error);
