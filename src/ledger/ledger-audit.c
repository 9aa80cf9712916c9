#include "ledger/ledger-audit.h"

#include "base/descriptor.h"
#include "ledger/ledger-room.h"

#include <string.h>
#include <sys/stat.h>

/* No count comes so far, and no id: at a million a second it takes two thousand years. */
#define PLAUSIBLE (UINT64_C(1) << 56)

typedef struct Audit {
        Ledger *ledger;
        GHashTable *descriptors; /* those that have an owner, as they are noted */
        GHashTable *backings;    /* the same of backing ids */
} Audit;

void ledger_note_damage(Ledger *ledger, LedgerDamage damage) {
        ledger->damage[damage]++;
}

unsigned ledger_damage(const Ledger *ledger, LedgerDamage damage) {
        return ledger->damage[damage];
}

void ledger_tell_damage(const Ledger *ledger) {
        const unsigned *damage = ledger->damage;
        unsigned all = 0;

        for (int i = 0; i < LEDGER_DAMAGES; i++)
                all += damage[i];
        if (all)
                g_warning("the ledger is damaged: dropped are %u nodes, %u handles, %u requests, %u notes and %u messages; "
                          "put right are %u values",
                          damage[LEDGER_BAD_NODES], damage[LEDGER_BAD_HANDLES], damage[LEDGER_BAD_REQUESTS],
                          damage[LEDGER_BAD_NOTES], damage[LEDGER_BAD_FORGETS], damage[LEDGER_BAD_VALUES]);
}

static void put_right(const Audit *audit, uint64_t *word, uint64_t value) {
        if (*word == value)
                return;
        *word = value;
        ledger_note_damage(audit->ledger, LEDGER_BAD_VALUES);
}

static void drop(const Audit *audit, uint64_t *id, LedgerDamage damage) {
        ledger_publish(id, 0);
        ledger_note_damage(audit->ledger, damage);
}

/* Whether nobody else has it; it has an owner from now on. */
static bool claim(GHashTable *owned, uint64_t number) {
        return number <= INT_MAX && g_hash_table_add(owned, GINT_TO_POINTER(number));
}

static bool claim_descriptor(const Audit *audit, uint64_t noted) {
        return claim(audit->descriptors, noted) && fcntl(ledger_descriptor(noted), F_GETFD) >= 0;
}

/* The same of one that is open on that inode. */
static bool claim_file(const Audit *audit, uint64_t noted, uint64_t inode) {
        struct stat st;

        return noted <= INT_MAX && fstat(ledger_descriptor(noted), &st) == 0 && st.st_ino == inode &&
               claim(audit->descriptors, noted);
}

/* Where the file's memory ends that begins at offset. */
static off_t data_end(const Audit *audit, off_t offset) {
        off_t hole = lseek(audit->ledger->file, offset, SEEK_HOLE);

        return MAX(hole, offset);
}

/* Where the last of the file's memory between offset and end ends; offset, where there is none. */
static off_t last_data_end(const Audit *audit, off_t offset, off_t end) {
        off_t last = offset, data = offset;

        while ((data = lseek(audit->ledger->file, data, SEEK_DATA)) >= 0 && data < end)
                last = data = data_end(audit, data);
        return MIN(last, end);
}

/*
 * A count of slots of that size, from offset on, of which there are most. What lies behind those that were ever stored
 * into is not to be looked at: it would get memory, and there may be a lot of it. A count may be ahead of that by
 * itself.
 */
static void bound_slots(const Audit *audit, uint64_t *count, size_t offset, size_t size, uint64_t most) {
        put_right(audit, count, MIN(*count, most));
        *count = MIN(*count, (last_data_end(audit, offset, offset + *count * size) - offset + size - 1) / size);
}

/* The same where slots lie side by side, so that there is no hole before the first that was never stored into. */
static void bound_dense_slots(const Audit *audit, uint64_t *count, size_t offset, size_t size, uint64_t most) {
        put_right(audit, count, MIN(*count, most));
        *count = MIN(*count, (data_end(audit, offset) - offset) / size);
}

