#include "registry/lifetime-names.h"

#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>

static void clear_name(gpointer data) {
        g_free(((LifetimeName *)data)->name);
}

GArray *lifetime_names_new(void) {
        GArray *names = g_array_new(FALSE, FALSE, sizeof(LifetimeName));

        g_array_set_clear_func(names, clear_name);
        return names;
}

/* What is looked for, and where what is found goes. */
typedef struct Search {
        const Pool *pool;
        Registry *registry;
        const PoolRef *ref;
        LedgerEnd *end;
        GArray *gone;
} Search;

/* Before the name goes, so that the next server can tell of it. */
static void note(const Search *search, uint64_t parent, const char *name) {
        LedgerEnd *end = search->end;

        if (end->names == LEDGER_END_NAMES)
                return;
        end->removed[end->names].parent = parent;
        g_strlcpy(end->removed[end->names].name, name, LEDGER_NAME_SIZE);
        ledger_publish(&end->names, end->names + 1);
}

/* Removes a name from the directory that parent is open on, if it is one of the region's. */
static bool remove_entry(const Search *search, int parent, const char *name) {
        g_auto(PoolRef) found = POOL_REF_INIT, parent_ref = POOL_REF_INIT;
        LifetimeName removed = { 0 };
        struct stat st;

        if (parent < 0 || pool_lookup(search->pool, parent, 0, name, &found, &st) < 0 ||
            !pool_ref_equal(&found, search->ref))
                return false;
        if (pool_identify(search->pool, parent, &parent_ref, &st) == 0)
                removed.parent = registry_find(search->registry, &parent_ref);
        note(search, removed.parent, name);
        if (unlinkat(parent, name, 0) < 0)
                return false;
        removed.name = g_strdup(name);
        g_array_append_val(search->gone, removed);
        return true;
}

static int open_directory(int from, const char *path) {
        return openat(from, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Removes the name by which fd knows its file. */
static bool remove_known_name(const Search *search, int fd) {
        g_autofree char *directory = NULL, *name = NULL;
        auto_descriptor parent = -1;
        char path[PATH_MAX];

        if (pool_tell_name(search->pool, fd, path) < 0)
                return false;
        directory = g_path_get_dirname(path);
        name = g_path_get_basename(path);
        parent = open_directory(search->pool->fd, directory);
        return remove_entry(search, parent, name);
}

/*
 * Looks for a name in the whole pool: for a file that has several, or one that no path can tell. Through the working
 * directory, as directories may be nested deeper than a path reaches; where that cannot be come back to, without.
 */
static bool remove_some_name(const Search *search) {
        char link[DESCRIPTOR_PATH_MAX];
        g_autofree char *root = g_strconcat(descriptor_path(search->pool->fd, link), "/.", NULL);
        char *roots[] = { root, NULL };
        FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_XDEV, NULL);
        bool removed = false;
        FTSENT *entry;

        while (tree && !removed && (entry = fts_read(tree))) {
                if (entry->fts_info == FTS_F && entry->fts_statp->st_ino == search->ref->inode) {
                        g_autofree char *directory = g_path_get_dirname(entry->fts_accpath);
                        auto_descriptor parent = open_directory(AT_FDCWD, directory);

                        removed = remove_entry(search, parent, entry->fts_name);
                }
        }
        if (tree)
                fts_close(tree);
        return removed;
}

/* How often a client may take a name away, or move it, just when we have found it. Each try walks the whole pool. */
#define TRIES 3

bool lifetime_names_remove(const Pool *pool, Registry *registry, const PoolRef *ref, int file, LedgerEnd *end,
                           GArray *gone) {
        const Search search = { .pool = pool, .registry = registry, .ref = ref, .end = end, .gone = gone };

        for (int tries = 0; tries < TRIES;) {
                /* Opened afresh each time: by handle, the file is known by a name that it still has. */
                auto_descriptor again = pool->by_handle ? pool_open(pool, ref, O_PATH) : -1;
                int fd = again >= 0 ? again : file;
                struct stat st;

                if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
                        return false;
                if (st.st_nlink == 0)
                        return true;
                if (!remove_known_name(&search, fd) && !remove_some_name(&search))
                        tries++;
        }
        g_warning("cannot find the name of a region that has ended (inode %" PRIu64 ")", (uint64_t)ref->inode);
        return false;
}

/* Whether the name, which may not have been removed, means another node now, or nothing. */
static bool has_gone(const Pool *pool, Registry *registry, uint64_t parent, const char *name, ino_t inode) {
        auto_descriptor directory = -1;
        struct stat st;
        PoolRef ref;

        if (registry_resolve(registry, parent, &ref) < 0)
                return false;
        directory = pool_open(pool, &ref, O_PATH);
        return directory >= 0 && (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_ino != inode);
}

/* Some names have gone, and the one by which the node is reached may be one of them; or all have. */
static void note_loss(const Pool *pool, Registry *registry, Ledger *ledger, int fd) {
        LedgerEnd *end = ledger_end(ledger);
        g_auto(PoolRef) ref = POOL_REF_INIT;
        auto_descriptor pin = -1;
        struct stat st;

        if (pool_identify(pool, fd, &ref, &st) < 0)
                return;
        if (!pool->by_handle && (pin = fcntl(fd, F_DUPFD_CLOEXEC, 0)) >= 0)
                registry_unlinked(registry, &ref, &pin);
        if (st.st_nlink > 0)
                return;
        ledger_set_current(ledger, &end->request);
        registry_region_gone(registry, &ref);
        registry_include(registry, end->node, true);
        ledger_set_current(ledger, NULL);
}

/* The descriptor of the region that a dead server was ending, and what there is of that; -1: none. */
static int find_end(Ledger *ledger, struct stat *st) {
        const LedgerEnd *end = ledger_end(ledger);
        int fd = end->node ? ledger_descriptor(end->descriptor) : -1;

        return fd < 0 || fstatat(fd, "", st, AT_EMPTY_PATH) < 0 ? -1 : fd;
}

void lifetime_names_take_over(const Pool *pool, Registry *registry, Ledger *ledger) {
        struct stat st;
        int fd = find_end(ledger, &st);

        if (fd >= 0 && ledger_end(ledger)->names > 0)
                note_loss(pool, registry, ledger, fd);
}

void lifetime_names_tell(const Pool *pool, Registry *registry, Ledger *ledger, LifetimesNameGone name_gone,
                         void *data) {
        LedgerEnd *end = ledger_end(ledger);
        struct stat st;
        int fd = find_end(ledger, &st);

        if (!end->node)
                return;
        for (uint64_t i = 0; fd >= 0 && i < end->names; i++)
                if (has_gone(pool, registry, end->removed[i].parent, end->removed[i].name, st.st_ino))
                        name_gone(data, end->removed[i].parent, end->node, end->removed[i].name);
        ledger_publish(&end->node, 0);
        descriptor_clear(&fd);
}
