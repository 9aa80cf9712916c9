/* How the registry finds a node by its slot. */
#include "registry/registry-parts.h"

#include <string.h>

static bool slot_is(const LedgerNode *slot, const PoolRef *ref) {
        return slot->inode == ref->inode && slot->handle_type == (uint32_t)ref->handle_type &&
               slot->handle_size == ref->handle_size && memcmp(slot->handle, ref->handle, ref->handle_size) == 0;
}

LedgerNode *registry_slot(const Registry *registry, uint64_t id) {
        SlotIndexPlace place = 0;
        uint64_t number;

        while (slot_index_find(registry->by_id, slot_index_hash(id), &place, &number))
                if (ledger_node(registry->ledger, number)->id == id)
                        return ledger_node(registry->ledger, number);
        return NULL;
}

LedgerNode *registry_slot_by_ref(const Registry *registry, const PoolRef *ref) {
        SlotIndexPlace place = 0;
        uint64_t number;

        while (slot_index_find(registry->by_ref, slot_index_hash(ref->inode), &place, &number))
                if (slot_is(ledger_node(registry->ledger, number), ref))
                        return ledger_node(registry->ledger, number);
        return NULL;
}

Node **registry_place(Registry *registry, const LedgerNode *slot) {
        uint64_t number = registry_number(registry, slot);

        if (number >= registry->nodes->len)
                g_ptr_array_set_size(registry->nodes, number + 1);
        return (Node **)&g_ptr_array_index(registry->nodes, number);
}

/* A dead server's is made when it is asked for. */
static Node *find(Registry *registry, LedgerNode *slot) {
        Node **place = slot ? registry_place(registry, slot) : NULL;

        if (slot && !*place) {
                Node *node = *place = node_adopt(registry->ledger, slot);

                /* Counted there already. */
                if (node->ref.name)
                        node->parent = registry_node(registry, node->ref.parent);
        }
        return slot ? *place : NULL;
}

Node *registry_node(Registry *registry, uint64_t id) {
        return find(registry, registry_slot(registry, id));
}

Node *registry_node_by_ref(Registry *registry, const PoolRef *ref) {
        return find(registry, registry_slot_by_ref(registry, ref));
}

void registry_expect_slot(const Registry *registry, const LedgerNode *slot) {
        slot_index_expect(registry->by_id, slot_index_hash(slot->id));
        slot_index_expect(registry->by_ref, slot_index_hash(slot->inode));
}

void registry_enter(Registry *registry, const LedgerNode *slot) {
        uint64_t number = registry_number(registry, slot);

        slot_index_add(registry->by_id, slot_index_hash(slot->id), number);
        if (slot->id != REGISTRY_ROOT_ID)
                slot_index_add(registry->by_ref, slot_index_hash(slot->inode), number);
}

void registry_strike(Registry *registry, const LedgerNode *slot) {
        uint64_t number = registry_number(registry, slot);

        slot_index_remove(registry->by_id, slot_index_hash(slot->id), number);
        slot_index_remove(registry->by_ref, slot_index_hash(slot->inode), number);
}
