#include "server.h"

#include "backing.h"
#include "channel.h"
#include "descriptor.h"
#include "lifetime.h"
#include "operations.h"
#include "region.h"
#include "server-workers.h"
#include "visitor.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <poll.h>
#include <regionfs/regionfs.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* Descriptors that are kept back: what ends the daemon needs some, also when clients have taken all others. */
#define RESERVE 16

struct Server {
        struct fuse_session *session; /* owned */
        Channel *channel;             /* owned: the mount; its descriptor is the session's */
        Registry *registry;           /* owned */
        Handles *handles;             /* owned */
        Credentials *credentials;     /* owned */
        Lifetimes *lifetimes;         /* owned */
        Refresher *refresher;         /* owned */
        Namespaces *namespaces;       /* owned; NULL: none */
        Operations operations;
        Workers *workers;             /* owned */
        int signals;                  /* owned: signalfd */
        int reserve[RESERVE];         /* owned */
};

static void take_from_libfuse(enum fuse_log_level level, const char *format, va_list arguments) G_GNUC_PRINTF(2, 0);

static void take_from_libfuse(enum fuse_log_level level, const char *format, va_list arguments) {
        g_autofree char *message = g_strdup_vprintf(format, arguments);
        GLogLevelFlags as = level <= FUSE_LOG_WARNING ? G_LOG_LEVEL_WARNING :
                            level <= FUSE_LOG_INFO    ? G_LOG_LEVEL_INFO :
                                                        G_LOG_LEVEL_DEBUG;

        g_log(LOG_DOMAIN_LIBFUSE, as, "%s", g_strchomp(message));
}

static bool new_session(Server *server, const Options *options, GError **error) {
        struct fuse_args arguments = FUSE_ARGS_INIT(0, NULL);

        fuse_opt_add_arg(&arguments, "regionfs");
        if (options->debug)
                fuse_opt_add_arg(&arguments, "-d");
        if (options->allow_root)
                fuse_opt_add_arg(&arguments, "-oallow_root");
        server->session = fuse_session_new(&arguments, &operations_table, sizeof(operations_table), &server->operations);
        server->operations.session = server->session;
        fuse_opt_free_args(&arguments);
        if (!server->session)
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "libfuse gives no session");
        return server->session;
}

/* Whether a path is below a directory, which may be NULL; both are absolute and without links. */
static bool lies_in(const char *path, const char *directory) {
        size_t length = directory ? strlen(directory) : 0;

        return directory && strncmp(path, directory, length) == 0 &&
               (path[length] == '/' || path[length] == '\0' || g_str_equal(directory, "/"));
}

static bool mount_session(Server *server, const Options *options, GError **error) {
        char path[DESCRIPTOR_PATH_MAX];
        int fd;

        if (lies_in(options->mountpoint, options->pool.directory)) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                            "option pool=%s is not allowed: the mountpoint %s lies in it", options->pool.directory,
                            options->mountpoint);
                return false;
        }
        if (getxattr(options->mountpoint, REGIONFS_ATTRIBUTE_VERSION, NULL, 0) >= 0) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS,
                            "cannot mount on %s: a regionfs is mounted there already", options->mountpoint);
                return false;
        }
        server->channel = channel_new(options->mountpoint, options->mount, error);
        if (!server->channel)
                return false;
        fd = channel_take_fd(server->channel);
        g_snprintf(path, sizeof(path), "/dev/fd/%d", fd);
        if (fuse_session_mount(server->session, path) == 0)
                return true;
        close(fd);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "libfuse does not take the channel");
        return false;
}

/* Answers the first request, which settles with the kernel what both can do. Nothing else comes before it. */
static bool initialize(Server *server, GError **error) {
        struct fuse_buf request = { 0 };
        int size;

        do
                size = fuse_session_receive_buf(server->session, &request);
        while (size == -EINTR);
        if (size > 0)
                fuse_session_process_buf(server->session, &request);
        free(request.mem);
        if (size > 0 && !fuse_session_exited(server->session))
                return true;
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the kernel and libfuse do not agree on a protocol");
        return false;
}

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
                else if (result < 0)
                        why = g_strerror(-result);
        }
        server->operations.passthrough = !why;
        if (why && options->passthrough == PASSTHROUGH_REQUIRE) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "option passthrough=require cannot be met: %s",
                            why);
                return false;
        }
        if (why)
                g_message("serving %s in cached mode (%s)", server->channel->mountpoint, why);
        else
                g_message("serving %s in passthrough mode", server->channel->mountpoint);
        return true;
}

/* A region's name went with its last handle: the kernel may not believe in it any longer. */
static void take_gone_name(void *data, uint64_t parent, uint64_t id, const char *name) {
        Server *server = data;
        int result = fuse_lowlevel_notify_delete(server->session, parent, id, name, strlen(name));

        /* It knew nothing of the name, or is about to end. */
        if (result < 0 && result != -ENOENT && result != -ENOTCONN && result != -ENODEV)
                g_warning("cannot tell the kernel that a name has gone: %s", g_strerror(-result));
}

static bool start_lifetimes(Server *server, GError **error) {
        server->lifetimes = lifetimes_new(server->operations.pool, server->registry, server->operations.passthrough,
                                          take_gone_name, server, error);
        server->operations.lifetimes = server->lifetimes;
        return server->lifetimes;
}