/* No id is given out twice. */
static void bound_next_id(const Audit *audit, uint64_t *next, uint64_t highest) {
        if (*next <= highest || *next > PLAUSIBLE)
                put_right(audit, next, highest + 1);
}

static bool name_is_good(const char *name) {
        return *name && memchr(name, '\0', LEDGER_NAME_SIZE) && !strchr(name, '/') && !g_str_equal(name, ".") &&
               !g_str_equal(name, "..");
}

static bool node_is_good(const Audit *audit, const LedgerNode *slot) {
        if (slot->id > PLAUSIBLE || slot->lookups > PLAUSIBLE || slot->handles > PLAUSIBLE ||
            slot->handle_size > sizeof(slot->handle))
                return false;
        if (slot->descriptor)
                return claim_file(audit, slot->descriptor, slot->inode);
        return slot->handle_size || name_is_good(ledger_name(audit->ledger, slot));
}

static void put_node_right(const Audit *audit, LedgerNode *slot) {
        put_right(audit, &slot->writers, MIN(slot->writers, slot->handles));
        put_right(audit, &slot->state, slot->state & LEDGER_NODE_STATES);
        if (!slot->lookups)
                put_right(audit, &slot->state, slot->state & ~(uint64_t)LEDGER_NODE_KEPT);
        if (slot->source && !claim_descriptor(audit, slot->source))
                put_right(audit, &slot->source, 0);
        if (slot->backing_id && !claim(audit->backings, slot->backing_id))
                put_right(audit, &slot->backing_id, 0);
}

static void audit_nodes(const Audit *audit) {
        LedgerHeader *header = ledger_header(audit->ledger);
        uint64_t highest = 0, backings = 0;

        bound_dense_slots(audit, &header->nodes, offsetof(LedgerRoom, nodes), sizeof(LedgerNode), LEDGER_NODES);
        for (uint64_t number = 0; number < header->nodes; number++) {
                LedgerNode *slot = ledger_node(audit->ledger, number);

                if (!slot->id)
                        continue;
                if (!node_is_good(audit, slot)) {
                        drop(audit, &slot->id, LEDGER_BAD_NODES);
                        continue;
                }
                put_node_right(audit, slot);
                highest = MAX(highest, slot->id);
                backings = MAX(backings, slot->backing_id);
        }
        bound_next_id(audit, &header->next_node, highest);
        if (header->backings < backings || header->backings > INT_MAX)
                put_right(audit, &header->backings, backings);
}

static void audit_handles(const Audit *audit) {
        LedgerHeader *header = ledger_header(audit->ledger);
        uint64_t highest = 0;

        bound_dense_slots(audit, &header->handles, offsetof(LedgerRoom, handles), sizeof(LedgerHandle), LEDGER_HANDLES);
        for (uint64_t number = 0; number < header->handles; number++) {
                LedgerHandle *slot = ledger_handle(audit->ledger, number);

                if (!slot->id)
                        continue;
                if (slot->id > PLAUSIBLE || (slot->kind != LEDGER_FILE && slot->kind != LEDGER_DIRECTORY) ||
                    !claim_descriptor(audit, slot->descriptor))
                        drop(audit, &slot->id, LEDGER_BAD_HANDLES);
                else
                        highest = MAX(highest, slot->id);
        }
        bound_next_id(audit, &header->next_handle, highest);
}

/* Whether it has what the intent takes, so that it can be told whether it was carried out. */
static bool intent_is_good(const LedgerRequest *slot) {
        switch (slot->intent) {
        case LEDGER_MAKING:
                return name_is_good(slot->name);
        case LEDGER_REMOVING:
                return slot->descriptor[0] && name_is_good(slot->name);
        case LEDGER_RENAMING:
                return slot->descriptor[0] && !slot->inode[1] == !slot->descriptor[1] && name_is_good(slot->name);
        default:
                return slot->intent <= LEDGER_STRIPPING;
        }
}

