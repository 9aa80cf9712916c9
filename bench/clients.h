#pragma once

/* Processes that work at once, each on files of its own. */

#include "place.h"

/* What a client does over and over: count times. */
typedef bool (*ClientsWork)(Place *place, size_t count, GError **error);

typedef struct Clients Clients;

/*
 * Starts them; they wait. Their files are in the directory itself, or, "apart", in a directory within it for each. The
 * caller has no other threads. What goes wrong in a client it says on stderr itself.
 */
Clients *clients_start(const char *directory, unsigned count, bool apart, ClientsWork work, GError **error);

/* All do it at once, count times each. Returns when the last one has. */
bool clients_run(Clients *clients, size_t count, GError **error);

/* They remove their files and end. */
void clients_free(Clients *clients);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Clients, clients_free)