static void start_refresher(Server *server) {
        server->refresher = refresher_new(server->operations.pool, server->channel->mountpoint,
                                          fuse_session_fd(server->session));
        server->operations.refresher = server->refresher;
}

/* Of what is known without asking: the mount is ours to answer for. */
static bool learn_device(Server *server, GError **error) {
        struct statx stx;

        if (statx(AT_FDCWD, server->channel->mountpoint, AT_STATX_DONT_SYNC, 0, &stx) < 0) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot look at the mount on %s: %s",
                            server->channel->mountpoint, g_strerror(errno));
                return false;
        }
        server->operations.device = makedev(stx.stx_dev_major, stx.stx_dev_minor);
        return true;
}

static bool start(Server *server, const Options *options, GError **error) {
        int result;

        if (!new_session(server, options, error) || !mount_session(server, options, error) || !initialize(server, error) ||
            !learn_device(server, error) || !settle_passthrough(server, options, error) ||
            !start_lifetimes(server, error))
                return false;
        start_refresher(server);
        server->workers = workers_new(server->session, options->max_threads, error);
        if (!server->workers)
                return false;
        result = visitor_look(server->channel->mountpoint, fuse_session_fd(server->session));
        if (result < 0) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-result), "the mount on %s does not answer: %s",
                            server->channel->mountpoint, g_strerror(-result));
                return false;
        }
        return true;
}

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

static Registry *make_registry(const Pool *pool, GError **error) {
        g_auto(PoolRef) root = POOL_REF_INIT;
        Registry *registry;
        uint64_t regions;
        struct stat st;
        int result = pool_identify(pool, pool->fd, &root, &st);

        if (result == 0)
                result = pool_count_regions(pool, &regions);
        if (result < 0) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-result), "cannot read the pool: %s",
                            g_strerror(-result));
                return NULL;
        }
        registry = registry_new(&root, !pool->by_handle);
        registry_regions_changed(registry, regions);
        return registry;
}

static void keep_reserve(Server *server) {
        for (int i = 0; i < RESERVE; i++)
                server->reserve[i] = fcntl(server->signals, F_DUPFD_CLOEXEC, 0);
}

static void give_reserve(Server *server) {
        for (int i = 0; i < RESERVE; i++)
                descriptor_clear(&server->reserve[i]);
}

/*
 * From here on the signals that end the daemon are asked for, by all threads that come. Not before: reading a large pool
 * takes its time, and may be ended as by default.
 */
static bool take_signals(Server *server, GError **error) {
        sigset_t signals;

        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGHUP);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        server->signals = signalfd(-1, &signals, SFD_CLOEXEC);
        if (server->signals >= 0)
                return true;
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot watch for signals: %s", g_strerror(errno));
        return false;
}

Server *server_new(const Options *options, const Pool *pool, Log *log, GError **error) {
        g_autoptr(Server) server = g_new0(Server, 1);
        g_autofree char *complaint = NULL;
        bool started;

        server->signals = -1;
        for (int i = 0; i < RESERVE; i++)
                server->reserve[i] = -1;
        if (!set_root_policy(options, pool, error))
                return NULL;
        if (options->namespaces && !(server->namespaces = namespaces_new(pool, error)))
                return NULL;
        server->registry = make_registry(pool, error);
        if (!server->registry || !take_signals(server, error))
                return NULL;
        keep_reserve(server);
        server->handles = handles_new();
        server->credentials = credentials_new();
        server->operations = (Operations){
                .pool = pool,
                .registry = server->registry,
                .handles = server->handles,
                .credentials = server->credentials,
                .namespaces = server->namespaces,
                .passthrough = options->passthrough != PASSTHROUGH_OFF && credentials_privileged(server->credentials),
        };


        log_begin_setup(log);
        fuse_set_log_func(take_from_libfuse);
        started = start(server, options, error);
        complaint = log_end_setup(log);
        if (started)
                return g_steal_pointer(&server);
        if (complaint)
                g_prefix_error(error, "%s: ", complaint);
        return NULL;
}

/* What clients have written through views is in the page cache alone, without passthrough: into the pool with it. */
static void write_back(const Server *server) {
        int result = visitor_sync(server->channel->mountpoint, fuse_session_fd(server->session));

        if (result < 0)
                g_warning("cannot write back what views hold: %s", g_strerror(-result));
}

void server_run(Server *server) {
        struct pollfd sources[] = {
                { .fd = server->signals, .events = POLLIN },
                { .fd = workers_ended(server->workers), .events = POLLIN },
        };

        while (poll(sources, G_N_ELEMENTS(sources), -1) < 0 && errno == EINTR)
                ;
        if (sources[0].revents) {
                g_info("a signal asks to end");
                give_reserve(server);
                write_back(server);
        }
}

void server_free(Server *server) {
        if (!server)
                return;
        give_reserve(server);
        /* Before the workers: both may have to wait for them. */
        if (server->lifetimes)
                lifetimes_stop(server->lifetimes);
        if (server->refresher)
                refresher_stop(server->refresher);
        workers_free(server->workers);
        lifetimes_free(server->lifetimes);
        refresher_free(server->refresher);
        /* The descriptor first: the kernel would wait for answers that nobody gives any more. */
        if (server->session)
                fuse_session_destroy(server->session);
        channel_free(server->channel);
        registry_free(server->registry);
        handles_free(server->handles);
        credentials_free(server->credentials);
        namespaces_free(server->namespaces);
        descriptor_clear(&server->signals);
        g_free(server);
}
