#include "kernel/visitor.h"

#include "base/descriptor.h"
#include "kernel/wire.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* How long the mount may take to answer. */
#define PATIENCE_MS 10000

/* What is to be done: on what, a path or a node. */
typedef struct Visit {
        int (*call)(const struct Visit *visit);
        const char *path;
        uint64_t node;
        off_t length;
        int channel; /* that it needs, or -1 */
} Visit;

/* Between fork() and _exit() nothing but system calls: other threads may have held any lock. */
static int look(const Visit *visit) {
        struct statx st;

        return statx(AT_FDCWD, visit->path, AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) < 0
                       ? errno
                       : 0;
}

static int sync_all(const Visit *visit) {
        int root = open(visit->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return root < 0 || syncfs(root) < 0 ? errno : 0;
}

/* The last byte of it is put into the page cache, as it is known to be there then, and taken out again. */
static int tell_length(const Visit *visit) {
        struct {
                struct fuse_out_header header;
                struct fuse_notify_store_out range;
                char byte;
        } __attribute__((packed)) stored = {
                .header = { .len = sizeof(stored), .error = FUSE_NOTIFY_STORE },
                .range = { .nodeid = visit->node, .offset = visit->length - 1, .size = 1 },
        };
        struct {
                struct fuse_out_header header;
                struct fuse_notify_inval_inode_out range;
        } dropped = {
                .header = { .len = sizeof(dropped), .error = FUSE_NOTIFY_INVAL_INODE },
                .range = { .ino = visit->node, .off = visit->length - 1, .len = 1 },
        };

        return write(visit->channel, &stored, sizeof(stored)) < 0 || write(visit->channel, &dropped, sizeof(dropped)) < 0
                       ? errno
                       : 0;
}

/* All but the channel, if there is to be one, and what stderr and its like are: also a region's, which made it look used. */
static void close_others(int channel) {
        if (channel > STDERR_FILENO + 1)
                close_range(STDERR_FILENO + 1, channel - 1, 0);
        close_range(MAX(channel, STDERR_FILENO) + 1, ~0U, 0);
}

static int visit(const Visit *what) {
        struct pollfd end = { .events = POLLIN };
        auto_descriptor handle = -1;
        pid_t process = fork();
        int status;

        if (process < 0)
                return -errno;
        if (process == 0) {
                close_others(what->channel);
                _exit(what->call(what));
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

int visitor_look(const char *path) {
        return visit(&(Visit){ .call = look, .path = path, .channel = -1 });
}

int visitor_sync(const char *mountpoint) {
        return visit(&(Visit){ .call = sync_all, .path = mountpoint, .channel = -1 });
}

int visitor_tell_length(uint64_t node, off_t length, int channel) {
        return visit(&(Visit){ .call = tell_length, .node = node, .length = length, .channel = channel });
}
