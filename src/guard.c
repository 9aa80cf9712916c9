#include "guard.h"

#include "lifetime.h"
#include "server-descriptors.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { NOBODY, WAITS, CALLED, DISMISSED };

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

/* Until the keeper, whatever image it is, has died, or has dismissed this process. */
static void await_call(pid_t keeper) {
        sigset_t call;
        int signal;

        sigemptyset(&call);
        sigaddset(&call, SERVER_ORPHANED);
        sigprocmask(SIG_BLOCK, &call, NULL);
        prctl(PR_SET_PDEATHSIG, SERVER_ORPHANED);
        while (getppid() == keeper)
                sigwait(&call, &signal);
        prctl(PR_SET_PDEATHSIG, 0);
}

bool guard_post(const Ledger *ledger) {
        pid_t keeper = getpid(), guard;

        ledger_publish(&ledger_keeper(ledger)->guard_state, WAITS);
        guard = fork();
        if (guard != 0) {
                ledger_publish(&ledger_keeper(ledger)->guard, MAX(guard, 0));
                if (guard < 0)
                        ledger_publish(&ledger_keeper(ledger)->guard_state, NOBODY);
                return false;
        }
        close_reports();
        await_call(keeper);
        if (!change(ledger, WAITS, CALLED))
                _exit(EXIT_SUCCESS);
        return true;
}

bool guard_is_posted(const Ledger *ledger) {
        return __atomic_load_n(&ledger_keeper(ledger)->guard_state, __ATOMIC_SEQ_CST) == WAITS;
}

void guard_dismiss(const Ledger *ledger) {
        if (change(ledger, WAITS, DISMISSED))
                kill(ledger_keeper(ledger)->guard, SIGKILL);
}
