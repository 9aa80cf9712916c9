#include "server/server-rings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The release of libfuse that has them, as fuse_version() says it. */
#define KNOWN_SINCE 318

/*
 * Requests that each queue holds, with a buffer each. They are answered one after the other: more would wait in the
 * server instead of in the kernel, and their answers for each other.
 */
#define DEPTH "8"

bool server_rings_known(void) {
        return fuse_version() >= KNOWN_SINCE;
}

void server_rings_ask(struct fuse_args *arguments) {
        fuse_opt_add_arg(arguments, "-oio_uring,io_uring_q_depth=" DEPTH);
}

bool server_rings_made(void) {
        GDir *directory = g_dir_open("/proc/self/fd", 0, NULL);
        bool made = false;
        const char *name;

        while (directory && !made && (name = g_dir_read_name(directory))) {
                g_autofree char *path = g_strconcat("/proc/self/fd/", name, NULL);
                g_autofree char *link = g_file_read_link(path, NULL);

                made = g_strcmp0(link, "anon_inode:[io_uring]") == 0;
        }
        if (directory)
                g_dir_close(directory);
        return made;
}

void server_rings_hide(void) {
        g_autofree char *maps = NULL;
        g_auto(GStrv) lines = NULL;

        if (!g_file_get_contents("/proc/self/maps", &maps, NULL, NULL))
                return;
        lines = g_strsplit(maps, "\n", -1);
        for (char **line = lines; *line; line++) {
                char *end = NULL;
                guint64 from = g_ascii_strtoull(*line, &end, 16);
                guint64 to = *end == '-' ? g_ascii_strtoull(end + 1, NULL, 16) : 0;

                if (to && g_str_has_suffix(*line, "anon_inode:[io_uring]") &&
                    madvise((void *)(uintptr_t)from, to - from, MADV_DONTFORK) < 0)
                        g_warning("a crash may leave a process that waits: %s", g_strerror(errno));
        }
}

void server_rings_stop(struct fuse_session *session) {
        /* It stops them at the end of its own loop, which is over at once. */
        fuse_session_loop(session);
}
