#include "pool/pool.h"

#include "base/descriptor.h"
#include "pool/pool-kinds.h"

#include <fcntl.h>
#include <fts.h>
#include <gio/gio.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

static bool fail(GError **error, const char *what, const char *path) {
        int code = errno;

        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(code), "%s %s: %s", what, path, g_strerror(code));
        return false;
}

/* A private pool has its own limits; a directory has those of its file system. */
static bool refuse_limits(const PoolSettings *settings, const char *why, GError **error) {
        const char *option = settings->size || settings->size_percent ? "size" :
                             settings->nr_regions                     ? "nr_regions" :
                             settings->huge                           ? "huge" :
                             settings->mpol                           ? "mpol" :
                             settings->noswap                         ? "noswap" :
                                                                        NULL;

        if (!option)
                return true;
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "option %s sets a limit of the private pool and is not allowed %s", option, why);
        return false;
}

static bool open_directory(Pool *pool, const PoolSettings *settings, GError **error) {
        pool->fd = open(settings->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (pool->fd < 0)
                return fail(error, "option pool: cannot open the directory", settings->directory);
        if (!pool_claim(pool, settings->directory, error))
                return false;
        if (settings->mode != (mode_t)-1 && fchmod(pool->fd, settings->mode) < 0)
                return fail(error, "option mode: cannot set the mode of", settings->directory);
        if ((settings->uid != (uid_t)-1 || settings->gid != (gid_t)-1) &&
            fchown(pool->fd, settings->uid, settings->gid) < 0)
                return fail(error, "options uid, gid: cannot set the owner of", settings->directory);
        return true;
}

static int read_handle(int fd, PoolRef *ref) {
        union {
                struct file_handle header;
                unsigned char room[sizeof(struct file_handle) + POOL_HANDLE_MAX];
        } handle = { .header.handle_bytes = POOL_HANDLE_MAX };
        int mount_id;

        if (name_to_handle_at(fd, "", &handle.header, &mount_id, AT_EMPTY_PATH) < 0)
                return -errno;
        ref->handle_type = handle.header.handle_type;
        ref->handle_size = handle.header.handle_bytes;
        memcpy(ref->handle, handle.header.f_handle, handle.header.handle_bytes);
        return 0;
}

/* As descriptor_open(). */
static int open_leased(const Pool *pool, struct file_handle *handle, int flags) {
        auto_descriptor node = open_by_handle_at(pool->fd, handle, O_PATH | O_CLOEXEC);
        char path[DESCRIPTOR_PATH_MAX];
        int fd = node < 0 ? -1 : descriptor_open(descriptor_path(node, path), flags);

        return fd < 0 ? -errno : fd;
}

static int open_handle(const Pool *pool, const PoolRef *ref, int flags) {
        union {
                struct file_handle header;
                unsigned char room[sizeof(struct file_handle) + POOL_HANDLE_MAX];
        } handle = { .header.handle_bytes = ref->handle_size, .header.handle_type = ref->handle_type };
        int fd;

        memcpy(handle.header.f_handle, ref->handle, ref->handle_size);
        fd = open_by_handle_at(pool->fd, &handle.header, (flags & O_PATH ? flags : flags | O_NONBLOCK) | O_CLOEXEC);
        if (fd < 0 && errno == EWOULDBLOCK)
                return open_leased(pool, &handle.header, flags);
        return fd < 0 ? -errno : fd;
}

/* Whether this file system gives out handles that we hold and this process may open. */
static bool handles_work(const Pool *pool) {
        PoolRef root = POOL_REF_INIT;
        auto_descriptor fd = -1;

        if (read_handle(pool->fd, &root) < 0)
                return false;
        fd = open_handle(pool, &root, O_PATH);
        return fd >= 0;
}

static bool make(Pool *pool, const PoolSettings *settings, GError **error) {
        if (settings->directory) {
                pool->kind = POOL_DIRECTORY;
                return refuse_limits(settings, "with pool=, where the directory's file system sets the limits",
                                     error) &&
                       open_directory(pool, settings, error);
        }
        if (geteuid() == 0) {
                pool->kind = POOL_TMPFS;
                return pool_tmpfs_make(pool, settings, error);
        }
        pool->kind = POOL_PRIVATE_DIRECTORY;
        if (!refuse_limits(settings, "without root, where the pool is a directory on the user's own tmpfs", error) ||
            !pool_private_directory_make(pool, error))
                return false;
        if (settings->uid != (uid_t)-1 || settings->gid != (gid_t)-1) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                            "options uid and gid are allowed to root alone: a user's mount belongs to the user");
                return false;
        }
        if (settings->mode != (mode_t)-1 && fchmod(pool->fd, settings->mode) < 0)
                return fail(error, "option mode: cannot set the mode of", pool->path);
        return true;
}

