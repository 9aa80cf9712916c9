#include "keeper.h"

#include "channel.h"
#include "confinement.h"
#include "descriptor.h"
#include "guard.h"
#include "handover.h"
#include "ledger.h"
#include "ledger-mend.h"
#include "mountpoint.h"
#include "namespaces.h"
#include "notifier.h"
#include "manager.h"
#include "pool.h"
#include "region.h"
#include "renewal.h"
#include "replacement.h"
#include "server.h"
#include "store.h"
#include "watchdog.h"

#include <errno.h>
#include <gio/gio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* How many servers may die in vain, after how short a life, before the next has to wait; how long. In microseconds. */
#define IN_VAIN 10
#define VAIN G_USEC_PER_SEC
#define REST 200000

typedef struct Keeper {
        ServerPlace place;
        Pool *pool;             /* owned; place borrows this and what follows */
        Namespaces *namespaces; /* owned; NULL: none */
        Ledger *ledger;         /* owned */
        Channel *channel;       /* owned */
        Notifier *notifier;     /* owned */
        pid_t notifies;         /* the notifier's process; 0: none */
        Watchdog *watchdog;     /* owned; NULL: none */
        Confinement *confinement; /* owned */
        Background *background; /* borrowed, or NULL: none, or told already */
        bool served;            /* a server has taken requests */
        Manager *manager;       /* owned, or NULL: no service manager */
        GArray *given;          /* borrowed: what its store gave (int), or NULL: nothing that is to be taken out of it */
        uint64_t begun;         /* requests, when the last server died */
        gint64 died;            /* when that was: monotonic, microseconds */
        unsigned in_vain;       /* servers that died one after the other without having taken one */
        sigset_t signals;       /* that are waited for */
        int end;                /* the signal that asks to end, or 0 */
        Replacement replacement;
} Keeper;

static void keeper_clear(Keeper *keeper) {
        notifier_free(keeper->notifier);
        watchdog_free(keeper->watchdog);
        manager_free(keeper->manager);
        channel_free(keeper->channel);
        confinement_free(keeper->confinement);
        ledger_free(keeper->ledger);
        namespaces_free(keeper->namespaces);
        pool_free(keeper->pool);
        if (keeper->place.descriptors)
                g_array_unref(keeper->place.descriptors);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Keeper, keeper_clear)

/* What new regions start with is a rule of the root directory. */
static bool set_root_policy(const Options *options, const Pool *pool, GError **error) {
        RegionPolicy policy;
        int result;

        if (options->lifetime < 0 && options->allocation < 0)
                return true;
        result = region_read_policy(pool->fd, &policy);
        if (options->lifetime >= 0)
                policy.lifetime = options->lifetime;
        if (options->allocation >= 0)
                policy.allocation = options->allocation;
        if (result == 0)
                result = region_write_policy(pool->fd, &policy);
        if (result < 0)
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-result),
                            "options lifetime, allocation: the pool cannot keep them: %s", g_strerror(-result));
        return result == 0;
}

static bool count_regions(const Keeper *keeper, GError **error) {
        int result = pool_count_regions(keeper->pool, &ledger_header(keeper->ledger)->regions);

        if (result < 0)
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-result), "cannot read the pool: %s",
                            g_strerror(-result));
        return result == 0;
}

/* Whether a path is below a directory, which may be NULL; both are absolute and without links. */
static bool lies_in(const char *path, const char *directory) {
        size_t length = directory ? strlen(directory) : 0;

        return directory && strncmp(path, directory, length) == 0 &&
               (path[length] == '/' || path[length] == '\0' || g_str_equal(directory, "/"));
}

static bool mount(Keeper *keeper, const Options *options, GError **error) {
        auto_descriptor claim = -1;

        if (lies_in(options->mountpoint, options->pool.directory)) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                            "option pool=%s is not allowed: the mountpoint %s lies in it", options->pool.directory,
                            options->mountpoint);
                return false;
        }
        if (!mountpoint_claim(options->mountpoint, &claim, error))
                return false;
        keeper->channel = channel_new(options->mountpoint, options->mount, error);
        return keeper->channel;
}

