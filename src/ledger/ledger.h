#pragma once

/*
 * The ledger: what a server must not forget when it dies. A shared mapping that the keeper makes and every server
 * inherits by fork(2); the descriptors that it names are in the table that all of them share (see keeper.h). Knows
 * nothing of FUSE.
 *
 * Why it is right whenever a server dies
 *   A process dies between two instructions of each of its threads. All stores that a thread has made are seen by
 *   whoever maps the memory afterwards, in the thread's order as far as the compiler keeps it; memory does not get
 *   lost, as it does when a machine stops. So there are two ways in which something is changed here:
 *
 *     by one store    of an aligned word, into what was prepared while nobody looked at it: a slot's id, for instance, is
 *                     stored last, and a slot without an id is free whatever else it holds. ledger_publish() keeps the
 *                     order.
 *     by a change     of several words: ledger_set() first notes a word's place and old value in the log, counts the note
 *                     by one store, and only then stores the new value; ledger_settle() makes all that was set final by
 *                     setting the count to 0, which is one store. The next server finds either no notes, or those of a
 *                     change that was not settled, and puts the old values back (ledger_recover()): the last one first,
 *                     as a word may have been noted twice. To die while doing so does no harm, as it can be done again
 *                     from the start.
 *
 *   Changes are made by one thread at a time: whoever holds the registry's lock, from the first ledger_set() until
 *   ledger_settle(). Locks are in the server's own memory and end with it.
 *
 *   Descriptors: one that the ledger names is open; one that a dead server had open besides is closed by the next. So a
 *   descriptor is noted after it was opened, and closed after the note has been taken back.
 */

#include "ledger/crash-point.h"

#include <glib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Ledger Ledger;

/* Bytes of a saved INIT request. */
#define LEDGER_INIT_MAX 4096

/* What concerns the whole mount. */
typedef struct LedgerHeader {
        uint64_t format;      /* as of ledger_format(), of the program that made it */
        uint64_t next_node;   /* id */
        uint64_t next_handle; /* id */
        uint64_t regions;     /* how many the pool holds */
        uint64_t nodes;       /* slots up to here have been used; none behind */
        uint64_t handles;     /* the same */
        uint64_t serving;     /* a server takes requests, or did before it died */
        uint64_t server;      /* that takes requests, or did: the restarts in its life, and 1 */
        uint64_t ready;       /* the mount has answered once: whoever started us has been told, or is about to be */
        uint64_t ending;      /* a server has begun to end the mount */
        uint64_t restarts;    /* how many servers have been replaced */
        uint64_t passthrough; /* in force */
        uint64_t rings;       /* requests come over io_uring: see renewal.h */
        uint64_t ringless;    /* they are not to: a server has found that this mount cannot do with it */
        uint64_t lost;        /* the connection has gone, and with it all that the kernel knew: see renewal.h */
        uint64_t reports;     /* the fanotify group, as of ledger_note_descriptor() */
        uint64_t backings;    /* the highest backing id that was seen; they are not used again before all others */
        uint64_t begun;       /* how many requests have been: for whoever looks whether any is */
        uint64_t requests;    /* slots used up to here */
        uint64_t buffers;     /* used up to here */
        uint64_t init_size;   /* bytes of the INIT request; 0: there was none yet */
        unsigned char init[LEDGER_INIT_MAX];
} LedgerHeader;

enum {
        LEDGER_NODE_KEPT = 1,   /* one of the lookups is for the source's sake */
        LEDGER_NODE_UNUSED = 2, /* waits for its first use */
        LEDGER_NODE_ENDED = 4,
        LEDGER_NODE_RELEASED = 8, /* has the lifetime of its handles, and has lost the last one */
        LEDGER_NODE_USED = 16,    /* a client has got a handle */
        LEDGER_NODE_STALE = 32,   /* its backing id is not to be kept when the last handle is gone */
        LEDGER_NODE_STATES = 63,  /* all of them */
};

/* A node: see registry.h. By words, so that each can be changed. */
typedef struct LedgerNode {
        uint64_t id; /* 0: the slot is free */
        uint64_t lookups;
        uint64_t handles;
        uint64_t writers;
        uint64_t backing_id;
        uint64_t inode;
        uint64_t descriptor;  /* as of ledger_note_descriptor() */
        uint64_t parent;      /* of one that is reached by name; the name is kept apart */
        uint64_t state;       /* LEDGER_NODE_… */
        uint64_t policy;      /* as the registry packs it */
        uint64_t source;      /* of a persisted region, the descriptor, as of ledger_note_descriptor() */
        uint64_t source_kind; /* as the registry packs it */
        uint32_t handle_type;
        uint32_t handle_size;
        unsigned char handle[24];
} LedgerNode;

