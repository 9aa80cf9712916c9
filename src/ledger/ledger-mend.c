#include "ledger/ledger-mend.h"

#include <fcntl.h>

/* What the root directory is to the registry; a name in it that means none of its entries. */
#define ROOT 1
#define NOWHERE "."

/* True where there is one, and it is missing; it is none then. */
static bool take_out(uint64_t *noted) {
        if (!*noted || fcntl(ledger_descriptor(*noted), F_GETFD) >= 0)
                return false;
        *noted = 0;
        return true;
}

static unsigned mend_node(Ledger *ledger, LedgerNode *slot) {
        unsigned missing = take_out(&slot->source);

        if (!take_out(&slot->descriptor))
                return missing;
        if (!slot->handle_size) {
                /* Not to be taken for another. */
                slot->inode = UINT64_MAX - slot->id;
                slot->parent = ROOT;
                g_strlcpy(ledger_name(ledger, slot), NOWHERE, LEDGER_NAME_SIZE);
        }
        return missing + 1;
}

unsigned ledger_mend(Ledger *ledger) {
        LedgerHeader *header = ledger_header(ledger);
        unsigned missing = 0;

        ledger_recover(ledger);
        missing += take_out(&header->reports);
        if (ledger_end(ledger)->node)
                missing += take_out(&ledger_end(ledger)->descriptor);
        for (uint64_t number = 0; number < header->nodes; number++) {
                LedgerNode *slot = ledger_node(ledger, number);

                if (slot->id)
                        missing += mend_node(ledger, slot);
        }
        for (uint64_t number = 0; number < header->handles; number++) {
                LedgerHandle *slot = ledger_handle(ledger, number);

                if (slot->id && take_out(&slot->descriptor)) {
                        slot->id = 0;
                        missing++;
                }
        }
        for (uint64_t number = 0; number < header->requests; number++) {
                LedgerRequest *slot = ledger_request(ledger, number);

                for (size_t i = 0; slot->unique && i < G_N_ELEMENTS(slot->descriptor); i++)
                        missing += take_out(&slot->descriptor[i]);
        }
        return missing;
}
