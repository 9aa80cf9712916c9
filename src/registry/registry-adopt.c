/* What a server finds in the ledger that follows a dead one. */
#include "registry/registry-parts.h"

static void drop(Registry *registry, LedgerNode *slot) {
        uint64_t number = registry_number(registry, slot);

        ledger_publish(&slot->id, 0);
        g_array_append_val(registry->free, number);
        ledger_note_damage(registry->ledger, LEDGER_BAD_NODES);
}

/* Ties nodes that are reached by name to their directories, which are reached otherwise; drops those without. */
static void tie(Registry *registry, uint64_t slots) {
        for (uint64_t number = 0; number < slots; number++) {
                LedgerNode *slot = ledger_node(registry->ledger, number);
                const LedgerNode *parent;

                if (!slot->id || !node_has_name(slot))
                        continue;
                parent = registry_slot(registry, slot->parent);
                if (parent && !node_has_name(parent)) {
                        registry_node(registry, parent->id)->children++;
                        continue;
                }
                registry_strike(registry, slot);
                drop(registry, slot);
        }
}

/* Whether the root is the pool's directory, and can be reached. */
static bool is_root(const LedgerNode *slot, const PoolRef *root) {
        PoolRef ref = slot ? node_ref(slot) : (PoolRef)POOL_REF_INIT;

        return slot && !node_has_name(slot) && pool_ref_equal(&ref, root);
}

static void put_root_right(Registry *registry, PoolRef *root) {
        LedgerNode *slot = registry_slot(registry, REGISTRY_ROOT_ID);

        if (slot) {
                registry_strike(registry, slot);
                drop(registry, slot);
        } else {
                ledger_note_damage(registry->ledger, LEDGER_BAD_NODES);
        }
        registry_add_root(registry, root);
}

/* It has lost its last handle, and has not been looked at since, or not to the end. */
static bool may_have_ended(const LedgerNode *slot) {
        return slot->state & LEDGER_NODE_RELEASED && !(slot->state & LEDGER_NODE_ENDED);
}

/* How many slots are taken up at once, more or less: so that few accesses to memory are waited for. */
#define AHEAD 16

/*
 * Most nodes are made when they are asked for, as there may be a million of them, for which clients would wait: the
 * slots alone are needed to find them. No descriptor that the ledger names is left without its owner.
 */
void registry_adopt(Registry *registry, PoolRef *root, GArray *unneeded) {
        uint64_t slots = ledger_header(registry->ledger)->nodes;
        g_autoptr(GArray) owners = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        g_autoptr(GArray) idle = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        bool named = false;
        Node *node;

        for (uint64_t number = 0; number < slots; number++) {
                LedgerNode *slot = ledger_node(registry->ledger, number);

                if (number + AHEAD < slots)
                        registry_expect_slot(registry, ledger_node(registry->ledger, number + AHEAD));
                if (!slot->id) {
                        g_array_append_val(registry->free, number);
                        continue;
                }
                if (registry_slot(registry, slot->id)) {
                        drop(registry, slot);
                        continue;
                }
                registry_enter(registry, slot);
                named |= node_has_name(slot);
                if (slot->descriptor || slot->source || slot->source_kind)
                        g_array_append_val(owners, slot->id);
                if (slot->state || slot->handles || slot->source_kind)
                        g_array_append_val(registry->doubtful, slot->id);
                if (slot->backing_id && !slot->handles && slot->id != REGISTRY_ROOT_ID)
                        g_array_append_val(idle, slot->id);
                /* Whoever looks at it holds it until then. */
                if (!slot->lookups && !may_have_ended(slot))
                        g_array_append_val(unneeded, slot->id);
        }
        if (root && !is_root(registry_slot(registry, REGISTRY_ROOT_ID), root))
                put_root_right(registry, root);
        if (named)
                tie(registry, slots);
        for (guint i = 0; i < owners->len; i++)
                registry_node(registry, g_array_index(owners, uint64_t, i));
        for (guint i = 0; i < idle->len; i++)
                if ((node = registry_node(registry, g_array_index(idle, uint64_t, i))))
                        registry_idle_add(registry, node);
}

static bool in_doubt(const Node *node, RegistryDoubt doubt) {
        if (doubt == REGISTRY_LACKS_SOURCE)
                return node_lacks_source(node);
        if (doubt == REGISTRY_WAS_USED)
                return (node->kept->handles || node_is(node, LEDGER_NODE_RELEASED)) &&
                       !node_is(node, LEDGER_NODE_ENDED) && node_policy(node).lifetime == REGION_HANDLES;
        return may_have_ended(node->kept);
}

GArray *registry_in_doubt(Registry *registry, RegistryDoubt doubt) {
        GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));

        registry_lock(registry);
        for (guint i = 0; i < registry->doubtful->len; i++) {
                uint64_t id = g_array_index(registry->doubtful, uint64_t, i);
                const Node *node = registry_node(registry, id);

                if (node && in_doubt(node, doubt))
                        g_array_append_val(ids, id);
        }
        registry_unlock(registry);
        return ids;
}

int registry_root_descriptor(const Ledger *ledger) {
        for (uint64_t number = 0; number < ledger_header(ledger)->nodes; number++)
                if (ledger_node(ledger, number)->id == REGISTRY_ROOT_ID)
                        return ledger_descriptor(ledger_node(ledger, number)->descriptor);
        return -1;
}

void registry_descriptors(const Ledger *ledger, void (*found)(void *data, int fd), void *data) {
        uint64_t slots = ledger_header(ledger)->nodes;

        for (uint64_t number = 0; number < slots; number++) {
                const LedgerNode *slot = ledger_node(ledger, number);

                if (slot->id && slot->descriptor)
                        found(data, ledger_descriptor(slot->descriptor));
                if (slot->id && slot->source)
                        found(data, ledger_descriptor(slot->source));
        }
}

bool registry_has_backing(Registry *registry, int backing_id) {
        const LedgerHeader *header = ledger_header(registry->ledger);

        for (uint64_t number = 0; number < header->nodes; number++) {
                const LedgerNode *slot = ledger_node(registry->ledger, number);

                if (slot->id && slot->backing_id == (uint64_t)backing_id)
                        return true;
        }
        for (uint64_t number = 0; number < header->requests; number++) {
                const LedgerRequest *slot = ledger_request(registry->ledger, number);

                if (slot->unique && slot->backing == (uint64_t)backing_id)
                        return true;
        }
        return false;
}

uint64_t registry_restarts(Registry *registry) {
        return ledger_header(registry->ledger)->restarts;
}
