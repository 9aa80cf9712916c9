#include "pool/pool-kinds.h"

#include "base/context.h"
#include "base/descriptor.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <sys/mount.h>

#define DEFAULT_PERCENT 50
#define DEFAULT_HUGE "within_size"
#define DEFAULT_MODE 01777

static bool set_size(int context, const PoolSettings *settings, GError **error) {
        g_autofree char *value = NULL;

        if (settings->size)
                return context_set_number(context, "size", settings->size, error);
        value = g_strdup_printf("%u%%", settings->size_percent ? settings->size_percent : DEFAULT_PERCENT);
        return context_set(context, "size", value, error);
}

static bool set_owner(int context, const PoolSettings *settings, GError **error) {
        g_autofree char *mode = g_strdup_printf("%o", settings->mode == (mode_t)-1 ? DEFAULT_MODE : settings->mode);

        return context_set(context, "mode", mode, error) &&
               (settings->uid == (uid_t)-1 || context_set_number(context, "uid", settings->uid, error)) &&
               (settings->gid == (gid_t)-1 || context_set_number(context, "gid", settings->gid, error));
}

static bool set_huge(int context, const PoolSettings *settings, GError **error) {
        if (settings->huge)
                return context_set(context, "huge", settings->huge, error);
        /* Not asked for: a kernel without transparent huge pages makes a good pool too. */
        if (!context_set(context, "huge", DEFAULT_HUGE, NULL))
                g_info("this kernel's tmpfs has no huge pages: regions use small ones");
        return true;
}

static bool configure(int context, const PoolSettings *settings, GError **error) {
        return set_size(context, settings, error) &&
               /* One more: the root directory is an inode too. */
               (!settings->nr_regions || context_set_number(context, "nr_inodes", settings->nr_regions + 1, error)) &&
               set_owner(context, settings, error) &&
               (!settings->mpol || context_set(context, "mpol", settings->mpol, error)) &&
               (!settings->noswap || context_set(context, "noswap", NULL, error)) &&
               /* Inode numbers that are never used again. */
               context_set(context, "inode64", NULL, error) && set_huge(context, settings, error);
}

bool pool_tmpfs_make(Pool *pool, const PoolSettings *settings, GError **error) {
        auto_descriptor context = fsopen("tmpfs", FSOPEN_CLOEXEC);

        if (context < 0) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                            "cannot make the private tmpfs of the pool: %s (%s)",
                            g_strerror(errno),
                            errno == ENOSYS ? "fsopen(2) came with Linux 5.2" :
                                              "CAP_SYS_ADMIN is needed; pool=DIR does without");
                return false;
        }
        if (!configure(context, settings, error))
                return false;
        pool->mount_fd = context_mount(context, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, "the private tmpfs of the pool",
                                       error);
        if (pool->mount_fd < 0)
                return false;
        pool->fd = openat(pool->mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (pool->fd < 0) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot open the pool: %s",
                            g_strerror(errno));
                return false;
        }
        return true;
}
