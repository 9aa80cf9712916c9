#include "operations/requests.h"

#include "base/descriptor.h"
#include "kernel/wire.h"
#include "ledger/crash-point.h"

#include <string.h>

/* What every request begins with. Its length is 0 when we have emptied the buffer. */
G_STATIC_ASSERT(sizeof(struct fuse_in_header) == LEDGER_LEFT_MIN);

/* How long a thread may take to note what it has received. */
#define PATIENCE 100000 /* microseconds */

/* How many servers may die with a request in hand, within how many microseconds. */
#define DEATHS 10
#define DEATHS_WITHIN G_USEC_PER_SEC

/* How many may hang in it. */
#define HANGS 3

struct Requests {
        Ledger *ledger;
        gint fresh; /* atomic: one has come that no dead server has had in hand */

        GMutex lock;       /* protects what follows */
        GArray *free;      /* numbers of slots */
        GHashTable *left;  /* those of dead servers, by &slot->unique */
        gint64 certain_at; /* when what is left is known to have been answered; 0: not known */
};

static void apply(Registry *registry, LedgerRequest *request, const struct fuse_forget_one *forgets, uint64_t count) {
        while (request->forgets < count) {
                const struct fuse_forget_one *forget = &forgets[request->forgets];

                registry_forget(registry, forget->nodeid, forget->nlookup);
        }
}

static bool is_hopeless(const LedgerRequest *request) {
        return request->deaths >= DEATHS || request->hangs >= HANGS;
}

/*
 * A server has died. Whose fault it was is not known: most requests are in hand for so short a time that it is seen
 * soon.
 */
static void note_death(LedgerRequest *request, uint64_t restarts) {
        uint64_t now = g_get_monotonic_time();

        if (request->begun != restarts)
                return;
        if (is_hopeless(request)) {
                request->refusals++;
        } else if (now - request->since > DEATHS_WITHIN) {
                request->deaths = 0;
                request->since = now;
        }
        request->deaths++;
}

bool requests_is_hopeless(const Requests *requests) {
        const LedgerRequest *request = ledger_current(requests->ledger);

        return request && is_hopeless(request);
}

/* Whether a buffer holds all that its message says that it does. */
static bool is_whole(const struct fuse_in_header *header, uint32_t count) {
        uint64_t forgets = header->opcode == FUSE_BATCH_FORGET ? count * (uint64_t)sizeof(struct fuse_forget_one) : 0;
        uint64_t size = sizeof(*header) + 8 + forgets;

        return header->len >= size && header->len <= LEDGER_BUFFER_SIZE;
}

/* Applies what a dead server has received and not applied. */
static void apply_forgets(Requests *requests, Registry *registry, void *buffer) {
        const struct fuse_in_header *header = buffer;
        const uint32_t *count = (const uint32_t *)(header + 1);
        LedgerRequest *request;

        if (!header->len || (header->opcode != FUSE_FORGET && header->opcode != FUSE_BATCH_FORGET))
                return;
        if (!is_whole(header, *count)) {
                ledger_note_damage(requests->ledger, LEDGER_BAD_FORGETS);
                return requests_clear_buffer(buffer);
        }
        requests_begin(requests, buffer);
        request = ledger_current(requests->ledger);
        if (requests_is_hopeless(requests)) {
                g_warning("servers die of what the kernel forgets: some nodes stay known");
        } else if (header->opcode == FUSE_BATCH_FORGET) {
                apply(registry, request, (const struct fuse_forget_one *)(const void *)(count + 2), *count);
        } else {
                const struct fuse_forget_one forget = { header->nodeid, *(const uint64_t *)(const void *)(header + 1) };

                apply(registry, request, &forget, 1);
        }
        requests_clear_buffer(buffer);
        requests_end(requests);
}

