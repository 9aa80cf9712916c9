#include "registry/registry.h"

#include "base/descriptor.h"
#include "registry/registry-parts.h"

static LedgerNode *take_slot(Registry *registry) {
        LedgerHeader *header = ledger_header(registry->ledger);
        uint64_t number = header->nodes;

        if (registry->free->len > 0) {
                number = g_array_index(registry->free, uint64_t, registry->free->len - 1);
                g_array_set_size(registry->free, registry->free->len - 1);
        }
        return ledger_node(registry->ledger, number);
}

static Node *add_node(Registry *registry, uint64_t id, PoolRef *ref) {
        LedgerHeader *header = ledger_header(registry->ledger);
        LedgerNode *slot = take_slot(registry);
        Node *node;

        if (slot == ledger_node(registry->ledger, header->nodes))
                registry_set(registry, &header->nodes, header->nodes + 1);
        node = node_new(registry->ledger, slot, id, ref);
        if (id == header->next_node)
                registry_set(registry, &header->next_node, id + 1);
        *registry_place(registry, slot) = node;
        registry_enter(registry, slot);
        return node;
}

void registry_add_root(Registry *registry, PoolRef *root) {
        const Node *node = add_node(registry, REGISTRY_ROOT_ID, root);

        registry_set(registry, &node->kept->lookups, 1);
}

void registry_free(Registry *registry) {
        if (!registry)
                return;
        slot_index_free(registry->by_ref);
        slot_index_free(registry->by_id);
        g_ptr_array_unref(registry->nodes);
        g_array_unref(registry->doubtful);
        g_array_unref(registry->free);
        g_ptr_array_unref(registry->names_aside);
        g_ptr_array_unref(registry->nodes_aside);
        g_cond_clear(&registry->included);
        g_mutex_clear(&registry->lock);
        g_rw_lock_clear(&registry->names);
        g_free(registry);
}

/* What is to be freed is chained by parent. */
Node *registry_retire(Registry *registry, Node *node) {
        uint64_t number = registry_number(registry, node->kept);

        if (node->kept->lookups || node->holds || node->children || node->id == REGISTRY_ROOT_ID)
                return NULL;
        registry_strike(registry, node->kept);
        registry_set(registry, &node->kept->id, 0);
        g_array_append_val(registry->free, number);
        *registry_place(registry, node->kept) = NULL;
        if (node->parent) {
                /* One after the other, as there may be many: the next server retires those that are left. */
                ledger_settle(registry->ledger);
                node->parent->children--;
                node->parent = registry_retire(registry, node->parent);
        }
        return node;
}

/* Outside the lock: the last descriptor of an unlinked region gives back its memory, which takes its time. */
void registry_free_retired(Node *node) {
        while (node) {
                Node *next = node->parent;

                node_free(node);
                node = next;
        }
}

static void free_chain(gpointer data) {
        registry_free_retired(data);
}

/*
 * What a lookup has replaced or retired: whoever resolves names at the same time may have got it. It is freed when
 * nobody does. The lock is held.
 */
static void set_aside(Registry *registry, PoolRef *ref, Node *retired) {
        if (!ref->name && !retired)
                return;
        if (ref->name)
                g_ptr_array_add(registry->names_aside, g_steal_pointer(&ref->name));
        if (retired)
                g_ptr_array_add(registry->nodes_aside, retired);
        g_atomic_int_set(&registry->aside, 1);
}

/* The lock on names is held for a change. */
static void free_aside(Registry *registry) {
        g_autoptr(GPtrArray) names = NULL, nodes = NULL;

        if (!g_atomic_int_get(&registry->aside))
                return;
        registry_lock(registry);
        names = g_steal_pointer(&registry->names_aside);
        nodes = g_steal_pointer(&registry->nodes_aside);
        registry->names_aside = g_ptr_array_new_with_free_func(g_free);
        registry->nodes_aside = g_ptr_array_new_with_free_func(free_chain);
        g_atomic_int_set(&registry->aside, 0);
        registry_unlock(registry);
}

/* Nodes that nobody needs any more, if they are known yet. ids: of type uint64_t. */
static void forget_unneeded(Registry *registry, const GArray *ids) {
        for (guint i = 0; i < ids->len; i++) {
                Node *node, *retired;

                registry_lock(registry);
                node = registry_node(registry, g_array_index(ids, uint64_t, i));
                retired = node ? registry_retire(registry, node) : NULL;
                registry_unlock(registry);
                registry_free_retired(retired);
        }
}

