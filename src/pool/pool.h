#pragma once

/*
 * The pool: where the memory of regions lives. To everyone else it is a directory descriptor; names, modes, owners,
 * ACLs, links, user attributes and timestamps are the pool file system's own.
 *
 * Calls that reach into the pool return 0 or a descriptor, or -errno of the call that failed.
 */

#include <glib.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Bytes of the longest file handle that a reference holds; pools with longer ones are reached by descriptor. */
#define POOL_HANDLE_MAX 24

/* What the user asked of the pool. */
typedef struct PoolSettings {
        char *directory;       /* owned; NULL: a pool of our own */
        uint64_t size;         /* bytes; 0: unset */
        unsigned size_percent; /* of the machine's memory; 0: unset */
        uint64_t nr_regions;   /* 0: unset */
        char *huge;            /* owned; NULL: within_size where the kernel has it */
        char *mpol;            /* owned; NULL: unset */
        bool noswap;
        mode_t mode;           /* of the root directory; (mode_t)-1: unset */
        uid_t uid;             /* (uid_t)-1: unset */
        gid_t gid;             /* (gid_t)-1: unset */
} PoolSettings;

#define POOL_SETTINGS_INIT { .mode = (mode_t)-1, .uid = (uid_t)-1, .gid = (gid_t)-1 }

typedef enum PoolKind {
        POOL_TMPFS,             /* a tmpfs of our own that is attached nowhere: ends with its last descriptor */
        POOL_PRIVATE_DIRECTORY, /* a directory of our own on the user's tmpfs: removed by pool_free() */
        POOL_DIRECTORY,         /* the user's directory: left as it is */
} PoolKind;

typedef struct Pool {
        PoolKind kind;
        int fd;          /* owned: the directory */
        int mount_fd;    /* owned: keeps a detached mount; -1 for other kinds */
        char *path;      /* owned: of a private directory, to remove it; NULL for other kinds */
        dev_t device;
        bool by_handle;  /* nodes are reached by file handle */
} Pool;

/*
 * How a node is reached in the pool:
 *
 *   by file handle             where the file system gives handles out and we may open them: root, as a rule
 *   by a descriptor            that pins it: directories elsewhere, and all nodes that have lost their last name, as not
 *                              every file system finds those by handle
 *   by its directory and name  what is left
 *
 * so that what exists, but is not open, costs no descriptor, unless it is a directory that cannot be reached by handle.
 *
 * Equal references mean the same node as long as either is known to the registry: a handle names an inode's generation,
 * and the inode number of a node that has a name or is pinned is not used again.
 */
typedef struct PoolRef {
        ino_t inode;
        int fd;               /* owned: O_PATH, or -1 */
        int handle_type;
        unsigned handle_size; /* bytes; 0: no handle */
        unsigned char handle[POOL_HANDLE_MAX];
        uint64_t parent;      /* where there is a name: the registry's id of its directory */
        char *name;           /* owned, or NULL: reached by handle or descriptor */
        int directory;        /* borrowed: the directory's descriptor, as given to pool_lookup() or by registry_resolve() */
} PoolRef;

/* Takes what settings say; NULL and error with a sentence for the user otherwise. */
Pool *pool_new(const PoolSettings *settings, GError **error);
void pool_free(Pool *pool);

/*
 * Opens a node: a descriptor that the caller owns. O_CLOEXEC is implied; flags must not contain O_CREAT. -ESTALE where
 * the node is gone, or the name means another one.
 */
int pool_open(const Pool *pool, const PoolRef *ref, int flags);

/*
 * Describes the node that fd is open on. The caller owns *ref, and, where pool_ref_reaches() says no, names or pins it
 * before it is used. -EXDEV where the node lies on another file system.
 */
int pool_identify(const Pool *pool, int fd, PoolRef *ref, struct stat *st);

/*
 * Opens what name means in the directory, with O_PATH: a descriptor that the caller owns. Symbolic links are not
 * followed. -EXDEV where something is mounted on it: looking at a mount may ask whoever serves that, us perhaps.
 */
int pool_open_name(int directory, const char *name);

/*
 * Describes the entry name of the directory dirfd, whose node id is parent; symbolic links are not followed. The caller
 * owns *ref.
 */
int pool_lookup(const Pool *pool, int dirfd, uint64_t parent, const char *name, PoolRef *ref, struct stat *st);

/* Whether a node can be reached by it. */
bool pool_ref_reaches(const PoolRef *ref);

/* Makes ref reach its node by its name in the directory with node id parent, unless it is reached otherwise. */
void pool_name(PoolRef *ref, uint64_t parent, const char *name);

/* Makes ref reach its node even when that has no name any more. fd is open on the node and stays the caller's. */
int pool_pin(PoolRef *ref, int fd);

/*
 * Tells a name of the file that fd is open on, as a path from the pool's root: the one by which the kernel knows the
 * descriptor. -ENOENT where it has none (it may have others), or one too long to tell. To be checked before use.
 */
int pool_tell_name(const Pool *pool, int fd, char name[PATH_MAX]);

/*
 * Looks in the whole pool for a name of the regular file with that inode number, as a path from the pool's root:
 * -ENOENT where there is none as long as a path can be.
 */
int pool_find_name(const Pool *pool, ino_t inode, char name[PATH_MAX]);

/* Makes a regular file that has no name: a descriptor that the caller owns. */
int pool_make_nameless(const Pool *pool);

/* Counts the regular files that the pool holds, each once however many names it has. Walks the whole pool, and
 * changes the working directory meanwhile: for the start alone. */
int pool_count_regions(const Pool *pool, uint64_t *count);

bool pool_ref_equal(const PoolRef *a, const PoolRef *b);
void pool_ref_clear(PoolRef *ref);
void pool_settings_clear(PoolSettings *settings);

#define POOL_REF_INIT { .fd = -1, .directory = -1 }

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pool, pool_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PoolRef, pool_ref_clear)
