/* Who uses a region: its handles, and whoever has it to themselves. */
#include "registry/registry-parts.h"

void registry_await_use(Registry *registry, uint64_t id) {
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        if (node) {
                node_set_state(registry->ledger, node, LEDGER_NODE_UNUSED, node->kept->handles == 0);
                node_set_state(registry->ledger, node, LEDGER_NODE_RELEASED, false);
        }
        registry_unlock(registry);
}

void registry_expect(Registry *registry, uint64_t id) {
        gint64 now = g_get_monotonic_time();
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        if (node)
                node->told = now;
        registry_unlock(registry);
}

bool registry_is_expected(Registry *registry, uint64_t id, gint64 within) {
        gint64 now = g_get_monotonic_time();
        bool expected = false;
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        if (node)
                expected = node->told && node->told + within > now;
        registry_unlock(registry);
        return expected;
}

/* The node, once nobody has it to themselves; NULL where it is not known, or has ended. */
static Node *find_included(Registry *registry, uint64_t id) {
        Node *node;

        /* Looked up again each time, as it may be forgotten meanwhile. */
        while ((node = registry_node(registry, id)) && node->excluded) {
                registry->waiting++;
                g_cond_wait(&registry->included, &registry->lock);
                registry->waiting--;
        }
        return node && !node_is(node, LEDGER_NODE_ENDED) ? node : NULL;
}

/* What a handle changes in a node's state, and takes back. */
#define STATE_OF_USE ((uint64_t)(LEDGER_NODE_UNUSED | LEDGER_NODE_USED | LEDGER_NODE_RELEASED))

int registry_handle_added(Registry *registry, uint64_t id, bool writes, int *backing_id) {
        LedgerRequest *request = ledger_current(registry->ledger);
        int result = -ESTALE;
        Node *node;

        registry_lock(registry);
        node = find_included(registry, id);
        if (node) {
                if (request) {
                        registry_set(registry, &request->writes, writes);
                        registry_set(registry, &request->state, node->kept->state);
                        registry_set(registry, &request->handle, id);
                }
                registry_set(registry, &node->kept->handles, node->kept->handles + 1);
                registry_set(registry, &node->kept->writers, node->kept->writers + writes);
                registry_idle_remove(registry, node);
                node_set_state(registry->ledger, node, LEDGER_NODE_RELEASED, false);
                *backing_id = node->kept->backing_id;
                result = 0;
        }
        registry_unlock(registry);
        return result;
}

void registry_handle_used(Registry *registry, uint64_t id) {
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        if (node) {
                node_set_state(registry->ledger, node, LEDGER_NODE_USED, true);
                node_set_state(registry->ledger, node, LEDGER_NODE_UNUSED, false);
        }
        registry_unlock(registry);
}

/* What a request that comes again has found out before. Whether it had. */
static bool has_released(const LedgerRequest *request, uint64_t id, const Node *node, RegistryRelease *release) {
        if (!request || request->released != id)
                return false;
        *release = (RegistryRelease){ request->backing, request->last, true,
                                      node ? node_policy(node) : (RegionPolicy){ 0 } };
        return true;
}

/* With the request in hand: the handle that it has counted is taken back, or one is released. */
static void note_release(Registry *registry, LedgerRequest *request, uint64_t id, const RegistryRelease *release) {
        if (!request)
                return;
        registry_set(registry, &request->backing, release->backing_id);
        if (request->handle == id) {
                registry_set(registry, &request->handle, 0);
                return;
        }
        registry_set(registry, &request->last, release->last);
        registry_set(registry, &request->released, id);
}

void registry_backing_closed(Registry *registry) {
        LedgerRequest *request = ledger_current(registry->ledger);

        if (request)
                ledger_publish(&request->backing, 0);
}

/*
 * What becomes of the backing id when the last handle is gone: the one to be closed, which may be another one's, or 0.
 */
static int settle_backing(Registry *registry, Node *node, Node **surplus) {
        if (!registry_idle_may(registry, node))
                return registry_idle_lose(registry, node);
        registry_idle_add(registry, node);
        *surplus = registry_idle_surplus(registry);
        return *surplus ? registry_idle_lose(registry, *surplus) : 0;
}

/*
 * The node has lost a handle; the lock is held. *surplus: a node that may have to be retired, once all that belongs to
 * the change is set, as that settles it; or as it was. NULL: the node's backing id is not kept.
 */
static void remove_handle(Registry *registry, Node *node, bool writes, RegistryRelease *release, Node **surplus) {
        registry_set(registry, &node->kept->writers, node->kept->writers - (writes && node->kept->writers > 0));
        registry_set(registry, &node->kept->handles, node->kept->handles - 1);
        if (node->kept->handles > 0)
                return;
        *release = (RegistryRelease){ 0, true, node_is(node, LEDGER_NODE_USED), node_policy(node) };
        release->backing_id = surplus ? settle_backing(registry, node, surplus) : registry_idle_lose(registry, node);
        /* An open that was refused is no use that a region could end with. */
        node_set_state(registry->ledger, node, LEDGER_NODE_RELEASED,
                       release->used && release->policy.lifetime == REGION_HANDLES);
}

