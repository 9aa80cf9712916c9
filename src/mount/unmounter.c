#include "mount/unmounter.h"

#include "base/descriptor.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define ASK 'u'
#define DISMISS 'd'

/* How long it may take, in milliseconds. */
#define PATIENCE 10000

/* The longest complaint that is passed on. */
#define COMPLAINT_MAX 1024

/* Not to keep anything open: the channel, the pool's lock, a terminal. */
static bool let_go(int socket) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null < 0)
                return false;
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (dup2(null, fd) < 0)
                        return false;
        return (socket == STDERR_FILENO + 1 || close_range(STDERR_FILENO + 1, socket - 1, 0) == 0) &&
               close_range(socket + 1, ~0U, 0) == 0 && chdir("/") == 0;
}

/* Signals that end the daemon, from a terminal or a service manager, are not to end this one before it. */
static void stand_aside(void) {
        sigset_t all;

        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        setsid();
        prctl(PR_SET_NAME, "regionfs-umount");
}

static G_NORETURN void run(int socket, UnmounterWork work, const void *data) {
        g_autofree char *complaint = NULL;
        bool asked;
        char word;

        stand_aside();
        /* The first word is that it has let go of all. */
        if (!let_go(socket) || send(socket, "", 1, MSG_NOSIGNAL) != 1)
                _exit(EXIT_FAILURE);
        /* Nothing more comes when the last one has gone, whoever it was. */
        asked = recv(socket, &word, 1, 0) == 1;
        if (asked && word == DISMISS)
                _exit(EXIT_SUCCESS);
        complaint = work(data, asked);
        send(socket, complaint ? complaint : "", complaint ? strnlen(complaint, COMPLAINT_MAX) : 1, MSG_NOSIGNAL);
        _exit(complaint ? EXIT_FAILURE : EXIT_SUCCESS);
}

int unmounter_start(UnmounterWork work, const void *data) {
        auto_descriptor ours = -1, its = -1;
        int ends[2], status;
        pid_t between;
        char word;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        ours = ends[0];
        its = ends[1];
        /* Nobody's child: what it ends with is nothing for the keeper to wait for. */
        between = fork();
        if (between < 0)
                return -errno;
        if (between == 0) {
                pid_t process = fork();

                if (process == 0)
                        run(its, work, data);
                _exit(process < 0 ? errno : 0);
        }
        descriptor_clear(&its);
        if (waitpid(between, &status, 0) < 0)
                return -errno;
        if (!WIFEXITED(status) || WEXITSTATUS(status))
                return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
        return recv(ours, &word, 1, 0) == 1 ? descriptor_steal(&ours) : -ECHILD;
}

char *unmounter_ask(int unmounter) {
        const char word = ASK;
        char answer[COMPLAINT_MAX + 1];
        struct pollfd answered = { .fd = unmounter, .events = POLLIN };
        ssize_t size = -1;

        if (send(unmounter, &word, 1, MSG_NOSIGNAL) == 1 && poll(&answered, 1, PATIENCE) == 1)
                size = recv(unmounter, answer, COMPLAINT_MAX, MSG_DONTWAIT);
        if (size <= 0)
                return g_strdup("the process that unmounts for this user's daemons has gone, or does not answer");
        answer[size] = '\0';
        return *answer ? g_strdup(answer) : NULL;
}

void unmounter_dismiss(int unmounter) {
        const char word = DISMISS;

        /* If it has gone, all the better. */
        send(unmounter, &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}
