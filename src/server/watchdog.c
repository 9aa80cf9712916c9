#include "server/watchdog.h"

#include "operations/requests.h"

#include <inttypes.h>
#include <poll.h>

/* Looks in the time that a server is given, and at least one a second. */
#define LOOKS 10

/* Buffers that are looked at: no server has so many threads. */
#define BUFFERS LEDGER_REQUESTS

/* What was in a slot, or in a buffer, when it was last looked at. */
typedef struct Seen {
        uint64_t unique; /* 0: nothing in hand */
        int64_t since;   /* as of Watchdog.time */
} Seen;

typedef enum Finding {
        ALL_WELL,
        HANGS_IN_HAND,
        HANGS_UNTAKEN,
        HANGS_AT_START,
} Finding;

struct Watchdog {
        const Ledger *ledger;
        int channel;
        int64_t patience, interval; /* microseconds */
        int64_t looked;             /* when the last look was; 0: none since the server was started */
        int64_t time;               /* microseconds that count, since the server was started */
        int64_t waits;              /* since when requests wait and none was begun, of that time; -1: they do not */
        uint64_t begun;             /* as of the header, at the last look */
        Finding finding;
        uint64_t unique, operation, node; /* of the request that has hung longest */
        Seen slots[LEDGER_REQUESTS], buffers[BUFFERS];
};

Watchdog *watchdog_new(const Ledger *ledger, unsigned seconds) {
        Watchdog *watchdog = g_new0(Watchdog, 1);

        watchdog->ledger = ledger;
        watchdog->patience = (int64_t)seconds * G_USEC_PER_SEC;
        watchdog->interval = MIN(watchdog->patience / LOOKS, G_USEC_PER_SEC);
        return watchdog;
}

void watchdog_free(Watchdog *watchdog) {
        g_free(watchdog);
}

void watchdog_begin(Watchdog *watchdog, int channel) {
        watchdog->channel = channel;
        watchdog->looked = watchdog->time = 0;
        watchdog->waits = -1;
        watchdog->finding = ALL_WELL;
        for (size_t i = 0; i < LEDGER_REQUESTS; i++)
                watchdog->slots[i].unique = 0;
        for (size_t i = 0; i < BUFFERS; i++)
                watchdog->buffers[i].unique = 0;
}

struct timespec watchdog_interval(const Watchdog *watchdog) {
        return (struct timespec){ .tv_sec = watchdog->interval / G_USEC_PER_SEC,
                                  .tv_nsec = watchdog->interval % G_USEC_PER_SEC * 1000 };
}

