#include "mount/remount-limits.h"

#include <errno.h>
#include <gio/gio.h>
#include <inttypes.h>
#include <regionfs/regionfs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static bool read_limit(const char *mountpoint, const char *attribute, uint64_t *limit) {
        char value[24] = "";

        if (getxattr(mountpoint, attribute, value, sizeof(value) - 1) < 0)
                return false;
        *limit = strtoull(value, NULL, 10);
        return true;
}

bool remount_limits_read(const char *mountpoint, RemountLimits *limits) {
        return read_limit(mountpoint, REGIONFS_ATTRIBUTE_SIZE, &limits->size) &&
               read_limit(mountpoint, REGIONFS_ATTRIBUTE_NR_REGIONS, &limits->regions);
}

RemountLimits remount_limits_of(const PoolSettings *settings) {
        uint64_t page = sysconf(_SC_PAGESIZE);
        RemountLimits limits = { settings->size, settings->nr_regions };

        if (settings->size_percent)
                limits.size = page * sysconf(_SC_PHYS_PAGES) * settings->size_percent / 100;
        limits.size = MIN(limits.size + page - 1, G_MAXINT64) / page * page;
        return limits;
}

static bool set_limit(const char *mountpoint, const char *option, const char *attribute, uint64_t present, uint64_t wanted,
                      GError **error) {
        g_autofree char *value = g_strdup_printf("%" PRIu64, wanted);

        if (wanted == 0 || wanted == present || setxattr(mountpoint, attribute, value, strlen(value), 0) == 0)
                return true;
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot remount %s: option %s=%s: %s", mountpoint,
                    option, value,
                    errno == EBUSY ? "more than that is in use" :
                    errno == EPERM ? "it takes root" :
                    errno == EROFS ? "no limit can be set while the mount is read-only" :
                                     g_strerror(errno));
        return false;
}

bool remount_limits_set(const char *mountpoint, const RemountLimits *present, const RemountLimits *wanted,
                        GError **error) {
        if (!set_limit(mountpoint, "size", REGIONFS_ATTRIBUTE_SIZE, present->size, wanted->size, error))
                return false;
        if (set_limit(mountpoint, "nr_regions", REGIONFS_ATTRIBUTE_NR_REGIONS, present->regions, wanted->regions, error))
                return true;
        set_limit(mountpoint, "size", REGIONFS_ATTRIBUTE_SIZE, wanted->size, present->size, NULL);
        return false;
}
