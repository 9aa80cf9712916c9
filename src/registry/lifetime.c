#include "registry/lifetime.h"

#include "base/descriptor.h"
#include "pool/region.h"
#include "registry/lifetime-names.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>

struct Lifetimes {
        const Pool *pool;
        Registry *registry;
        Ledger *ledger;
        LifetimesNameGone name_gone;
        void *data;
        int reports; /* owned: fanotify group; -1 without passthrough */
        int wake;    /* owned: eventfd */
        GThread *thread;

        GMutex lock;     /* protects what follows */
        GArray *waiting; /* node ids to consider */
        bool stopping;

        GArray *seconds; /* Second, by time; the thread's own */
};

/* What is looked at once more: by the descriptor of a report, or, without passthrough, by id. */
typedef struct Second {
        int file;    /* owned, or -1 */
        ino_t inode; /* of file */
        uint64_t id; /* held where file is -1 */
        gint64 at;   /* monotonic, microseconds */
        unsigned looks;        /* that found it in use */
        unsigned expectations; /* for which it was put off */
} Second;

#define SECOND_LOOK 5000 /* microseconds */

/*
 * A close is reported a moment before the kernel no longer counts the file as open. On a busy machine that moment lasts
 * until its process gets the processor back: what was found in use is looked at again for two seconds, with twice the
 * time in between as long as that is less than this one.
 */
#define LONGEST_BETWEEN 80000 /* microseconds */
#define LOOKS 28

/* How many may wait, each with a descriptor. Then those that were found in use most often, by views it seems, give way. */
#define SECONDS_MAX 256

/* How often a region's end is put off because somebody has just been told of it. */
#define EXPECTATIONS 8

static int mark_in(int reports, int fd, unsigned flags) {
        char path[DESCRIPTOR_PATH_MAX];

        if (fanotify_mark(reports, flags, FAN_CLOSE_WRITE | FAN_CLOSE_NOWRITE, AT_FDCWD, descriptor_path(fd, path)) < 0)
                return -errno;
        return 0;
}

static int mark(const Lifetimes *lifetimes, int fd, unsigned flags) {
        return mark_in(lifetimes->reports, fd, flags);
}

/*
 * Whether the region is one that ends, and nobody uses it: 1 or 0; -EBUSY: somebody does. file is as of end_unused().
 */
static int is_over(int fd, int file) {
        RegionPolicy policy;

        if (region_read_policy(fd, &policy) < 0 || policy.lifetime != REGION_HANDLES)
                return 0;
        if (file < 0)
                return 1;
        return region_in_use(file) == 0 ? 1 : -EBUSY;
}

static void tell_names(const Lifetimes *lifetimes, uint64_t id, const GArray *gone) {
        for (guint i = 0; i < gone->len; i++) {
                const LifetimeName *name = &g_array_index(gone, LifetimeName, i);

                if (name->parent && lifetimes->name_gone)
                        lifetimes->name_gone(lifetimes->data, name->parent, id, name->name);
        }
}

/* Has the next server know what this one was about to do. */
static void begin_end(const Lifetimes *lifetimes, uint64_t id) {
        LedgerEnd *end = ledger_end(lifetimes->ledger);

        end->names = 0;
        end->descriptor = 0;
        end->request = (LedgerRequest){ 0 };
        ledger_publish(&end->node, id);
        ledger_set_current(lifetimes->ledger, &end->request);
}

/* What came of looking at a region. */
typedef enum Outcome {
        SETTLED,
        IN_USE,   /* by a view perhaps */
        EXPECTED, /* somebody may be about to open it */
} Outcome;

/*
 * Ends the region if nobody uses it. file is open on it for reading and its close is not reported, or -1 where the last
 * handle is the end. Unless it is to end now, it does not as long as somebody was told of it just before: the opener
 * would have to look it up anew, and could be told of one that is ending again. The kernel learns of the names
 * afterwards, when nobody has to wait for us any more.
 */
