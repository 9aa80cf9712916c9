#pragma once

/*
 * A node of the registry: half of it is kept in the ledger, and found there again by the next server. For registry*.c
 * alone; all under the registry's lock.
 */

#include "ledger/ledger.h"
#include "registry/registry.h"

typedef struct Node Node;

struct Node {
        uint64_t id;
        LedgerNode *kept; /* the slot: counts, state, policy, and what is needed of ref and source */
        PoolRef ref;      /* owned */
        Node *parent;     /* counted in its children: the directory that ref's name is in; or NULL */
        uint64_t children;
        uint64_t holds;   /* of this server */
        Source *source;   /* owned, or NULL */
        gint64 told;      /* when a client was last told of it: monotonic, microseconds; 0: not yet */
        bool excluded;    /* someone has it to themselves */
        bool certain;     /* the policy is as the pool keeps it; each server reads it there once */
        bool is_idle;     /* it has a backing id and no handle, and a hold for that: see registry-idle.c */
        GList idle;       /* then its place among those */
};

/* A new one in an empty slot of the ledger, as part of a change; takes over *ref. */
Node *node_new(Ledger *ledger, LedgerNode *slot, uint64_t id, PoolRef *ref);

/* How the node of a slot is reached, without its name; and whether it is by that. */
PoolRef node_ref(const LedgerNode *slot);
bool node_has_name(const LedgerNode *slot);

/* The one that a slot of a dead server holds, but for its parent. */
Node *node_adopt(const Ledger *ledger, LedgerNode *slot);

/* Its slot has been given up. NULL is none. */
void node_free(Node *node);

/* Notes how the node is reached now, as part of a change. */
void node_note_name(Ledger *ledger, const Node *node);
void node_note_descriptor(Ledger *ledger, const Node *node);

bool node_is(const Node *node, uint64_t state);
void node_set_state(Ledger *ledger, const Node *node, uint64_t state, bool on);

RegionPolicy node_policy(const Node *node);

void node_set_policy(Ledger *ledger, Node *node, const RegionPolicy *policy, bool certain);

/* Takes over source, of a node that has none. */
void node_set_source(Ledger *ledger, Node *node, Source *source);

/* A persisted region whose file was not found, and is not known by this server. */
bool node_lacks_source(const Node *node);
