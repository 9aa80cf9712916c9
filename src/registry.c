#include "registry.h"

#include "descriptor.h"

#include <errno.h>

typedef struct Node Node;

struct Node {
        uint64_t id;
        PoolRef ref;      /* owned */
        Node *parent;     /* counted in its children: the directory that ref's name is in; or NULL */
        uint64_t children;
        uint64_t lookups; /* that the kernel has not given back */
        uint64_t handles;
        uint64_t writers; /* of the handles */
        int backing_id;   /* 0: none */
        RegionPolicy policy;
        Source *source;   /* owned, or NULL */
        bool kept;        /* one of the lookups is for the source's sake */
        bool unused;      /* it waits for its first use */
        bool used;        /* a client has got a handle */
        gint64 told;      /* when a client was last told of it: monotonic, microseconds; 0: not yet */
        bool excluded;    /* someone has it to themselves */
        bool ended;
};

struct Registry {
        bool by_name;            /* some nodes are reached by their names */
        GRWLock names;           /* taken before lock; see registry_begin_change() */
        GMutex lock;             /* protects all that follows, and every Node */
        GCond included;          /* a node is no longer excluded */
        GHashTable *nodes;       /* by &node->id; owns the nodes */
        GHashTable *by_ref;      /* by &node->ref; the root is not in it: no name leads there */
        uint64_t next_node;
        uint64_t regions;
};

static guint ref_hash(gconstpointer key) {
        const PoolRef *ref = key;
        uint64_t inode = ref->inode;

        return g_int64_hash(&inode);
}

static gboolean ref_equal(gconstpointer a, gconstpointer b) {
        return pool_ref_equal(a, b);
}

static void node_free(gpointer data) {
        Node *node = data;

        pool_ref_clear(&node->ref);
        source_free(node->source);
        g_free(node);
}

static Node *add_node(Registry *registry, PoolRef *ref) {
        Node *node = g_new0(Node, 1);

        node->id = registry->next_node++;
        node->ref = *ref;
        *ref = (PoolRef)POOL_REF_INIT;
        g_hash_table_insert(registry->nodes, &node->id, node);
        return node;
}

static Node *find(Registry *registry, uint64_t id) {
        return g_hash_table_lookup(registry->nodes, &id);
}

Registry *registry_new(PoolRef *root, bool by_name) {
        Registry *registry = g_new0(Registry, 1);

        registry->by_name = by_name;
        g_rw_lock_init(&registry->names);
        g_mutex_init(&registry->lock);
        g_cond_init(&registry->included);
        registry->nodes = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, node_free);
        registry->by_ref = g_hash_table_new(ref_hash, ref_equal);
        registry->next_node = REGISTRY_ROOT_ID;
        add_node(registry, root)->lookups = 1;
        return registry;
}

void registry_free(Registry *registry) {
        if (!registry)
                return;
        g_hash_table_unref(registry->by_ref);
        g_hash_table_unref(registry->nodes);
        g_cond_clear(&registry->included);
        g_mutex_clear(&registry->lock);
        g_rw_lock_clear(&registry->names);
        g_free(registry);
}

