#include "registry.h"

#include "descriptor.h"
#include "registry-node.h"

#include <errno.h>

struct Registry {
        Ledger *ledger;          /* borrowed; changed under lock */
        bool by_name;            /* some nodes are reached by their names */
        GRWLock names;           /* taken before lock; see registry_begin_change() */
        GMutex lock;             /* protects all that follows, and every Node */
        GCond included;          /* a node is no longer excluded */
        GHashTable *nodes;       /* by &node->id; owns the nodes */
        GHashTable *by_ref;      /* by &node->ref; the root is not in it: no name leads there */
        GArray *free;            /* numbers of the ledger's slots that have been used and are free */
};

static guint ref_hash(gconstpointer key) {
        const PoolRef *ref = key;
        uint64_t inode = ref->inode;

        return g_int64_hash(&inode);
}

static gboolean ref_equal(gconstpointer a, gconstpointer b) {
        return pool_ref_equal(a, b);
}

static void node_free_pointer(gpointer data) {
        node_free(data);
}

/* Everything that is set in the ledger meanwhile counts at once, or, if the server dies, not at all. */
static void lock(Registry *registry) {
        g_mutex_lock(&registry->lock);
}

static void unlock(Registry *registry) {
        ledger_settle(registry->ledger);
        g_mutex_unlock(&registry->lock);
}

static void set(Registry *registry, uint64_t *word, uint64_t value) {
        ledger_set(registry->ledger, word, value);
}

static LedgerNode *take_slot(Registry *registry) {
        LedgerHeader *header = ledger_header(registry->ledger);
        uint64_t number = header->nodes;

        if (registry->free->len > 0) {
                number = g_array_index(registry->free, uint64_t, registry->free->len - 1);
                g_array_set_size(registry->free, registry->free->len - 1);
        }
        return ledger_node(registry->ledger, number);
}

static Node *add_node(Registry *registry, PoolRef *ref) {
        LedgerHeader *header = ledger_header(registry->ledger);
        LedgerNode *slot = take_slot(registry);
        Node *node;

        if (slot == ledger_node(registry->ledger, header->nodes))
                set(registry, &header->nodes, header->nodes + 1);
        node = node_new(registry->ledger, slot, header->next_node, ref);
        set(registry, &header->next_node, header->next_node + 1);
        g_hash_table_insert(registry->nodes, &node->id, node);
        return node;
}

static Node *find(Registry *registry, uint64_t id) {
        return g_hash_table_lookup(registry->nodes, &id);
}

void registry_free(Registry *registry) {
        if (!registry)
                return;
        g_hash_table_unref(registry->by_ref);
        g_hash_table_unref(registry->nodes);
        g_array_unref(registry->free);
        g_cond_clear(&registry->included);
        g_mutex_clear(&registry->lock);
        g_rw_lock_clear(&registry->names);
        g_free(registry);
}

/* Takes the node out of the tables if nothing needs it: what the caller is to free, chained by parent, or NULL. */
static Node *retire(Registry *registry, Node *node) {
        uint64_t number = node->kept - ledger_node(registry->ledger, 0);

        if (node->kept->lookups || node->holds || node->children || node->id == REGISTRY_ROOT_ID)
                return NULL;
        set(registry, &node->kept->id, 0);
        g_array_append_val(registry->free, number);
        g_hash_table_remove(registry->by_ref, &node->ref);
        g_hash_table_steal(registry->nodes, &node->id);
        if (node->parent) {
                node->parent->children--;
                node->parent = retire(registry, node->parent);
        }
        return node;
}

/* Outside the lock: the last descriptor of an unlinked region gives back its memory, which takes its time. */
static void free_retired(Node *node) {
        while (node) {
                Node *next = node->parent;

                node_free(node);
                node = next;
        }
}

/* Finds again the nodes of a dead server. */
static void adopt(Registry *registry) {
        uint64_t slots = ledger_header(registry->ledger)->nodes;
        GHashTableIter all;
        gpointer value;

        for (uint64_t number = 0; number < slots; number++) {
                LedgerNode *slot = ledger_node(registry->ledger, number);
                Node *node;

                if (!slot->id) {
                        g_array_append_val(registry->free, number);
                        continue;
                }
                node = node_adopt(registry->ledger, slot);
                g_hash_table_insert(registry->nodes, &node->id, node);
                if (node->id != REGISTRY_ROOT_ID)
                        g_hash_table_insert(registry->by_ref, &node->ref, node);
        }
        g_hash_table_iter_init(&all, registry->nodes);
        while (g_hash_table_iter_next(&all, NULL, &value)) {
                Node *node = value;

                node->parent = node->ref.name ? find(registry, node->ref.parent) : NULL;
                if (node->parent)
                        node->parent->children++;
        }
}

