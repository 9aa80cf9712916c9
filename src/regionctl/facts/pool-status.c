#include "regionctl/facts/pool-status.h"

#include <errno.h>
#include <regionfs/regionfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* 0 or -errno. */
static int read_number(const char *path, const char *name, gint64 *number) {
        char value[64];
        ssize_t size = getxattr(path, name, value, sizeof(value) - 1);

        *number = -1;
        if (size < 0)
                return errno == ENODATA || errno == EACCES ? 0 : -errno;
        value[size] = '\0';
        *number = g_ascii_strtoll(value, NULL, 10);
        return 0;
}

int pool_status_read(PoolStatus *status, const Mount *mount) {
        struct statvfs st;
        int result;

        if (statvfs(mount->root, &st) < 0)
                return -errno;
        *status = (PoolStatus){
                .size = (guint64)st.f_blocks * st.f_frsize,
                .used = (guint64)(st.f_blocks - st.f_bfree) * st.f_frsize,
                .available = (guint64)st.f_bavail * st.f_frsize,
                .files = st.f_files - st.f_ffree,
                .files_limit = st.f_files,
                .channel = minor(mount->device),
        };
        result = read_number(mount->root, REGIONFS_ATTRIBUTE_REGIONS, &status->regions);
        if (result == 0)
                result = read_number(mount->root, REGIONFS_ATTRIBUTE_SERVER_PID, &status->server_pid);
        if (result == 0)
                result = read_number(mount->root, REGIONFS_ATTRIBUTE_PASSTHROUGH, &status->passthrough);
        if (result == 0)
                result = read_number(mount->root, REGIONFS_ATTRIBUTE_IO_URING, &status->io_uring);
        return result;
}
