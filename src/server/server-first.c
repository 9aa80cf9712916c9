/* What the first server of a mount settles with the kernel. */
#include "server/server-parts.h"

#include "base/descriptor.h"
#include "kernel/backing.h"
#include "server/server-rings.h"

#include <gio/gio.h>

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
        if (!why)
                server_rings_hide();
        ledger_publish(&ledger_header(server->place->ledger)->rings, !why);
        if (why)
                g_message("option io_uring has no effect: %s", why);
        else
                g_message("serving %s over io_uring", server->place->channel->mountpoint);
        if (!why && server->place->options->watchdog)
                g_message("option watchdog sees nothing of requests that come over io_uring");
}

/* Each thread is to have a umask of its own: tried before any is started. */
static bool try_threads(GError **error) {
        int result = credentials_prepare_thread();

        if (result < 0)
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-result),
                            "cannot give threads a umask of their own with unshare(2): %s", g_strerror(-result));
        return result == 0;
}

bool server_settle(Server *server, GError **error) {
        if (!try_threads(error) || !settle_passthrough(server, server->place->options, error))
                return false;
        if (server->place->options->io_uring)
                settle_rings(server);
        return server_start_lifetimes(server, error);
}