/* Nodes that only the dead server has held. */
static void forget_unneeded(Registry *registry) {
        g_autoptr(GPtrArray) all = g_ptr_array_new();
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, registry->nodes);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const Node *node = value;

                if (!node->kept->lookups && !node->children)
                        g_ptr_array_add(all, value);
        }
        for (guint i = 0; i < all->len; i++) {
                Node *retired;

                lock(registry);
                retired = retire(registry, g_ptr_array_index(all, i));
                unlock(registry);
                free_retired(retired);
        }
}

Registry *registry_new(Ledger *ledger, PoolRef *root, bool by_name) {
        Registry *registry = g_new0(Registry, 1);

        registry->ledger = ledger;
        registry->by_name = by_name;
        g_rw_lock_init(&registry->names);
        g_mutex_init(&registry->lock);
        g_cond_init(&registry->included);
        registry->nodes = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, node_free_pointer);
        registry->by_ref = g_hash_table_new(ref_hash, ref_equal);
        registry->free = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        lock(registry);
        if (root) {
                Node *node = add_node(registry, root);

                set(registry, &node->kept->lookups, 1);
        } else {
                adopt(registry);
        }
        unlock(registry);
        if (!root)
                forget_unneeded(registry);
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
        return retire(registry, old);
}

/* The same node by a later reference: the name may be newer. Whatever has to be freed is left in *ref and *retired. */
static void rename_node(Registry *registry, Node *node, PoolRef *ref, Node **retired) {
        char *name = node->ref.name;

        if (!ref->name || node->ref.fd >= 0)
                return;
        node->ref.parent = ref->parent;
        node->ref.name = ref->name;
        ref->name = name;
        node_note_name(registry->ledger, node);
        *retired = set_parent(registry, node, find(registry, ref->parent));
}

void registry_begin_change(Registry *registry) {
        if (registry->by_name)
                g_rw_lock_writer_lock(&registry->names);
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
        if (registry->by_name)
                g_rw_lock_reader_unlock(&registry->names);
}

/* The node, known from now on by this reference at the latest. Whatever has to be freed is left in *ref and *retired. */
static Node *meet(Registry *registry, PoolRef *ref, Node **retired) {
        Node *node = g_hash_table_lookup(registry->by_ref, ref);

        if (node) {
                rename_node(registry, node, ref, retired);
        } else {
                node = add_node(registry, ref);
                g_hash_table_insert(registry->by_ref, &node->ref, node);
                if (node->ref.name)
                        set_parent(registry, node, find(registry, node->ref.parent));
        }
        return node;
}

uint64_t registry_lookup(Registry *registry, PoolRef *ref) {
        Node *retired = NULL;
        uint64_t id;
        Node *node;

        lock(registry);
        node = meet(registry, ref, &retired);
        set(registry, &node->kept->lookups, node->kept->lookups + 1);
        id = node->id;
        unlock(registry);

        free_retired(retired);
        pool_ref_clear(ref);
        return id;
}

uint64_t registry_meet(Registry *registry, PoolRef *ref) {
        Node *retired = NULL;
        uint64_t id;
        Node *node;

        lock(registry);
        node = meet(registry, ref, &retired);
        node->holds++;
        id = node->id;
        unlock(registry);

        free_retired(retired);
        pool_ref_clear(ref);
        return id;
}

void registry_drop(Registry *registry, uint64_t id) {
        Node *retired = NULL;
        Node *node;

        lock(registry);
        node = find(registry, id);
        if (node && node->holds > 0) {
                node->holds--;
                retired = retire(registry, node);
        }
        unlock(registry);
        free_retired(retired);
}

void registry_forget(Registry *registry, uint64_t id, uint64_t lookups) {
        Node *retired = NULL;
        Node *node;

        lock(registry);
        node = find(registry, id);
        if (node && id != REGISTRY_ROOT_ID) {
                set(registry, &node->kept->lookups, node->kept->lookups - MIN(lookups, node->kept->lookups));
                retired = retire(registry, node);
        }
        unlock(registry);
        free_retired(retired);
}

void registry_set_source(Registry *registry, uint64_t id, Source *source) {
        Node *node;

        lock(registry);
        node = find(registry, id);
        if (node && !node->source)
                node_set_source(registry->ledger, node, g_steal_pointer(&source));
        unlock(registry);
        source_free(source);
}

const Source *registry_source(Registry *registry, uint64_t id) {
        const Source *source = NULL;
        Node *node;

        lock(registry);
        node = find(registry, id);
        if (node)
                source = node->source;
        unlock(registry);
        return source;
}

void registry_await_use(Registry *registry, uint64_t id) {
        Node *node;

        lock(registry);
        node = find(registry, id);
        if (node)
                node_set_state(registry->ledger, node, LEDGER_NODE_UNUSED, node->kept->handles == 0);
        unlock(registry);
}