/* Bytes of a name in the pool with its NUL; whole words. */
#define LEDGER_NAME_SIZE 256

typedef enum LedgerHandleKind {
        LEDGER_FILE = 1,
        LEDGER_DIRECTORY,
} LedgerHandleKind;

/* A handle that the server has a descriptor for: see handles.h. */
typedef struct LedgerHandle {
        uint64_t id; /* 0: the slot is free */
        uint64_t kind;
        uint64_t descriptor; /* as of ledger_note_descriptor() */
} LedgerHandle;

/* What a request was about to change in the pool, so that the state of the pool tells whether it did. */
typedef enum LedgerIntent {
        LEDGER_NO_INTENT,
        LEDGER_MAKING,    /* a name that was not there */
        LEDGER_REMOVING,  /* a name that meant inode[0], on which descriptor[0] is open */
        LEDGER_RENAMING,  /* a name that meant inode[0] to one that meant inode[1], or 0 for nothing; descriptors likewise */
        LEDGER_ADDING,    /* an extended attribute that was not there */
        LEDGER_STRIPPING, /* one that was there */
} LedgerIntent;

/* Lookups that one request may count. */
#define LEDGER_LOOKUPS 1024

/* Bytes of a request that waits for another thread than its own to be answered: of its header at least. */
#define LEDGER_LEFT_MIN 40
#define LEDGER_LEFT_MAX 1024

/* A request in hand: see requests.h. The counts are changed together with what they count, or before it is known. */
typedef struct LedgerRequest {
        uint64_t unique;   /* the kernel's number of it; 0: the slot is free */
        uint64_t forgets;  /* that have been applied */
        uint64_t handle;   /* the id of a node on which it has counted a handle, or 0 */
        uint64_t writes;   /* of that handle */
        uint64_t state;    /* that node's, when it was counted */
        uint64_t kept;     /* the id of a handle that is kept for it, or 0 */
        uint64_t released; /* the id of a node from which it has taken a handle, or 0 */
        uint64_t last;     /* that was the last one */
        uint64_t backing;  /* which left this backing id to be closed */
        uint64_t registering; /* it is about to get a backing id that is not lower than this, or has got one; 0: no */
        uint64_t begun;    /* in the life of which server: the header's restarts then, and 1 */
        uint64_t deaths;   /* of servers, with it in hand, one soon after the other */
        uint64_t since;    /* when the first of them died: monotonic, microseconds */
        uint64_t hangs;    /* servers that were killed because it got no further: see watchdog.h */
        uint64_t refusals; /* servers that were to take it back and to refuse it, and died as well */
        uint64_t operation; /* the kernel's number of what is asked */
        uint64_t node;     /* and of whom, by id */
        uint64_t made;     /* it has counted a region */
        uint64_t gone;     /* it has taken one off */
        uint64_t intent;   /* LedgerIntent; stored after what belongs to it */
        uint64_t inode[2];
        uint64_t descriptor[2]; /* owned, as of ledger_note_descriptor() */
        uint64_t awaited; /* the kernel waited for an answer when a server died, and has not handed it out again yet */
        uint64_t lookups;
        uint64_t looked_up[LEDGER_LOOKUPS]; /* ids of nodes of which it has counted one */
        uint64_t left_size; /* bytes of the request itself, which has left its buffer; 0: it has not */
        unsigned char left[LEDGER_LEFT_MAX];
        uint64_t directory; /* by id, where it is about to make a name, to remove it or to move something to it: */
        char name[LEDGER_NAME_SIZE];
} LedgerRequest;

/* Names that one region may have, for all of them to be told of. */
#define LEDGER_END_NAMES 16

/* A region that is being ended: what the next server has to tell of it. */
typedef struct LedgerEnd {
        uint64_t node;       /* id; 0: none */
        uint64_t descriptor; /* owned, as of ledger_note_descriptor(): open on the region, or 0 */
        uint64_t names;      /* that have been removed, but perhaps the last one */
        struct {
                uint64_t parent; /* id of the directory's node, or 0 */
                char name[LEDGER_NAME_SIZE];
        } removed[LEDGER_END_NAMES];
        LedgerRequest request; /* what is counted meanwhile */
} LedgerEnd;