Requests *requests_new(Ledger *ledger, Registry *registry) {
        Requests *requests = g_new0(Requests, 1);
        uint64_t buffers = ledger_header(ledger)->buffers;

        requests->ledger = ledger;
        g_mutex_init(&requests->lock);
        requests->free = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        requests->left = g_hash_table_new(g_int64_hash, g_int64_equal);
        for (uint64_t number = LEDGER_REQUESTS; number-- > 0;) {
                LedgerRequest *slot = number < ledger_header(ledger)->requests ? ledger_request(ledger, number) : NULL;

                if (slot && slot->unique && g_hash_table_contains(requests->left, &slot->unique)) {
                        ledger_publish(&slot->unique, 0);
                        ledger_note_damage(ledger, LEDGER_BAD_REQUESTS);
                }
                if (slot && slot->unique)
                        note_death(slot, ledger_header(ledger)->restarts);
                if (slot && slot->unique)
                        g_hash_table_insert(requests->left, &slot->unique, slot);
                else
                        g_array_append_val(requests->free, number);
        }
        for (uint64_t number = 0; number < buffers; number++)
                apply_forgets(requests, registry, ledger_buffer(ledger, number));
        return requests;
}

void requests_free(Requests *requests) {
        if (!requests)
                return;
        g_array_unref(requests->free);
        g_hash_table_unref(requests->left);
        g_mutex_clear(&requests->lock);
        g_free(requests);
}

void requests_clear_buffer(void *buffer) {
        struct fuse_in_header *header = buffer;

        crash_point();
        __atomic_store_n(&header->len, 0, __ATOMIC_RELEASE);
}

bool requests_in_buffer(const void *buffer, RequestsHead *head) {
        const struct fuse_in_header *header = buffer;
        uint32_t length = __atomic_load_n(&header->len, __ATOMIC_ACQUIRE);

        *head = (RequestsHead){ header->unique & ~WIRE_RESENT, length, header->opcode, header->nodeid };
        return length > 0;
}

void requests_clear_buffers(Requests *requests) {
        uint64_t buffers = ledger_header(requests->ledger)->buffers;

        for (uint64_t number = 0; number < buffers; number++)
                requests_clear_buffer(ledger_buffer(requests->ledger, number));
}

/* An empty slot; the lock is held. */
static LedgerRequest *take_slot(Requests *requests) {
        LedgerHeader *header = ledger_header(requests->ledger);
        uint64_t number;

        if (requests->free->len == 0)
                g_error("there are too many requests in hand");
        number = g_array_index(requests->free, uint64_t, requests->free->len - 1);
        g_array_set_size(requests->free, requests->free->len - 1);
        if (number >= header->requests)
                ledger_publish(&header->requests, number + 1);
        return ledger_request(requests->ledger, number);
}

/* The slot becomes the thread's current one. Whether it is to be taken back, as of requests_begin(). */
static bool take_up(Requests *requests, LedgerRequest *slot, bool again) {
        ledger_publish(&slot->begun, ledger_header(requests->ledger)->restarts + 1);
        ledger_count(&ledger_header(requests->ledger)->begun);
        ledger_set_current(requests->ledger, slot);
        if (slot->refusals < DEATHS)
                return again;
        g_warning("servers die of what they had begun of request %" PRIu64 " (operation %" PRIu64 " on node %" PRIu64
                  "): it is left as it is", slot->unique, slot->operation, slot->node);
        return false;
}

/* Whether a dead server has had it in hand. header: NULL where nobody has it any more. */
static bool begin(Requests *requests, uint64_t unique, const struct fuse_in_header *header) {
        LedgerRequest *slot = NULL;
        bool again;

        g_mutex_lock(&requests->lock);
        if (g_hash_table_size(requests->left) > 0 && (slot = g_hash_table_lookup(requests->left, &unique)))
                g_hash_table_remove(requests->left, &unique);
        again = slot;
        if (!slot)
                slot = take_slot(requests);
        g_mutex_unlock(&requests->lock);
        if (!again) {
                memset(slot, 0, offsetof(LedgerRequest, looked_up));
                slot->operation = header ? header->opcode : 0;
                slot->node = header ? header->nodeid : 0;
                slot->left_size = 0;
                ledger_publish(&slot->unique, unique);
        } else if (header) {
                ledger_publish(&slot->awaited, 0);
        }
        return take_up(requests, slot, again);
}