/*
 * From here on signals are asked for. Not before: reading a large pool takes its time, and may be ended as by default.
 */
static void take_signals(Keeper *keeper) {
        static const int waited_for[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD, SERVER_READY, KEEPER_GIVE };

        signal(SIGCHLD, SIG_DFL);
        sigemptyset(&keeper->signals);
        for (size_t i = 0; i < G_N_ELEMENTS(waited_for); i++)
                sigaddset(&keeper->signals, waited_for[i]);
        sigprocmask(SIG_BLOCK, &keeper->signals, NULL);
}

static bool prepare(Keeper *keeper, const Options *options, GError **error) {
        keeper->pool = pool_new(&options->pool, error);
        if (!keeper->pool || !set_root_policy(options, keeper->pool, error))
                return false;
        if (options->namespaces && !(keeper->namespaces = namespaces_new(keeper->pool, error)))
                return false;
        keeper->ledger = ledger_new(error);
        if (!keeper->ledger || !count_regions(keeper, error))
                return false;
        keeper->notifier = notifier_new(error);
        if (!keeper->notifier)
                return false;
        keeper->confinement = confinement_new(options->io_uring, error);
        if (!keeper->confinement)
                return false;
        take_signals(keeper);
        return mount(keeper, options, error);
}

/* What another keeper has had. */
static bool take_over(Keeper *keeper, const Options *options, GError **error) {
        LedgerHeader *header = ledger_header(keeper->ledger);
        unsigned missing = ledger_mend(keeper->ledger);

        if (missing)
                g_warning("%u descriptors of the mount's are lost: what was reached by them alone is stale", missing);
        keeper->pool = handover_pool(keeper->ledger);
        keeper->channel = handover_channel(keeper->ledger);
        keeper->notifier = handover_notifier(keeper->ledger, &keeper->notifies);
        /* That of another run is no child of this process. */
        if (keeper->given)
                keeper->notifies = 0;
        keeper->served = true;
        /* It was killed together with the keeper that would have counted it. */
        if (header->server == header->restarts + 1)
                ledger_publish(&header->restarts, header->restarts + 1);
        if (!(keeper->confinement = confinement_new(options->io_uring, error)))
                return false;
        if (options->namespaces && !(keeper->namespaces = namespaces_new(keeper->pool, error)))
                return false;
        take_signals(keeper);
        return true;
}

/* In a process that the keeper has started. */
static bool confine(const Keeper *keeper, bool (*enter)(const Confinement *confinement, GError **error)) {
        g_autoptr(GError) error = NULL;

        if (enter(keeper->confinement, &error))
                return true;
        g_printerr("regionfs: %s\n", error->message);
        return false;
}

