#include "keeper/keeper-parts.h"

#include "base/child.h"
#include "handover/handover.h"
#include "handover/store.h"
#include "server/guard.h"

#include <errno.h>
#include <gio/gio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * How many servers may die in vain, after how short a life, before the next has to wait; how long; and how long it is
 * tried with those that nobody kills. In microseconds.
 */
#define IN_VAIN 10
#define VAIN G_USEC_PER_SEC
#define REST 200000
#define VAIN_AT_MOST (20 * G_USEC_PER_SEC)

/* The service manager is not to know less than it did: a failure is for it to find. */
static void tell_manager(Keeper *keeper) {
        if (!keeper->manager || !ledger_header(keeper->ledger)->ready)
                return;
        store_keep(keeper->manager, keeper->ledger);
        if (keeper->given)
                store_forget(keeper->manager, keeper->ledger, keeper->given);
        keeper->given = NULL;
        manager_tell(keeper->manager, "READY=1\nSTATUS=The mount answers.", -1);
}

/* Once a server says that the mount answers. */
static void tell_ready(Keeper *keeper) {
        if (!keeper->background || !ledger_header(keeper->ledger)->ready)
                return;
        keeper_disown(keeper, background_descriptor(keeper->background));
        log_to_system(keeper->place.log);
        background_ready(g_steal_pointer(&keeper->background));
}

/* -1: it is time to look at the replacement, or for the watchdog to look. */
static int wait_for_signal(const Keeper *keeper, siginfo_t *signal) {
        int64_t patience = replacement_patience(&keeper->replacement);
        struct timespec time = { patience / G_USEC_PER_SEC, patience % G_USEC_PER_SEC * 1000 };

        if (keeper->watchdog) {
                struct timespec interval = watchdog_interval(keeper->watchdog);

                if (patience < 0 || interval.tv_sec < time.tv_sec ||
                    (interval.tv_sec == time.tv_sec && interval.tv_nsec < time.tv_nsec))
                        time = interval;
                return sigtimedwait(&keeper->signals, signal, &time);
        }
        return patience < 0 ? sigwaitinfo(&keeper->signals, signal) : sigtimedwait(&keeper->signals, signal, &time);
}

static void end(Keeper *keeper, pid_t server, int signal) {
        keeper->end = signal;
        if (keeper->manager)
                manager_tell(keeper->manager, "STOPPING=1", -1);
        kill(server, signal);
}

/* A terminal that has gone asks to end. */
static void take_hangup(Keeper *keeper, pid_t server, const siginfo_t *signal) {
        if (signal->si_code == SI_KERNEL)
                end(keeper, server, SIGTERM);
        else
                replacement_begin(&keeper->replacement, false);
}

/* Without a service manager nobody would go on. */
static void take_give(Keeper *keeper) {
        if (keeper->manager)
                replacement_begin(&keeper->replacement, true);
}

/* One of another image's server may have been pending. */
static void take_ready(Keeper *keeper) {
        if (keeper->lifeline < 0 || !guard_is_posted(keeper->ledger))
                keeper_settle_in(keeper);
}

/*
 * Another run of the service is started when all of this one has ended. A notifier that waits for a lock cannot, unless
 * requests are answered: it goes while there is a server. What it was told stays in its socket.
 */
static bool awaits_notifier(const Keeper *keeper) {
        const Replacement *replacement = &keeper->replacement;

        return replacement->agreed && replacement->to_store && !replacement->yielding && child_kill(keeper->notifies);
}

/* Until the server has died; returns how, as of waitpid(2). */
static int wait_for_server(Keeper *keeper, pid_t server) {
        siginfo_t signal;
        int status = 0;

        for (;;) {
                switch (wait_for_signal(keeper, &signal)) {
                case SIGCHLD:
                        if (keeper_reap(keeper, server, &status))
                                return status;
                        break;
                case SERVER_READY:
                        take_ready(keeper);
                        tell_manager(keeper);
                        tell_ready(keeper);
                        break;
                case SIGHUP:
                        take_hangup(keeper, server, &signal);
                        break;
                case KEEPER_GIVE:
                        take_give(keeper);
                        break;
                case SIGTERM:
                case SIGINT:
                        end(keeper, server, signal.si_signo);
                        break;
                }
                if (keeper->watchdog && watchdog_look(keeper->watchdog, g_get_monotonic_time()))
                        kill(server, SIGKILL);
                if (ledger_header(keeper->ledger)->ready && !awaits_notifier(keeper))
                        replacement_look(&keeper->replacement, server);
        }
}

/*
 * A server that dies before it takes a request would be started again and again without end, and clients would wait as
 * long. What it finds will not change, unless it is killed: for want of memory, as a rule, of which there may be more.
 * Whether there is to be another.
 */
static bool rest(Keeper *keeper, int status) {
        uint64_t begun = ledger_header(keeper->ledger)->begun;
        bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        gint64 now = g_get_monotonic_time();

        keeper->in_vain = begun == keeper->begun && now - keeper->died < VAIN ? keeper->in_vain + 1 : 0;
        if (keeper->in_vain == 0 || killed)
                keeper->vain_since = now;
        keeper->begun = begun;
        keeper->died = now;
        if (keeper->in_vain < IN_VAIN)
                return true;
        keeper_give_back(keeper);
        if (now - keeper->vain_since >= VAIN_AT_MOST)
                return false;
        g_usleep(REST);
        return true;
}

