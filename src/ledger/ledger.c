#include "base/descriptor.h"
#include "kernel/notifier.h"
#include "ledger/ledger-room.h"

#include <gio/gio.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

G_STATIC_ASSERT(LEDGER_NAME_SIZE / sizeof(uint64_t) < LEDGER_NOTES / 2);

/*
 * To be raised whenever a word gets another meaning, a word of a notifier's message (struct Message) too, as such are
 * left for the next program's notifier; and whenever something else is settled with the kernel by its first request
 * (operations_table's init), which the next program repeats for itself alone. Sizes need not be thought of.
 */
#define FORMAT 2

uint64_t ledger_format(void) {
        static const uint64_t parts[] = {
                FORMAT,
                sizeof(LedgerHeader),
                sizeof(LedgerNode),
                sizeof(LedgerHandle),
                sizeof(LedgerEnd),
                sizeof(LedgerKeeper),
                sizeof(LedgerRequest),
                sizeof(LedgerRoom),
                NOTIFIER_MESSAGE_SIZE,
                offsetof(LedgerRoom, notes),
                offsetof(LedgerRoom, nodes),
                offsetof(LedgerRoom, end),
                offsetof(LedgerRoom, keeper),
                offsetof(LedgerRoom, requests),
                offsetof(LedgerRoom, names),
                offsetof(LedgerRoom, buffers),
        };
        uint64_t format = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
                format = (format ^ parts[i]) * UINT64_C(0x100000001b3);
        return format;
}

/* Takes over the file in any case. */
static Ledger *map(int file, GError **error) {
        auto_descriptor owned = file;
        void *room = mmap(NULL, sizeof(LedgerRoom), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
        Ledger *ledger;

        if (room == MAP_FAILED) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot map the ledger: %s",
                            g_strerror(errno));
                return NULL;
        }
        /* Room that was never used is not worth looking at in a dump of the process. */
        madvise(room, sizeof(LedgerRoom), MADV_DONTDUMP);
        ledger = g_new0(Ledger, 1);
        ledger->room = room;
        ledger->file = descriptor_steal(&owned);
        if (pthread_key_create(&ledger->current, NULL) != 0)
                g_error("cannot tell threads apart");
        return ledger;
}

Ledger *ledger_new(GError **error) {
        /* A file, as for anonymous memory the kernel may want to see all of the room paid for at once. */
        auto_descriptor file = memfd_create("regionfs-ledger", MFD_CLOEXEC);
        Ledger *ledger;

        if (file < 0 || ftruncate(file, sizeof(LedgerRoom)) < 0) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                            "cannot make the ledger with memfd_create(2): %s", g_strerror(errno));
                return NULL;
        }
        ledger = map(descriptor_steal(&file), error);
        if (!ledger)
                return NULL;
        ledger->room->header.format = ledger_format();
        ledger->room->header.next_node = 1;
        ledger->room->header.next_handle = 1;
        return ledger;
}

Ledger *ledger_open(int file, GError **error) {
        auto_descriptor owned = file;
        uint64_t format = 0;

        G_STATIC_ASSERT(offsetof(LedgerRoom, header.format) == 0);
        if (pread(file, &format, sizeof(format), 0) != sizeof(format) || format != ledger_format()) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                            "this regionfs (%s) cannot read what another one has left: it is of format %" G_GINT64_MODIFIER
                            "x, not %" G_GINT64_MODIFIER "x",
                            REGIONFS_VERSION, format, ledger_format());
                return NULL;
        }
        return map(descriptor_steal(&owned), error);
}

void ledger_free(Ledger *ledger) {
        if (!ledger)
                return;
        pthread_key_delete(ledger->current);
        munmap(ledger->room, sizeof(LedgerRoom));
        descriptor_clear(&ledger->file);
        g_free(ledger);
}

LedgerHeader *ledger_header(const Ledger *ledger) {
        return &ledger->room->header;
}

