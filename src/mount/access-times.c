#include "mount/access-times.h"

#include "mount/mount-flags.h"

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

/* Without what makes no difference. */
static unsigned settle(unsigned flags, bool readonly) {
        return readonly || flags & MOUNT_ATTR_NOATIME ? MOUNT_ATTR_NOATIME : flags & ALL;
}

unsigned access_times_of_options(const GPtrArray *options) {
        bool readonly = false;
        unsigned flags = 0;

        for (guint i = 0; i < options->len; i++) {
                const char *option = g_ptr_array_index(options, i);

                if (g_str_equal(option, "ro"))
                        readonly = true;
                else if (g_str_equal(option, "rw"))
                        readonly = false;
                else
                        mount_flags_take(option, &flags);
        }
        return settle(flags, readonly);
}

unsigned access_times_of_mount(unsigned long flags) {
        unsigned found = flags & ST_NODIRATIME ? MOUNT_ATTR_NODIRATIME : 0;

        if (flags & ST_NOATIME)
                found |= MOUNT_ATTR_NOATIME;
        else if (!(flags & ST_RELATIME))
                found |= MOUNT_ATTR_STRICTATIME;
        return settle(found, flags & ST_RDONLY);
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
