#include "mount/mount-flags.h"

#include <glib.h>
#include <sys/mount.h>

static const struct {
        const char *name;
        unsigned set, clear;
} options[] = {
        { "exec", .clear = MOUNT_ATTR_NOEXEC },
        { "noexec", .set = MOUNT_ATTR_NOEXEC },
        { "atime", .clear = MOUNT_ATTR__ATIME },
        { "relatime", .clear = MOUNT_ATTR__ATIME },
        { "noatime", .set = MOUNT_ATTR_NOATIME, .clear = MOUNT_ATTR__ATIME },
        { "strictatime", .set = MOUNT_ATTR_STRICTATIME, .clear = MOUNT_ATTR__ATIME },
        { "diratime", .clear = MOUNT_ATTR_NODIRATIME },
        { "nodiratime", .set = MOUNT_ATTR_NODIRATIME },
        { "symfollow", .clear = MOUNT_ATTR_NOSYMFOLLOW },
        { "nosymfollow", .set = MOUNT_ATTR_NOSYMFOLLOW },
};

bool mount_flags_take(const char *option, unsigned *flags) {
        for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
                if (!g_str_equal(option, options[i].name))
                        continue;
                *flags = (*flags & ~options[i].clear) | options[i].set;
                return true;
        }
        return false;
}
