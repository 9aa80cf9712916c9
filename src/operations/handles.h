#pragma once

/*
 * What the server keeps for open handles, found by ids that the kernel gives back with each request on a handle. An id
 * is a counter that is never used again; 0 is none, for a handle that needs nothing here, as the kernel serves it
 * itself.
 *
 * They are in the ledger, so that the next server has them too, if this one dies. A directory stream needs no more than
 * its descriptor: each request says which position it wants.
 *
 * All calls may be made from any thread. Those that return int return 0, or -EBADF for an unknown id. What they give
 * out stays kept here, and is good while the kernel may use the handle.
 */

#include "ledger/ledger-audit.h"
#include "operations/directory.h"

typedef struct Handles Handles;

/* With those that the ledger (borrowed) holds. */
Handles *handles_new(Ledger *ledger);
void handles_free(Handles *handles);

/* Keeps the descriptor that serves a file (taken over); its handle id. */
uint64_t handles_keep_file(Handles *handles, int fd);
int handles_file(Handles *handles, uint64_t id, int *fd);
void handles_drop_file(Handles *handles, uint64_t id);

/* The same for a directory stream, of a descriptor that is open for reading. */
uint64_t handles_keep_directory(Handles *handles, int fd);
int handles_directory(Handles *handles, uint64_t id, Directory **directory);
void handles_drop_directory(Handles *handles, uint64_t id);

/* Calls back with each descriptor that is kept for that ledger. Not from several threads. */
void handles_descriptors(const Ledger *ledger, void (*found)(void *data, int fd), void *data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Handles, handles_free)
