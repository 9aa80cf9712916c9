#pragma once

/*
 * The registry: what is known of each node that the kernel knows. Knows nothing of FUSE.
 *
 * Node ids
 *   The kernel names a node (region, directory, symbolic link, …) by an id that we choose. It is a counter that is
 *   never used again, so that an id from before a change can only mean the node of before, or nothing. The root has id
 *   1. A node is known as long as the kernel may use its id: each time an id is handed out adds one to the node's
 *   lookup count, and registry_forget() takes off as many as the kernel gives back; at zero the node is forgotten,
 *   which changes nothing in the pool. A node whose reply did not reach the kernel is forgotten by whoever failed to
 *   reply. The kernel does not give back an id while a request that names it is under way: an operation may resolve its
 *   ids once and go on without a lock.
 *
 * Handles
 *   Every open handle of a region counts. All that the kernel serves itself (passthrough) share one backing id: the
 *   first open registers it, the last release gives it up, if not for the next open to find it there
 *   (registry_keep_backings()).
 *
 * Names
 *   A node that is reached by its directory and name (see pool.h) keeps its directory's node, whose descriptor it
 *   needs, from being forgotten. Whoever changes a name in the pool tells the registry, and keeps others from resolving
 *   nodes by names meanwhile. A node whose name goes is reached by a descriptor that its PoolRef keeps from then on.
 *
 * Dying
 *   What a later server needs is in the ledger. Each call counts there as a whole, or not at all, together with the
 *   note of it that the request has which the thread has in hand (ledger_current()).
 *
 * All calls may be made from any thread. Those that return int return 0 or -errno: -ESTALE for an unknown node id.
 */

#include "ledger/ledger-audit.h"
#include "pool/pool.h"
#include "pool/region.h"
#include "pool/source.h"

typedef struct Registry Registry;

#define REGISTRY_ROOT_ID 1

/*
 * With the nodes that the ledger (borrowed) holds. root is the pool's directory, of which the registry takes over what
 * it needs: the root is that, whatever the ledger says. NULL: it is what the ledger says. by_name: some nodes are
 * reached by their names (see pool.h); without, nobody waits for a change of names.
 */
Registry *registry_new(Ledger *ledger, PoolRef *root, bool by_name);
void registry_free(Registry *registry);

/* The descriptor of the root directory's node, or -1. */
int registry_root_descriptor(const Ledger *ledger);

/* Around a change of names in the pool and the registry. */
void registry_begin_change(Registry *registry);
void registry_end_change(Registry *registry);

/* Around looking up or resolving a node and opening it: names stay as they are. Not to be nested. */
void registry_begin_resolving(Registry *registry);
void registry_end_resolving(Registry *registry);

/* Finds or adds the node and counts one lookup. Takes over *ref. Returns the id. */
uint64_t registry_lookup(Registry *registry, PoolRef *ref);
void registry_forget(Registry *registry, uint64_t id, uint64_t lookups);

/*
 * Makes the region a persisted one; takes over source. Where its file is there, the node stays known from then on,
 * until the region has lost its last name. Where it has a source already, or is not known, nothing changes.
 */
void registry_set_source(Registry *registry, uint64_t id, Source *source);

/* Borrowed while the kernel may use id; NULL: no persisted region. */
const Source *registry_source(Registry *registry, uint64_t id);

/* If the node has no handle, it waits for its first use: until a client gets one. */
void registry_await_use(Registry *registry, uint64_t id);

/*
 * Notes that a client is being told of the node, and may open it; and whether that was so many microseconds ago at
 * most.
 */
void registry_expect(Registry *registry, uint64_t id);
bool registry_is_expected(Registry *registry, uint64_t id, gint64 within);

/*
 * Keeps a node that is known so until registry_drop(): whether it is known. registry_meet() finds or adds the node and
 * holds it; takes over *ref. Held for this server: not for the next.
 */
bool registry_hold(Registry *registry, uint64_t id);
uint64_t registry_meet(Registry *registry, PoolRef *ref);
void registry_drop(Registry *registry, uint64_t id);

/*
 * Where the node is in the pool. What *ref holds is borrowed: the name is good until names change, all else while the
 * kernel may use id.
 */
int registry_resolve(Registry *registry, uint64_t id, PoolRef *ref);

/* The descriptor that the node's PoolRef keeps, or -1: borrowed while the kernel may use id. */
int registry_descriptor(Registry *registry, uint64_t id);

/* The node that *ref describes lost a name: if it is known, *fd (O_PATH) is taken over to pin it. */
void registry_unlinked(Registry *registry, const PoolRef *ref, int *fd);

/* The node that *ref describes is now found by another name: that of *ref. */
void registry_moved(Registry *registry, const PoolRef *ref);