LedgerNode *ledger_node(const Ledger *ledger, uint64_t number) {
        if (number >= LEDGER_NODES)
                g_error("there are too many nodes");
        return &ledger->room->nodes[number];
}

LedgerHandle *ledger_handle(const Ledger *ledger, uint64_t number) {
        if (number >= LEDGER_HANDLES)
                g_error("there are too many handles");
        return &ledger->room->handles[number];
}

LedgerRequest *ledger_request(const Ledger *ledger, uint64_t number) {
        return &ledger->room->requests[number];
}

LedgerEnd *ledger_end(const Ledger *ledger) {
        return &ledger->room->end;
}

LedgerKeeper *ledger_keeper(const Ledger *ledger) {
        return &ledger->room->keeper;
}

int ledger_file(const Ledger *ledger) {
        return ledger->file;
}

void *ledger_buffer(const Ledger *ledger, uint64_t number) {
        g_assert(number < LEDGER_BUFFERS);
        return ledger->room->buffers[number];
}

LedgerRequest *ledger_current(const Ledger *ledger) {
        return pthread_getspecific(ledger->current);
}

void ledger_set_current(const Ledger *ledger, LedgerRequest *request) {
        pthread_setspecific(ledger->current, request);
}

char *ledger_name(const Ledger *ledger, const LedgerNode *node) {
        return ledger->room->names[node - ledger->room->nodes];
}

void ledger_set(Ledger *ledger, uint64_t *word, uint64_t value) {
        LedgerRoom *room = ledger->room;
        uint64_t notes = room->notes;

        g_assert(notes < LEDGER_NOTES);
        room->log[notes] = (LedgerNote){ (char *)word - (char *)room, *word };
        ledger_publish(&room->notes, notes + 1);
        /* Not to be moved before the note. */
        atomic_signal_fence(memory_order_seq_cst);
        crash_point();
        __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

void ledger_set_name(Ledger *ledger, const LedgerNode *node, const char *name) {
        uint64_t words[LEDGER_NAME_SIZE / sizeof(uint64_t)] = { 0 };
        uint64_t *kept = (uint64_t *)(void *)ledger_name(ledger, node);

        g_strlcpy((char *)words, name, sizeof(words));
        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
                if (kept[i] != words[i])
                        ledger_set(ledger, &kept[i], words[i]);
}

void ledger_settle(Ledger *ledger) {
        if (ledger->room->notes)
                ledger_publish(&ledger->room->notes, 0);
}

/* Whether a note means a word that changes are made of: one in the room, and not of the log itself. */
static bool is_good(const LedgerNote *note) {
        return note->offset % sizeof(uint64_t) == 0 && note->offset < sizeof(LedgerRoom) &&
               (note->offset < offsetof(LedgerRoom, notes) || note->offset >= offsetof(LedgerRoom, nodes));
}

void ledger_recover(Ledger *ledger) {
        LedgerRoom *room = ledger->room;

        /* More than there is room for are none that this program has made. */
        if (room->notes > LEDGER_NOTES) {
                ledger_note_damage(ledger, LEDGER_BAD_NOTES);
                ledger_settle(ledger);
        }
        for (uint64_t i = room->notes; i > 0; i--) {
                const LedgerNote *note = &room->log[i - 1];

                crash_point();
                if (is_good(note))
                        *(uint64_t *)(void *)((char *)room + note->offset) = note->before;
                else
                        ledger_note_damage(ledger, LEDGER_BAD_NOTES);
        }
        ledger_settle(ledger);
}

int ledger_clear_connection(Ledger *ledger) {
        LedgerRoom *room = ledger->room;
        size_t kept = offsetof(LedgerRoom, nodes);

        /* The slots are empty then, and give their memory back. */
        if (madvise((char *)room + kept, sizeof(LedgerRoom) - kept, MADV_REMOVE) < 0)
                return -errno;
        room->header.nodes = 0;
        room->header.handles = 0;
        room->header.backings = 0;
        room->header.requests = 0;
        room->header.buffers = 0;
        room->header.init_size = 0;
        ledger_settle(ledger);
        return 0;
}
