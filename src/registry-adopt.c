/* What a server finds in the ledger that follows a dead one. */
#include "registry-parts.h"

static void drop(Registry *registry, LedgerNode *slot) {
        uint64_t number = slot - ledger_node(registry->ledger, 0);

        ledger_publish(&slot->id, 0);
        g_array_append_val(registry->free, number);
        ledger_note_damage(registry->ledger, LEDGER_BAD_NODES);
}

/* Ties nodes that are reached by name to their directories, which are reached otherwise; drops those without. */
static void tie(Registry *registry) {
        GHashTableIter all;
        gpointer value;

        g_hash_table_iter_init(&all, registry->nodes);
        while (g_hash_table_iter_next(&all, NULL, &value)) {
                Node *node = value, *parent = node->ref.name ? registry_node(registry, node->ref.parent) : NULL;

                if (!node->ref.name)
                        continue;
                if (parent && !parent->ref.name) {
                        node->parent = parent;
                        parent->children++;
                        continue;
                }
                drop(registry, node->kept);
                registry_idle_remove(registry, node);
                if (g_hash_table_lookup(registry->by_ref, &node->ref) == node)
                        g_hash_table_remove(registry->by_ref, &node->ref);
                g_hash_table_iter_remove(&all);
        }
}

/* Whether the root is the pool's directory, and can be reached. */
static bool has_root(Registry *registry, const PoolRef *root) {
        const Node *node = registry_node(registry, REGISTRY_ROOT_ID);

        return node && !node->ref.name && pool_ref_equal(&node->ref, root);
}

static void put_root_right(Registry *registry, PoolRef *root) {
        Node *node = registry_node(registry, REGISTRY_ROOT_ID);

        if (node) {
                drop(registry, node->kept);
                g_hash_table_remove(registry->nodes, &node->id);
        } else {
                ledger_note_damage(registry->ledger, LEDGER_BAD_NODES);
        }
        registry_add_root(registry, root);
}

void registry_adopt(Registry *registry, PoolRef *root) {
        uint64_t slots = ledger_header(registry->ledger)->nodes;
        bool named = false;

        for (uint64_t number = 0; number < slots; number++) {
                LedgerNode *slot = ledger_node(registry->ledger, number);
                Node *node;

                if (!slot->id) {
                        g_array_append_val(registry->free, number);
                        continue;
                }
                if (registry_node(registry, slot->id)) {
                        drop(registry, slot);
                        continue;
                }
                node = node_adopt(registry->ledger, slot);
                named |= node->ref.name != NULL;
                g_hash_table_insert(registry->nodes, &node->id, node);
                if (node->id == REGISTRY_ROOT_ID)
                        continue;
                g_hash_table_replace(registry->by_ref, &node->ref, node);
                if (slot->backing_id && !slot->handles)
                        registry_idle_add(registry, node);
        }
        if (root && !has_root(registry, root))
                put_root_right(registry, root);
        if (named)
                tie(registry);
}

static bool in_doubt(const Node *node, RegistryDoubt doubt) {
        if (doubt == REGISTRY_LACKS_SOURCE)
                return node_lacks_source(node);
        if (doubt == REGISTRY_WAS_USED)
                return (node->kept->handles || node_is(node, LEDGER_NODE_RELEASED)) && !node_is(node, LEDGER_NODE_ENDED) &&
                       node_policy(node).lifetime == REGION_HANDLES;
        return node_is(node, LEDGER_NODE_RELEASED) && !node_is(node, LEDGER_NODE_ENDED);
}

GArray *registry_in_doubt(Registry *registry, RegistryDoubt doubt) {
        GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));

        registry_lock(registry);
        /* By the slots, which lie side by side: there may be many. */
        for (uint64_t number = 0; number < ledger_header(registry->ledger)->nodes; number++) {
                const LedgerNode *slot = ledger_node(registry->ledger, number);
                bool doubtful = slot->id && (doubt == REGISTRY_LACKS_SOURCE ? slot->source_kind :
                                                                              slot->state || slot->handles);

                if (doubtful && in_doubt(registry_node(registry, slot->id), doubt))
                        g_array_append_val(ids, slot->id);
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
