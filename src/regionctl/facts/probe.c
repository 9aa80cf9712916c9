#include "regionctl/facts/probe.h"

#include "base/descriptor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static G_NORETURN void run(const char *path, void (*call)(const char *path)) {
        auto_descriptor nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

        /* Whoever reads what regionctl says waits until nobody can say more. */
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (nothing < 0 || dup2(nothing, fd) < 0)
                        close(fd);
        call(path);
        _exit(0);
}

/* Until the other end is closed. */
static bool await_end(int pipe) {
        struct pollfd end = { .fd = pipe };
        gint64 until = g_get_monotonic_time() + PROBE_SECONDS * G_USEC_PER_SEC, left;

        while ((left = until - g_get_monotonic_time()) > 0)
                if (poll(&end, 1, left / 1000 + 1) > 0)
                        return true;
        return false;
}

bool probe(const char *path, void (*call)(const char *path)) {
        auto_descriptor ours = -1, theirs = -1;
        int ends[2];
        pid_t process;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return true;
        ours = ends[0];
        theirs = ends[1];
        process = fork();
        if (process < 0)
                return true;
        if (process == 0) {
                descriptor_clear(&ours);
                run(path, call);
        }
        descriptor_clear(&theirs);
        if (await_end(ours)) {
                waitpid(process, NULL, 0);
                return true;
        }
        kill(process, SIGKILL);
        waitpid(process, NULL, WNOHANG);
        complain(STATUS_FAILED, "%s does not answer within %d seconds: its regionfs may hang", path, PROBE_SECONDS);
        return false;
}