/* With the signals blocked that end the program, as it is to end after the server. */
static void start_notifier(Keeper *keeper) {
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

/* In the server: the keeper's death is to be told. A keeper that died before this was asked for is told as well. */
static void watch_keeper(pid_t keeper) {
        prctl(PR_SET_PDEATHSIG, SERVER_ORPHANED);
        if (getppid() != keeper)
                raise(SERVER_ORPHANED);
}

/*
 * Starts a server; its process, or -1. The C library's fork() cannot share descriptors. It does a little more than the bare
 * call: it tells the library of the new thread's number, which nothing here asks for; and runs what has been registered to
 * be run, for the sake of other threads, of which there are none.
 */
static pid_t start_server(Keeper *keeper) {
        pid_t server;
        int status;

        keeper->place.keeper = getpid();
        server = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
        if (server != 0)
                return server;
        /* Those that both take stay blocked all the time: one that came in between would be the server's death. */
        server_block_signals();
        watch_keeper(keeper->place.keeper);
        status = confine(keeper, confinement_enter_server) ? server_main(&keeper->place) : EXIT_FAILURE;
        /* Nobody else is left to remove it. */
        if (getppid() != keeper->place.keeper)
                keeper_clear(keeper);
        exit(status);
}

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

/* It does not end before it is asked to, unless someone ends it. */
static void look_after_notifier(Keeper *keeper, pid_t ended) {
        if (ended != keeper->notifies)
                return;
        keeper->notifies = 0;
        if (!ledger_header(keeper->ledger)->ending)
                start_notifier(keeper);
}

/* Whether the server is among the children that have ended; *status is how, as of waitpid(2). */
static bool reap(Keeper *keeper, pid_t server, int *status) {
        bool dead = false;
        int how;

        for (pid_t child; (child = waitpid(-1, &how, WNOHANG)) > 0;) {
                if (child != server) {
                        replacement_take_end(&keeper->replacement, child, how);
                        look_after_notifier(keeper, child);
                } else {
                        *status = how;
                        dead = true;
                }
        }
        return dead;
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

/* Until the server has died; returns how, as of waitpid(2). */
static int wait_for_server(Keeper *keeper, pid_t server) {
        siginfo_t signal;
        int status = 0;

        for (;;) {
                switch (wait_for_signal(keeper, &signal)) {
                case SIGCHLD:
                        if (reap(keeper, server, &status))
                                return status;
                        break;
                case SERVER_READY:
                        guard_dismiss(keeper->ledger);
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
                if (ledger_header(keeper->ledger)->ready)
                        replacement_look(&keeper->replacement, server);
        }
}

/* What it has not passed on means nothing to the new connection. */
static void exchange_notifier(Keeper *keeper) {
        if (keeper->notifies) {
                kill(keeper->notifies, SIGKILL);
                waitpid(keeper->notifies, NULL, 0);
        }
        start_notifier(keeper);
}

/* The service manager keeps what the mount lives by. */
static void exchange_stored(const Keeper *keeper, int old) {
        g_autoptr(GArray) gone = g_array_new(FALSE, FALSE, sizeof(int));

        if (!keeper->manager)
                return;
        g_array_append_val(gone, old);
        store_keep(keeper->manager, keeper->ledger);
        store_forget(keeper->manager, keeper->ledger, gone);
}

static void exchange_descriptor(GArray *descriptors, int old, int new) {
        for (guint i = 0; i < descriptors->len; i++)
                if (g_array_index(descriptors, int, i) == old)
                        g_array_index(descriptors, int, i) = new;
}

/* Mounts afresh, after a server that took the connection with it; see renewal.h. */
static bool renew(Keeper *keeper) {
        LedgerHeader *header = ledger_header(keeper->ledger);
        const Options *options = keeper->place.options;
        g_autoptr(GError) error = NULL;
        int old = keeper->channel->fd;

        ledger_publish(&header->lost, 1);
        ledger_publish(&header->serving, 0);
        renewal_release(keeper->ledger, old);
        keeper->channel = channel_renew(keeper->channel, options->mount, &error);
        keeper->place.channel = keeper->channel;
        if (!keeper->channel) {
                g_warning("%s", error->message);
                return false;
        }
        exchange_descriptor(keeper->place.descriptors, old, keeper->channel->fd);
        handover_note(keeper->ledger, keeper->channel, keeper->pool, options, keeper->replacement.successor->path);
        exchange_stored(keeper, old);
        exchange_notifier(keeper);
        return true;
}

/* The program that this one has replaced may do better, if it waits for that. */
static void give_back(const Keeper *keeper) {
        if (guard_is_posted(keeper->ledger))
                _exit(EXIT_FAILURE);
}

/* A server that dies before it takes a request would be started again and again without end. */
static void rest(Keeper *keeper) {
        uint64_t begun = ledger_header(keeper->ledger)->begun;
        gint64 now = g_get_monotonic_time();

        keeper->in_vain = begun == keeper->begun && now - keeper->died < VAIN ? keeper->in_vain + 1 : 0;
        keeper->begun = begun;
        keeper->died = now;
        if (keeper->in_vain < IN_VAIN)
                return;
        give_back(keeper);
        g_usleep(REST);
}

/* Ends, with the mount in the store of the service manager. Returns where that fails. */
static void give(Keeper *keeper) {
        int result;

        /* The next run starts its own. */
        if (keeper->notifies)
                kill(keeper->notifies, SIGKILL);
        handover_note_notifier(keeper->ledger, keeper->notifier, 0);
        result = store_give(keeper->manager, keeper->ledger);
        if (result == 0)
                _exit(EXIT_SUCCESS);
        replacement_fail(&keeper->replacement, "the service manager does not keep the mount: %s", g_strerror(-result));
}

/*
 * Becomes the program that was asked. Returns where that fails, in one process or another: then a server of this program
 * goes on.
 */
static void hand_over(Keeper *keeper) {
        const char *path = keeper->replacement.successor->path;

        if (keeper->replacement.to_store)
                return give(keeper);
        if (guard_post(keeper->ledger)) {
                replacement_fail(&keeper->replacement, "%s has died before it could go on", path);
                return;
        }
        handover_prepare(keeper->ledger);
        successor_become(keeper->replacement.successor);
        replacement_fail(&keeper->replacement, "cannot run %s: %s", path, g_strerror(errno));
        handover_cancel();
        guard_dismiss(keeper->ledger);
}

/* Serves until a server has ended as it should. The exit status. */
static int serve(Keeper *keeper) {
        LedgerHeader *header = ledger_header(keeper->ledger);

        if (!keeper->notifies)
                start_notifier(keeper);
        for (;;) {
                pid_t server = start_server(keeper);
                bool refused;
                int status;

                if (server < 0) {
                        give_back(keeper);
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
                if (header->ending) {
                        guard_dismiss(keeper->ledger);
                        return EXIT_SUCCESS;
                }
                if (!refused) {
                        keeper->place.previous = status;
                        ledger_publish(&header->restarts, header->restarts + 1);
                }
                if ((header->rings || !header->serving) && !renew(keeper))
                        return EXIT_FAILURE;
                /* It may have died before it saw that; or another image is to. */
                if (keeper->end)
                        raise(keeper->end);
                if (keeper->replacement.yielding)
                        hand_over(keeper);
                if (!refused)
                        rest(keeper);
        }
}

int keeper_run(const Options *options, const Successor *successor, Ledger *ledger, GArray *given, Log *log,
               Background *background) {
        g_autoptr(GError) error = NULL;
        g_auto(Keeper) keeper = {
                .ledger = ledger,
                .background = background,
                .manager = manager_new(),
                .given = given,
                .replacement = { .successor = successor, .log = log },
        };

        if (!(ledger ? take_over(&keeper, options, &error) : prepare(&keeper, options, &error))) {
                g_printerr("regionfs: %s\n", error->message);
                if (ledger)
                        give_back(&keeper);
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
        if (!ledger)
                handover_note(keeper.ledger, keeper.channel, keeper.pool, options, successor->path);
        if (options->watchdog)
                keeper.watchdog = watchdog_new(keeper.ledger, options->watchdog);
        keeper.place = (ServerPlace){
                .options = options,
                .log = log,
                .background = !options->foreground,
                .pool = keeper.pool,
                .namespaces = keeper.namespaces,
                .ledger = keeper.ledger,
                .channel = keeper.channel,
                .notifier = keeper.notifier,
                .descriptors = ledger ? handover_descriptors(ledger) : server_descriptors_open(),
                .previous = SERVER_YIELDED << 8,
                .watchdog = keeper.watchdog,
        };
        return serve(&keeper);
}