static Outcome end_unused(const Lifetimes *lifetimes, uint64_t id, int file, bool now) {
        g_autoptr(GArray) gone = lifetime_names_new();
        auto_descriptor fd = -1, pin = -1;
        bool ended = false;
        int over = 0;
        PoolRef ref;

        if (!now && registry_is_expected(lifetimes->registry, id, SECOND_LOOK))
                return EXPECTED;
        if (registry_exclude(lifetimes->registry, id, REGISTRY_AFTER_USE) < 0)
                return SETTLED;
        begin_end(lifetimes, id);
        registry_begin_change(lifetimes->registry);
        if (registry_resolve(lifetimes->registry, id, &ref) == 0) {
                /* It also keeps the reference good when the names are gone. */
                fd = pool_open(lifetimes->pool, &ref, O_PATH);
                ledger_publish(&ledger_end(lifetimes->ledger)->descriptor, ledger_note_descriptor(fd));
                over = fd >= 0 ? is_over(fd, file) : 0;
                ended = over == 1 && lifetime_names_remove(lifetimes->pool, lifetimes->registry, &ref, fd,
                                                           ledger_end(lifetimes->ledger), gone);
                /* Without handles, its inode number must not be used again as long as the node is known. */
                if (gone->len && !lifetimes->pool->by_handle && (pin = fcntl(fd, F_DUPFD_CLOEXEC, 0)) >= 0)
                        registry_unlinked(lifetimes->registry, &ref, &pin);
                if (ended && gone->len)
                        registry_region_gone(lifetimes->registry, &ref);
        }
        registry_end_change(lifetimes->registry);
        registry_include(lifetimes->registry, id, ended);
        tell_names(lifetimes, id, gone);
        ledger_publish(&ledger_end(lifetimes->ledger)->node, 0);
        ledger_set_current(lifetimes->ledger, NULL);
        return over == -EBUSY ? IN_USE : SETTLED;
}

/* A close was reported on file. */
static Outcome take_report(const Lifetimes *lifetimes, int file, bool now) {
        PoolRef ref = POOL_REF_INIT;
        Outcome outcome = SETTLED;
        uint64_t handles, id;
        struct stat st;

        if (pool_identify(lifetimes->pool, file, &ref, &st) < 0 ||
            (!pool_ref_reaches(&ref) && pool_pin(&ref, file) < 0))
                return SETTLED;
        /* Known or not: what has a view left may have been forgotten by the kernel. */
        id = registry_meet(lifetimes->registry, &ref);
        if (registry_handles(lifetimes->registry, id, &handles) < 0 || handles == 0)
                outcome = end_unused(lifetimes, id, file, now);
        /* The next last handle marks it again. */
        if (outcome == SETTLED)
                mark(lifetimes, file, FAN_MARK_REMOVE);
        registry_drop(lifetimes->registry, id);
        return outcome;
}

static void give_up(Lifetimes *lifetimes, Second *second) {
        descriptor_clear(&second->file);
        registry_drop(lifetimes->registry, second->id);
}

static void make_room(Lifetimes *lifetimes) {
        guint least = 0;

        if (lifetimes->seconds->len < SECONDS_MAX)
                return;
        for (guint i = 1; i < lifetimes->seconds->len; i++)
                if (g_array_index(lifetimes->seconds, Second, i).looks >
                    g_array_index(lifetimes->seconds, Second, least).looks)
                        least = i;
        give_up(lifetimes, &g_array_index(lifetimes->seconds, Second, least));
        g_array_remove_index(lifetimes->seconds, least);
}

static void look_later(Lifetimes *lifetimes, Second *second, gint64 delay) {
        guint place = lifetimes->seconds->len;

        second->at = g_get_monotonic_time() + delay;
        while (place > 0 && g_array_index(lifetimes->seconds, Second, place - 1).at > second->at)
                place--;
        g_array_insert_val(lifetimes->seconds, place, *second);
}

/* What is to be looked at again, unless this was the last time. What is expected to be opened is so until it is not. */
static void look_again(Lifetimes *lifetimes, Second *second, Outcome outcome, bool last) {
        if (outcome == EXPECTED) {
                second->expectations++;
                look_later(lifetimes, second, SECOND_LOOK);
        } else if (outcome == IN_USE && second->looks < LOOKS && !last) {
                gint64 delay = MIN((gint64)SECOND_LOOK << second->looks, LONGEST_BETWEEN);

                second->looks++;
                make_room(lifetimes);
                look_later(lifetimes, second, delay);
        } else {
                give_up(lifetimes, second);
        }
}

static Outcome look(const Lifetimes *lifetimes, const Second *second, bool now) {
        now |= second->expectations > EXPECTATIONS;
        return second->file >= 0 ? take_report(lifetimes, second->file, now) :
                                   end_unused(lifetimes, second->id, -1, now);
}

/* all: also those that are not due, for the last time. */
static void take_seconds(Lifetimes *lifetimes, bool all) {
        while (lifetimes->seconds->len > 0) {
                Second second = g_array_index(lifetimes->seconds, Second, 0);

                if (!all && second.at > g_get_monotonic_time())
                        break;
                g_array_remove_index(lifetimes->seconds, 0);
                look_again(lifetimes, &second, look(lifetimes, &second, all), all);
        }
}

