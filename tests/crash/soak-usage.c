#include "soak-usage.h"

#include <glib.h>
#include <sys/statvfs.h>

/* In ms. */
#define PATIENCE 10000
#define INTERVAL 20

static int64_t count_descriptors(pid_t server) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd", server);
        GDir *directory = g_dir_open(path, 0, NULL);
        int64_t count = 0;

        if (!directory)
                return -1;
        while (g_dir_read_name(directory))
                count++;
        g_dir_close(directory);
        return count;
}

void usage_take(const Mount *mount, Usage *usage) {
        struct statvfs st;

        *usage = (Usage){ .descriptors = -1 };
        if (statvfs(mount->root, &st) == 0) {
                usage->bytes = (int64_t)st.f_bfree * st.f_frsize;
                usage->files = st.f_ffree;
        }
        if (!mount->regionfs)
                return;
        usage->regions = mount_regions(mount);
        usage->descriptors = count_descriptors(mount_server(mount));
}

void usage_compare(const Mount *mount, const Usage *before, bool alone, Usage *leaked) {
        gint64 until = g_get_monotonic_time() + PATIENCE * G_GINT64_CONSTANT(1000);

        for (;;) {
                Usage now;

                usage_take(mount, &now);
                *leaked = (Usage){
                        .bytes = alone ? MAX(before->bytes - now.bytes, 0) : 0,
                        .files = alone ? MAX(before->files - now.files, 0) : 0,
                        .regions = ABS(now.regions - before->regions),
                        .descriptors = before->descriptors < 0 ? 0 : MAX(now.descriptors - before->descriptors, 0),
                };
                if ((!leaked->bytes && !leaked->files && !leaked->regions && !leaked->descriptors) ||
                    g_get_monotonic_time() > until)
                        return;
                g_usleep(INTERVAL * 1000);
        }
}
