/* Another connection, another program, another run of the service. */
#include "keeper-parts.h"

#include "guard.h"
#include "handover.h"
#include "renewal.h"
#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* What it has not passed on means nothing to the new connection. */
static void exchange_notifier(Keeper *keeper) {
        if (keeper->notifies) {
                kill(keeper->notifies, SIGKILL);
                waitpid(keeper->notifies, NULL, 0);
        }
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
                g_warning("%s", error->message);
                return false;
        }
        exchange_descriptor(keeper->place.descriptors, old, keeper->channel->fd);
        handover_note(keeper->ledger, keeper->channel, keeper->pool, options, keeper->replacement.successor->path);
        exchange_stored(keeper, old);
        exchange_notifier(keeper);
        return true;
}

void keeper_give_back(const Keeper *keeper) {
        if (guard_is_posted(keeper->ledger))
                _exit(EXIT_FAILURE);
}

/* Ends, with the mount in the store of the service manager. Returns where that fails. */
static void give(Keeper *keeper) {
        unsigned left = 0;
        int result;

        /* The next run starts its own. */
        if (keeper->notifies)
                kill(keeper->notifies, SIGKILL);
        handover_note_notifier(keeper->ledger, keeper->notifier, 0);
        if (!manager_room(keeper->manager)) {
                replacement_fail(&keeper->replacement,
                                 "the service manager does not say how many descriptors it keeps (FDSTORE)");
                return;
        }
        result = store_give(keeper->manager, keeper->ledger, &left);
        if (left)
                g_warning("the service manager keeps %u descriptors, and %u more are open: what clients have open by "
                          "those is lost",
                          manager_room(keeper->manager), left);
        if (result == 0)
                _exit(EXIT_SUCCESS);
        replacement_fail(&keeper->replacement, "the service manager does not keep the mount: %s", g_strerror(-result));
}

void keeper_hand_over(Keeper *keeper) {
        const char *path = keeper->replacement.successor->path;

        if (keeper->replacement.to_store)
                return give(keeper);
        if (guard_post(keeper->ledger)) {
                replacement_fail(&keeper->replacement, "%s has died before it could go on", path);
                return;
        }
        handover_prepare(keeper->ledger);
        if (keeper->manager)
                manager_pass_on(keeper->manager, true);
        successor_become(keeper->replacement.successor);
        replacement_fail(&keeper->replacement, "cannot run %s: %s", path, g_strerror(errno));
        handover_cancel();
        if (keeper->manager)
                manager_pass_on(keeper->manager, false);
        guard_dismiss(keeper->ledger);
}
