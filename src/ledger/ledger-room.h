#pragma once

/*
 * How the ledger lies in its memory. For ledger*.c, and for tests that damage one.
 *
 * Nothing in it depends on the address at which it is mapped.
 */

#include "ledger/ledger-audit.h"

#include <pthread.h>

/* Slots that there is room for. They take memory when they are first used: the room is address space. */
#define LEDGER_NODES (UINT64_C(1) << 26)
#define LEDGER_HANDLES (UINT64_C(1) << 24)

/* Words that one change may concern: a name, and some. */
#define LEDGER_NOTES 96

typedef struct LedgerNote {
        uint64_t offset; /* bytes from the room's start: of a word */
        uint64_t before; /* what the word was */
} LedgerNote;

typedef struct LedgerRoom {
        LedgerHeader header;
        uint64_t notes; /* of the log that are in force */
        LedgerNote log[LEDGER_NOTES];
        LedgerKeeper keeper;
        _Alignas(4096) LedgerNode nodes[LEDGER_NODES];
        LedgerHandle handles[LEDGER_HANDLES];
        LedgerEnd end;
        LedgerRequest requests[LEDGER_REQUESTS];
        char names[LEDGER_NODES][LEDGER_NAME_SIZE];
        _Alignas(4096) char buffers[LEDGER_BUFFERS][LEDGER_BUFFER_SIZE];
} LedgerRoom;

struct Ledger {
        LedgerRoom *room; /* mapped */
        int file;         /* owned: its memory */
        pthread_key_t current;
        unsigned damage[LEDGER_DAMAGES];
};
