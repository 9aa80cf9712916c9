#include "pool-kinds.h"

#include "descriptor.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/mount.h>

#define DEFAULT_PERCENT 50
#define DEFAULT_HUGE "within_size"

/* What the kernel says of the last call that failed on a file-system context, or the errno's text. */
static char *explain(int context, int code) {
        char text[512];
        ssize_t size = read(context, text, sizeof(text) - 1);

        if (size <= 2)
                return g_strdup(g_strerror(code));
        text[size] = '\0';
        g_strchomp(text);
        return g_strdup(text + 2); /* after the severity: "e " */
}

static bool set(int context, const char *key, const char *value, GError **error) {
        g_autofree char *why = NULL;

        if (fsconfig(context, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value, 0) == 0)
                return true;
        why = explain(context, errno);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "option %s%s%s: this kernel's tmpfs refuses it: %s", g_str_equal(key, "nr_inodes") ? "nr_regions" : key,
                    value ? "=" : "", value ? value : "", why);
        return false;
}

static bool set_number(int context, const char *key, uint64_t number, GError **error) {
        g_autofree char *value = g_strdup_printf("%" PRIu64, number);

        return set(context, key, value, error);
}

static bool set_size(int context, const PoolSettings *settings, GError **error) {
        g_autofree char *value = NULL;

        if (settings->size)
                return set_number(context, "size", settings->size, error);
        value = g_strdup_printf("%u%%", settings->size_percent ? settings->size_percent : DEFAULT_PERCENT);
        return set(context, "size", value, error);
}

static bool set_mode(int context, const PoolSettings *settings, GError **error) {
        g_autofree char *value = g_strdup_printf("%o", settings->mode == (mode_t)-1 ? 01777 : settings->mode);

        return set(context, "mode", value, error);
}

static bool configure(int context, const PoolSettings *settings, GError **error) {
        if (!set_size(context, settings, error) || !set_mode(context, settings, error))
                return false;
        /* One more: the root directory is an inode too. */
        if (settings->nr_regions && !set_number(context, "nr_inodes", settings->nr_regions + 1, error))
                return false;
        if (settings->uid != (uid_t)-1 && !set_number(context, "uid", settings->uid, error))
                return false;
        if (settings->gid != (gid_t)-1 && !set_number(context, "gid", settings->gid, error))
                return false;
        if (settings->mpol && !set(context, "mpol", settings->mpol, error))
                return false;
        if (settings->noswap && !set(context, "noswap", NULL, error))
                return false;
        /* Inode numbers that are never used again. */
        if (!set(context, "inode64", NULL, error))
                return false;
        if (settings->huge)
                return set(context, "huge", settings->huge, error);
        /* Not asked for: a kernel without transparent huge pages makes a good pool too. */
        if (!set(context, "huge", DEFAULT_HUGE, NULL))
                g_info("this kernel's tmpfs has no huge pages: regions use small ones");
        return true;
}

bool pool_tmpfs_make(Pool *pool, const PoolSettings *settings, GError **error) {
        auto_descriptor context = fsopen("tmpfs", FSOPEN_CLOEXEC);
        const char *step;

        if (context < 0) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                            "cannot make a private tmpfs: %s (CAP_SYS_ADMIN is needed; pool=DIR does without)",
                            g_strerror(errno));
                return false;
        }
        if (!configure(context, settings, error))
                return false;
        step = "create";
        if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
                goto failed;
        step = "mount";
        pool->mount_fd = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
        if (pool->mount_fd < 0)
                goto failed;
        step = "open";
        pool->fd = openat(pool->mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (pool->fd < 0)
                goto failed;
        return true;

failed:
        {
                g_autofree char *why = explain(context, errno);

                g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "cannot %s the private tmpfs: %s", step, why);
                return false;
        }
}
