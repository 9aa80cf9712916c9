#pragma once

/*
 * What the server keeps for open handles, found by ids that the kernel gives back with each request on a handle. An id is
 * a counter that is never used again; 0 is none, for a handle that needs nothing here, as the kernel serves it itself.
 *
 * All calls may be made from any thread. Those that return int return 0, or -EBADF for an unknown id. What they give out
 * stays kept here, and is good while the kernel may use the handle.
 */

#include "directory.h"

typedef struct Handles Handles;

Handles *handles_new(void);
void handles_free(Handles *handles);

/* Keeps the descriptor that serves a file (taken over); its handle id. */
uint64_t handles_keep_file(Handles *handles, int fd);
int handles_file(Handles *handles, uint64_t id, int *fd);
void handles_drop_file(Handles *handles, uint64_t id);

/* The same for a directory stream. */
uint64_t handles_keep_directory(Handles *handles, Directory *directory);
int handles_directory(Handles *handles, uint64_t id, Directory **directory);
void handles_drop_directory(Handles *handles, uint64_t id);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Handles, handles_free)
