#pragma once

/* The threads that answer the requests of a session. For server.c alone. */

#include "operations/operations.h"
#include "operations/requests.h"

typedef struct Workers Workers;

/* How many there may be, where so many are wanted (0: the default). */
unsigned workers_most(unsigned wanted);

/*
 * Starts some; most: how many there may be, 0 for the default. operations, whose session is answered, ledger and
 * requests are borrowed.
 */
Workers *workers_new(const Operations *operations, Ledger *ledger, Requests *requests, unsigned most, GError **error);

/* Ends them: requests that come from now on are not answered. */
void workers_free(Workers *workers);

/* A descriptor that becomes readable when the mount has ended; the workers' own. */
int workers_ended(const Workers *workers);