int registry_handle_removed(Registry *registry, uint64_t id, bool writes, RegistryRelease *release) {
        LedgerRequest *request = ledger_current(registry->ledger);
        Node *node, *surplus = NULL, *retired = NULL;
        int result = -ESTALE;

        *release = (RegistryRelease){ 0 };
        registry_lock(registry);
        node = registry_node(registry, id);
        if (has_released(request, id, node, release)) {
                result = 0;
        } else if (node && node->kept->handles > 0) {
                remove_handle(registry, node, writes, release, &surplus);
                note_release(registry, request, id, release);
                retired = surplus ? registry_retire(registry, surplus) : NULL;
                result = 0;
        }
        registry_unlock(registry);
        registry_free_retired(retired);
        return result;
}

void registry_handle_taken_back(Registry *registry, const LedgerRequest *request) {
        RegistryRelease release = { 0 };
        Node *node;

        registry_lock(registry);
        node = request->handle ? registry_node(registry, request->handle) : NULL;
        if (node && node->kept->handles > 0) {
                /* What the request has made is about to be taken away. */
                remove_handle(registry, node, request->writes, &release, NULL);
                /* Others may have used it since. */
                if (node->kept->handles == 0)
                        registry_set(registry, &node->kept->state,
                                     (node->kept->state & ~STATE_OF_USE) | (request->state & STATE_OF_USE));
                note_release(registry, ledger_current(registry->ledger), node->id, &release);
        }
        registry_unlock(registry);
}

void registry_note_policy(Registry *registry, uint64_t id, const RegionPolicy *policy, bool certain) {
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        if (node) {
                node_set_policy(registry->ledger, node, policy, certain);
                if (policy->lifetime != REGION_HANDLES)
                        node_set_state(registry->ledger, node, LEDGER_NODE_RELEASED, false);
        }
        registry_unlock(registry);
}

void registry_doubt_policy(Registry *registry, uint64_t id) {
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        if (node)
                node->certain = false;
        registry_unlock(registry);
}

bool registry_knows_policy(Registry *registry, uint64_t id, RegionPolicy *policy) {
        bool known;
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        known = node && node->certain;
        if (known)
                *policy = node_policy(node);
        registry_unlock(registry);
        return known;
}

RegionPolicy registry_policy(Registry *registry, uint64_t id) {
        RegionPolicy policy = { 0 };
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        if (node)
                policy = node_policy(node);
        registry_unlock(registry);
        return policy;
}

int registry_exclude(Registry *registry, uint64_t id, RegistryCondition condition) {
        int result = -ESTALE;
        Node *node;

        registry_lock(registry);
        node = find_included(registry, id);
        if (node) {
                bool busy = (condition == REGISTRY_WITHOUT_WRITERS && node->kept->writers > 0) ||
                            (condition == REGISTRY_WITHOUT_HANDLES && node->kept->handles > 0) ||
                            (condition == REGISTRY_AFTER_USE &&
                             (node->kept->handles > 0 || node_is(node, LEDGER_NODE_UNUSED)));

                node->excluded = !busy;
                result = busy ? -EBUSY : 0;
        }
        registry_unlock(registry);
        return result;
}

void registry_include(Registry *registry, uint64_t id, bool ended) {
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        if (node) {
                node->excluded = false;
                if (ended)
                        node_set_state(registry->ledger, node, LEDGER_NODE_ENDED, true);
        }
        if (registry->waiting > 0)
                g_cond_broadcast(&registry->included);
        registry_unlock(registry);
}

int registry_handles(Registry *registry, uint64_t id, uint64_t *handles) {
        int result = -ESTALE;
        Node *node;

        registry_lock(registry);
        node = registry_node(registry, id);
        if (node) {
                *handles = node->kept->handles;
                result = 0;
        }
        registry_unlock(registry);
        return result;
}

int registry_set_backing(Registry *registry, uint64_t id, int backing_id, int *unused) {
        uint64_t *highest = &ledger_header(registry->ledger)->backings;
        int in_force;
        Node *node;

        *unused = 0;
        registry_lock(registry);
        if ((uint64_t)backing_id > *highest)
                registry_set(registry, highest, backing_id);
        node = registry_node(registry, id);
        if (!node || node->kept->handles == 0) {
                in_force = -ESTALE;
                *unused = backing_id;
        } else if (node->kept->backing_id) {
                in_force = node->kept->backing_id;
                *unused = backing_id;
        } else {
                in_force = backing_id;
                registry_set(registry, &node->kept->backing_id, backing_id);
        }
        registry_unlock(registry);
        return in_force;
}
