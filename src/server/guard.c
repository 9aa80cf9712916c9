#include "server/guard.h"

#include "base/child.h"
#include "base/descriptor.h"
#include "registry/lifetime.h"
#include "server/server-descriptors.h"
#include "server/server.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

enum { NOBODY, WAITS, CALLED, DISMISSED };

/* How long the new image may take until its server answers, in seconds. */
#define PATIENCE 5

static uint64_t state(const Ledger *ledger) {
        return __atomic_load_n(&ledger_keeper(ledger)->guard_state, __ATOMIC_SEQ_CST);
}

static bool change(const Ledger *ledger, uint64_t from, uint64_t to) {
        return __atomic_compare_exchange_n(&ledger_keeper(ledger)->guard_state, &from, to, false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST);
}

/* What was read of regions' reports would make these look used to the new image's server. */
static void close_reports(void) {
        g_autoptr(GArray) open = server_descriptors_open();

        for (guint i = 0; i < open->len; i++) {
                int fd = g_array_index(open, int, i), flags = fcntl(fd, F_GETFL);

                if (flags >= 0 && flags & LIFETIMES_REPORT_FLAG)
                        close(fd);
        }
}

/* Until the keeper, whatever image it is, has died, has dismissed this process, or has had its time. */
static void await_call(pid_t keeper) {
        gint64 until = g_get_monotonic_time() + PATIENCE * G_USEC_PER_SEC, left;
        sigset_t call;

        sigemptyset(&call);
        sigaddset(&call, SERVER_ORPHANED);
        sigprocmask(SIG_BLOCK, &call, NULL);
        prctl(PR_SET_PDEATHSIG, SERVER_ORPHANED);
        while (getppid() == keeper && (left = until - g_get_monotonic_time()) > 0) {
                const struct timespec time = { left / G_USEC_PER_SEC, left % G_USEC_PER_SEC * 1000 };

                sigtimedwait(&call, NULL, &time);
        }
        prctl(PR_SET_PDEATHSIG, 0);
}

/* The new image and its server. As long as it is the parent, nobody else has its number. */
static void await_death(pid_t keeper, int lifeline) {
        struct pollfd end = { .fd = lifeline };

        if (getppid() == keeper)
                kill(keeper, SIGKILL);
        while (poll(&end, 1, -1) < 0 || !(end.revents & POLLHUP))
                ;
}

bool guard_post(const Ledger *ledger) {
        LedgerKeeper *noted = ledger_keeper(ledger);
        auto_descriptor ours = -1, theirs = -1;
        pid_t keeper = getpid(), guard;
        int ends[2];

        noted->guard = 0;
        noted->lifeline = 0;
        ledger_publish(&noted->guard_state, NOBODY);
        if (pipe2(ends, O_CLOEXEC) < 0)
                return false;
        ours = ends[0];
        theirs = ends[1];
        ledger_publish(&noted->guard_state, WAITS);
        guard = fork();
        if (guard < 0)
                ledger_publish(&noted->guard_state, NOBODY);
        if (guard < 0)
                return false;
        if (guard > 0) {
                noted->lifeline = ledger_note_descriptor(descriptor_steal(&theirs));
                ledger_publish(&noted->guard, guard);
                return false;
        }
        descriptor_clear(&theirs);
        close_reports();
        await_call(keeper);
        if (!change(ledger, WAITS, CALLED))
                _exit(EXIT_SUCCESS);
        await_death(keeper, ours);
        ledger_publish(&noted->guard_state, NOBODY);
        return true;
}

bool guard_is_posted(const Ledger *ledger) {
        uint64_t now = state(ledger);

        return now == WAITS || now == CALLED;
}

int guard_lifeline(const Ledger *ledger) {
        return ledger_descriptor(ledger_keeper(ledger)->lifeline);
}

static void ask_for_death(pid_t keeper, int signal) {
        prctl(PR_SET_PDEATHSIG, signal);
        /* It may have died before. */
        if (getppid() != keeper)
                raise(signal);
}

void guard_watch_keeper(bool guarded, pid_t keeper) {
        ask_for_death(keeper, guarded ? SIGKILL : SERVER_ORPHANED);
}

bool guard_pass(const Ledger *ledger, pid_t keeper) {
        /* First: a keeper that dies from here on leaves the mount to whoever changes the word. */
        ask_for_death(keeper, SERVER_ORPHANED);
        return change(ledger, WAITS, DISMISSED) || state(ledger) != CALLED;
}

void guard_dismiss(const Ledger *ledger) {
        change(ledger, WAITS, DISMISSED);
        if (state(ledger) == DISMISSED)
                child_kill(ledger_keeper(ledger)->guard);
}

void guard_take_end(const Ledger *ledger, pid_t process) {
        LedgerKeeper *noted = ledger_keeper(ledger);

        if (noted->guard != (uint64_t)process)
                return;
        change(ledger, WAITS, DISMISSED);
        ledger_publish(&noted->guard, 0);
}
