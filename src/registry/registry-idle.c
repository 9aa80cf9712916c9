/*
 * Backing ids that no handle uses at present: kept for the next one, of a few regions, as registering a file takes
 * longer than all else that opening it takes. Those of the regions that were used last stay. Never of a region that is
 * about to go: what is registered keeps its memory.
 *
 * Meanwhile the node stays known to us, whether the kernel knows it or not.
 */
#include "registry/registry-parts.h"

void registry_keep_backings(Registry *registry, unsigned most) {
        registry_lock(registry);
        registry->idle_most = most;
        registry_unlock(registry);
}

bool registry_idle_may(const Registry *registry, const Node *node) {
        return registry->idle_most > 0 && node->kept->backing_id && !node->source && node->ref.fd < 0 &&
               !node_is(node, LEDGER_NODE_ENDED | LEDGER_NODE_STALE) && node_policy(node).lifetime != REGION_HANDLES;
}

void registry_idle_add(Registry *registry, Node *node) {
        node->idle.data = node;
        node->is_idle = true;
        node->holds++;
        g_queue_push_tail_link(&registry->idle, &node->idle);
}

void registry_idle_remove(Registry *registry, Node *node) {
        if (!node->is_idle)
                return;
        g_queue_unlink(&registry->idle, &node->idle);
        node->is_idle = false;
        node->holds--;
}

int registry_idle_lose(Registry *registry, Node *node) {
        int backing_id = node->kept->backing_id;

        registry_idle_remove(registry, node);
        registry_set(registry, &node->kept->backing_id, 0);
        node_set_state(registry->ledger, node, LEDGER_NODE_STALE, false);
        return backing_id;
}

Node *registry_idle_surplus(Registry *registry) {
        return registry->idle.length > registry->idle_most ? registry->idle.head->data : NULL;
}

int registry_lose_backing(Registry *registry, uint64_t id) {
        LedgerRequest *request = ledger_current(registry->ledger);
        Node *node, *retired = NULL;
        int backing_id = 0;

        registry_lock(registry);
        node = registry_node(registry, id);
        if (node && node->is_idle) {
                backing_id = registry_idle_lose(registry, node);
                if (request)
                        registry_set(registry, &request->backing, backing_id);
                retired = registry_retire(registry, node);
        } else if (node && node->kept->handles) {
                /* It may be getting one just now, registered by what was before. */
                node_set_state(registry->ledger, node, LEDGER_NODE_STALE, true);
        }
        registry_unlock(registry);
        registry_free_retired(retired);
        return backing_id;
}

int registry_end_backings(Registry *registry) {
        Node *node, *retired = NULL;
        int backing_id = 0;

        registry_lock(registry);
        registry->idle_most = 0;
        node = registry_idle_surplus(registry);
        if (node) {
                backing_id = registry_idle_lose(registry, node);
                retired = registry_retire(registry, node);
        }
        registry_unlock(registry);
        registry_free_retired(retired);
        return backing_id;
}
