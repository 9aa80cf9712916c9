#include "pool/pool-limits.h"

#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

int pool_limits_size(int fd, uint64_t *bytes) {
        struct statvfs fs;

        if (fstatvfs(fd, &fs) < 0)
                return -errno;
        *bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
        return 0;
}

int pool_limits_regions(int fd, uint64_t *count) {
        struct statvfs fs;

        if (fstatvfs(fd, &fs) < 0)
                return -errno;
        /* The root directory is an inode too. */
        *count = fs.f_files > 0 ? fs.f_files - 1 : 0;
        return 0;
}

static int set(int fd, const char *name, uint64_t number) {
        auto_descriptor context = fspick(fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
        g_autofree char *value = g_strdup_printf("%" PRIu64, number);

        if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, name, value, 0) < 0)
                return -errno;
        if (fsconfig(context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) == 0)
                return 0;
        /* The number is one that it takes. */
        return errno == EINVAL ? -EBUSY : -errno;
}

int pool_limits_set_size(int fd, uint64_t bytes) {
        return set(fd, "size", bytes);
}

int pool_limits_set_regions(int fd, uint64_t count) {
        return set(fd, "nr_inodes", count + 1);
}
