#include "visitor.h"

#include "descriptor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* How long the mount may take to answer. */
#define PATIENCE_MS 10000

/* Between fork() and _exit() nothing but system calls: other threads may have held any lock. */
static int look(const char *path) {
        struct statx st;

        return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) < 0 ? errno : 0;
}

static int sync_all(const char *mountpoint) {
        int root = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return root < 0 || syncfs(root) < 0 ? errno : 0;
}

static int visit(int (*call)(const char *path), const char *path, int channel) {
        struct pollfd end = { .events = POLLIN };
        auto_descriptor handle = -1;
        pid_t process = fork();
        int status;

        if (process < 0)
                return -errno;
        if (process == 0) {
                close(channel);
                /* Nor anything else: a region's descriptor would make it look used. */
                close_range(STDERR_FILENO + 1, ~0U, 0);
                _exit(call(path));
        }
        handle = syscall(SYS_pidfd_open, process, 0);
        end.fd = handle;
        /* Without an answer it is left alone: it ends when the channel does. */
        if (handle >= 0 && poll(&end, 1, PATIENCE_MS) == 0)
                return -ETIMEDOUT;
        if (waitpid(process, &status, 0) < 0)
                return -errno;
        return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

int visitor_look(const char *path, int channel) {
        return visit(look, path, channel);
}

int visitor_sync(const char *mountpoint, int channel) {
        return visit(sync_all, mountpoint, channel);
}
