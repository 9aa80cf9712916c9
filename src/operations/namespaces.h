#pragma once

/*
 * The namespaces of a mount (-o namespaces): Global, a sticky directory that is everyone's, and Local, a symbolic link
 * that leads each user to a directory of that user's own, below Sessions. Names of regions differ by case in both.
 * Knows nothing of FUSE.
 *
 * A user's directory is made when the link is first followed. Others cannot enter it, nor list Sessions.
 */

#include "operations/credentials.h"
#include "pool/pool.h"

typedef struct Namespaces Namespaces;

/* Bytes of the longest link, with its NUL. */
#define NAMESPACES_LINK_MAX 32

/* Makes what is missing in the pool, which is borrowed. NULL with error, as where something else has the names. */
Namespaces *namespaces_new(const Pool *pool, GError **error);
void namespaces_free(Namespaces *namespaces);

/* Whether the inode of the pool is that of the link, or of the directory of users' directories. */
bool namespaces_is_local(const Namespaces *namespaces, ino_t inode);
bool namespaces_is_sessions(const Namespaces *namespaces, ino_t inode);

/* Where the link leads a user, whose directory is there then. 0 or -errno. */
int namespaces_lead(const Namespaces *namespaces, const Credentials *credentials, uid_t uid, gid_t gid,
                    char link[NAMESPACES_LINK_MAX]);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Namespaces, namespaces_free)