/* Until the next one is due, in milliseconds as of poll(2). */
static int patience(const Lifetimes *lifetimes) {
        gint64 left;

        if (lifetimes->seconds->len == 0)
                return -1;
        left = g_array_index(lifetimes->seconds, Second, 0).at - g_get_monotonic_time();
        return MAX(left, 0) / 1000 + 1;
}

/* What is still held of the file would be in the way of a new look, which is as good. */
static void forget_second(Lifetimes *lifetimes, ino_t inode) {
        for (guint i = 0; i < lifetimes->seconds->len; i++) {
                Second *second = &g_array_index(lifetimes->seconds, Second, i);

                if (second->file < 0 || second->inode != inode)
                        continue;
                descriptor_clear(&second->file);
                g_array_remove_index(lifetimes->seconds, i);
                return;
        }
}

/* now: regions end at once, as there is no later. */
static void take_reports(Lifetimes *lifetimes, bool now) {
        struct fanotify_event_metadata report;

        /* One at a time: the descriptors of two reports on one file would each be in the other's way. */
        while (read(lifetimes->reports, &report, sizeof(report)) == sizeof(report)) {
                Second first = { .file = report.fd };
                struct stat st;

                if (first.file < 0 || fstat(first.file, &st) < 0)
                        continue;
                first.inode = st.st_ino;
                forget_second(lifetimes, first.inode);
                look_again(lifetimes, &first, look(lifetimes, &first, now), false);
        }
        if (errno != EAGAIN)
                g_warning("cannot read reports of closed regions: %s", g_strerror(errno));
}

/* Has reports of the region's closes come, one at once among them. */
static void watch(const Lifetimes *lifetimes, uint64_t id) {
        auto_descriptor file = -1;
        PoolRef ref;
        int result;

        registry_begin_resolving(lifetimes->registry);
        result = registry_resolve(lifetimes->registry, id, &ref);
        if (result == 0)
                file = pool_open(lifetimes->pool, &ref, O_RDONLY);
        registry_end_resolving(lifetimes->registry);
        if (result < 0)
                return;
        result = file < 0 ? file : mark(lifetimes, file, FAN_MARK_ADD);
        if (result < 0 && result != -ESTALE)
                g_warning("cannot watch a region for its end: %s", g_strerror(-result));
}

static void consider(Lifetimes *lifetimes, uint64_t id, bool now) {
        Second first = { .file = -1, .id = id };

        /* Views of a persisted region are views of its file, which does not end. */
        if (lifetimes->reports >= 0 && !registry_source(lifetimes->registry, id))
                watch(lifetimes, id);
        else
                return look_again(lifetimes, &first, look(lifetimes, &first, now), false);
        registry_drop(lifetimes->registry, id);
}

/* False when it is time to stop. */
static bool take_waiting(Lifetimes *lifetimes) {
        g_autoptr(GArray) ids = NULL;
        eventfd_t unused;
        bool stopping;

        if (eventfd_read(lifetimes->wake, &unused) < 0 && errno != EAGAIN)
                g_warning("cannot read what wakes the lifetimes: %s", g_strerror(errno));
        g_mutex_lock(&lifetimes->lock);
        ids = g_steal_pointer(&lifetimes->waiting);
        lifetimes->waiting = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        stopping = lifetimes->stopping;
        g_mutex_unlock(&lifetimes->lock);

        for (guint i = 0; i < ids->len; i++)
                consider(lifetimes, g_array_index(ids, uint64_t, i), stopping);
        return !stopping;
}

/* There is no later. */
static void take_last(Lifetimes *lifetimes) {
        if (lifetimes->reports >= 0)
                take_reports(lifetimes, true);
        take_seconds(lifetimes, true);
}

static gpointer run(gpointer data) {
        Lifetimes *lifetimes = data;
        struct pollfd sources[] = {
                { .fd = lifetimes->wake, .events = POLLIN },
                { .fd = lifetimes->reports, .events = POLLIN }, /* -1 is passed over */
        };
        bool go_on = true;

        /* A working directory of its own, for lifetime_names_remove(). */
        unshare(CLONE_FS);
        lifetime_names_tell(lifetimes->pool, lifetimes->registry, lifetimes->ledger, lifetimes->name_gone,
                            lifetimes->data);
        while (go_on) {
                if (poll(sources, G_N_ELEMENTS(sources), patience(lifetimes)) < 0)
                        continue;
                take_seconds(lifetimes, false);
                if (sources[1].revents)
                        take_reports(lifetimes, false);
                if (sources[0].revents)
                        go_on = take_waiting(lifetimes);
        }
        /* What has lost its last handle before the end is not to be there at the next mount of a directory pool. */
        take_last(lifetimes);
        return NULL;
}