bool requests_begin(Requests *requests, const void *buffer) {
        const struct fuse_in_header *header = buffer;
        bool forget = header->opcode == FUSE_FORGET || header->opcode == FUSE_BATCH_FORGET;

        if (!(header->unique & WIRE_RESENT) && !forget)
                g_atomic_int_set(&requests->fresh, 1);
        return begin(requests, header->unique & ~WIRE_RESENT, header);
}

bool requests_begin_left(Requests *requests, uint64_t unique) {
        return begin(requests, unique, NULL);
}

void requests_end(Requests *requests) {
        LedgerRequest *request = ledger_current(requests->ledger);

        if (request)
                requests_end_left(requests, request);
        ledger_set_current(requests->ledger, NULL);
}

/* The buffer of a thread that has received the request, or NULL. */
static struct fuse_in_header *find_buffer(const Requests *requests, uint64_t unique) {
        uint64_t buffers = ledger_header(requests->ledger)->buffers;

        for (uint64_t number = 0; number < buffers; number++) {
                struct fuse_in_header *header = ledger_buffer(requests->ledger, number);

                if (header->len && (header->unique & ~WIRE_RESENT) == unique)
                        return header;
        }
        return NULL;
}

LedgerRequest *requests_leave(Requests *requests) {
        LedgerRequest *request = ledger_current(requests->ledger);
        const struct fuse_in_header *header = request ? find_buffer(requests, request->unique) : NULL;

        /* The buffer is about to be received into. */
        if (header && header->len <= sizeof(request->left)) {
                memcpy(request->left, header, header->len);
                ledger_publish(&request->left_size, header->len);
        }
        ledger_set_current(requests->ledger, NULL);
        return request;
}

/* Whoever has the slot gives it back, with what it owns. */
static void give_back(Requests *requests, LedgerRequest *request) {
        uint64_t number = request - ledger_request(requests->ledger, 0);
        int first = ledger_descriptor(request->descriptor[0]), second = ledger_descriptor(request->descriptor[1]);

        ledger_publish(&request->unique, 0);
        descriptor_clear(&first);
        descriptor_clear(&second);
        g_array_append_val(requests->free, number);
}

void requests_end_left(Requests *requests, LedgerRequest *request) {
        g_mutex_lock(&requests->lock);
        give_back(requests, request);
        g_mutex_unlock(&requests->lock);
}

void requests_each_left(Requests *requests, void (*found)(void *data), void *data) {
        GHashTableIter left;
        gpointer request;

        g_hash_table_iter_init(&left, requests->left);
        while (g_hash_table_iter_next(&left, NULL, &request)) {
                if (is_hopeless(request))
                        continue;
                ledger_set_current(requests->ledger, request);
                found(data);
        }
        ledger_set_current(requests->ledger, NULL);
}

/* Whether it is certain that what is left does not come again; the lock is held. */
static bool is_certain(Requests *requests) {
        if (!requests->certain_at && g_atomic_int_get(&requests->fresh))
                requests->certain_at = g_get_monotonic_time() + PATIENCE;
        return requests->certain_at && g_get_monotonic_time() >= requests->certain_at;
}

/* The slot of one that is left, if no thread has received it meanwhile; nobody else's from then on. Or NULL. */
static LedgerRequest *take_left(Requests *requests, uint64_t unique) {
        LedgerRequest *slot;

        g_mutex_lock(&requests->lock);
        slot = find_buffer(requests, unique) ? NULL : g_hash_table_lookup(requests->left, &unique);
        if (slot)
                g_hash_table_remove(requests->left, &unique);
        g_mutex_unlock(&requests->lock);
        return slot;
}