/*
 * Counts one more handle on the node, after waiting for whoever has it to themselves. *backing_id is the region's, or 0
 * if it has none yet. -ESTALE also where the region has ended with its last handle.
 */
int registry_handle_added(Registry *registry, uint64_t id, bool writes, int *backing_id);

/* What the last handle leaves. */
typedef struct RegistryRelease {
        int backing_id;      /* to be closed by the caller, or 0 */
        bool last;           /* no handle is left */
        bool used;           /* there was one that its client got, as long as the node is known */
        RegionPolicy policy; /* as last noted */
} RegistryRelease;

/* A handle that was added is its client's; or a view shows that there was one. */
void registry_handle_used(Registry *registry, uint64_t id);

/* Takes one handle off the node. */
int registry_handle_removed(Registry *registry, uint64_t id, bool writes, RegistryRelease *release);

/*
 * The handle that the request has counted which the thread has in hand was no use of the region: its client never got
 * it.
 */
void registry_handle_taken_back(Registry *registry, const LedgerRequest *request);

/* The backing id that the last handle left has been closed. */
void registry_backing_closed(Registry *registry);

/* Regions may keep their backing id when they have lost their last handle: so many of them. Without this call, none. */
void registry_keep_backings(Registry *registry, unsigned most);

/*
 * From now on none keep theirs. One that a region has kept, for the caller to be closed: to be called until there is
 * none, 0.
 */
int registry_end_backings(Registry *registry);

/*
 * Has a region not keep its backing id, now or when it loses its last handle. One that is to be closed by the caller,
 * or 0; it is noted with the request in hand.
 */
int registry_lose_backing(Registry *registry, uint64_t id);

int registry_handles(Registry *registry, uint64_t id, uint64_t *handles);

/*
 * Notes the policy of a region, or of a directory, as the pool keeps it. certain: nobody changes it there without
 * telling us, so that it need not be read again.
 */
void registry_note_policy(Registry *registry, uint64_t id, const RegionPolicy *policy, bool certain);

/* It is about to be changed: it is not certain until it is noted. */
void registry_doubt_policy(Registry *registry, uint64_t id);

/* Whether it is certain; then it is *policy. */
bool registry_knows_policy(Registry *registry, uint64_t id, RegionPolicy *policy);

/* As last noted; without rules where nobody has noted any. */
RegionPolicy registry_policy(Registry *registry, uint64_t id);

typedef enum RegistryCondition {
        REGISTRY_ANY,
        REGISTRY_WITHOUT_WRITERS,
        REGISTRY_WITHOUT_HANDLES,
        REGISTRY_AFTER_USE, /* without handles, but not one that waits for its first use */
} RegistryCondition;

/*
 * Has the node to oneself: until registry_include() no handle is added to it. -EBUSY where the condition does not hold,
 * -ESTALE also where the region has ended. Waits for others who have it to themselves.
 */
int registry_exclude(Registry *registry, uint64_t id, RegistryCondition condition);

/* ended: the region has no name any more and its memory is given up; no handle is ever added to it. */
void registry_include(Registry *registry, uint64_t id, bool ended);

/* The id of a node that is known, or 0. Counts no lookup. */
uint64_t registry_find(Registry *registry, const PoolRef *ref);

/*
 * Proposes a backing id for a node with a handle. Returns the one in force: *unused is to be closed by the caller, or
 * 0.
 */
int registry_set_backing(Registry *registry, uint64_t id, int backing_id, int *unused);

/* How many regions the pool holds: told at start, then kept up with what operations create and end. */
void registry_regions_changed(Registry *registry, int64_t difference);

/* The region that *ref describes, known or not, has lost its last name. */
void registry_region_gone(Registry *registry, const PoolRef *ref);
uint64_t registry_regions(Registry *registry);

/* What a server that follows a dead one has to look at. */
typedef enum RegistryDoubt {
        REGISTRY_MAY_HAVE_ENDED, /* a region that ends with its last handle, and has lost it */
        REGISTRY_WAS_USED,       /* a region that ends with its last handle, and has had one */
        REGISTRY_LACKS_SOURCE,   /* a persisted region whose file was not found when the region was met */
} RegistryDoubt;

/* The ids (uint64_t) of all nodes that it has left of which that is true; to be freed. */
GArray *registry_in_doubt(Registry *registry, RegistryDoubt doubt);

/* Whether a node has, or a request is about to give up, that backing id. Not from several threads. */
bool registry_has_backing(Registry *registry, int backing_id);

/* Calls back with each descriptor that nodes of that ledger keep open. Not from several threads. */
void registry_descriptors(const Ledger *ledger, void (*found)(void *data, int fd), void *data);

/* How often a dead server has been replaced. */
uint64_t registry_restarts(Registry *registry);

/* How many nodes are known: for tests and for whoever looks for leaks. */
uint64_t registry_nodes(Registry *registry);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Registry, registry_free)