/* Takes the node out of the tables if nothing needs it: what the caller is to free, chained by parent, or NULL. */
static Node *retire(Registry *registry, Node *node) {
        if (node->lookups || node->children || node->id == REGISTRY_ROOT_ID)
                return NULL;
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

uint64_t registry_lookup(Registry *registry, PoolRef *ref) {
        Node *retired = NULL;
        uint64_t id;
        Node *node;

        g_mutex_lock(&registry->lock);
        node = g_hash_table_lookup(registry->by_ref, ref);
        if (node) {
                rename_node(registry, node, ref, &retired);
        } else {
                node = add_node(registry, ref);
                g_hash_table_insert(registry->by_ref, &node->ref, node);
                if (node->ref.name)
                        set_parent(registry, node, find(registry, node->ref.parent));
        }
        node->lookups++;
        id = node->id;
        g_mutex_unlock(&registry->lock);

        free_retired(retired);
        pool_ref_clear(ref);
        return id;
}

void registry_forget(Registry *registry, uint64_t id, uint64_t lookups) {
        Node *retired = NULL;
        Node *node;

        g_mutex_lock(&registry->lock);
        node = find(registry, id);
        if (node && id != REGISTRY_ROOT_ID) {
                node->lookups -= MIN(lookups, node->lookups);
                retired = retire(registry, node);
        }
        g_mutex_unlock(&registry->lock);
        free_retired(retired);
}

void registry_set_source(Registry *registry, uint64_t id, Source *source) {
        Node *node;

        g_mutex_lock(&registry->lock);
        node = find(registry, id);
        if (node && !node->source) {
                node->source = g_steal_pointer(&source);
                node->kept = source_is_there(node->source);
                node->lookups += node->kept;
        }
        g_mutex_unlock(&registry->lock);
        source_free(source);
}

const Source *registry_source(Registry *registry, uint64_t id) {
        const Source *source = NULL;
        Node *node;

        g_mutex_lock(&registry->lock);
        node = find(registry, id);
        if (node)
                source = node->source;
        g_mutex_unlock(&registry->lock);
        return source;
}

void registry_await_use(Registry *registry, uint64_t id) {
        Node *node;

        g_mutex_lock(&registry->lock);
        node = find(registry, id);
        if (node)
                node->unused = node->handles == 0;
        g_mutex_unlock(&registry->lock);
}

void registry_expect(Registry *registry, uint64_t id) {
        gint64 now = g_get_monotonic_time();
        Node *node;

        g_mutex_lock(&registry->lock);
        node = find(registry, id);
        if (node)
                node->told = now;
        g_mutex_unlock(&registry->lock);
}

bool registry_is_expected(Registry *registry, uint64_t id, gint64 within) {
        gint64 now = g_get_monotonic_time();
        bool expected = false;
        Node *node;

        g_mutex_lock(&registry->lock);
        node = find(registry, id);
        if (node)
                expected = node->told && node->told + within > now;
        g_mutex_unlock(&registry->lock);
        return expected;
}

bool registry_hold(Registry *registry, uint64_t id) {
        Node *node;

        g_mutex_lock(&registry->lock);
        node = find(registry, id);
        if (node)
                node->lookups++;
        g_mutex_unlock(&registry->lock);
        return node;
}

int registry_resolve(Registry *registry, uint64_t id, PoolRef *ref) {
        int result = -ESTALE;
        Node *node;

        g_mutex_lock(&registry->lock);
        node = find(registry, id);
        if (node) {
                *ref = node->ref;
                ref->directory = node->parent ? node->parent->ref.fd : -1;
                result = 0;
        }
        g_mutex_unlock(&registry->lock);
        return result;
}

void registry_unlinked(Registry *registry, const PoolRef *ref, int *fd) {
        Node *retired = NULL;
        char *name = NULL;
        Node *node;

        g_mutex_lock(&registry->lock);
        node = g_hash_table_lookup(registry->by_ref, ref);
        if (node && node->ref.fd < 0) {
                node->ref.fd = descriptor_steal(fd);
                name = g_steal_pointer(&node->ref.name);
                retired = set_parent(registry, node, NULL);
        }
        g_mutex_unlock(&registry->lock);
        free_retired(retired);
        g_free(name);
}

void registry_moved(Registry *registry, const PoolRef *ref) {
        PoolRef moved = *ref;
        Node *retired = NULL;
        Node *node;

        moved.name = g_strdup(ref->name);
        g_mutex_lock(&registry->lock);
        node = g_hash_table_lookup(registry->by_ref, ref);
        if (node)
                rename_node(registry, node, &moved, &retired);
        g_mutex_unlock(&registry->lock);
        free_retired(retired);
        g_free(moved.name);
}

/* The node, once nobody has it to themselves; NULL where it is not known, or has ended. */
static Node *find_included(Registry *registry, uint64_t id) {
        Node *node;

        /* Looked up again each time, as it may be forgotten meanwhile. */
        while ((node = find(registry, id)) && node->excluded)
                g_cond_wait(&registry->included, &registry->lock);
        return node && !node->ended ? node : NULL;
}

int registry_handle_added(Registry *registry, uint64_t id, bool writes, int *backing_id) {
        int result = -ESTALE;
        Node *node;

        g_mutex_lock(&registry->lock);
        node = find_included(registry, id);
        if (node) {
                node->handles++;
                node->writers += writes;
                *backing_id = node->backing_id;
                result = 0;
        }
        g_mutex_unlock(&registry->lock);
        return result;
}

void registry_handle_used(Registry *registry, uint64_t id) {
        Node *node;

        g_mutex_lock(&registry->lock);
        node = find(registry, id);
        if (node) {
                node->used = true;
                node->unused = false;
        }
        g_mutex_unlock(&registry->lock);
}

int registry_handle_removed(Registry *registry, uint64_t id, bool writes, RegistryRelease *release) {
        int result = -ESTALE;
        Node *node;

        *release = (RegistryRelease){ 0 };
        g_mutex_lock(&registry->lock);
        node = find(registry, id);
        if (node && node->handles > 0) {
                node->writers -= writes && node->writers > 0;
                if (--node->handles == 0) {
                        *release = (RegistryRelease){ node->backing_id, true, node->used, node->policy };
                        node->backing_id = 0;
                }
                result = 0;
        }
        g_mutex_unlock(&registry->lock);
        return result;
}

void registry_note_policy(Registry *registry, uint64_t id, const RegionPolicy *policy) {
        Node *node;

        g_mutex_lock(&registry->lock);
        node = find(registry, id);
        if (node)
                node->policy = *policy;
        g_mutex_unlock(&registry->lock);
}

RegionPolicy registry_policy(Registry *registry, uint64_t id) {
        RegionPolicy policy = { 0 };
        Node *node;

        g_mutex_lock(&registry->lock);
        node = find(registry, id);
        if (node)
                policy = node->policy;
        g_mutex_unlock(&registry->lock);
        return policy;
}

int registry_exclude(Registry *registry, uint64_t id, RegistryCondition condition) {
        int result = -ESTALE;
        Node *node;

        g_mutex_lock(&registry->lock);
        node = find_included(registry, id);
        if (node) {
                bool busy = (condition == REGISTRY_WITHOUT_WRITERS && node->writers > 0) ||
                            (condition == REGISTRY_WITHOUT_HANDLES && node->handles > 0) ||
                            (condition == REGISTRY_AFTER_USE && (node->handles > 0 || node->unused));

                node->excluded = !busy;
                result = busy ? -EBUSY : 0;
        }
        g_mutex_unlock(&registry->lock);
        return result;
}

void registry_include(Registry *registry, uint64_t id, bool ended) {
        Node *node;

        g_mutex_lock(&registry->lock);
        node = find(registry, id);
        if (node) {
                node->excluded = false;
                node->ended |= ended;
        }
        g_cond_broadcast(&registry->included);
        g_mutex_unlock(&registry->lock);
}

uint64_t registry_find(Registry *registry, const PoolRef *ref) {
        uint64_t id = 0;
        Node *node;

        g_mutex_lock(&registry->lock);
        node = g_hash_table_lookup(registry->by_ref, ref);
        if (node)
                id = node->id;
        else if (pool_ref_equal(ref, &find(registry, REGISTRY_ROOT_ID)->ref))
                id = REGISTRY_ROOT_ID;
        g_mutex_unlock(&registry->lock);
        return id;
}

int registry_handles(Registry *registry, uint64_t id, uint64_t *handles) {
        int result = -ESTALE;
        Node *node;

        g_mutex_lock(&registry->lock);
        node = find(registry, id);
        if (node) {
                *handles = node->handles;
                result = 0;
        }
        g_mutex_unlock(&registry->lock);
        return result;
}

int registry_set_backing(Registry *registry, uint64_t id, int backing_id, int *unused) {
        int in_force;
        Node *node;

        *unused = 0;
        g_mutex_lock(&registry->lock);
        node = find(registry, id);
        if (!node || node->handles == 0) {
                in_force = -ESTALE;
                *unused = backing_id;
        } else if (node->backing_id) {
                in_force = node->backing_id;
                *unused = backing_id;
        } else {
                in_force = node->backing_id = backing_id;
        }
        g_mutex_unlock(&registry->lock);
        return in_force;
}

/* In a directory pool someone else may have removed what was counted. */
static void count_regions(Registry *registry, int64_t difference) {
        registry->regions = difference < 0 && registry->regions < (uint64_t)-difference ? 0 : registry->regions + difference;
}

void registry_regions_changed(Registry *registry, int64_t difference) {
        g_mutex_lock(&registry->lock);
        count_regions(registry, difference);
        g_mutex_unlock(&registry->lock);
}

void registry_region_gone(Registry *registry, const PoolRef *ref) {
        Node *retired = NULL;
        Node *node;

        g_mutex_lock(&registry->lock);
        count_regions(registry, -1);
        node = g_hash_table_lookup(registry->by_ref, ref);
        if (node && node->kept) {
                node->kept = false;
                node->lookups--;
                retired = retire(registry, node);
        }
        g_mutex_unlock(&registry->lock);
        free_retired(retired);
}

uint64_t registry_regions(Registry *registry) {
        uint64_t regions;

        g_mutex_lock(&registry->lock);
        regions = registry->regions;
        g_mutex_unlock(&registry->lock);
        return regions;
}

uint64_t registry_nodes(Registry *registry) {
        uint64_t nodes;

        g_mutex_lock(&registry->lock);
        nodes = g_hash_table_size(registry->nodes);
        g_mutex_unlock(&registry->lock);
        return nodes;
}
