/*
 * The pool of an ordinary user: a directory of its own on a tmpfs that the user may write to.
 *
 * A lock on the directory says that a daemon uses it. Whatever a killed daemon left behind is unlocked, and the
 * user's next daemon removes it.
 */
#include "pool-kinds.h"

#include "descriptor.h"

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
        FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
        FTSENT *entry;

        while (tree && (entry = fts_read(tree))) {
                /* The user may have taken the rights away from a directory: before it is read they are put back. */
                if (entry->fts_info == FTS_D)
                        chmod(entry->fts_accpath, 0700);
                else
                        remove(entry->fts_accpath);
        }
        if (tree)
                fts_close(tree);
        if (access(path, F_OK) == 0)
                g_warning("cannot remove all of the pool %s", path);
}

/* Removes what daemons of this user that were killed have left. */
static void remove_abandoned(const char *base, const char *prefix) {
        g_autoptr(GDir) directory = g_dir_open(base, 0, NULL);
        const char *name;

        while (directory && (name = g_dir_read_name(directory))) {
                g_autofree char *path = NULL;
                auto_descriptor fd = -1;
                struct stat st;

                if (!g_str_has_prefix(name, prefix))
                        continue;
                path = g_build_filename(base, name, NULL);
                fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || flock(fd, LOCK_EX | LOCK_NB) < 0)
                        continue;
                g_info("removing the pool %s that a daemon left behind", path);
                remove_tree(path);
        }
}

bool pool_private_directory_make(Pool *pool, GError **error) {
        const char *runtime = g_getenv("XDG_RUNTIME_DIR");
        const char *base = is_tmpfs(runtime) ? runtime : "/dev/shm";
        g_autofree char *prefix = g_strdup_printf("regionfs-%u-", (unsigned)geteuid());
        struct stat st = { 0 };

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
                if (pool->fd >= 0 && flock(pool->fd, LOCK_EX | LOCK_NB) == 0 && fstat(pool->fd, &st) == 0 &&
                    st.st_nlink > 0)
                        return true;
                if (errno != ENOENT && errno != EWOULDBLOCK) {
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