void registry_expect(Registry *registry, uint64_t id) {
        gint64 now = g_get_monotonic_time();
        Node *node;

        lock(registry);
        node = find(registry, id);
        if (node)
                node->told = now;
        unlock(registry);
}

bool registry_is_expected(Registry *registry, uint64_t id, gint64 within) {
        gint64 now = g_get_monotonic_time();
        bool expected = false;
        Node *node;

        lock(registry);
        node = find(registry, id);
        if (node)
                expected = node->told && node->told + within > now;
        unlock(registry);
        return expected;
}

bool registry_hold(Registry *registry, uint64_t id) {
        Node *node;

        lock(registry);
        node = find(registry, id);
        if (node)
                node->holds++;
        unlock(registry);
        return node;
}

int registry_resolve(Registry *registry, uint64_t id, PoolRef *ref) {
        int result = -ESTALE;
        Node *node;

        lock(registry);
        node = find(registry, id);
        if (node) {
                *ref = node->ref;
                ref->directory = node->parent ? node->parent->ref.fd : -1;
                result = 0;
        }
        unlock(registry);
        return result;
}

void registry_unlinked(Registry *registry, const PoolRef *ref, int *fd) {
        Node *retired = NULL;
        char *name = NULL;
        Node *node;

        lock(registry);
        node = g_hash_table_lookup(registry->by_ref, ref);
        if (node && node->ref.fd < 0) {
                node->ref.fd = descriptor_steal(fd);
                node_note_descriptor(registry->ledger, node);
                name = g_steal_pointer(&node->ref.name);
                retired = set_parent(registry, node, NULL);
        }
        unlock(registry);
        free_retired(retired);
        g_free(name);
}

void registry_moved(Registry *registry, const PoolRef *ref) {
        PoolRef moved = *ref;
        Node *retired = NULL;
        Node *node;

        moved.name = g_strdup(ref->name);
        lock(registry);
        node = g_hash_table_lookup(registry->by_ref, ref);
        if (node)
                rename_node(registry, node, &moved, &retired);
        unlock(registry);
        free_retired(retired);
        g_free(moved.name);
}

/* The node, once nobody has it to themselves; NULL where it is not known, or has ended. */
static Node *find_included(Registry *registry, uint64_t id) {
        Node *node;

        /* Looked up again each time, as it may be forgotten meanwhile. */
        while ((node = find(registry, id)) && node->excluded)
                g_cond_wait(&registry->included, &registry->lock);
        return node && !node_is(node, LEDGER_NODE_ENDED) ? node : NULL;
}

int registry_handle_added(Registry *registry, uint64_t id, bool writes, int *backing_id) {
        int result = -ESTALE;
        Node *node;

        lock(registry);
        node = find_included(registry, id);
        if (node) {
                set(registry, &node->kept->handles, node->kept->handles + 1);
                set(registry, &node->kept->writers, node->kept->writers + writes);
                node_set_state(registry->ledger, node, LEDGER_NODE_UNUSED, false);
                *backing_id = node->kept->backing_id;
                result = 0;
        }
        unlock(registry);
        return result;
}

int registry_handle_removed(Registry *registry, uint64_t id, bool writes, RegistryRelease *release) {
        int result = -ESTALE;
        Node *node;

        *release = (RegistryRelease){ 0 };
        lock(registry);
        node = find(registry, id);
        if (node && node->kept->handles > 0) {
                set(registry, &node->kept->writers, node->kept->writers - (writes && node->kept->writers > 0));
                set(registry, &node->kept->handles, node->kept->handles - 1);
                if (node->kept->handles == 0) {
                        *release = (RegistryRelease){ node->kept->backing_id, true, node_policy(node) };
                        set(registry, &node->kept->backing_id, 0);
                }
                result = 0;
        }
        unlock(registry);
        return result;
}

void registry_note_policy(Registry *registry, uint64_t id, const RegionPolicy *policy) {
        Node *node;

        lock(registry);
        node = find(registry, id);
        if (node)
                node_set_policy(registry->ledger, node, policy);
        unlock(registry);
}

RegionPolicy registry_policy(Registry *registry, uint64_t id) {
        RegionPolicy policy = { 0 };
        Node *node;

        lock(registry);
        node = find(registry, id);
        if (node)
                policy = node_policy(node);
        unlock(registry);
        return policy;
}

