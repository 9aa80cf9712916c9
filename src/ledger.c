#include "ledger.h"

#include "descriptor.h"

#include <gio/gio.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

/* Slots that there is room for. They take memory when they are first used: the room is address space. */
#define NODES (UINT64_C(1) << 26)
#define HANDLES (UINT64_C(1) << 24)
#define BUFFERS 4096

/* Words that one change may concern: a name, and some. */
#define LOG_MAX 96

typedef struct Note {
        uint64_t *word;
        uint64_t before;
} Note;

typedef struct Room {
        LedgerHeader header;
        uint64_t notes; /* of the log that are in force */
        Note log[LOG_MAX];
        _Alignas(4096) LedgerNode nodes[NODES];
        LedgerHandle handles[HANDLES];
        LedgerEnd end;
        LedgerRequest requests[LEDGER_REQUESTS];
        char names[NODES][LEDGER_NAME_SIZE];
        _Alignas(4096) char buffers[BUFFERS][LEDGER_BUFFER_SIZE];
} Room;

struct Ledger {
        Room *room; /* mapped, at the same address in every server */
        pthread_key_t current;
};

G_STATIC_ASSERT(LEDGER_NAME_SIZE / sizeof(uint64_t) < LOG_MAX / 2);

Ledger *ledger_new(GError **error) {
        /* A file, as for anonymous memory the kernel may want to see all of the room paid for at once. */
        auto_descriptor file = memfd_create("regionfs-ledger", MFD_CLOEXEC);
        void *room = MAP_FAILED;
        Ledger *ledger;

        if (file >= 0 && ftruncate(file, sizeof(Room)) == 0)
                room = mmap(NULL, sizeof(Room), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
        if (room == MAP_FAILED) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot make the ledger: %s",
                            g_strerror(errno));
                return NULL;
        }
        /* Room that was never used is not worth looking at in a dump of the process. */
        madvise(room, sizeof(Room), MADV_DONTDUMP);
        ledger = g_new0(Ledger, 1);
        ledger->room = room;
        if (pthread_key_create(&ledger->current, NULL) != 0)
                g_error("cannot tell threads apart");
        ledger->room->header.next_node = 1;
        ledger->room->header.next_handle = 1;
        return ledger;
}

void ledger_free(Ledger *ledger) {
        if (!ledger)
                return;
        pthread_key_delete(ledger->current);
        munmap(ledger->room, sizeof(Room));
        g_free(ledger);
}

LedgerHeader *ledger_header(const Ledger *ledger) {
        return &ledger->room->header;
}

LedgerNode *ledger_node(const Ledger *ledger, uint64_t number) {
        if (number >= NODES)
                g_error("there are too many nodes");
        return &ledger->room->nodes[number];
}

LedgerHandle *ledger_handle(const Ledger *ledger, uint64_t number) {
        if (number >= HANDLES)
                g_error("there are too many handles");
        return &ledger->room->handles[number];
}

LedgerRequest *ledger_request(const Ledger *ledger, uint64_t number) {
        return &ledger->room->requests[number];
}

LedgerEnd *ledger_end(const Ledger *ledger) {
        return &ledger->room->end;
}

void *ledger_buffer(const Ledger *ledger, uint64_t number) {
        g_assert(number < BUFFERS);
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
        Room *room = ledger->room;
        uint64_t notes = room->notes;

        g_assert(notes < LOG_MAX);
        room->log[notes] = (Note){ word, *word };
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

void ledger_recover(Ledger *ledger) {
        Room *room = ledger->room;

        for (uint64_t i = room->notes; i > 0; i--) {
                crash_point();
                *room->log[i - 1].word = room->log[i - 1].before;
        }
        ledger_settle(ledger);
}
