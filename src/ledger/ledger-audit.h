#pragma once

/*
 * The audit: what a server finds in the ledger is looked at before it is believed, as a dead one may have stored
 * anywhere before it died. What cannot be is dropped, or put right where that can be told: so that the next server
 * neither dies of it nor touches what is not its own. A node that is dropped is met again when it is looked up; nothing
 * happens to the region.
 *
 * Here each slot is looked at for itself, and what may have one owner alone: descriptors, backing ids. Whoever reads
 * slots into tables drops those with an id that another has, and tells it here too.
 */

#include "ledger/ledger.h"

/* After ledger_recover(). keepers: descriptors (int) that are open and not the ledger's; NULL: none. */
void ledger_audit(Ledger *ledger, const GArray *keepers);

typedef enum LedgerDamage {
        LEDGER_BAD_NOTES,
        LEDGER_BAD_VALUES, /* put right */
        LEDGER_BAD_NODES,
        LEDGER_BAD_HANDLES,
        LEDGER_BAD_REQUESTS,
        LEDGER_BAD_FORGETS, /* messages with some */
        LEDGER_DAMAGES,
} LedgerDamage;

/* One more is damaged. How many are, as far as this process has looked. */
void ledger_note_damage(Ledger *ledger, LedgerDamage damage);
unsigned ledger_damage(const Ledger *ledger, LedgerDamage damage);

/* Warns of damage that was noted, in one message. */
void ledger_tell_damage(const Ledger *ledger);
