#include "base/background.h"

#include "base/descriptor.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>

struct Background {
        int ready; /* owned: where the waiting process listens */
};

/* Ends the process that was started: well if the daemon is ready, else as the daemon did, which has said why. */
static G_NORETURN void wait_for_daemon(pid_t daemon, int ready) {
        int status;
        char byte;

        if (read(ready, &byte, 1) == 1)
                _exit(EXIT_SUCCESS);
        if (waitpid(daemon, &status, 0) == daemon && WIFEXITED(status) && WEXITSTATUS(status))
                _exit(WEXITSTATUS(status));
        g_printerr("regionfs: the daemon ended before it was ready\n");
        _exit(EXIT_FAILURE);
}

Background *background_start(void) {
        Background *background;
        int ends[2];
        pid_t daemon;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return NULL;
        daemon = fork();
        if (daemon < 0) {
                descriptor_clear(&ends[0]);
                descriptor_clear(&ends[1]);
                return NULL;
        }
        if (daemon > 0) {
                close(ends[1]);
                wait_for_daemon(daemon, ends[0]);
        }
        close(ends[0]);
        setsid();
        background = g_new0(Background, 1);
        background->ready = ends[1];
        return background;
}

int background_descriptor(const Background *background) {
        return background->ready;
}

void background_leave_streams(void) {
        auto_descriptor null = open("/dev/null", O_RDWR | O_CLOEXEC);

        for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
                dup2(null, fd);
        if (null <= STDERR_FILENO)
                null = -1;
}

void background_ready(Background *background) {
        background_leave_streams();
        if (write(background->ready, "", 1) != 1)
                g_warning("cannot tell that the mount is ready: %s", g_strerror(errno));
        descriptor_clear(&background->ready);
}

void background_free(Background *background) {
        if (!background)
                return;
        descriptor_clear(&background->ready);
        g_free(background);
}
