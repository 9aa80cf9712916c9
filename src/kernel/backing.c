#include "kernel/backing.h"

#include <errno.h>
#include <glib.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* As in the kernel's <linux/fuse.h> since 6.9; older headers lack it. */
struct backing_map {
        int32_t fd;
        uint32_t flags;
        uint64_t padding;
};
G_STATIC_ASSERT(sizeof(struct backing_map) == 16);

#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

int backing_open(int channel, int fd) {
        struct backing_map map = { .fd = fd };
        int id = ioctl(channel, BACKING_OPEN, &map);

        return id < 0 ? -errno : id;
}

void backing_close(int channel, int id) {
        uint32_t number = id;

        /* A server may have died between giving it up and noting that. */
        if (ioctl(channel, BACKING_CLOSE, &number) < 0 && errno != ENOENT)
                g_warning("cannot give up backing id %d: %s", id, g_strerror(errno));
}