/* Without it no name could be looked up. */
static bool names_work(const Pool *pool, GError **error) {
        auto_descriptor root = pool_open_name(pool->fd, ".");

        if (root >= 0)
                return true;
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-root),
                    "cannot look up names with openat2(2), of Linux 5.6: %s", g_strerror(-root));
        return false;
}

Pool *pool_new(const PoolSettings *settings, GError **error) {
        g_autoptr(Pool) pool = g_new0(Pool, 1);
        struct stat st;

        pool->fd = pool->mount_fd = -1;
        if (!make(pool, settings, error) || !names_work(pool, error))
                return NULL;
        if (fstat(pool->fd, &st) < 0) {
                fail(error, "cannot look at", "the pool");
                return NULL;
        }
        pool->device = st.st_dev;
        pool->by_handle = handles_work(pool);
        return g_steal_pointer(&pool);
}

void pool_free(Pool *pool) {
        if (!pool)
                return;
        if (pool->path)
                pool_private_directory_remove(pool);
        descriptor_clear(&pool->fd);
        descriptor_clear(&pool->mount_fd);
        g_free(pool->path);
        g_free(pool);
}

static int open_pinned(const PoolRef *ref, int flags) {
        char path[DESCRIPTOR_PATH_MAX];
        int fd;

        if (flags & O_PATH)
                fd = fcntl(ref->fd, F_DUPFD_CLOEXEC, 0);
        else
                fd = descriptor_open(descriptor_path(ref->fd, path), flags);
        return fd < 0 ? -errno : fd;
}

int pool_open_name(int directory, const char *name) {
        struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_NO_XDEV };
        int fd = syscall(SYS_openat2, directory, name, &how, sizeof(how));

        return fd < 0 ? -errno : fd;
}

static int open_named(const PoolRef *ref, int flags) {
        auto_descriptor fd = pool_open_name(ref->directory, ref->name);
        PoolRef pinned = { .fd = fd };
        struct stat st;

        if (fd < 0)
                return fd == -ENOENT ? -ESTALE : fd;
        if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
                return -errno;
        if (st.st_ino != ref->inode)
                return -ESTALE;
        return flags & O_PATH ? descriptor_steal(&fd) : open_pinned(&pinned, flags);
}

int pool_open(const Pool *pool, const PoolRef *ref, int flags) {
        if (ref->fd >= 0)
                return open_pinned(ref, flags);
        return ref->handle_size ? open_handle(pool, ref, flags) : open_named(ref, flags);
}

bool pool_ref_reaches(const PoolRef *ref) {
        return ref->fd >= 0 || ref->handle_size || ref->name;
}

void pool_name(PoolRef *ref, uint64_t parent, const char *name) {
        if (pool_ref_reaches(ref))
                return;
        ref->parent = parent;
        ref->name = g_strdup(name);
}

int pool_pin(PoolRef *ref, int fd) {
        char path[DESCRIPTOR_PATH_MAX];

        /* O_PATH, as any other descriptor would count as a user of the region. */
        ref->fd = open(descriptor_path(fd, path), O_PATH | O_CLOEXEC);
        return ref->fd < 0 ? -errno : 0;
}

int pool_identify(const Pool *pool, int fd, PoolRef *ref, struct stat *st) {
        int result;

        *ref = (PoolRef)POOL_REF_INIT;
        if (fstatat(fd, "", st, AT_EMPTY_PATH) < 0)
                return -errno;
        if (st->st_dev != pool->device)
                return -EXDEV;
        ref->inode = st->st_ino;
        if (pool->by_handle)
                return read_handle(fd, ref);
        if (!S_ISDIR(st->st_mode))
                return 0;
        result = pool_pin(ref, fd);
        if (result == 0)
                result = descriptor_may_be_kept(ref->fd, DESCRIPTOR_OF_NODE);
        if (result < 0)
                pool_ref_clear(ref);
        return result;
}

