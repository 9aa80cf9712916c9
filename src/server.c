#include "server.h"

#include "backing.h"
#include "channel.h"
#include "descriptor.h"
#include "lifetime.h"
#include "region.h"
#include "renewal.h"
#include "server-descriptors.h"
#include "server-rings.h"
#include "server-session.h"
#include "server-workers.h"
#include "visitor.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <poll.h>
#include <regionfs/regionfs.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* Descriptors that are kept back: what ends the daemon needs some, also when clients have taken all others. */
#define RESERVE 16

/* How often is asked whether what dead servers had in hand is settled. */
#define SETTLING_MS 50

/* How many backing ids at most a dead server has got and not noted, and noted meanwhile. */
#define BACKINGS_IN_DOUBT 1024

typedef struct Server {
        const ServerPlace *place;
        bool follows;                 /* a server that has died */
        struct fuse_session *session; /* owned; has taken over the channel's descriptor */
        Registry *registry;           /* owned */
        Handles *handles;             /* owned */
        Requests *requests;           /* owned */
        Credentials *credentials;     /* owned */
        Lifetimes *lifetimes;         /* owned */
        Refresher *refresher;         /* owned */
        GArray *strays;               /* owned: descriptors (int) of regions to look at again */
        Operations operations;
        bool started;                 /* its gate is open */
        Workers *workers;             /* owned */
        int signals;                  /* owned: signalfd */
        int reserve[RESERVE];         /* owned */
} Server;

/* Whether the kernel takes files of this pool as backing files. */
static int try_backing(const Server *server, const Pool *pool) {
        auto_descriptor file = pool_make_nameless(pool);
        int id;

        if (file < 0)
                return file;
        id = backing_open(fuse_session_fd(server->session), file);
        if (id > 0)
                backing_close(fuse_session_fd(server->session), id);
        return MIN(id, 0);
}

static bool settle_passthrough(Server *server, const Options *options, GError **error) {
        const char *why = NULL;
        int result;

        if (options->passthrough == PASSTHROUGH_OFF) {
                why = "passthrough=off";
        } else if (!credentials_privileged(server->credentials)) {
                why = "passthrough needs root";
        } else if (!server->operations.passthrough) {
                why = "this kernel has no FUSE passthrough, which came with Linux 6.9";
        } else {
                result = try_backing(server, server->operations.pool);
                if (result == -EPERM)
                        why = "passthrough needs CAP_SYS_ADMIN in the initial user namespace";
                else if (result == -ELOOP)
                        why = "the pool is stacked too deep for passthrough";
                else if (result == -ENOTTY)
                        why = "this kernel takes no backing files";
                else if (result < 0)
                        why = g_strerror(-result);
                else if (lifetimes_can_watch(server->place->ledger) < 0)
                        why = "fanotify(7) does not tell of the end of views here";
        }
        server->operations.passthrough = !why;
        ledger_publish(&ledger_header(server->place->ledger)->passthrough, !why);
        if (why && server->operations.rings) {
                /* A connection cannot go back to /dev/fuse: the keeper makes another one. That is no error. */
                ledger_publish(&ledger_header(server->place->ledger)->ringless, 1);
                ledger_publish(&ledger_header(server->place->ledger)->rings, 1);
                return false;
        }
        if (why && options->passthrough == PASSTHROUGH_REQUIRE) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "option passthrough=require cannot be met: %s",
                            why);
                return false;
        }
        if (why)
                g_message("serving %s in cached mode (%s)", server->place->channel->mountpoint, why);
        else
                g_message("serving %s in passthrough mode", server->place->channel->mountpoint);
        return true;
}

static void settle_rings(Server *server) {
        const char *why = NULL;

        if (!server_rings_known())
                why = "libfuse has it as of 3.18";
        else if (!server->operations.passthrough)
                why = "it needs passthrough, as a crash would lose what clients have written through views";
        else if (!server->operations.rings)
                why = "the kernel has it not enabled, see /sys/module/fuse/parameters/enable_uring";
        else if (!server_rings_made())
                why = "libfuse was built without it, or the kernel refuses it, see /proc/sys/kernel/io_uring_disabled";
        server->operations.rings = !why;
        ledger_publish(&ledger_header(server->place->ledger)->rings, !why);
        if (why)
                g_message("option io_uring has no effect: %s", why);
        else
                g_message("serving %s over io_uring", server->place->channel->mountpoint);
}

