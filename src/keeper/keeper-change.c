/* Another connection, another program, another run of the service. */
#include "keeper/keeper-parts.h"

#include "base/child.h"
#include "base/descriptor.h"
#include "handover/handover.h"
#include "handover/store.h"
#include "mount/access-times.h"
#include "server/guard.h"
#include "server/renewal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What it has not passed on means nothing to the new connection. */
static void exchange_notifier(Keeper *keeper) {
        if (child_kill(keeper->notifies))
                waitpid(keeper->notifies, NULL, 0);
        keeper->notifier_is_old = false;
        keeper_start_notifier(keeper);
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

/* Whatever servers may have written over it. */
static void note(const Keeper *keeper) {
        handover_note(keeper->ledger, keeper->channel, keeper->pool, keeper->place.options,
                      keeper->replacement.successor->path);
        handover_note_notifier(keeper->ledger, keeper->notifier, keeper->notifies);
}

bool keeper_renew(Keeper *keeper) {
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
                log_warn_aside(error->message);
                return false;
        }
        exchange_descriptor(keeper->place.descriptors, old, keeper->channel->fd);
        /* The mount is as it was made, whatever has been changed of it since; where this fails it did so then, too. */
        if (keeper->pool->kind == POOL_TMPFS)
                access_times_set(keeper->pool->fd, access_times_of_options(options->mount));
        note(keeper);
        exchange_stored(keeper, old);
        exchange_notifier(keeper);
        return true;
}

void keeper_give_back(const Keeper *keeper) {
        if (keeper->lifeline >= 0 && guard_is_posted(keeper->ledger))
                _exit(EXIT_FAILURE);
}

void keeper_disown(Keeper *keeper, int fd) {
        GArray *descriptors = keeper->place.descriptors;

        for (guint i = descriptors->len; i > 0; i--)
                if (g_array_index(descriptors, int, i - 1) == fd)
                        g_array_remove_index_fast(descriptors, i - 1);
}

static void drop_guard(Keeper *keeper) {
        guard_dismiss(keeper->ledger);
        keeper->place.guarded = false;
        ledger_keeper(keeper->ledger)->lifeline = 0;
        if (keeper->lifeline >= 0)
                keeper_disown(keeper, keeper->lifeline);
        descriptor_clear(&keeper->lifeline);
}

void keeper_settle_in(Keeper *keeper) {
        if (keeper->lifeline >= 0)
                drop_guard(keeper);
        /* What it passes on may have another form now. When it has ended the next one is started. */
        if (keeper->notifier_is_old)
                child_kill(keeper->notifies);
}

/* Ends, with the mount in the store of the service manager. Returns where that fails. */
static void give(Keeper *keeper) {
        unsigned left = 0;
        int result;

        /* The next run starts its own. */
        child_kill(keeper->notifies);
        note(keeper);
        handover_note_notifier(keeper->ledger, keeper->notifier, 0);
        if (!manager_room(keeper->manager)) {
                replacement_fail(&keeper->replacement,
                                 "the service manager does not say how many descriptors it keeps (FDSTORE)");
                return;
        }
        result = store_give(keeper->manager, keeper->ledger, &left);
        /* No server is there that a descriptor of the system log's could be in the way of. */
        if (left)
                g_warning("the service manager keeps %u descriptors, and %u more are open: what clients have open by "
                          "those is lost",
                          manager_room(keeper->manager), left);
        if (result == 0)
                _exit(EXIT_SUCCESS);
        replacement_fail(&keeper->replacement, "the service manager does not keep the mount: %s", g_strerror(-result));
}

/* In the guard: goes on where the new image has ended, which may have had a server. */
static bool take_back(Keeper *keeper, int notifier) {
        const LedgerHeader *header = ledger_header(keeper->ledger);

        replacement_fail(&keeper->replacement, "%s has died before it could go on, or did not answer",
                         keeper->replacement.successor->path);
        keeper_count_lost(keeper);
        /* It is no child of this process's, which could not see to it. */
        if (notifier >= 0)
                syscall(SYS_pidfd_send_signal, notifier, SIGKILL, NULL, 0);
        keeper->notifies = 0;
        if (header->rings || !header->serving)
                return keeper_renew(keeper);
        exchange_notifier(keeper);
        return true;
}

/* Another program. Returns where that fails; false: and the mount has gone. */
static bool become(Keeper *keeper) {
        auto_descriptor notifier = keeper->notifies ? syscall(SYS_pidfd_open, keeper->notifies, 0) : -1;
        const Successor *successor = keeper->replacement.successor;

        note(keeper);
        if (guard_post(keeper->ledger))
                return take_back(keeper, notifier);
        keeper->lifeline = guard_lifeline(keeper->ledger);
        descriptor_clear(&notifier);
        handover_prepare(keeper->ledger);
        if (keeper->manager)
                manager_pass_on(keeper->manager, true);
        successor_become(successor);
        replacement_fail(&keeper->replacement, "cannot run %s: %s", successor->path, g_strerror(errno));
        handover_cancel();
        if (keeper->manager)
                manager_pass_on(keeper->manager, false);
        drop_guard(keeper);
        return true;
}

bool keeper_hand_over(Keeper *keeper) {
        /* Of the program before, whose server has not answered. */
        if (keeper->lifeline >= 0)
                drop_guard(keeper);
        if (!keeper->replacement.to_store)
                return become(keeper);
        give(keeper);
        return true;
}