int pool_lookup(const Pool *pool, int dirfd, uint64_t parent, const char *name, PoolRef *ref, struct stat *st) {
        auto_descriptor fd = pool_open_name(dirfd, name);
        int result = fd < 0 ? fd : pool_identify(pool, fd, ref, st);

        if (result == 0) {
                pool_name(ref, parent, name);
                ref->directory = dirfd;
        }
        return result;
}

int pool_tell_name(const Pool *pool, int fd, char name[PATH_MAX]) {
        char link[DESCRIPTOR_PATH_MAX], root[PATH_MAX];
        ssize_t size = readlink(descriptor_path(fd, link), name, PATH_MAX - 1), skip = 0;
        struct stat st;

        if (size < 0)
                return -errno;
        name[size] = '\0';
        /* As seen from the pool's own mount if that is attached nowhere; else from the root of the machine. */
        if (pool->kind != POOL_TMPFS)
                skip = readlink(descriptor_path(pool->fd, link), root, sizeof(root));
        if (skip < 0 || size <= skip + 1 || strncmp(name, root, skip) != 0 || name[skip] != '/')
                return -ENOENT;
        memmove(name, name + skip + 1, size - skip);
        /* Of a name that is gone the kernel says so behind it. */
        return fstatat(pool->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int pool_find_name(const Pool *pool, ino_t inode, char name[PATH_MAX]) {
        char path[DESCRIPTOR_PATH_MAX];
        g_autofree char *root = g_strconcat(descriptor_path(pool->fd, path), "/.", NULL);
        char *roots[] = { root, NULL };
        FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
        int result = -ENOENT;
        FTSENT *entry;

        while (tree && result < 0 && (entry = fts_read(tree)))
                if (entry->fts_info == FTS_F && entry->fts_statp->st_ino == inode &&
                    g_strlcpy(name, entry->fts_path + strlen(root) + 1, PATH_MAX) < PATH_MAX)
                        result = 0;
        if (tree)
                fts_close(tree);
        return result;
}

int pool_make_nameless(const Pool *pool) {
        g_autofree char *name = NULL;
        int fd = openat(pool->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        if (fd >= 0)
                return fd;
        /* Not every file system of a directory pool makes one at once. */
        name = g_strdup_printf(".regionfs-%d", getpid());
        fd = openat(pool->fd, name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        unlinkat(pool->fd, name, 0);
        return fd;
}

int pool_count_regions(const Pool *pool, uint64_t *count) {
        g_autoptr(GHashTable) linked = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
        char path[DESCRIPTOR_PATH_MAX];
        g_autofree char *root = g_strconcat(descriptor_path(pool->fd, path), "/.", NULL);
        char *roots[] = { root, NULL };
        FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_XDEV, NULL);
        FTSENT *entry;
        int result;

        *count = 0;
        if (!tree)
                return -errno;
        errno = 0;
        while ((entry = fts_read(tree))) {
                gint64 inode;

                if (entry->fts_info == FTS_F) {
                        inode = entry->fts_statp->st_ino;
                        if (entry->fts_statp->st_nlink == 1 ||
                            g_hash_table_add(linked, g_memdup2(&inode, sizeof(inode))))
                                (*count)++;
                }
                errno = 0;
        }
        result = -errno;
        fts_close(tree);
        return result;
}

bool pool_ref_equal(const PoolRef *a, const PoolRef *b) {
        return a->inode == b->inode && a->handle_type == b->handle_type && a->handle_size == b->handle_size &&
               memcmp(a->handle, b->handle, a->handle_size) == 0;
}

void pool_ref_clear(PoolRef *ref) {
        descriptor_clear(&ref->fd);
        g_clear_pointer(&ref->name, g_free);
}

void pool_settings_clear(PoolSettings *settings) {
        g_clear_pointer(&settings->directory, g_free);
        g_clear_pointer(&settings->huge, g_free);
        g_clear_pointer(&settings->mpol, g_free);
}