/* A region's name went with its last handle: the kernel may not believe in it any longer. */
static void take_gone_name(void *data, uint64_t parent, uint64_t id, const char *name) {
        const Server *server = data;

        notifier_tell(server->place->notifier, parent, id, name);
}

static bool start_lifetimes(Server *server, GError **error) {
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

static void find_sources(Server *server) {
        g_autoptr(GArray) ids = registry_in_doubt(server->registry, REGISTRY_LACKS_SOURCE);

        for (guint i = 0; i < ids->len; i++) {
                uint64_t id = g_array_index(ids, uint64_t, i);
                PoolRef ref;
                auto_descriptor fd = -1;
                Source *source;

                if (registry_resolve(server->registry, id, &ref) == 0)
                        fd = pool_open(server->place->pool, &ref, O_PATH);
                if (fd >= 0 && source_restore(fd, &source) == 0 && source)
                        registry_set_source(server->registry, id, source);
        }
}

/* What the dead server may have left undone. */
static void settle_doubts(Server *server) {
        g_autoptr(GArray) ids = registry_in_doubt(server->registry, REGISTRY_MAY_HAVE_ENDED);

        for (guint i = 0; i < ids->len; i++)
                lifetimes_consider(server->lifetimes, g_array_index(ids, uint64_t, i));
        for (guint i = 0; i < server->strays->len; i++)
                lifetimes_look_again(server->lifetimes, g_array_index(server->strays, int, i));
        g_array_set_size(server->strays, 0);
}

/* Each thread is to have a umask of its own: tried before any is started. */
static bool try_threads(GError **error) {
        int result = credentials_prepare_thread();

        if (result < 0)
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-result),
                            "cannot give threads a umask of their own with unshare(2): %s", g_strerror(-result));
        return result == 0;
}

static bool begin(Server *server, GError **error) {
        if (!try_threads(error) || !settle_passthrough(server, server->place->options, error))
                return false;
        if (server->place->options->io_uring)
                settle_rings(server);
        return start_lifetimes(server, error);
}

/*
 * A server that dies between getting a backing id and noting it would leave the kernel a file open for good. Ids are given out
 * in order: what it may have got lies below the next one.
 */
static void give_up_backings(Server *server) {
        int first = requests_first_backing(server->place->ledger), channel = fuse_session_fd(server->session);
        auto_descriptor file = first ? memfd_create("regionfs-next", MFD_CLOEXEC) : -1;
        int next = file >= 0 ? backing_open(channel, file) : -1;

        /* Each request may have got one, so they are the last ones. */
        for (int id = MAX(first, next - BACKINGS_IN_DOUBT); id < next; id++)
                if (!registry_has_backing(server->registry, id))
                        backing_close(channel, id);
        if (next <= 0)
                return;
        backing_close(channel, next);
        /* Not before, as this server may die too. */
        requests_backings_given_up(server->place->ledger);
}

/* Goes on in the mode of the dead server. */
static bool follow(Server *server, GError **error) {
        server->operations.passthrough = ledger_header(server->place->ledger)->passthrough;
        find_sources(server);
        give_up_backings(server);
        return start_lifetimes(server, error);
}

/*
 * A kernel that does not repeat requests, before Linux 6.9: the workers take them from the dead server's buffers. What is found
 * in none is answered, as its client would wait for good.
 */
static void put_back_left(Server *server) {
        g_autoptr(GArray) left = requests_put_back(server->requests);

        for (guint i = 0; i < left->len; i++) {
                uint64_t unique = g_array_index(left, uint64_t, i);

                if (!server_session_is_awaited(server->session, unique))
                        continue;
                g_warning("request %" PRIu64 " is answered with an error: this kernel does not repeat requests", unique);
                if (requests_begin_left(server->requests, unique))
                        operations_take_back(&server->operations);
                server_session_fail(server->session, unique);
                requests_end(server->requests);
        }
}

static void take_requests(Server *server) {
        if (server_session_ask_again(server->session))
                requests_clear_buffers(server->requests);
        else
                put_back_left(server);
}

