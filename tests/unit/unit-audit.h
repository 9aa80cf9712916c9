#pragma once

/* A ledger that a dead server has left, for the tests of its audit. */

#include "ledger/ledger-room.h"
#include "operations/handles.h"
#include "operations/requests.h"
#include "server/server-descriptors.h"
#include "server/server.h"

#include "unit.h"

#define SOME_ID 4000
#define REGIONS 3

static Ledger *ledger;
static LedgerHeader *header;

static inline PoolRef made_up(unsigned number) {
        PoolRef ref = { .inode = 1000 + number, .fd = -1, .handle_type = 1, .handle_size = sizeof(number) };

        memcpy(ref.handle, &number, sizeof(number));
        return ref;
}

/* The root has slot and inode number 0, and id 1; each region the next ones. */
static inline void setup(void) {
        PoolRef root = made_up(0);
        Registry *registry;

        ledger = ledger_new(NULL);
        header = ledger_header(ledger);
        registry = registry_new(ledger, &root, true);
        for (unsigned i = 1; i <= REGIONS; i++) {
                PoolRef ref = made_up(i);

                registry_lookup(registry, &ref);
        }
        registry_free(registry);
}

static inline void teardown(void) {
        ledger_free(ledger);
}

/* Nodes that are left for the next server, which finds as many of each kind damaged as said; NULL: none of any. */
static inline uint64_t nodes_left(const unsigned damage[LEDGER_DAMAGES]) {
        Registry *registry;
        uint64_t nodes;

        ledger_recover(ledger);
        ledger_audit(ledger, NULL);
        registry = registry_new(ledger, NULL, true);
        nodes = registry_nodes(registry);
        for (int i = 0; i < LEDGER_DAMAGES; i++)
                ck_assert_msg(ledger_damage(ledger, i) == (damage ? damage[i] : 0), "damage %d is %u", i,
                              ledger_damage(ledger, i));
        registry_free(registry);
        return nodes;
}

static const unsigned one_node[LEDGER_DAMAGES] = { [LEDGER_BAD_NODES] = 1 };
static const unsigned one_value[LEDGER_DAMAGES] = { [LEDGER_BAD_VALUES] = 1 };
static const unsigned one_handle[LEDGER_DAMAGES] = { [LEDGER_BAD_HANDLES] = 1 };
static const unsigned one_request[LEDGER_DAMAGES] = { [LEDGER_BAD_REQUESTS] = 1 };

static inline uint64_t inode_of(int fd) {
        struct stat st;

        ck_assert_int_eq(fstat(fd, &st), 0);
        return st.st_ino;
}

/* Has a node be reached by a descriptor, which is the ledger's from now on. */
static inline int pin(uint64_t number) {
        LedgerNode *slot = ledger_node(ledger, number);
        int fd = unit_any_descriptor();

        slot->inode = inode_of(fd);
        slot->descriptor = ledger_note_descriptor(fd);
        slot->handle_size = 0;
        return fd;
}

/* Has a node be reached by a name. */
static inline void name(uint64_t number, const char *text, uint64_t parent) {
        LedgerNode *slot = ledger_node(ledger, number);

        slot->handle_size = 0;
        slot->parent = parent;
        memset(ledger_name(ledger, slot), 0, LEDGER_NAME_SIZE);
        memcpy(ledger_name(ledger, slot), text, strlen(text));
}

static inline LedgerHandle *keep_handle(uint64_t id, int fd) {
        LedgerHandle *slot = ledger_handle(ledger, header->handles++);

        *slot = (LedgerHandle){ .id = id, .kind = LEDGER_FILE, .descriptor = ledger_note_descriptor(fd) };
        header->next_handle = id + 1;
        return slot;
}

static inline LedgerRequest *keep_request(uint64_t unique) {
        LedgerRequest *slot = ledger_request(ledger, header->requests++);

        slot->unique = unique;
        return slot;
}
