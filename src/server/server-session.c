#include "server/server-session.h"

#include "base/descriptor.h"
#include "kernel/wire.h"
#include "server/server-rings.h"

#include <gio/gio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

static void take_from_libfuse(enum fuse_log_level level, const char *format, va_list arguments) G_GNUC_PRINTF(2, 0);

static void take_from_libfuse(enum fuse_log_level level, const char *format, va_list arguments) {
        g_autofree char *message = g_strdup_vprintf(format, arguments);
        GLogLevelFlags as = level <= FUSE_LOG_WARNING ? G_LOG_LEVEL_WARNING :
                            level <= FUSE_LOG_INFO    ? G_LOG_LEVEL_INFO :
                                                        G_LOG_LEVEL_DEBUG;

        g_log(LOG_DOMAIN_LIBFUSE, as, "%s", g_strchomp(message));
}

static struct fuse_session *make(const ServerPlace *place, Operations *operations, GError **error) {
        const Options *options = place->options;
        struct fuse_args arguments = FUSE_ARGS_INIT(0, NULL);
        struct fuse_session *session;

        fuse_opt_add_arg(&arguments, "regionfs");
        if (options->debug)
                fuse_opt_add_arg(&arguments, "-d");
        if (options->allow_root)
                fuse_opt_add_arg(&arguments, "-oallow_root");
        if (operations->rings)
                server_rings_ask(&arguments);
        session = fuse_session_new(&arguments, &operations_table, sizeof(operations_table), operations);
        operations->session = session;
        fuse_opt_free_args(&arguments);
        if (!session)
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "libfuse gives no session");
        return session;
}

/* By a descriptor of its own: a server that fails to start closes it, and the next one has the channel yet. */
static bool take_channel(const ServerPlace *place, struct fuse_session *session, GError **error) {
        auto_descriptor own = channel_duplicate(place->channel);
        char path[DESCRIPTOR_PATH_MAX];

        g_snprintf(path, sizeof(path), "/dev/fd/%d", own);
        if (own >= 0 && fuse_session_mount(session, path) == 0) {
                descriptor_steal(&own);
                return true;
        }
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "libfuse does not take the channel");
        return false;
}

/* Answers the first request, which settles with the kernel what both can do. Nothing else comes before it. */
static bool receive_init(const ServerPlace *place, struct fuse_session *session) {
        LedgerHeader *header = ledger_header(place->ledger);
        struct fuse_buf request = { 0 };
        int size;

        do
                size = fuse_session_receive_buf(session, &request);
        while (size == -EINTR);
        if (size > 0 && size <= LEDGER_INIT_MAX) {
                memcpy(header->init, request.mem, size);
                ledger_publish(&header->init_size, size);
                fuse_session_process_buf(session, &request);
        }
        free(request.mem);
        return size > 0 && size <= LEDGER_INIT_MAX;
}

/*
 * Whether what the ledger holds is the kernel's first request. Without it there is no going on: the keeper ends the
 * mount.
 */
static bool init_is_good(LedgerHeader *header) {
        const struct fuse_in_header *request = (const struct fuse_in_header *)(const void *)header->init;

        if (header->init_size >= sizeof(*request) && request->len == header->init_size && request->opcode == FUSE_INIT)
                return true;
        g_warning("the ledger is damaged: the kernel's first request is lost");
        ledger_publish(&header->ending, 1);
        return false;
}

/*
 * This session learns what was settled with a dead one: from the same request, whose second answer the kernel ignores.
 */
static bool repeat_init(const ServerPlace *place, struct fuse_session *session) {
        LedgerHeader *header = ledger_header(place->ledger);
        struct fuse_buf request = { .size = header->init_size, .mem = header->init, .mem_size = header->init_size };

        if (!init_is_good(header))
                return false;
        fuse_session_process_buf(session, &request);
        return true;
}

static bool initialize(const ServerPlace *place, struct fuse_session *session, GError **error) {
        bool follows = ledger_header(place->ledger)->serving;
        bool good = follows ? repeat_init(place, session) : receive_init(place, session);

        if (good && !fuse_session_exited(session))
                return true;
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "the kernel and libfuse do not agree on a protocol");
        return false;
}

struct fuse_session *server_session_new(const ServerPlace *place, Operations *operations, GError **error) {
        struct fuse_session *session;

        fuse_set_log_func(take_from_libfuse);
        session = make(place, operations, error);
        if (session && take_channel(place, session, error) && initialize(place, session, error))
                return session;
        if (session)
                fuse_session_destroy(session);
        return NULL;
}

bool server_session_ask_again(struct fuse_session *session) {
        const struct fuse_out_header message = { .len = sizeof(message), .error = WIRE_NOTIFY_RESEND };

        return write(fuse_session_fd(session), &message, sizeof(message)) >= 0 || errno == ENODEV || errno == ENOTCONN;
}

/* By writev(2), as libfuse answers: write(2) is for what is no answer. */
static int answer(const struct fuse_session *session, uint64_t unique, int error) {
        struct fuse_out_header header = { .len = sizeof(header), .error = error, .unique = unique };
        const struct iovec all = { .iov_base = &header, .iov_len = sizeof(header) };

        return writev(fuse_session_fd((struct fuse_session *)session), &all, 1) < 0 ? -errno : 0;
}

bool server_session_is_awaited(const struct fuse_session *session, uint64_t unique) {
        /*
         * An interrupt of a request is answered under this number: with no error, that does nothing if there is the
         * request.
         */
        return answer(session, unique | WIRE_INTERRUPT, 0) == 0 ||
               answer(session, unique | WIRE_RESENT | WIRE_INTERRUPT, 0) == 0;
}

void server_session_fail(struct fuse_session *session, uint64_t unique) {
        int result = answer(session, unique, -EIO);

        if (result < 0 && result != -ENOENT)
                g_warning("cannot answer: %s", g_strerror(-result));
}

void server_session_refuse(struct fuse_session *session, const void *request) {
        const struct fuse_in_header *header = request;

        g_warning("servers die of request %" PRIu64 " (operation %u on node %" PRIu64 "): it is answered with an error",
                  header->unique & ~WIRE_RESENT, header->opcode, header->nodeid);
        server_session_fail(session, header->unique);
}