Registry *registry_new(Ledger *ledger, PoolRef *root, bool by_name) {
        g_autoptr(GArray) unneeded = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        Registry *registry = g_new0(Registry, 1);

        registry->ledger = ledger;
        registry->by_name = by_name;
        g_rw_lock_init(&registry->names);
        g_mutex_init(&registry->lock);
        g_cond_init(&registry->included);
        registry->by_id = slot_index_new(ledger_header(ledger)->nodes);
        registry->by_ref = slot_index_new(ledger_header(ledger)->nodes);
        registry->nodes = g_ptr_array_new_with_free_func((GDestroyNotify)node_free);
        registry->doubtful = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        registry->free = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        registry->names_aside = g_ptr_array_new_with_free_func(g_free);
        registry->nodes_aside = g_ptr_array_new_with_free_func(free_chain);
        registry_lock(registry);
        if (root && !ledger_header(ledger)->nodes)
                registry_add_root(registry, root);
        else
                registry_adopt(registry, root, unneeded);
        registry_unlock(registry);
        forget_unneeded(registry, unneeded);
        return registry;
}

/* Ties a node that is reached by name to its directory's node. Returns what is to be freed outside the lock. */
static Node *set_parent(Registry *registry, Node *node, Node *parent) {
        Node *old = node->parent;

        if (parent)
                parent->children++;
        node->parent = parent;
        if (!old)
                return NULL;
        old->children--;
        return registry_retire(registry, old);
}

/* The same node by a later reference: the name may be newer. Whatever has to be freed is left in *ref and *retired. */
static void rename_node(Registry *registry, Node *node, PoolRef *ref, Node **retired) {
        char *name = node->ref.name;

        if (!ref->name || node->ref.fd >= 0 ||
            (name && node->ref.parent == ref->parent && g_str_equal(name, ref->name)))
                return;
        node->ref.parent = ref->parent;
        node->ref.name = ref->name;
        ref->name = name;
        node_note_name(registry->ledger, node);
        *retired = set_parent(registry, node, registry_node(registry, ref->parent));
}

void registry_begin_change(Registry *registry) {
        if (!registry->by_name)
                return;
        g_rw_lock_writer_lock(&registry->names);
        free_aside(registry);
}

void registry_end_change(Registry *registry) {
        if (registry->by_name)
                g_rw_lock_writer_unlock(&registry->names);
}

void registry_begin_resolving(Registry *registry) {
        if (registry->by_name)
                g_rw_lock_reader_lock(&registry->names);
}

void registry_end_resolving(Registry *registry) {
        if (!registry->by_name)
                return;
        g_rw_lock_reader_unlock(&registry->names);
        if (!g_atomic_int_get(&registry->aside) || !g_rw_lock_writer_trylock(&registry->names))
                return;
        free_aside(registry);
        g_rw_lock_writer_unlock(&registry->names);
}

/* The node, known from now on by this reference at the latest. */
static Node *meet(Registry *registry, PoolRef *ref) {
        Node *node = registry_node_by_ref(registry, ref), *retired = NULL;
        const char *given = ref->name;

        if (node) {
                rename_node(registry, node, ref, &retired);
                /* A change of names would have waited for those who may have got the old one. */
                if (given && node->ref.name == given)
                        set_aside(registry, ref, retired);
        } else {
                node = add_node(registry, ledger_header(registry->ledger)->next_node, ref);
                if (node->ref.name)
                        set_parent(registry, node, registry_node(registry, node->ref.parent));
        }
        return node;
}

/* With the request that the thread has in hand. */
static void note_lookup(Registry *registry, uint64_t id) {
        LedgerRequest *request = ledger_current(registry->ledger);

        if (!request)
                return;
        g_assert(request->lookups < LEDGER_LOOKUPS);
        request->looked_up[request->lookups] = id;
        registry_set(registry, &request->lookups, request->lookups + 1);
}

/* A lookup is taken back by the request that has counted it; or it is a forget's. */
static void note_forget(Registry *registry, uint64_t id) {
        LedgerRequest *request = ledger_current(registry->ledger);

        if (!request)
                return;
        registry_set(registry, &request->forgets, request->forgets + 1);
        for (uint64_t i = request->lookups; i > 0; i--) {
                uint64_t last = request->lookups - 1;

                if (request->looked_up[i - 1] != id)
                        continue;
                registry_set(registry, &request->looked_up[i - 1], request->looked_up[last]);
                registry_set(registry, &request->lookups, last);
                break;
        }
}

uint64_t registry_lookup(Registry *registry, PoolRef *ref) {
        uint64_t id;
        Node *node;

        registry_lock(registry);
        node = meet(registry, ref);
        note_lookup(registry, node->id);
        registry_set(registry, &node->kept->lookups, node->kept->lookups + 1);
        id = node->id;
        registry_unlock(registry);

        pool_ref_clear(ref);
        return id;
}

uint64_t registry_meet(Registry *registry, PoolRef *ref) {
        uint64_t id;
        Node *node;

        registry_lock(registry);
        node = meet(registry, ref);
        node->holds++;
        id = node->id;
        registry_unlock(registry);

        pool_ref_clear(ref);
        return id;
}