/* The group of reports: with its marks, and what it has to tell, it outlives a server. */
static int open_reports(Ledger *ledger) {
        LedgerHeader *header = ledger_header(ledger);
        int reports = ledger_descriptor(header->reports);

        if (reports >= 0)
                return reports;
        reports = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE |
                                FAN_UNLIMITED_MARKS,
                                O_RDONLY | O_LARGEFILE | O_CLOEXEC | LIFETIMES_REPORT_FLAG);
        ledger_publish(&header->reports, ledger_note_descriptor(reports));
        return reports;
}

int lifetimes_can_watch(Ledger *ledger) {
        return open_reports(ledger) < 0 ? -errno : 0;
}

Lifetimes *lifetimes_new(const Pool *pool, Registry *registry, Ledger *ledger, bool passthrough,
                         LifetimesNameGone name_gone, void *data, GError **error) {
        Lifetimes *lifetimes = g_new0(Lifetimes, 1);

        lifetimes->pool = pool;
        lifetimes->registry = registry;
        lifetimes->ledger = ledger;
        lifetimes->name_gone = name_gone;
        lifetimes->data = data;
        lifetimes->reports = -1;
        lifetime_names_take_over(pool, registry, ledger);
        lifetimes->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (lifetimes->wake >= 0 && passthrough)
                lifetimes->reports = open_reports(ledger);
        if (lifetimes->wake < 0 || (passthrough && lifetimes->reports < 0)) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot watch for the end of regions: %s",
                            g_strerror(errno));
                descriptor_clear(&lifetimes->wake);
                g_free(lifetimes);
                return NULL;
        }
        g_mutex_init(&lifetimes->lock);
        lifetimes->waiting = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        lifetimes->seconds = g_array_new(FALSE, FALSE, sizeof(Second));
        lifetimes->thread = g_thread_new("lifetimes", run, lifetimes);
        return lifetimes;
}

static void wake(Lifetimes *lifetimes) {
        if (eventfd_write(lifetimes->wake, 1) < 0)
                g_warning("cannot wake the lifetimes: %s", g_strerror(errno));
}

void lifetimes_consider(Lifetimes *lifetimes, uint64_t id) {
        /* Before the kernel, which may have let go of the last handle, may have the node forgotten. */
        if (!registry_hold(lifetimes->registry, id))
                return;
        g_mutex_lock(&lifetimes->lock);
        g_array_append_val(lifetimes->waiting, id);
        g_mutex_unlock(&lifetimes->lock);
        wake(lifetimes);
}

void lifetimes_begin(Lifetimes *lifetimes, uint64_t id) {
        /* At once, so that what the client is told holds also if this server dies. */
        if (lifetimes->reports >= 0 && !registry_source(lifetimes->registry, id))
                watch(lifetimes, id);
}

void lifetimes_look_again(Lifetimes *lifetimes, int fd) {
        char path[DESCRIPTOR_PATH_MAX];
        auto_descriptor first = fd, second = -1;

        if (mark(lifetimes, fd, FAN_MARK_ADD) < 0)
                return;
        /* The close of this one is reported, when the first one is in the way no more. */
        second = open(descriptor_path(fd, path), O_RDONLY | O_CLOEXEC);
        descriptor_clear(&first);
}

int lifetimes_leave(const Ledger *ledger, int fd) {
        int reports = ledger_descriptor(ledger_header(ledger)->reports);

        return reports < 0 ? -ENOENT : mark_in(reports, fd, FAN_MARK_ADD);
}

void lifetimes_stop(Lifetimes *lifetimes) {
        if (!lifetimes->thread)
                return;
        g_mutex_lock(&lifetimes->lock);
        lifetimes->stopping = true;
        g_mutex_unlock(&lifetimes->lock);
        wake(lifetimes);
        g_thread_join(g_steal_pointer(&lifetimes->thread));
}

void lifetimes_free(Lifetimes *lifetimes) {
        if (!lifetimes)
                return;
        lifetimes_stop(lifetimes);
        /* What came since then; nobody is left to be told of names. */
        lifetimes->name_gone = NULL;
        take_waiting(lifetimes);
        take_last(lifetimes);
        g_array_unref(lifetimes->waiting);
        g_array_unref(lifetimes->seconds);
        g_mutex_clear(&lifetimes->lock);
        descriptor_clear(&lifetimes->reports);
        descriptor_clear(&lifetimes->wake);
        g_free(lifetimes);
}
