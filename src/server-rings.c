#include "server-rings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
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

void server_rings_stop(struct fuse_session *session) {
        /* It stops them at the end of its own loop, which is over at once. */
        fuse_session_loop(session);
}
