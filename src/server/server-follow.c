/* What a server does that follows a dead one. */
#include "server/server-parts.h"

#include "base/descriptor.h"
#include "kernel/backing.h"
#include "server/server-session.h"

#include <sys/mman.h>
#include <sys/stat.h>

/* How many backing ids at most a dead server has got and not noted, and noted meanwhile. */
#define BACKINGS_IN_DOUBT 1024

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

void server_settle_doubts(Server *server) {
        g_autoptr(GArray) ids = registry_in_doubt(server->registry, REGISTRY_MAY_HAVE_ENDED);

        for (guint i = 0; i < ids->len; i++)
                lifetimes_consider(server->lifetimes, g_array_index(ids, uint64_t, i));
        for (guint i = 0; i < server->strays->len; i++)
                lifetimes_look_again(server->lifetimes, g_array_index(server->strays, int, i));
        g_array_set_size(server->strays, 0);
}

/*
 * A server that dies between getting a backing id and noting it would leave the kernel a file open for good. Ids are
 * given out in order: what it may have got lies below the next one.
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

bool server_follow(Server *server, GError **error) {
        server->operations.passthrough = ledger_header(server->place->ledger)->passthrough;
        find_sources(server);
        give_up_backings(server);
        return server_start_lifetimes(server, error);
}

/*
 * The current request, which a dead server had in hand. As long as the kernel waits for the answer, nobody else changes
 * the same names: not any more when it is to be handed out again, as then it may be dropped.
 */
static void settle_left(void *data) {
        const Server *server = data;
        LedgerRequest *request = ledger_current(server->place->ledger);

        if (!server_session_is_awaited(server->session, request->unique))
                return;
        operations_complete(&server->operations);
        ledger_publish(&request->awaited, 1);
}

void server_abandon(void *data) {
        const Server *server = data;
        const LedgerRequest *request = ledger_current(server->place->ledger);

        operations_abandon(&server->operations);
        /* The kernel may believe for a long time that there is no such name. */
        if (request->intent == LEDGER_MAKING || (request->intent == LEDGER_RENAMING && !request->descriptor[1]))
                notifier_tell(server->place->notifier, request->directory, NOTIFIER_ANY_NODE, request->name);
}

/*
 * A kernel that does not repeat requests, before Linux 6.9: the workers take them from the dead server's buffers. What
 * is found in none is answered, as its client would wait for good.
 */
static void put_back_left(Server *server) {
        g_autoptr(GArray) left = requests_put_back(server->requests);

        for (guint i = 0; i < left->len; i++) {
                uint64_t unique = g_array_index(left, uint64_t, i);

                if (!server_session_is_awaited(server->session, unique))
                        continue;
                g_warning("request %" PRIu64 " is answered with an error: this kernel does not repeat requests",
                          unique);
                if (requests_begin_left(server->requests, unique))
                        operations_take_back(&server->operations);
                server_session_fail(server->session, unique);
                requests_end(server->requests);
        }
}

void server_take_requests(Server *server) {
        requests_each_left(server->requests, settle_left, server);
        if (server_session_ask_again(server->session))
                requests_clear_buffers(server->requests);
        else
                put_back_left(server);
}

/*
 * A dead server may have read the report of a close, or been about to: the region that this was on is to be looked at
 * again. By its descriptor, as the kernel may have forgotten it. It stays open until that is sure to happen.
 */
bool server_take_stray(void *data, int fd) {
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
