#include "server/server-parts.h"

#include "base/descriptor.h"
#include "kernel/backing.h"
#include "kernel/visitor.h"
#include "mount/channel.h"
#include "server/guard.h"
#include "server/renewal.h"
#include "server/server-descriptors.h"
#include "server/server-rings.h"
#include "server/server-session.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

/* How often is asked whether what dead servers had in hand is settled. */
#define SETTLING_MS 50

/* How long the only thread waits for others, in milliseconds. */
#define SINGLE_PATIENCE 1000

/* Of how many regions that are not open the kernel keeps the file. */
#define BACKINGS_KEPT 64

/* A region's name went with its last handle: the kernel may not believe in it any longer. */
static void take_gone_name(void *data, uint64_t parent, uint64_t id, const char *name) {
        const Server *server = data;

        notifier_tell(server->place->notifier, parent, id, name);
}

bool server_start_lifetimes(Server *server, GError **error) {
        server->lifetimes = lifetimes_new(server->operations.pool, server->registry, server->place->ledger,
                                          server->operations.passthrough, take_gone_name, server, error);
        server->operations.lifetimes = server->lifetimes;
        return server->lifetimes;
}

static void start_refresher(Server *server) {
        server->refresher = refresher_new(server->operations.pool, server->place->channel,
                                          fuse_session_fd(server->session));
        server->operations.refresher = server->refresher;
}

static Workers *start_workers(const Server *server, GError **error) {
        return workers_new(&server->operations, server->place->ledger, server->requests,
                           server->place->options->max_threads, error);
}

static bool start(Server *server, GError **error) {
        LedgerHeader *header = ledger_header(server->place->ledger);

        server->session = server_session_new(server->place, &server->operations, error);
        if (!server->session ||
            !(server->follows ? server_follow(server, error) : server_settle(server, error)))
                return false;
        /* What others may remove is not to be kept from going. */
        if (server->operations.passthrough && server->operations.pool->kind != POOL_DIRECTORY)
                registry_keep_backings(server->registry, BACKINGS_KEPT);
        start_refresher(server);
        if (server->follows)
                server_take_requests(server);
        /* Clients may go on from here: whatever happens to this server, there is to be another. */
        ledger_publish(&header->serving, 1);
        ledger_publish(&header->server, header->restarts + 1);
        server->workers = start_workers(server, error);
        if (!server->workers)
                return false;
        server->started = true;
        g_mutex_unlock(&server->operations.gate);
        return true;
}

/* Whether the mount works, which is known where it did once. Told to the keeper. */
static bool try_mount(const Server *server, GError **error) {
        LedgerHeader *header = ledger_header(server->place->ledger);
        const char *mountpoint = server->place->channel->mountpoint;
        int result = header->ready ? 0 : visitor_look(mountpoint);

        if (result < 0) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-result), "the mount on %s does not answer: %s",
                            mountpoint, g_strerror(-result));
                return false;
        }
        if (!header->ready && server->place->background)
                log_to_system(server->place->log);
        ledger_publish(&header->ready, 1);
        /* Whatever this one has in hand is for the guard's server. */
        if (server->place->guarded && !guard_pass(server->place->ledger, server->place->keeper))
                _exit(EXIT_FAILURE);
        kill(server->place->keeper, SERVER_READY);
        return true;
}

static Registry *make_registry(const ServerPlace *place, GError **error) {
        const Pool *pool = place->pool;
        g_auto(PoolRef) root = POOL_REF_INIT;
        struct stat st;
        int result = pool_identify(pool, pool->fd, &root, &st);

        if (result == 0)
                return registry_new(place->ledger, &root, !pool->by_handle);
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-result), "cannot read the pool: %s", g_strerror(-result));
        return NULL;
}

static void keep_reserve(Server *server) {
        for (int i = 0; i < RESERVE; i++)
                server->reserve[i] = fcntl(server->signals, F_DUPFD_CLOEXEC, 0);
}

static void give_reserve(Server *server) {
        for (int i = 0; i < RESERVE; i++)
                descriptor_clear(&server->reserve[i]);
}

static const int signals_taken[] = { SIGTERM, SIGINT, SERVER_YIELD, SERVER_ORPHANED };

static void fill_signals(sigset_t *signals) {
        sigemptyset(signals);
        for (size_t i = 0; i < G_N_ELEMENTS(signals_taken); i++)
                sigaddset(signals, signals_taken[i]);
}

void server_block_signals(void) {
        sigset_t signals;

        fill_signals(&signals);
        sigprocmask(SIG_SETMASK, &signals, NULL);
}

static bool take_signals(Server *server, GError **error) {
        sigset_t signals;

        fill_signals(&signals);
        server->signals = signalfd(-1, &signals, SFD_CLOEXEC);
        if (server->signals >= 0)
                return true;
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot watch for signals: %s", g_strerror(errno));
        return false;
}