static void put_request_right(const Audit *audit, LedgerRequest *slot) {
        uint64_t *const flags[] = { &slot->writes, &slot->last, &slot->made, &slot->gone, &slot->awaited };

        for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
                put_right(audit, flags[i], !!*flags[i]);
        if (slot->backing && !claim(audit->backings, slot->backing))
                put_right(audit, &slot->backing, 0);
        put_right(audit, &slot->state, slot->state & LEDGER_NODE_STATES);
        if (slot->left_size && (slot->left_size < LEDGER_LEFT_MIN || slot->left_size > sizeof(slot->left)))
                put_right(audit, &slot->left_size, 0);
        if (slot->registering > MIN(ledger_header(audit->ledger)->backings + 1, INT_MAX))
                put_right(audit, &slot->registering, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(slot->descriptor); i++)
                if (slot->descriptor[i] && !claim_file(audit, slot->descriptor[i], slot->inode[i]))
                        put_right(audit, &slot->descriptor[i], 0);
        if (!intent_is_good(slot))
                put_right(audit, &slot->intent, LEDGER_NO_INTENT);
}

static void audit_requests(const Audit *audit) {
        LedgerHeader *header = ledger_header(audit->ledger);
        uint64_t in_hand = 0;

        bound_slots(audit, &header->requests, offsetof(LedgerRoom, requests), sizeof(LedgerRequest), LEDGER_REQUESTS);
        for (uint64_t number = 0; number < header->requests; number++) {
                LedgerRequest *slot = ledger_request(audit->ledger, number);

                if (!slot->unique)
                        continue;
                /* The next server needs slots too, before these are given up. */
                if (slot->unique > PLAUSIBLE || slot->lookups > LEDGER_LOOKUPS || in_hand == LEDGER_REQUESTS / 2) {
                        drop(audit, &slot->unique, LEDGER_BAD_REQUESTS);
                        continue;
                }
                put_request_right(audit, slot);
                in_hand++;
        }
}

/* The region that was being ended. */
static void audit_end(const Audit *audit) {
        LedgerEnd *end = ledger_end(audit->ledger);

        if (!end->node)
                return;
        put_right(audit, &end->names, MIN(end->names, LEDGER_END_NAMES));
        for (uint64_t i = 0; i < end->names; i++)
                if (!name_is_good(end->removed[i].name))
                        put_right(audit, &end->names, i);
        if (end->request.lookups > LEDGER_LOOKUPS)
                put_right(audit, &end->request.lookups, 0);
        put_right(audit, &end->request.gone, !!end->request.gone);
        if (end->descriptor && !claim_descriptor(audit, end->descriptor))
                put_right(audit, &end->descriptor, 0);
}

static bool reports_are_good(uint64_t noted) {
        char link[DESCRIPTOR_PATH_MAX], target[64];
        ssize_t size;

        if (noted > INT_MAX)
                return false;
        size = readlink(descriptor_path(ledger_descriptor(noted), link), target, sizeof(target) - 1);
        target[MAX(size, 0)] = '\0';
        /* What is no such group may wait for ever when it is read. */
        return g_str_equal(target, "anon_inode:[fanotify]");
}

static void audit_header(const Audit *audit) {
        LedgerHeader *header = ledger_header(audit->ledger);

        if (header->reports && !(reports_are_good(header->reports) && claim_descriptor(audit, header->reports)))
                put_right(audit, &header->reports, 0);
        bound_slots(audit, &header->buffers, offsetof(LedgerRoom, buffers), LEDGER_BUFFER_SIZE, LEDGER_BUFFERS);
        if (header->init_size > LEDGER_INIT_MAX)
                put_right(audit, &header->init_size, 0);
}

void ledger_audit(Ledger *ledger, const GArray *keepers) {
        g_autoptr(GHashTable) descriptors = g_hash_table_new(g_direct_hash, g_direct_equal);
        g_autoptr(GHashTable) backings = g_hash_table_new(g_direct_hash, g_direct_equal);
        const Audit audit = { .ledger = ledger, .descriptors = descriptors, .backings = backings };

        for (guint i = 0; keepers && i < keepers->len; i++)
                claim(descriptors, ledger_note_descriptor(g_array_index(keepers, int, i)));
        /* The ledger's own is one of the keeper's. */
        claim(descriptors, ledger_note_descriptor(ledger->file));
        audit_header(&audit);
        audit_nodes(&audit);
        audit_handles(&audit);
        audit_requests(&audit);
        audit_end(&audit);
}
