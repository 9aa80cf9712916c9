#include "server/renewal.h"

#include "base/descriptor.h"
#include "kernel/backing.h"
#include "ledger/ledger-audit.h"
#include "registry/lifetime.h"
#include "registry/registry.h"
#include "server/server-descriptors.h"

#include <fcntl.h>
#include <sys/stat.h>

void renewal_release(Ledger *ledger, int channel) {
        ledger_recover(ledger);
        for (uint64_t number = 0; number < ledger_header(ledger)->nodes; number++) {
                const LedgerNode *slot = ledger_node(ledger, number);

                if (slot->id && slot->backing_id)
                        backing_close(channel, slot->backing_id);
        }
}

/* Has the region looked at that the dead server knew by this id. */
static void leave(const Ledger *ledger, const Pool *pool, Registry *registry, uint64_t id) {
        auto_descriptor file = -1;
        struct stat st;
        PoolRef ref;
        int result = registry_resolve(registry, id, &ref);

        if (result == 0)
                file = pool_open(pool, &ref, O_RDONLY);
        /* One without a name has nothing left to end. */
        if (file < 0 || fstat(file, &st) < 0 || st.st_nlink == 0)
                return;
        result = lifetimes_leave(ledger, file);
        if (result < 0)
                g_warning("cannot watch a region for its end: %s", g_strerror(-result));
}

static void leave_all(Ledger *ledger, const Pool *pool) {
        g_autoptr(Registry) registry = registry_new(ledger, NULL, !pool->by_handle);
        g_autoptr(GArray) ids = registry_in_doubt(registry, REGISTRY_WAS_USED);

        for (guint i = 0; i < ids->len; i++)
                leave(ledger, pool, registry, g_array_index(ids, uint64_t, i));
}

int renewal_begin(Ledger *ledger, const Pool *pool, const GArray *descriptors) {
        LedgerHeader *header = ledger_header(ledger);
        int result;

        ledger_recover(ledger);
        ledger_audit(ledger, descriptors);
        leave_all(ledger, pool);
        server_descriptors_close_others(descriptors, ledger_descriptor(header->reports));
        result = ledger_clear_connection(ledger);
        if (result == 0)
                result = pool_count_regions(pool, &header->regions);
        if (result < 0)
                return result;
        ledger_publish(&header->lost, 0);
        return 0;
}
