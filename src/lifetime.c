#include "lifetime.h"

#include "descriptor.h"
#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <gio/gio.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>

struct Lifetimes {
        const Pool *pool;
        Registry *registry;
        LifetimesNameGone name_gone;
        void *data;
        int reports; /* owned: fanotify group; -1 without passthrough */
        int wake;    /* owned: eventfd */
        GThread *thread;

        GMutex lock;    /* protects what follows */
        GArray *waiting; /* node ids to consider */
        bool stopping;
};

/* A name that was removed. */
typedef struct Gone {
        uint64_t parent; /* 0: the kernel does not know it */
        char *name;      /* owned */
} Gone;

static void gone_clear(gpointer data) {
        g_free(((Gone *)data)->name);
}

static int mark(const Lifetimes *lifetimes, int fd, unsigned flags) {
        char path[DESCRIPTOR_PATH_MAX];

        if (fanotify_mark(lifetimes->reports, flags, FAN_CLOSE_WRITE | FAN_CLOSE_NOWRITE, AT_FDCWD,
                          descriptor_path(fd, path)) < 0)
                return -errno;
        return 0;
}

/* Removes one name, given as a path from the pool's root, if it is one of the node's; adds it to gone. */
static bool remove_name(const Lifetimes *lifetimes, const PoolRef *ref, const char *path, GArray *gone) {
        g_autofree char *directory = g_path_get_dirname(path), *name = g_path_get_basename(path);
        auto_descriptor parent = openat(lifetimes->pool->fd, directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        g_auto(PoolRef) found = POOL_REF_INIT, parent_ref = POOL_REF_INIT;
        Gone removed = { 0 };
        struct stat st;

        if (parent < 0 || pool_lookup(lifetimes->pool, parent, 0, name, &found, &st) < 0 || !pool_ref_equal(&found, ref))
                return false;
        if (unlinkat(parent, name, 0) < 0)
                return false;
        if (pool_identify(lifetimes->pool, parent, &parent_ref, &st) == 0)
                removed.parent = registry_find(lifetimes->registry, &parent_ref);
        removed.name = g_steal_pointer(&name);
        g_array_append_val(gone, removed);
        return true;
}

/* Removes the name by which fd knows its file. */
static bool remove_known_name(const Lifetimes *lifetimes, const PoolRef *ref, int fd, GArray *gone) {
        char name[PATH_MAX];

        return pool_tell_name(lifetimes->pool, fd, name) == 0 && remove_name(lifetimes, ref, name, gone);
}

/* Looks for a name in the whole pool, as deep as a path can tell: for a file that has several. */
static bool remove_some_name(const Lifetimes *lifetimes, const PoolRef *ref, GArray *gone) {
        char link[DESCRIPTOR_PATH_MAX];
        g_autofree char *root = g_strconcat(descriptor_path(lifetimes->pool->fd, link), "/.", NULL);
        char *roots[] = { root, NULL };
        FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
        bool removed = false;
        FTSENT *entry;

        while (tree && !removed && (entry = fts_read(tree)))
                if (entry->fts_info == FTS_F && entry->fts_statp->st_ino == ref->inode)
                        removed = remove_name(lifetimes, ref, entry->fts_path + strlen(root) + 1, gone);
        if (tree)
                fts_close(tree);
        return removed;
}

/* How often a client may take a name away, or move it, just when we have found it. Each try walks the whole pool. */
#define REMOVAL_TRIES 3

/* Takes away all names of a region that nobody uses and nobody can open meanwhile. Whether none is left. */
static bool remove_names(const Lifetimes *lifetimes, const PoolRef *ref, int file, GArray *gone) {
        for (int tries = 0; tries < REMOVAL_TRIES;) {
                /* Opened afresh each time: by handle, the file is known by a name that it still has. */
                auto_descriptor again = lifetimes->pool->by_handle ? pool_open(lifetimes->pool, ref, O_PATH) : -1;
                int fd = again >= 0 ? again : file;
                struct stat st;

                if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
                        return false;
                if (st.st_nlink == 0)
                        return true;
                if (!remove_known_name(lifetimes, ref, fd, gone) && !remove_some_name(lifetimes, ref, gone))
                        tries++;
        }
        g_warning("cannot find the name of a region that has ended (inode %" PRIu64 ")", (uint64_t)ref->inode);
        return false;
}

/* Whether the region is one that ends, and nobody uses it. file is as of end_unused(). */
static bool is_over(int fd, int file) {
        RegionPolicy policy;

        return region_read_policy(fd, &policy) == 0 && policy.lifetime == REGION_HANDLES &&
               (file < 0 || region_in_use(file) == 0);
}

/*
 * Ends the region if nobody uses it. file is open on it for reading and its close is not reported, or -1 where the
 * last handle is the end. The kernel learns of the names afterwards, when nobody has to wait for us any more.
 */
static void end_unused(const Lifetimes *lifetimes, uint64_t id, int file) {
        g_autoptr(GArray) gone = g_array_new(FALSE, FALSE, sizeof(Gone));
        auto_descriptor fd = -1;
        bool ended = false;
        PoolRef ref;

        g_array_set_clear_func(gone, gone_clear);
        if (registry_exclude(lifetimes->registry, id, REGISTRY_WITHOUT_HANDLES) < 0)
                return;
        registry_begin_change(lifetimes->registry);
        if (registry_resolve(lifetimes->registry, id, &ref) == 0) {
                /* It also keeps the reference good when the names are gone. */
                fd = pool_open(lifetimes->pool, &ref, O_PATH);
                ended = fd >= 0 && is_over(fd, file) && remove_names(lifetimes, &ref, fd, gone);
                /* Without handles, its inode number must not be used again as long as the node is known. */
                if (gone->len && !lifetimes->pool->by_handle)
                        registry_unlinked(lifetimes->registry, &ref, &fd);
                if (ended && gone->len)
                        registry_region_gone(lifetimes->registry, &ref);
        }
        registry_end_change(lifetimes->registry);
        registry_include(lifetimes->registry, id, ended);

        for (guint i = 0; i < gone->len; i++) {
                const Gone *name = &g_array_index(gone, Gone, i);

                if (name->parent && lifetimes->name_gone)
                        lifetimes->name_gone(lifetimes->data, name->parent, id, name->name);
        }
}

/* A close was reported on file. */
static void take_report(const Lifetimes *lifetimes, int file) {
        PoolRef ref = POOL_REF_INIT;
        uint64_t handles, id;
        struct stat st;

        if (pool_identify(lifetimes->pool, file, &ref, &st) < 0 || (!pool_ref_reaches(&ref) && pool_pin(&ref, file) < 0))
                return;
        /* Known or not: what has a view left may have been forgotten by the kernel. */
        id = registry_lookup(lifetimes->registry, &ref);
        if (registry_handles(lifetimes->registry, id, &handles) == 0 && handles > 0)
                mark(lifetimes, file, FAN_MARK_REMOVE); /* the next last handle marks it again */
        else
                end_unused(lifetimes, id, file);
        registry_forget(lifetimes->registry, id, 1);
}

static void take_reports(const Lifetimes *lifetimes) {
        struct fanotify_event_metadata report;

        /* One at a time: the descriptors of two reports on one file would each be in the other's way. */
        while (read(lifetimes->reports, &report, sizeof(report)) == sizeof(report)) {
                auto_descriptor file = report.fd;

                if (file >= 0)
                        take_report(lifetimes, file);
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

static void consider(const Lifetimes *lifetimes, uint64_t id) {
        /* Views of a persisted region are views of its file, which does not end. */
        if (lifetimes->reports >= 0 && !registry_source(lifetimes->registry, id))
                watch(lifetimes, id);
        else
                end_unused(lifetimes, id, -1);
        registry_forget(lifetimes->registry, id, 1);
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
                consider(lifetimes, g_array_index(ids, uint64_t, i));
        return !stopping;
}

static gpointer run(gpointer data) {
        Lifetimes *lifetimes = data;
        struct pollfd sources[] = {
                { .fd = lifetimes->wake, .events = POLLIN },
                { .fd = lifetimes->reports, .events = POLLIN }, /* -1 is passed over */
        };
        bool go_on = true;

        while (go_on) {
                if (poll(sources, G_N_ELEMENTS(sources), -1) < 0)
                        continue;
                if (sources[1].revents)
                        take_reports(lifetimes);
                if (sources[0].revents)
                        go_on = take_waiting(lifetimes);
        }
        /* What has lost its last handle before the end is not to be there at the next mount of a directory pool. */
        if (lifetimes->reports >= 0)
                take_reports(lifetimes);
        return NULL;
}

Lifetimes *lifetimes_new(const Pool *pool, Registry *registry, bool passthrough, LifetimesNameGone name_gone, void *data,
                         GError **error) {
        Lifetimes *lifetimes = g_new0(Lifetimes, 1);

        lifetimes->pool = pool;
        lifetimes->registry = registry;
        lifetimes->name_gone = name_gone;
        lifetimes->data = data;
        lifetimes->reports = -1;
        lifetimes->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (lifetimes->wake >= 0 && passthrough)
                lifetimes->reports = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE |
                                                           FAN_UNLIMITED_MARKS,
                                                   O_RDONLY | O_LARGEFILE | O_CLOEXEC);
        if (lifetimes->wake < 0 || (passthrough && lifetimes->reports < 0)) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot watch for the end of regions: %s",
                            g_strerror(errno));
                descriptor_clear(&lifetimes->wake);
                g_free(lifetimes);
                return NULL;
        }
        g_mutex_init(&lifetimes->lock);
        lifetimes->waiting = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        lifetimes->thread = g_thread_new("lifetimes", run, lifetimes);
        return lifetimes;
}

static void wake(Lifetimes *lifetimes) {
        if (eventfd_write(lifetimes->wake, 1) < 0)
                g_warning("cannot wake the lifetimes: %s", g_strerror(errno));
}

void lifetimes_consider(Lifetimes *lifetimes, uint64_t id) {
        /* Before the kernel, which has let go of the last handle, may have the node forgotten. */
        if (!registry_hold(lifetimes->registry, id))
                return;
        g_mutex_lock(&lifetimes->lock);
        g_array_append_val(lifetimes->waiting, id);
        g_mutex_unlock(&lifetimes->lock);
        wake(lifetimes);
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
        if (lifetimes->reports >= 0)
                take_reports(lifetimes);
        g_array_unref(lifetimes->waiting);
        g_mutex_clear(&lifetimes->lock);
        descriptor_clear(&lifetimes->reports);
        descriptor_clear(&lifetimes->wake);
        g_free(lifetimes);
}