/* Reads the ledger, and gives up what a dead server has had besides. */
static bool take_stock(Server *server, GError **error) {
        const ServerPlace *place = server->place;

        ledger_recover(place->ledger);
        if (server->follows)
                ledger_audit(place->ledger, place->descriptors);
        server->registry = make_registry(place, error);
        if (!server->registry)
                return false;
        server->handles = handles_new(place->ledger);
        if (server->follows) {
                const LedgerHeader *header = ledger_header(place->ledger);

                server_descriptors_sweep(place->descriptors, place->ledger, ledger_descriptor(header->reports),
                                         header->reports ? server_take_stray : NULL, server);
        }
        server->requests = requests_new(place->ledger, server->registry);
        ledger_tell_damage(place->ledger);
        return true;
}

static void server_free(Server *server);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Server, server_free)

static Server *server_new(const ServerPlace *place, GError **error) {
        g_autoptr(Server) server = g_new0(Server, 1);

        server->place = place;
        server->follows = ledger_header(place->ledger)->serving;
        server->strays = g_array_new(FALSE, FALSE, sizeof(int));
        server->signals = -1;
        for (int i = 0; i < RESERVE; i++)
                server->reserve[i] = -1;
        if (!take_stock(server, error) || !take_signals(server, error))
                return NULL;
        keep_reserve(server);
        server->credentials = credentials_new();
        server->operations = (Operations){
                .pool = place->pool,
                .registry = server->registry,
                .handles = server->handles,
                .requests = server->requests,
                .ledger = place->ledger,
                .credentials = server->credentials,
                .namespaces = place->namespaces,
                .attr_timeout = place->options->attr_timeout,
                .unlisted = place->options->unlisted,
                .device = place->channel->device,
                .errands = errands_new(MAX(workers_most(place->options->max_threads) / 2, 1)),
                .passthrough = place->options->passthrough != PASSTHROUGH_OFF &&
                               credentials_privileged(server->credentials),
                .rings = place->options->io_uring && server_rings_known() && !ledger_header(place->ledger)->ringless,
        };
        /* Where nobody else answers. */
        if (workers_most(place->options->max_threads) < 2)
                errands_restrict(server->operations.errands, 1, SINGLE_PATIENCE);
        if (pthread_key_create(&server->operations.prepared, NULL) != 0)
                g_error("cannot tell threads apart");
        g_mutex_init(&server->operations.gate);
        g_mutex_lock(&server->operations.gate);
        return start(server, error) ? g_steal_pointer(&server) : NULL;
}

/* What clients have written through views is in the page cache alone, without passthrough: into the pool with it. */
static void write_back(const Server *server) {
        g_autofree char *mountpoint = channel_find(server->place->channel);
        int result = mountpoint ? visitor_sync(mountpoint) : -ENOENT;

        if (result < 0)
                g_warning("cannot write back what views hold: %s", g_strerror(-result));
}

/* Why it is time to end. */
typedef enum End {
        GOES_ON,
        MOUNT_ENDED,
        ASKED_TO_END,
        ASKED_TO_YIELD,
} End;

static End take_signal(const Server *server) {
        struct signalfd_siginfo signal;

        if (read(server->signals, &signal, sizeof(signal)) != sizeof(signal))
                return GOES_ON;
        switch (signal.ssi_signo) {
        case SERVER_ORPHANED:
                if (getppid() == server->place->keeper)
                        return GOES_ON;
                g_warning("the keeper has died: this server goes on, but will not be replaced when it dies");
                return GOES_ON;
        case SERVER_YIELD:
                /* From anyone else, such as a terminal that has gone, it is the keeper's to take. */
                return signal.ssi_pid == (uint32_t)server->place->keeper ? ASKED_TO_YIELD : GOES_ON;
        default:
                return ASKED_TO_END;
        }
}

/* Until it is time to end. */
static End wait_for_end(Server *server) {
        struct pollfd sources[] = {
                { .fd = server->signals, .events = POLLIN },
                { .fd = workers_ended(server->workers), .events = POLLIN },
        };
        bool settled = !server->follows;
        End end = GOES_ON;

        while (end == GOES_ON) {
                int found = poll(sources, G_N_ELEMENTS(sources), settled ? -1 : SETTLING_MS);

                if (found == 0)
                        settled = requests_give_up(server->requests, server_abandon, server);
                if (found <= 0)
                        continue;
                end = sources[0].revents ? take_signal(server) : MOUNT_ENDED;
        }
        return end;
}

/*
 * What threads have in hand is finished; what waits for the kernel, or for regions' ends, is left as by a server that
 * dies. Returns if the keeper has died meanwhile: nobody would take the mount over.
 */
static void yield(Server *server) {
        g_autoptr(GError) error = NULL;

        g_info("this server makes way for another one");
        workers_free(server->workers);
        if (getppid() == server->place->keeper)
                _exit(SERVER_YIELDED);
        fuse_session_reset(server->session);
        server->workers = start_workers(server, &error);
        if (!server->workers)
                g_error("%s", error->message);
}

static void run(Server *server) {
        End end;

        while ((end = wait_for_end(server)) == ASKED_TO_YIELD)
                yield(server);
        /* A server that dies from here on is not replaced: the keeper takes the mount away. */
        ledger_publish(&ledger_header(server->place->ledger)->ending, 1);
        if (end == MOUNT_ENDED)
                return;
        g_info("a signal asks to end");
        give_reserve(server);
        write_back(server);
}