/* So that clients get an answer: an error. */
static void give_up(const Keeper *keeper) {
        ledger_publish(&ledger_header(keeper->ledger)->ending, 1);
        guard_dismiss(keeper->ledger);
        child_kill(keeper->notifies);
        log_warn_aside("servers die of what they find, one after the other: this regionfs ends, and its mount with it");
}

/*
 * Another server, or -1: clients are not to lose the mount where there is no room for a process just now, as long as
 * nobody asks to end.
 */
static pid_t start_next(Keeper *keeper) {
        const struct timespec time = { .tv_nsec = REST * 1000 };
        pid_t server = keeper_start_server(keeper);
        sigset_t pending;

        while (server < 0 && keeper->served) {
                if (sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT)))
                        return -1;
                nanosleep(&time, NULL);
                server = keeper_start_server(keeper);
        }
        return server;
}

/* Serves until a server has ended as it should. The exit status. */
static int serve(Keeper *keeper) {
        LedgerHeader *header = ledger_header(keeper->ledger);

        for (;;) {
                bool refused;
                pid_t server;
                int status;

                if (!keeper->notifies)
                        keeper_start_notifier(keeper);
                server = start_next(keeper);
                if (server < 0) {
                        keeper_give_back(keeper);
                        g_printerr("regionfs: cannot start a server: %s\n", g_strerror(errno));
                        return EXIT_FAILURE;
                }
                if (keeper->watchdog)
                        watchdog_begin(keeper->watchdog, keeper->channel->fd);
                replacement_restarted(&keeper->replacement);
                status = wait_for_server(keeper, server);
                if (keeper->watchdog)
                        watchdog_end(keeper->watchdog);
                tell_ready(keeper);
                if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS) {
                        /* It has taken the mount away. */
                        g_clear_pointer(&keeper->channel, channel_forget);
                        guard_dismiss(keeper->ledger);
                        return EXIT_SUCCESS;
                }
                keeper->served |= header->serving;
                refused = header->rings && header->ringless;
                if (!refused && (!keeper->served || (!header->ready && WIFEXITED(status))))
                        return EXIT_FAILURE;
                /* It has died of that, or of what it found. */
                if (header->ending) {
                        guard_dismiss(keeper->ledger);
                        return EXIT_FAILURE;
                }
                if (!refused) {
                        keeper->place.previous = status;
                        ledger_publish(&header->restarts, header->restarts + 1);
                }
                if (header->rings || !header->serving) {
                        /* Not before: the guard would know nothing of another connection. */
                        keeper_give_back(keeper);
                        if (!keeper_renew(keeper))
                                return EXIT_FAILURE;
                }
                /* It may have died before it saw that; or another image is to. */
                if (keeper->end)
                        raise(keeper->end);
                if (keeper->replacement.yielding && !keeper_hand_over(keeper))
                        return EXIT_FAILURE;
                if (!refused && !rest(keeper, status)) {
                        give_up(keeper);
                        return EXIT_FAILURE;
                }
        }
}

int keeper_run(const Options *options, const Successor *successor, Ledger *ledger, GArray *given, Manager *manager,
               Log *log, Background *background) {
        g_autoptr(GError) error = NULL;
        g_auto(Keeper) keeper = {
                .ledger = ledger,
                .background = background,
                .manager = manager,
                .given = given,
                .replacement = { .successor = successor },
                .lifeline = -1,
        };

        if (!(ledger ? keeper_take_over(&keeper, options, &error) : keeper_prepare(&keeper, options, &error))) {
                g_printerr("regionfs: %s\n", error->message);
                if (ledger)
                        keeper_give_back(&keeper);
                return EXIT_FAILURE;
        }
        /* From here on nothing is made that takes more than serving. */
        if (!confinement_enter_keeper(keeper.confinement, &error)) {
                g_printerr("regionfs: %s\n", error->message);
                return EXIT_FAILURE;
        }
        /* Not to keep any directory busy. */
        if (background && chdir("/") < 0)
                g_warning("cannot leave the working directory: %s", g_strerror(errno));
        if (!ledger) {
                handover_note(keeper.ledger, keeper.channel, keeper.pool, options, successor->path);
                handover_note_arguments(keeper.ledger, successor->arguments);
        }
        if (options->watchdog)
                keeper.watchdog = watchdog_new(keeper.ledger, options->watchdog);
        keeper.place = (ServerPlace){
                .options = options,
                .log = log,
                .background = !options->foreground,
                .guarded = keeper.place.guarded,
                .pool = keeper.pool,
                .namespaces = keeper.namespaces,
                .ledger = keeper.ledger,
                .channel = keeper.channel,
                .notifier = keeper.notifier,
                .descriptors = ledger ? handover_descriptors(ledger) : server_descriptors_open(),
                .previous = ledger ? SERVER_YIELDED << 8 : 0,
                .watchdog = keeper.watchdog,
        };
        return serve(&keeper);
}