void registry_drop(Registry *registry, uint64_t id) {
        Node *retired = NULL;
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        if (node && node->holds > 0) {
                node->holds--;
                retired = registry_retire(registry, node);
        }
        registry_unlock(registry);
        registry_free_retired(retired);
}

void registry_forget(Registry *registry, uint64_t id, uint64_t lookups) {
        Node *retired = NULL;
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        note_forget(registry, id);
        if (node && id != REGISTRY_ROOT_ID) {
                registry_set(registry, &node->kept->lookups, node->kept->lookups - MIN(lookups, node->kept->lookups));
                retired = registry_retire(registry, node);
        }
        registry_unlock(registry);
        registry_free_retired(retired);
}

void registry_set_source(Registry *registry, uint64_t id, Source *source) {
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        if (node && !node->source)
                node_set_source(registry->ledger, node, g_steal_pointer(&source));
        registry_unlock(registry);
        source_free(source);
}

const Source *registry_source(Registry *registry, uint64_t id) {
        const Source *source = NULL;
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        if (node)
                source = node->source;
        registry_unlock(registry);
        return source;
}

bool registry_hold(Registry *registry, uint64_t id) {
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        if (node)
                node->holds++;
        registry_unlock(registry);
        return node;
}

int registry_resolve(Registry *registry, uint64_t id, PoolRef *ref) {
        int result = -ESTALE;
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        if (node) {
                *ref = node->ref;
                ref->directory = node->parent ? node->parent->ref.fd : -1;
                result = 0;
        }
        registry_unlock(registry);
        return result;
}

int registry_descriptor(Registry *registry, uint64_t id) {
        int fd = -1;
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        if (node)
                fd = node->ref.fd;
        registry_unlock(registry);
        return fd;
}

void registry_unlinked(Registry *registry, const PoolRef *ref, int *fd) {
        Node *retired = NULL;
        char *name = NULL;
        Node *node;

        registry_lock(registry);
        node = registry_node_by_ref(registry, ref);
        if (node && node->ref.fd < 0) {
                node->ref.fd = descriptor_steal(fd);
                node_note_descriptor(registry->ledger, node);
                name = g_steal_pointer(&node->ref.name);
                retired = set_parent(registry, node, NULL);
        }
        registry_unlock(registry);
        registry_free_retired(retired);
        g_free(name);
}

void registry_moved(Registry *registry, const PoolRef *ref) {
        PoolRef moved = *ref;
        Node *retired = NULL;
        Node *node;

        moved.name = g_strdup(ref->name);
        registry_lock(registry);
        node = registry_node_by_ref(registry, ref);
        if (node)
                rename_node(registry, node, &moved, &retired);
        registry_unlock(registry);
        registry_free_retired(retired);
        g_free(moved.name);
}

uint64_t registry_find(Registry *registry, const PoolRef *ref) {
        uint64_t id = 0;
        Node *node;

        registry_lock(registry);
        node = registry_node_by_ref(registry, ref);
        if (node)
                id = node->id;
        else if ((node = registry_node(registry, REGISTRY_ROOT_ID)) && pool_ref_equal(ref, &node->ref))
                id = REGISTRY_ROOT_ID;
        registry_unlock(registry);
        return id;
}

/* In a directory pool someone else may have removed what was counted. */
static void count_regions(Registry *registry, int64_t difference) {
        uint64_t *regions = &ledger_header(registry->ledger)->regions;

        registry_set(registry, regions, difference < 0 && *regions < (uint64_t)-difference ? 0 : *regions + difference);
}

void registry_regions_changed(Registry *registry, int64_t difference) {
        LedgerRequest *request;

        registry_lock(registry);
        request = ledger_current(registry->ledger);
        if (request)
                registry_set(registry, &request->made, difference > 0);
        count_regions(registry, difference);
        registry_unlock(registry);
}

void registry_region_gone(Registry *registry, const PoolRef *ref) {
        LedgerRequest *request;
        Node *retired = NULL;
        Node *node;

        registry_lock(registry);
        request = ledger_current(registry->ledger);
        if (!request || !request->gone)
                count_regions(registry, -1);
        if (request)
                registry_set(registry, &request->gone, 1);
        node = registry_node_by_ref(registry, ref);
        if (node && node_is(node, LEDGER_NODE_KEPT)) {
                node_set_state(registry->ledger, node, LEDGER_NODE_KEPT, false);
                registry_set(registry, &node->kept->lookups, node->kept->lookups - (node->kept->lookups > 0));
                retired = registry_retire(registry, node);
        }
        registry_unlock(registry);
        registry_free_retired(retired);
}

uint64_t registry_regions(Registry *registry) {
        uint64_t regions;

        registry_lock(registry);
        regions = ledger_header(registry->ledger)->regions;
        registry_unlock(registry);
        return regions;
}

uint64_t registry_nodes(Registry *registry) {
        uint64_t nodes;

        registry_lock(registry);
        nodes = slot_index_size(registry->by_id);
        registry_unlock(registry);
        return nodes;
}
