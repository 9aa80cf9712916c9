#include "access-times.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#define ALL (MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME)

static const struct {
        const char *name;
        unsigned flags;
} names[] = {
        { "relatime", MOUNT_ATTR_RELATIME },
        { "relatime,nodiratime", MOUNT_ATTR_RELATIME | MOUNT_ATTR_NODIRATIME },
        { "strictatime", MOUNT_ATTR_STRICTATIME },
        { "strictatime,nodiratime", MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NODIRATIME },
        { "noatime", MOUNT_ATTR_NOATIME },
};

/* As mount(8) has them: the last one of those that exclude one another counts. */
static const struct {
        const char *name;
        unsigned set, clear;
} options_of_mounts[] = {
        { "atime", .clear = MOUNT_ATTR__ATIME },
        { "relatime", .clear = MOUNT_ATTR__ATIME },
        { "noatime", .set = MOUNT_ATTR_NOATIME, .clear = MOUNT_ATTR__ATIME },
        { "strictatime", .set = MOUNT_ATTR_STRICTATIME, .clear = MOUNT_ATTR__ATIME },
        { "diratime", .clear = MOUNT_ATTR_NODIRATIME },
        { "nodiratime", .set = MOUNT_ATTR_NODIRATIME },
        { "ro", .set = MOUNT_ATTR_RDONLY },
        { "rw", .clear = MOUNT_ATTR_RDONLY },
};

/* Without what makes no difference. */
static unsigned settle(unsigned flags) {
        return flags & (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME) ? MOUNT_ATTR_NOATIME : flags;
}

unsigned access_times_of_options(const GPtrArray *options) {
        unsigned flags = 0;

        for (guint i = 0; i < options->len; i++)
                for (size_t j = 0; j < G_N_ELEMENTS(options_of_mounts); j++)
                        if (g_str_equal(g_ptr_array_index(options, i), options_of_mounts[j].name))
                                flags = (flags & ~options_of_mounts[j].clear) | options_of_mounts[j].set;
        return settle(flags);
}

unsigned access_times_of_mount(unsigned long flags) {
        unsigned found = flags & ST_NODIRATIME ? MOUNT_ATTR_NODIRATIME : 0;

        if (flags & (ST_NOATIME | ST_RDONLY))
                found |= MOUNT_ATTR_NOATIME;
        else if (!(flags & ST_RELATIME))
                found |= MOUNT_ATTR_STRICTATIME;
        return settle(found);
}

const char *access_times_name(unsigned flags) {
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                if (names[i].flags == flags)
                        return names[i].name;
        return names[0].name;
}

int access_times_find(const char *name, unsigned *flags) {
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                if (!g_str_equal(names[i].name, name))
                        continue;
                *flags = names[i].flags;
                return 0;
        }
        return -EINVAL;
}

int access_times_set(int fd, unsigned flags) {
        struct mount_attr attributes = { .attr_set = flags, .attr_clr = ALL };

        return mount_setattr(fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0 ? -errno : 0;
}
