#pragma once

/* What the processes of a soak share, in memory that they inherit: how far they are, and what went wrong. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BOARD_CLIENTS_MAX 64

/* Of each kind, what the clients race for. */
#define BOARD_RACED 8

typedef struct BoardClient {
        _Atomic uint64_t operations, calls;
        _Atomic uint64_t appended; /* records in the shared journal */
        /* The call that it is in, and when it began (ns, monotonic; 0: in none). The text is the program's own. */
        _Atomic(const char *) call;
        _Atomic uint64_t since;
        /* The call that took longest, in ns. */
        _Atomic(const char *) longest_call;
        _Atomic uint64_t longest;
} BoardClient;

typedef struct Board {
        atomic_bool stop;    /* clients end after the operation that they are in */
        atomic_bool killing; /* clients go on although they have done their part: kills are to come */
        _Atomic uint64_t kills;
        _Atomic uint64_t errors;  /* a call said something else than it should */
        _Atomic uint64_t changes; /* lost or doubled: what is there is not what was made */
        /* Names, directories and attributes that there have to be: made less removed, by whoever won. */
        _Atomic int64_t names[BOARD_RACED], directories[BOARD_RACED], attributes[BOARD_RACED];
        /* What the clients have added to each counter of the shared region by a view, and by read and write. */
        _Atomic uint64_t counted[BOARD_RACED], summed;
        BoardClient clients[BOARD_CLIENTS_MAX];
} Board;
