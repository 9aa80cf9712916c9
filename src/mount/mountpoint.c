#include "mount/mountpoint.h"

#include "base/descriptor.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <regionfs/regionfs.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* How long another one may take to mount, in milliseconds. */
#define PATIENCE 3000
#define STEP 10

/* Whether the path still leads to what fd was opened on, and not to a mount over it. */
static bool leads_to(const char *path, int fd) {
        struct statx of_path, of_fd;

        return statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO | STATX_MNT_ID, &of_path) == 0 &&
               statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO | STATX_MNT_ID, &of_fd) == 0 &&
               of_path.stx_ino == of_fd.stx_ino && of_path.stx_mnt_id == of_fd.stx_mnt_id;
}

bool mountpoint_claim(const char *path, int *claim, GError **error) {
        *claim = -1;
        for (int waited = 0; waited <= PATIENCE; waited += STEP) {
                auto_descriptor fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                bool locked;

                if (getxattr(path, REGIONFS_ATTRIBUTE_VERSION, NULL, 0) >= 0) {
                        g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS,
                                    "cannot mount on %s: a regionfs is mounted there already", path);
                        return false;
                }
                locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
                if (!locked && (fd < 0 || errno != EWOULDBLOCK))
                        return true;
                if (locked && leads_to(path, fd)) {
                        *claim = descriptor_steal(&fd);
                        return true;
                }
                g_usleep(STEP * 1000);
        }
        return true;
}
