#include "registry/registry-node.h"

#include <fcntl.h>
#include <string.h>

G_STATIC_ASSERT(POOL_HANDLE_MAX == sizeof(((LedgerNode *)NULL)->handle));

enum { POLICY_HANDLES = 1, POLICY_COMMITTED = 2, POLICY_SEALED = 4 };

enum { SOURCE_READ_ONLY = 1, SOURCE_WRITABLE, SOURCE_LOST };

Node *node_new(Ledger *ledger, LedgerNode *slot, uint64_t id, PoolRef *ref) {
        Node *node = g_new0(Node, 1);

        node->id = id;
        node->kept = slot;
        node->ref = *ref;
        *ref = (PoolRef)POOL_REF_INIT;
        *slot = (LedgerNode){
                .inode = node->ref.inode,
                .handle_type = node->ref.handle_type,
                .handle_size = node->ref.handle_size,
        };
        memcpy(slot->handle, node->ref.handle, sizeof(slot->handle));
        slot->descriptor = ledger_note_descriptor(node->ref.fd);
        slot->parent = node->ref.parent;
        if (node->ref.name)
                g_strlcpy(ledger_name(ledger, slot), node->ref.name, LEDGER_NAME_SIZE);
        ledger_set(ledger, &slot->id, id);
        return node;
}

PoolRef node_ref(const LedgerNode *slot) {
        PoolRef ref = {
                .inode = slot->inode,
                .fd = ledger_descriptor(slot->descriptor),
                .handle_type = slot->handle_type,
                .handle_size = slot->handle_size,
                .parent = slot->parent,
                .directory = -1,
        };

        memcpy(ref.handle, slot->handle, sizeof(slot->handle));
        return ref;
}

bool node_has_name(const LedgerNode *slot) {
        return !slot->descriptor && !slot->handle_size;
}

Node *node_adopt(const Ledger *ledger, LedgerNode *slot) {
        Node *node = g_new0(Node, 1);

        node->id = slot->id;
        node->kept = slot;
        node->ref = node_ref(slot);
        if (node_has_name(slot))
                node->ref.name = g_strdup(ledger_name(ledger, slot));
        /* One that cannot be believed is looked for again. */
        if (slot->source_kind && !slot->source)
                slot->source_kind = SOURCE_LOST;
        if (slot->source)
                node->source = source_new(ledger_descriptor(slot->source),
                                          slot->source_kind == SOURCE_WRITABLE ? O_RDWR : O_RDONLY);
        return node;
}

void node_free(Node *node) {
        if (!node)
                return;
        pool_ref_clear(&node->ref);
        source_free(node->source);
        g_free(node);
}

void node_note_name(Ledger *ledger, const Node *node) {
        ledger_set(ledger, &node->kept->parent, node->ref.parent);
        ledger_set_name(ledger, node->kept, node->ref.name);
}

void node_note_descriptor(Ledger *ledger, const Node *node) {
        ledger_set(ledger, &node->kept->descriptor, ledger_note_descriptor(node->ref.fd));
}

bool node_is(const Node *node, uint64_t state) {
        return node->kept->state & state;
}

void node_set_state(Ledger *ledger, const Node *node, uint64_t state, bool on) {
        ledger_set(ledger, &node->kept->state, on ? node->kept->state | state : node->kept->state & ~state);
}

RegionPolicy node_policy(const Node *node) {
        uint64_t policy = node->kept->policy;

        return (RegionPolicy){
                .lifetime = policy & POLICY_HANDLES ? REGION_HANDLES : REGION_KEPT,
                .allocation = policy & POLICY_COMMITTED ? REGION_COMMITTED : REGION_DELAYED,
                .sealed = policy & POLICY_SEALED,
        };
}

void node_set_policy(Ledger *ledger, Node *node, const RegionPolicy *policy, bool certain) {
        ledger_set(ledger, &node->kept->policy,
                   (policy->lifetime == REGION_HANDLES ? POLICY_HANDLES : 0) |
                           (policy->allocation == REGION_COMMITTED ? POLICY_COMMITTED : 0) |
                           (policy->sealed ? POLICY_SEALED : 0));
        node->certain = certain;
}

void node_set_source(Ledger *ledger, Node *node, Source *source) {
        bool there = source_is_there(source);

        node->source = source;
        ledger_set(ledger, &node->kept->source, ledger_note_descriptor(source_descriptor(source)));
        ledger_set(ledger, &node->kept->source_kind,
                   !there ? SOURCE_LOST : source_is_writable(source) ? SOURCE_WRITABLE : SOURCE_READ_ONLY);
        if (there && !node_is(node, LEDGER_NODE_KEPT)) {
                node_set_state(ledger, node, LEDGER_NODE_KEPT, true);
                ledger_set(ledger, &node->kept->lookups, node->kept->lookups + 1);
        }
}

bool node_lacks_source(const Node *node) {
        return node->kept->source_kind && !node->source;
}
