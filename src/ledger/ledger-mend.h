#pragma once

/* A ledger whose descriptors have come without some of their number. */

#include "ledger/ledger.h"

/*
 * Takes out what is not open of the descriptors that the ledger names. A node is then reached by its handle if it has
 * one, or is stale; a source is looked for anew; what clients do with a handle of ours fails. Returns how many were
 * missing.
 */
unsigned ledger_mend(Ledger *ledger);
