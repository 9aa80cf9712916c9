#pragma once

/* What the rooms of the registry share. For registry*.c alone. */

#include "ledger/slot-index.h"
#include "registry/registry-node.h"

#include <errno.h>

struct Registry {
        Ledger *ledger;          /* borrowed; changed under lock */
        bool by_name;            /* some nodes are reached by their names */
        GRWLock names;           /* taken before lock; see registry_begin_change() */
        GMutex lock;             /* protects all that follows, and every Node */
        GCond included;          /* a node is no longer excluded */
        guint waiting;           /* for that */
        SlotIndex *by_id;        /* the slots of all nodes */
        SlotIndex *by_ref;       /* the same, without the root: no name leads there */
        GPtrArray *nodes;        /* by slot: owned, or NULL where nobody has asked for it since the dead server */
        GArray *free;            /* numbers of the ledger's slots that have been used and are free */
        GArray *doubtful;        /* ids (uint64_t) of nodes that a dead server has left in use, or persisted */
        GPtrArray *names_aside;  /* owned: names (char *) that were replaced while others may have been reading them; */
        GPtrArray *nodes_aside;  /* and chains of nodes whose descriptors they may have been using */
        gint aside;              /* atomic: there are some */
        GQueue idle;             /* of Node: see registry-idle.c; the first one to go is the head */
        guint idle_most;
};

/* Everything that is set in the ledger meanwhile counts at once, or, if the server dies, not at all. */
static inline void registry_lock(Registry *registry) {
        g_mutex_lock(&registry->lock);
}

static inline void registry_unlock(Registry *registry) {
        ledger_settle(registry->ledger);
        g_mutex_unlock(&registry->lock);
}

static inline void registry_set(Registry *registry, uint64_t *word, uint64_t value) {
        ledger_set(registry->ledger, word, value);
}

static inline uint64_t registry_number(const Registry *registry, const LedgerNode *slot) {
        return slot - ledger_node(registry->ledger, 0);
}

/* NULL where it is not known. */
Node *registry_node(Registry *registry, uint64_t id);
Node *registry_node_by_ref(Registry *registry, const PoolRef *ref);

/* The slots of those, or NULL. */
LedgerNode *registry_slot(const Registry *registry, uint64_t id);
LedgerNode *registry_slot_by_ref(const Registry *registry, const PoolRef *ref);

/* Has a slot found from now on; and no more. It is quicker where that was expected. */
void registry_expect_slot(const Registry *registry, const LedgerNode *slot);
void registry_enter(Registry *registry, const LedgerNode *slot);
void registry_strike(Registry *registry, const LedgerNode *slot);

/* Where the node is, in the table of them; NULL in it: nobody has asked for it yet. */
Node **registry_place(Registry *registry, const LedgerNode *slot);

/* Takes the node out of the tables if nothing needs it: what is to be freed outside the lock, or NULL. */
Node *registry_retire(Registry *registry, Node *node);
void registry_free_retired(Node *node);

/* registry-idle.c. Whether the node, which has lost its last handle, may keep its backing id. */
bool registry_idle_may(const Registry *registry, const Node *node);
void registry_idle_add(Registry *registry, Node *node);

/* It has a handle again, or nothing to keep. */
void registry_idle_remove(Registry *registry, Node *node);

/* Takes the backing id, kept or not, for the caller to be closed. The node may have to be retired. */
int registry_idle_lose(Registry *registry, Node *node);

/* The node that is to lose its backing id, as there are too many; or NULL. */
Node *registry_idle_surplus(Registry *registry);

/* Adds the root, which takes over *root. */
void registry_add_root(Registry *registry, PoolRef *root);

/*
 * Finds again the nodes of a dead server, in a registry that has none yet. root: as of registry_new(). Adds to unneeded
 * the ids (uint64_t) of those that only that server has held.
 */
void registry_adopt(Registry *registry, PoolRef *root, GArray *unneeded);