int registry_exclude(Registry *registry, uint64_t id, RegistryCondition condition) {
        int result = -ESTALE;
        Node *node;

        lock(registry);
        node = find_included(registry, id);
        if (node) {
                bool busy = (condition == REGISTRY_WITHOUT_WRITERS && node->kept->writers > 0) ||
                            (condition == REGISTRY_WITHOUT_HANDLES && node->kept->handles > 0) ||
                            (condition == REGISTRY_AFTER_USE && (node->kept->handles > 0 || node_is(node, LEDGER_NODE_UNUSED)));

                node->excluded = !busy;
                result = busy ? -EBUSY : 0;
        }
        unlock(registry);
        return result;
}

void registry_include(Registry *registry, uint64_t id, bool ended) {
        Node *node;

        lock(registry);
        node = find(registry, id);
        if (node) {
                node->excluded = false;
                if (ended)
                        node_set_state(registry->ledger, node, LEDGER_NODE_ENDED, true);
        }
        g_cond_broadcast(&registry->included);
        unlock(registry);
}

uint64_t registry_find(Registry *registry, const PoolRef *ref) {
        uint64_t id = 0;
        Node *node;

        lock(registry);
        node = g_hash_table_lookup(registry->by_ref, ref);
        if (node)
                id = node->id;
        else if (pool_ref_equal(ref, &find(registry, REGISTRY_ROOT_ID)->ref))
                id = REGISTRY_ROOT_ID;
        unlock(registry);
        return id;
}

int registry_handles(Registry *registry, uint64_t id, uint64_t *handles) {
        int result = -ESTALE;
        Node *node;

        lock(registry);
        node = find(registry, id);
        if (node) {
                *handles = node->kept->handles;
                result = 0;
        }
        unlock(registry);
        return result;
}

int registry_set_backing(Registry *registry, uint64_t id, int backing_id, int *unused) {
        int in_force;
        Node *node;

        *unused = 0;
        lock(registry);
        node = find(registry, id);
        if (!node || node->kept->handles == 0) {
                in_force = -ESTALE;
                *unused = backing_id;
        } else if (node->kept->backing_id) {
                in_force = node->kept->backing_id;
                *unused = backing_id;
        } else {
                in_force = backing_id;
                set(registry, &node->kept->backing_id, backing_id);
        }
        unlock(registry);
        return in_force;
}

/* In a directory pool someone else may have removed what was counted. */
static void count_regions(Registry *registry, int64_t difference) {
        uint64_t *regions = &ledger_header(registry->ledger)->regions;

        set(registry, regions, difference < 0 && *regions < (uint64_t)-difference ? 0 : *regions + difference);
}

void registry_regions_changed(Registry *registry, int64_t difference) {
        lock(registry);
        count_regions(registry, difference);
        unlock(registry);
}

void registry_region_gone(Registry *registry, const PoolRef *ref) {
        Node *retired = NULL;
        Node *node;

        lock(registry);
        count_regions(registry, -1);
        node = g_hash_table_lookup(registry->by_ref, ref);
        if (node && node_is(node, LEDGER_NODE_KEPT)) {
                node_set_state(registry->ledger, node, LEDGER_NODE_KEPT, false);
                set(registry, &node->kept->lookups, node->kept->lookups - 1);
                retired = retire(registry, node);
        }
        unlock(registry);
        free_retired(retired);
}

uint64_t registry_regions(Registry *registry) {
        uint64_t regions;

        lock(registry);
        regions = ledger_header(registry->ledger)->regions;
        unlock(registry);
        return regions;
}

static bool in_doubt(const Node *node, RegistryDoubt doubt) {
        if (doubt == REGISTRY_LACKS_SOURCE)
                return node_lacks_source(node);
        return node->kept->handles == 0 && node_policy(node).lifetime == REGION_HANDLES &&
               !node_is(node, LEDGER_NODE_ENDED | LEDGER_NODE_UNUSED);
}

GArray *registry_in_doubt(Registry *registry, RegistryDoubt doubt) {
        GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        GHashTableIter all;
        gpointer value;

        lock(registry);
        g_hash_table_iter_init(&all, registry->nodes);
        while (g_hash_table_iter_next(&all, NULL, &value)) {
                const Node *node = value;

                if (in_doubt(node, doubt))
                        g_array_append_val(ids, node->id);
        }
        unlock(registry);
        return ids;
}

void registry_descriptors(Registry *registry, void (*found)(void *data, int fd), void *data) {
        uint64_t slots = ledger_header(registry->ledger)->nodes;

        for (uint64_t number = 0; number < slots; number++) {
                const LedgerNode *slot = ledger_node(registry->ledger, number);

                if (slot->id && slot->descriptor)
                        found(data, ledger_descriptor(slot->descriptor));
                if (slot->id && slot->source)
                        found(data, ledger_descriptor(slot->source));
        }
}

uint64_t registry_nodes(Registry *registry) {
        uint64_t nodes;

        lock(registry);
        nodes = g_hash_table_size(registry->nodes);
        unlock(registry);
        return nodes;
}