static uint64_t load(const uint64_t *word) {
        return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* The request that a slot holds and this server has begun; 0: none. It may end, and another begin, meanwhile. */
static uint64_t in_slot(const Watchdog *watchdog, uint64_t number, uint64_t *operation, uint64_t *node) {
        const LedgerRequest *slot = ledger_request(watchdog->ledger, number);
        uint64_t unique = load(&slot->unique);

        if (load(&slot->begun) != load(&ledger_header(watchdog->ledger)->restarts) + 1)
                return 0;
        *operation = load(&slot->operation);
        *node = load(&slot->node);
        return unique;
}

/* What has been received, and perhaps not begun. */
static uint64_t in_buffer(const Watchdog *watchdog, uint64_t number, uint64_t *operation, uint64_t *node) {
        RequestsHead head;

        if (!requests_in_buffer(ledger_buffer(watchdog->ledger, number), &head))
                return 0;
        *operation = head.operation;
        *node = head.node;
        return head.unique;
}

static bool hangs(const Watchdog *watchdog, const Seen *seen) {
        return seen->unique && watchdog->time - seen->since >= watchdog->patience;
}

typedef uint64_t (*Look)(const Watchdog *watchdog, uint64_t number, uint64_t *operation, uint64_t *node);

/* Looks at places for requests; the one that has hung longest, and before oldest, is noted. */
static void look_at_places(Watchdog *watchdog, Seen *places, uint64_t count, Look look, int64_t *oldest) {
        for (uint64_t number = 0; number < count; number++) {
                uint64_t operation = 0, node = 0, unique = look(watchdog, number, &operation, &node);
                Seen *seen = &places[number];

                if (unique != seen->unique)
                        *seen = (Seen){ unique, watchdog->time };
                if (!hangs(watchdog, seen) || seen->since >= *oldest)
                        continue;
                *oldest = seen->since;
                watchdog->unique = unique;
                watchdog->operation = operation;
                watchdog->node = node;
        }
}

static bool look_at_requests(Watchdog *watchdog) {
        const LedgerHeader *header = ledger_header(watchdog->ledger);
        int64_t oldest = G_MAXINT64;

        look_at_places(watchdog, watchdog->slots, load(&header->requests), in_slot, &oldest);
        look_at_places(watchdog, watchdog->buffers, MIN(load(&header->buffers), BUFFERS), in_buffer, &oldest);
        return oldest < G_MAXINT64;
}

static bool look_at_channel(Watchdog *watchdog) {
        const LedgerHeader *header = ledger_header(watchdog->ledger);
        struct pollfd channel = { .fd = watchdog->channel, .events = POLLIN };
        uint64_t begun = load(&header->begun);
        bool waits = poll(&channel, 1, 0) == 1 && channel.revents & POLLIN;

        /* A server that ends takes no more requests, and then closes the channel. */
        if (!waits || begun != watchdog->begun || load(&header->ending))
                watchdog->waits = -1;
        else if (watchdog->waits < 0)
                watchdog->waits = watchdog->time;
        watchdog->begun = begun;
        return watchdog->waits >= 0 && watchdog->time - watchdog->waits >= watchdog->patience;
}

static bool look_at_start(const Watchdog *watchdog) {
        const LedgerHeader *header = ledger_header(watchdog->ledger);

        return load(&header->server) != load(&header->restarts) + 1 && watchdog->time >= watchdog->patience;
}

bool watchdog_look(Watchdog *watchdog, int64_t now) {
        /* What the first server of a mount needs to start is between it and whoever waits for the mount. */
        if (watchdog->finding != ALL_WELL || !load(&ledger_header(watchdog->ledger)->serving))
                return false;
        if (watchdog->looked)
                watchdog->time += CLAMP(now - watchdog->looked, 0, watchdog->interval);
        watchdog->looked = now;
        /* Both look in any case: each notes what it sees. */
        if (look_at_channel(watchdog))
                watchdog->finding = HANGS_UNTAKEN;
        if (look_at_requests(watchdog))
                watchdog->finding = HANGS_IN_HAND;
        if (watchdog->finding == ALL_WELL && look_at_start(watchdog))
                watchdog->finding = HANGS_AT_START;
        return watchdog->finding != ALL_WELL;
}

/* Whether the request with a number has been in hand for too long. */
static bool has_hung(const Watchdog *watchdog, uint64_t unique) {
        for (size_t i = 0; i < LEDGER_REQUESTS; i++)
                if (watchdog->slots[i].unique == unique && hangs(watchdog, &watchdog->slots[i]))
                        return true;
        for (size_t i = 0; i < BUFFERS; i++)
                if (watchdog->buffers[i].unique == unique && hangs(watchdog, &watchdog->buffers[i]))
                        return true;
        return false;
}

void watchdog_end(Watchdog *watchdog) {
        uint64_t slots = ledger_header(watchdog->ledger)->requests;

        for (uint64_t number = 0; watchdog->finding == HANGS_IN_HAND && number < slots; number++) {
                LedgerRequest *slot = ledger_request(watchdog->ledger, number);

                if (slot->unique && has_hung(watchdog, slot->unique))
                        slot->hangs++;
        }
}

char *watchdog_explain(const Watchdog *watchdog) {
        unsigned seconds = watchdog->patience / G_USEC_PER_SEC;

        switch (watchdog->finding) {
        case HANGS_IN_HAND:
                return g_strdup_printf("request %" PRIu64 " (operation %" PRIu64 " on node %" PRIu64
                                       ") made no progress for %u seconds: the server was killed",
                                       watchdog->unique, watchdog->operation, watchdog->node, seconds);
        case HANGS_UNTAKEN:
                return g_strdup_printf("requests waited for %u seconds and none was taken: the server was killed",
                                       seconds);
        case HANGS_AT_START:
                return g_strdup_printf("a server did not start to serve within %u seconds: it was killed", seconds);
        default:
                return NULL;
        }
}