static bool start(Server *server, GError **error) {
        LedgerHeader *header = ledger_header(server->place->ledger);

        server->session = server_session_new(server->place, &server->operations, error);
        if (!server->session ||
            !(server->follows ? follow(server, error) : begin(server, error)))
                return false;
        start_refresher(server);
        if (server->follows)
                take_requests(server);
        /* Clients may go on from here: whatever happens to this server, there is to be another. */
        ledger_publish(&header->serving, 1);
        ledger_publish(&header->server, header->restarts + 1);
        server->workers = workers_new(&server->operations, server->place->ledger, server->requests,
                                      server->place->options->max_threads, error);
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
        int result = header->ready ? 0 : visitor_look(mountpoint, fuse_session_fd(server->session));

        if (result < 0) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-result), "the mount on %s does not answer: %s",
                            mountpoint, g_strerror(-result));
                return false;
        }
        if (!header->ready && server->place->background)
                log_to_system(server->place->log);
        ledger_publish(&header->ready, 1);
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

/*
 * A dead server may have read the report of a close, or been about to: the region that this was on is to be looked at again.
 * By its descriptor, as the kernel may have forgotten it. It stays open until that is sure to happen.
 */
static bool take_stray(void *data, int fd) {
        Server *server = data;
        int flags = fcntl(fd, F_GETFL);
        struct stat st;

        if (flags < 0 || !(flags & LIFETIMES_REPORT_FLAG) || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return false;
        /* It may have died while it tried one: whoever opens the region would wait. */
        fcntl(fd, F_SETLEASE, F_UNLCK);
        g_array_append_val(server->strays, fd);
        return true;
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
                                         header->reports ? take_stray : NULL, server);
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
                .device = place->channel->device,
                .passthrough = place->options->passthrough != PASSTHROUGH_OFF &&
                               credentials_privileged(server->credentials),
                .rings = place->options->io_uring && server_rings_known() && !ledger_header(place->ledger)->ringless,
        };
        if (pthread_key_create(&server->operations.prepared, NULL) != 0)
                g_error("cannot tell threads apart");
        g_mutex_init(&server->operations.gate);
        g_mutex_lock(&server->operations.gate);
        return start(server, error) ? g_steal_pointer(&server) : NULL;
}

/* What clients have written through views is in the page cache alone, without passthrough: into the pool with it. */
static void write_back(const Server *server) {
        g_autofree char *mountpoint = channel_find(server->place->channel);
        int result = mountpoint ? visitor_sync(mountpoint, fuse_session_fd(server->session)) : -ENOENT;

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
static End wait_for_end(const Server *server) {
        struct pollfd sources[] = {
                { .fd = server->signals, .events = POLLIN },
                { .fd = workers_ended(server->workers), .events = POLLIN },
        };
        bool settled = !server->follows;
        End end = GOES_ON;

        while (end == GOES_ON) {
                int found = poll(sources, G_N_ELEMENTS(sources), settled ? -1 : SETTLING_MS);

                if (found == 0)
                        settled = requests_give_up(server->requests);
                if (found <= 0)
                        continue;
                end = sources[0].revents ? take_signal(server) : MOUNT_ENDED;
        }
        return end;
}

/* What threads have in hand is finished; what waits for the kernel, or for regions' ends, is left as by a server that dies. */
static G_NORETURN void yield(Server *server) {
        g_info("this server makes way for another one");
        workers_free(server->workers);
        _exit(SERVER_YIELDED);
}

static void run(Server *server) {
        End end = wait_for_end(server);

        if (end == ASKED_TO_YIELD)
                yield(server);
        /* A server that dies from here on is not replaced: the keeper takes the mount away. */
        ledger_publish(&ledger_header(server->place->ledger)->ending, 1);
        if (end == MOUNT_ENDED)
                return;
        g_info("a signal asks to end");
        give_reserve(server);
        write_back(server);
}

static void server_free(Server *server) {
        if (!server)
                return;
        /* Threads of libfuse wait for what does not come: they end with the process, and need what they have till then. */
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
        workers_free(server->workers);
        if (server->operations.rings && server->session)
                server_rings_stop(server->session);
        lifetimes_free(server->lifetimes);
        refresher_free(server->refresher);
        /* The descriptor first: the kernel would wait for answers that nobody gives any more. */
        if (server->session)
                fuse_session_destroy(server->session);
        if (ledger_header(server->place->ledger)->ending)
                channel_close(server->place->channel);
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
        settle_doubts(server);
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
                tell_previous(place, "the mount was made afresh, and handles of before are void");
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
