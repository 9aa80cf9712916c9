#include "visitor.h"

#include "descriptor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Between fork() and _exit() nothing but system calls: other threads may have held any lock. */
static int look(const char *mountpoint) {
        struct stat st;

        return stat(mountpoint, &st) < 0 ? errno : 0;
}

static int sync_all(const char *mountpoint) {
        int root = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return root < 0 || syncfs(root) < 0 ? errno : 0;
}

static int visit(int (*call)(const char *mountpoint), const char *mountpoint, int channel) {
        pid_t process = fork();
        int status;

        if (process < 0)
                return -errno;
        if (process == 0) {
                close(channel);
                _exit(call(mountpoint));
        }
        while (waitpid(process, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

int visitor_look(const char *mountpoint, int channel) {
        return visit(look, mountpoint, channel);
}

int visitor_sync(const char *mountpoint, int channel) {
        return visit(sync_all, mountpoint, channel);
}
