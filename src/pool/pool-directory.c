/*
 * The pool of an ordinary user: a directory of its own on a tmpfs that the user may write to.
 *
 * A lock on the directory says that a daemon uses it. Whatever a killed daemon left behind is unlocked, and the
 * user's next daemon removes it.
 */
#include "pool/pool-kinds.h"

#include "base/descriptor.h"

#include <fcntl.h>
#include <fts.h>
#include <gio/gio.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/vfs.h>

static bool is_tmpfs(const char *path) {
        struct statfs fs;

        return path && statfs(path, &fs) == 0 && fs.f_type == TMPFS_MAGIC && access(path, W_OK | X_OK) == 0;
}

static void remove_tree(char *path) {
        char *roots[] = { path, NULL };
        /*
         * Through the working directory, as paths may be longer than the kernel takes. No other thread needs it then.
         */
        FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_XDEV, NULL);
        FTSENT *entry;

        while (tree && (entry = fts_read(tree))) {
                /* The user may have taken the rights away from a directory: before it is read they are put back. */
                if (entry->fts_info == FTS_D)
                        chmod(entry->fts_accpath, 0700);
                else if (remove(entry->fts_accpath) < 0 && errno != ENOENT && entry->fts_level == FTS_ROOTLEVEL)
                        g_warning("cannot remove all of the pool %s: %s", path, g_strerror(errno));
        }
        if (tree)
                fts_close(tree);
}

/* Whether the directory has not been removed, by a daemon that took it for abandoned. */
static bool is_there(int fd) {
        struct stat st;

        return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

/* Opens a directory of this user's own, also one that the user has taken his rights away from; or -1. */
static int open_own(const char *path) {
        auto_descriptor fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        char own[DESCRIPTOR_PATH_MAX];
        struct stat st;
        int opened;

        if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid())
                return -1;
        descriptor_path(fd, own);
        opened = open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (opened >= 0 || errno != EACCES || chmod(own, st.st_mode | S_IRUSR) < 0)
                return opened;
        opened = open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        chmod(own, st.st_mode & 07777);
        return opened;
}

/* Removes what daemons of this user that were killed have left. */
static void remove_abandoned(const char *base, const char *prefix) {
        g_autoptr(GDir) directory = g_dir_open(base, 0, NULL);
        const char *name;

        while (directory && (name = g_dir_read_name(directory))) {
                g_autofree char *path = NULL;
                auto_descriptor fd = -1;

                if (!g_str_has_prefix(name, prefix))
                        continue;
                path = g_build_filename(base, name, NULL);
                fd = open_own(path);
                /* Locked, it stays: the name is this directory's until we remove it. */
                if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || !is_there(fd))
                        continue;
                g_info("removing the pool %s that a daemon left behind", path);
                remove_tree(path);
        }
}

bool pool_private_directory_make(Pool *pool, GError **error) {
        const char *runtime = g_getenv("XDG_RUNTIME_DIR");
        const char *base = is_tmpfs(runtime) ? runtime : "/dev/shm";
        g_autofree char *prefix = g_strdup_printf("regionfs-%u-", (unsigned)geteuid());
        bool locked;

        remove_abandoned(base, prefix);
        /* Until the lock is ours, another daemon of this user may take the directory for abandoned: then once more. */
        for (;;) {
                pool->path = g_strdup_printf("%s/%sXXXXXX", base, prefix);
                if (!g_mkdtemp_full(pool->path, 0700)) {
                        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                                    "cannot make a directory for the pool in %s: %s (pool=DIR chooses another place)",
                                    base, g_strerror(errno));
                        g_clear_pointer(&pool->path, g_free);
                        return false;
                }
                pool->fd = open(pool->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                locked = pool->fd >= 0 && flock(pool->fd, LOCK_EX | LOCK_NB) == 0;
                if (locked && is_there(pool->fd))
                        return true;
                if (!locked && errno != ENOENT && errno != EWOULDBLOCK) {
                        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot use %s for the pool: %s",
                                    pool->path, g_strerror(errno));
                        return false;
                }
                descriptor_clear(&pool->fd);
                g_clear_pointer(&pool->path, g_free);
        }
}

void pool_private_directory_remove(Pool *pool) {
        remove_tree(pool->path);
}
