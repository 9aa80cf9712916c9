/* How a keeper comes by what it owns. */
#include "keeper/keeper-parts.h"

#include "base/child.h"
#include "base/descriptor.h"
#include "handover/handover.h"
#include "ledger/ledger-mend.h"
#include "mount/access-times.h"
#include "mount/channel.h"
#include "mount/mountpoint.h"
#include "pool/region.h"
#include "server/guard.h"

#include <gio/gio.h>
#include <string.h>

void keeper_clear(Keeper *keeper) {
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

static void set_access_times(const Keeper *keeper, const Options *options) {
        int result = 0;

        if (keeper->pool->kind == POOL_TMPFS)
                result = access_times_set(keeper->pool->fd, access_times_of_options(options->mount));
        if (result < 0)
                g_warning("times of last access are set as by relatime: %s", g_strerror(-result));
}

static bool mount(Keeper *keeper, const Options *options, GError **error) {
        auto_descriptor claim = -1;

        if (lies_in(options->mountpoint, options->pool.directory)) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                            "option pool=%s is not allowed: the mountpoint %s lies in it", options->pool.directory,
                            options->mountpoint);
                return false;
        }
        channel_unmount_dead(options->mountpoint);
        if (!mountpoint_claim(options->mountpoint, &claim, error))
                return false;
        set_access_times(keeper, options);
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

bool keeper_prepare(Keeper *keeper, const Options *options, GError **error) {
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

void keeper_count_lost(Keeper *keeper) {
        LedgerHeader *header = ledger_header(keeper->ledger);

        if (header->server == header->restarts + 1)
                ledger_publish(&header->restarts, header->restarts + 1);
}

/* What another keeper has had. */
bool keeper_take_over(Keeper *keeper, const Options *options, GError **error) {
        unsigned missing = ledger_mend(keeper->ledger);

        if (missing)
                g_warning("%u descriptors of the mount's are lost: what was reached by them alone is stale", missing);
        keeper->pool = handover_pool(keeper->ledger);
        keeper->channel = handover_channel(keeper->ledger);
        keeper->notifier = handover_notifier(keeper->ledger, &keeper->notifies);
        /* That of another run is no child of this process. */
        if (!child_is_ours(keeper->notifies))
                keeper->notifies = 0;
        keeper->notifier_is_old = keeper->notifies;
        keeper->served = true;
        keeper_count_lost(keeper);
        keeper->place.guarded = guard_is_posted(keeper->ledger) && !keeper->given;
        keeper->lifeline = keeper->place.guarded ? guard_lifeline(keeper->ledger) : -1;
        ledger_keeper(keeper->ledger)->lifeline = ledger_note_descriptor(keeper->lifeline);
        if (!(keeper->confinement = confinement_new(options->io_uring, error)))
                return false;
        if (options->namespaces && !(keeper->namespaces = namespaces_new(keeper->pool, error)))
                return false;
        take_signals(keeper);
        return true;
}
