#pragma once

/* Descriptors that a dead server has left in the table. For server.c and renewal.c alone. */

#include "operations/handles.h"
#include "operations/requests.h"

/* Whether it takes the descriptor over. */
typedef bool (*ServerDescriptorsFound)(void *data, int fd);

/* Calls back with the descriptors of the ledger's nodes, handles and requests, and of the region that is ending. */
void server_descriptors_named(const Ledger *ledger, void (*found)(void *data, int fd), void *data);

/*
 * Closes all but the keeper's, those of the ledger's nodes, handles and requests, and one more (or -1). found, unless
 * it is NULL, is asked about each of them before.
 */
void server_descriptors_sweep(const GArray *keepers, const Ledger *ledger, int one_more,
                              ServerDescriptorsFound found, void *data);

/* Closes all but the keeper's and one more (or -1). */
void server_descriptors_close_others(const GArray *keepers, int one_more);