/* The numbers of those that are left; none as long as it is not certain that they do not come again. */
static GArray *list_left(Requests *requests) {
        GArray *numbers = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        GHashTableIter left;
        gpointer value;

        g_mutex_lock(&requests->lock);
        if (is_certain(requests)) {
                g_hash_table_iter_init(&left, requests->left);
                while (g_hash_table_iter_next(&left, NULL, &value))
                        g_array_append_val(numbers, ((const LedgerRequest *)value)->unique);
        }
        g_mutex_unlock(&requests->lock);
        return numbers;
}

bool requests_give_up(Requests *requests, void (*dropped)(void *data), void *data) {
        g_autoptr(GArray) numbers = list_left(requests);
        bool done;

        for (guint i = 0; i < numbers->len; i++) {
                LedgerRequest *slot = take_left(requests, g_array_index(numbers, uint64_t, i));

                if (!slot)
                        continue;
                if (take_up(requests, slot, true) && !is_hopeless(slot) && slot->awaited)
                        dropped(data);
                requests_end(requests);
        }
        g_mutex_lock(&requests->lock);
        done = g_hash_table_size(requests->left) == 0;
        g_mutex_unlock(&requests->lock);
        return done;
}

/* Into an empty buffer. Whether there was one, and the request was kept. */
static bool put_back(Requests *requests, const LedgerRequest *request) {
        LedgerHeader *header = ledger_header(requests->ledger);
        uint64_t number = 0;
        struct fuse_in_header *buffer;

        while (number < header->buffers &&
               ((const struct fuse_in_header *)ledger_buffer(requests->ledger, number))->len > 0)
                number++;
        if (!request->left_size || number >= LEDGER_BUFFERS)
                return false;
        buffer = ledger_buffer(requests->ledger, number);
        memcpy(&buffer->opcode, request->left + offsetof(struct fuse_in_header, opcode),
               request->left_size - offsetof(struct fuse_in_header, opcode));
        __atomic_store_n(&buffer->len, request->left_size, __ATOMIC_RELEASE);
        if (number >= header->buffers)
                ledger_publish(&header->buffers, number + 1);
        return true;
}

GArray *requests_put_back(Requests *requests) {
        GArray *lost = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        GHashTableIter left;
        gpointer value;

        g_mutex_lock(&requests->lock);
        g_hash_table_iter_init(&left, requests->left);
        while (g_hash_table_iter_next(&left, NULL, &value)) {
                const LedgerRequest *request = value;

                if (!find_buffer(requests, request->unique) && !put_back(requests, request))
                        g_array_append_val(lost, request->unique);
        }
        g_mutex_unlock(&requests->lock);
        return lost;
}

void requests_descriptors(const Ledger *ledger, void (*found)(void *data, int fd), void *data) {
        uint64_t slots = ledger_header(ledger)->requests;

        for (uint64_t number = 0; number < slots; number++) {
                const LedgerRequest *slot = ledger_request(ledger, number);

                for (size_t i = 0; slot->unique && i < G_N_ELEMENTS(slot->descriptor); i++)
                        if (slot->descriptor[i])
                                found(data, ledger_descriptor(slot->descriptor[i]));
        }
}

int requests_first_backing(const Ledger *ledger) {
        uint64_t slots = ledger_header(ledger)->requests, first = 0;

        for (uint64_t number = 0; number < slots; number++) {
                const LedgerRequest *slot = ledger_request(ledger, number);

                if (slot->unique && slot->registering && (!first || slot->registering < first))
                        first = slot->registering;
        }
        return first;
}

void requests_backings_given_up(const Ledger *ledger) {
        uint64_t slots = ledger_header(ledger)->requests;

        for (uint64_t number = 0; number < slots; number++)
                ledger_publish(&ledger_request(ledger, number)->registering, 0);
}
