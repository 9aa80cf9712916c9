/* The processes that the keeper starts. */
#include "keeper/keeper-parts.h"

#include "base/descriptor.h"
#include "handover/handover.h"
#include "server/guard.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* In thousandths of the memory that there is. */
#define OOM_SCORE_OF_SERVERS 50

#define ROOM_FOR_THE_NEXT (2 * 1024 * 1024) /* bytes */

/* In a process that the keeper has started. */
static bool confine(const Keeper *keeper, bool (*enter)(const Confinement *confinement, GError **error)) {
        g_autoptr(GError) error = NULL;

        if (enter(keeper->confinement, &error))
                return true;
        g_printerr("regionfs: %s\n", error->message);
        return false;
}

/* With the signals blocked that end the program, as it is to end after the server. */
void keeper_start_notifier(Keeper *keeper) {
        pid_t process = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

        if (process != 0) {
                keeper->notifies = MAX(process, 0);
                handover_note_notifier(keeper->ledger, keeper->notifier, keeper->notifies);
                return;
        }
        if (keeper->place.background) {
                log_to_system(keeper->place.log);
                background_leave_streams();
        }
        if (!confine(keeper, confinement_enter_notifier))
                _exit(EXIT_FAILURE);
        notifier_run(keeper->notifier, keeper->channel->fd);
        _exit(EXIT_SUCCESS);
}

/*
 * In the server: where memory runs out, in a control group above all, it is killed before the keeper is, which differs
 * little from it otherwise. It can be replaced. More than that little would have it killed before whoever takes the
 * memory.
 *
 * It also takes some memory that it does not need. What clients store goes on growing until there is none; so whatever
 * a server has more than the one before is there for the next one to start with, and not for regions: else the keeper
 * would be the one who asks for what is not there.
 */
static void step_before_keeper(void) {
        auto_descriptor file = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
        char text[16] = "";

        if (file >= 0 && pread(file, text, sizeof(text) - 1, 0) > 0) {
                g_snprintf(text, sizeof(text), "%d", MIN(atoi(text) + OOM_SCORE_OF_SERVERS, 1000));
                if (pwrite(file, text, strlen(text), 0) < 0)
                        g_info("servers are not killed before the keeper where memory runs out: %s", g_strerror(errno));
        }
        mmap(NULL, ROOM_FOR_THE_NEXT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
}

/*
 * Starts a server; its process, or -1. The C library's fork() cannot share descriptors. It does a little more than the
 * bare call: it tells the library of the new thread's number, which nothing here asks for; and runs what has been
 * registered to be run, for the sake of other threads, of which there are none.
 */
pid_t keeper_start_server(Keeper *keeper) {
        pid_t server;
        int status;

        keeper->place.keeper = getpid();
        server = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
        if (server != 0)
                return server;
        /* Those that both take stay blocked all the time: one that came in between would be the server's death. */
        server_block_signals();
        guard_watch_keeper(keeper->place.guarded, keeper->place.keeper);
        step_before_keeper();
        status = confine(keeper, confinement_enter_server) ? server_main(&keeper->place) : EXIT_FAILURE;
        /* Nobody else is left to remove it. */
        if (getppid() != keeper->place.keeper)
                keeper_clear(keeper);
        exit(status);
}

/* It does not end before it is asked to, unless someone ends it; for a newer one to ask, perhaps. */
static void look_after_notifier(Keeper *keeper, pid_t ended) {
        bool wanted = keeper->notifier_is_old || !ledger_header(keeper->ledger)->ending;

        if (ended != keeper->notifies)
                return;
        keeper->notifies = 0;
        keeper->notifier_is_old = false;
        if (wanted && !(keeper->replacement.agreed && keeper->replacement.to_store))
                keeper_start_notifier(keeper);
}

bool keeper_reap(Keeper *keeper, pid_t server, int *status) {
        bool dead = false;
        int how;

        for (pid_t child; (child = waitpid(-1, &how, WNOHANG)) > 0;) {
                if (child != server) {
                        replacement_take_end(&keeper->replacement, child, how);
                        guard_take_end(keeper->ledger, child);
                        look_after_notifier(keeper, child);
                } else {
                        *status = how;
                        dead = true;
                }
        }
        return dead;
}