/* A command line; one that is longer is not kept. */
#define LEDGER_ARGUMENTS_SIZE 8192
typedef struct LedgerArguments {
        uint64_t size; /* bytes; 0: none is kept */
        char text[LEDGER_ARGUMENTS_SIZE]; /* one after the other, each with its NUL */
} LedgerArguments;

/*
 * What a keeper has, for the program that takes its place: see handover.h. Descriptors as of ledger_note_descriptor().
 */
typedef struct LedgerKeeper {
        uint64_t channel;
        uint64_t mount_id;
        uint64_t mount_unique;
        uint64_t device;
        uint64_t unmounter;
        uint64_t pool;
        uint64_t pool_mount;
        uint64_t pool_kind;
        uint64_t pool_by_handle;
        uint64_t namespaces;       /* there are some */
        uint64_t notifier[2];      /* as of notifier_descriptors() */
        uint64_t notifies;         /* its process; 0: none */
        uint64_t guard;            /* a process; see guard.h */
        uint64_t guard_state;      /* what has become of it */
        uint64_t lifeline;         /* as of guard_lifeline() */
        char mountpoint[PATH_MAX];
        char pool_path[PATH_MAX];  /* empty: none */
        char program[PATH_MAX];
        LedgerArguments made;      /* what the mount was made with */
        LedgerArguments accepted;  /* the last ones that could be read */
} LedgerKeeper;

/* How many there is room for. */
#define LEDGER_REQUESTS 4096

/* How many buffers there is room for. */
#define LEDGER_BUFFERS 4096

/* Bytes of what a thread receives: what libfuse asks the kernel for, and some. */
#define LEDGER_BUFFER_SIZE ((1 << 20) + (1 << 16))

/* An empty one. NULL with error where there is no memory for it. */
Ledger *ledger_new(GError **error);
void ledger_free(Ledger *ledger);

/*
 * The one whose memory the descriptor is, which is taken over: with all that another program has left in it. NULL with
 * error where it is none, or of another format, and the descriptor is closed.
 */
Ledger *ledger_open(int file, GError **error);

/* The descriptor of its memory; its own. */
int ledger_file(const Ledger *ledger);

/* A number that programs share which can read one another's ledgers. */
uint64_t ledger_format(void);

LedgerHeader *ledger_header(const Ledger *ledger);

/*
 * The slot with a number; those up to the header's nodes and handles have been used. The process ends if there is none.
 */
LedgerNode *ledger_node(const Ledger *ledger, uint64_t number);
LedgerHandle *ledger_handle(const Ledger *ledger, uint64_t number);

LedgerRequest *ledger_request(const Ledger *ledger, uint64_t number);

LedgerEnd *ledger_end(const Ledger *ledger);

LedgerKeeper *ledger_keeper(const Ledger *ledger);

/* Where a thread of the server receives: what had arrived when it died is there. */
void *ledger_buffer(const Ledger *ledger, uint64_t number);

/* The request that the calling thread has in hand, or NULL: what is counted meanwhile is noted with it. */
LedgerRequest *ledger_current(const Ledger *ledger);
void ledger_set_current(const Ledger *ledger, LedgerRequest *request);

/* Where the name of a node's slot is, of LEDGER_NAME_SIZE bytes. */
char *ledger_name(const Ledger *ledger, const LedgerNode *node);

/* Stores what makes known all that was stored before. */
static inline void ledger_publish(uint64_t *word, uint64_t value) {
        crash_point();
        __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* One more of what several threads count. */
static inline void ledger_count(uint64_t *word) {
        __atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
}

/* Stores as part of a change: see above. word is in the ledger. */
void ledger_set(Ledger *ledger, uint64_t *word, uint64_t value);

/* The same for a name. */
void ledger_set_name(Ledger *ledger, const LedgerNode *node, const char *name);

/* Makes final what was set. */
void ledger_settle(Ledger *ledger);

/*
 * Takes back what a dead server has set and not settled. What else it has left is yet to be looked at: see
 * ledger-audit.h.
 */
void ledger_recover(Ledger *ledger);

/*
 * Forgets nodes, handles, and requests: all of a connection that has gone. What is said of the mount as a whole stays,
 * and no id is used again. To die meanwhile does no harm, if it is done again. 0 or -errno.
 */
int ledger_clear_connection(Ledger *ledger);

/* How a descriptor is noted: 0 for none (a negative one). */
static inline uint64_t ledger_note_descriptor(int fd) {
        return fd < 0 ? 0 : (uint64_t)fd + 1;
}

static inline int ledger_descriptor(uint64_t noted) {
        return (int)noted - 1;
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ledger, ledger_free)