/* A client that still is in the mount keeps the connection, which would keep the pool by what is registered. */
static void end_backings(const Server *server) {
        int backing_id;

        while ((backing_id = registry_end_backings(server->registry)) > 0)
                backing_close(fuse_session_fd(server->session), backing_id);
}

static void server_free(Server *server) {
        if (!server)
                return;
        /*
         * Threads of libfuse wait for what does not come: they end with the process, and need what they have till then.
         */
        if (server->operations.rings && server->session && !server->started)
                return;
        give_reserve(server);
        /* Before the workers: all of them may have to wait for those. */
        if (server->lifetimes)
                lifetimes_stop(server->lifetimes);
        if (server->refresher)
                refresher_stop(server->refresher);
        if (ledger_header(server->place->ledger)->ending)
                notifier_end(server->place->notifier);
        errands_stop(server->operations.errands);
        workers_free(server->workers);
        if (server->operations.rings && server->session)
                server_rings_stop(server->session);
        lifetimes_free(server->lifetimes);
        refresher_free(server->refresher);
        if (server->session && ledger_header(server->place->ledger)->ending)
                end_backings(server);
        /* The descriptor first: the kernel would wait for answers that nobody gives any more. */
        if (server->session)
                fuse_session_destroy(server->session);
        if (ledger_header(server->place->ledger)->ending)
                channel_close(server->place->channel);
        errands_free(server->operations.errands);
        requests_free(server->requests);
        registry_free(server->registry);
        handles_free(server->handles);
        if (server->credentials) {
                pthread_key_delete(server->operations.prepared);
                if (!server->started)
                        g_mutex_unlock(&server->operations.gate);
                g_mutex_clear(&server->operations.gate);
        }
        credentials_free(server->credentials);
        descriptor_clear(&server->signals);
        g_array_unref(server->strays);
        g_free(server);
}

/* The first server of a mount: whoever has started it waits for what comes of it. */
static Server *open_mount(const ServerPlace *place, GError **error) {
        g_autoptr(Server) server = NULL;
        g_autofree char *complaint = NULL;

        log_begin_setup(place->log);
        server = server_new(place, error);
        complaint = log_end_setup(place->log);
        if (!server && complaint)
                g_prefix_error(error, "%s: ", complaint);
        return g_steal_pointer(&server);
}

/* The mount is a new one, over the pool of before. */
static bool renew(const ServerPlace *place, GError **error) {
        LedgerHeader *header = ledger_header(place->ledger);
        int result;

        if (place->background && header->ready)
                log_to_system(place->log);
        result = renewal_begin(place->ledger, place->pool, place->descriptors);
        if (result < 0) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-result), "cannot go on with the pool: %s",
                            g_strerror(-result));
                return false;
        }
        return true;
}

static void tell_previous(const ServerPlace *place, const char *consequence) {
        if (WIFSIGNALED(place->previous))
                g_message("the server died by signal %d (%s): %s", WTERMSIG(place->previous),
                          strsignal(WTERMSIG(place->previous)), consequence);
        else if (WEXITSTATUS(place->previous) == SERVER_YIELDED)
                g_message("the server has made way to one of regionfs %s: %s", REGIONFS_VERSION, consequence);
        else
                g_message("the server ended unexpectedly (status %d): %s", WEXITSTATUS(place->previous), consequence);
}

/* A mount that was made afresh. */
static void tell_renewal(const ServerPlace *place) {
        if (WIFEXITED(place->previous) && WEXITSTATUS(place->previous) == SERVER_YIELDED)
                g_warning("as requests come over io_uring, the mount was made afresh for regionfs %s: handles of before are void",
                          REGIONFS_VERSION);
        else
                tell_previous(place, "the mount was made afresh, and handles of before are void");
}

static Server *reopen_mount(const ServerPlace *place, GError **error) {
        LedgerHeader *header = ledger_header(place->ledger);
        g_autofree char *killed = place->watchdog ? watchdog_explain(place->watchdog) : NULL;
        g_autoptr(Server) server = NULL;

        if (place->background && header->ready)
                log_to_system(place->log);
        if (killed)
                g_warning("%s", killed);
        server = server_new(place, error);
        if (!server)
                return NULL;
        server_settle_doubts(server);
        tell_previous(place, "this one goes on in its place");
        return g_steal_pointer(&server);
}

int server_main(const ServerPlace *place) {
        bool follows = ledger_header(place->ledger)->serving, renews = ledger_header(place->ledger)->lost;
        g_autoptr(GError) error = NULL;
        Server *server = NULL;
        bool good;

        if (follows)
                server = reopen_mount(place, &error);
        else if (!renews || renew(place, &error))
                server = open_mount(place, &error);
        if (server && renews && place->previous)
                tell_renewal(place);
        good = server && try_mount(server, &error);
        if (good)
                run(server);
        else if (error)
                g_printerr("regionfs: %s\n", error->message);
        server_free(server);
        if (good)
                channel_unmount(place->channel);
        return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
