/*
 * A user's directory becomes the pool of one daemon: a lock on it says that it is in use, as long as the daemon lives,
 * and an attribute which format it is in.
 */
#include "pool/pool-kinds.h"

#include "pool/stored.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/file.h>

#define FORMAT_ATTRIBUTE "format"
#define FORMAT "1"

/* umount(8) returns before the daemon that served the mount has ended: it is waited for, in milliseconds. */
#define PATIENCE 3000
#define STEP 10

static bool lock(const Pool *pool, const char *path, GError **error) {
        int result = -1;

        for (int waited = 0; waited <= PATIENCE; waited += STEP) {
                result = flock(pool->fd, LOCK_EX | LOCK_NB);
                if (result == 0 || errno != EWOULDBLOCK)
                        break;
                g_usleep(STEP * 1000);
        }
        if (result == 0)
                return true;
        if (errno == EWOULDBLOCK)
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY,
                            "option pool=%s is not allowed: another regionfs uses the directory; unmount that first",
                            path);
        else
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "option pool: cannot lock %s: %s", path,
                            g_strerror(errno));
        return false;
}

/* Where the attribute cannot be written, neither can be what formats differ in. */
static bool mark(const Pool *pool, const char *path, GError **error) {
        int result = stored_set(pool->fd, FORMAT_ATTRIBUTE, FORMAT, strlen(FORMAT));

        if (result == 0 || result == -ENOTSUP || result == -EROFS || result == -EACCES || result == -EPERM)
                return true;
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-result), "option pool: cannot mark %s as a pool: %s",
                    path, g_strerror(-result));
        return false;
}

bool pool_claim(const Pool *pool, const char *path, GError **error) {
        char format[64];
        ssize_t size;

        if (!lock(pool, path, error))
                return false;
        size = stored_get(pool->fd, FORMAT_ATTRIBUTE, format, sizeof(format) - 1);
        if (size == -ENODATA || size == -ENOTSUP)
                return mark(pool, path, error);
        if (size < 0)
                g_strlcpy(format, "unknown", sizeof(format)); /* it does not even fit, or cannot be read */
        else
                format[size] = '\0';
        if (g_str_equal(format, FORMAT))
                return true;
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                    "option pool=%s is not allowed: the directory is a pool of format %s, made by a newer regionfs; this one "
                    "(%s) knows format " FORMAT, path, format, REGIONFS_VERSION);
        return false;
}
