/*
 * The attributes, on a real pool: what they say, what setting them does, and what is kept with files. A line of input
 * is a verb, and what it takes:
 *
 *   t WHICH        goes on with the root, a directory, a region, or a persisted region (r, d, f, p)
 *   g NAME         gets                    s NAME VALUE   sets
 *   x NAME         removes                 c NAME VALUE   sets what must be new
 *   l              lists                   a NAME VALUE   sets, as a request that has come again
 *   h, w           adds a handle, one that writes          H, W   takes one off
 *   v, V           a writer that the registry knows nothing of comes, goes
 *   u NUMBER       who asks                b              with passthrough, or without from now on
 *   k BYTES        the policy is kept as these bytes       o BYTES   the same of the origin of a persisted region
 *   m INDEX        a byte of the kept origin is changed    r         the source is found again by what is kept
 *   z TEXT         a size
 */
#include "base/descriptor.h"
#include "base/size.h"
#include "operations/attributes.h"
#include "pool/stored.h"

#include "fuzz.h"

#include <regionfs/regionfs.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/xattr.h>

#define LINES 64           /* that are done */
#define POOL_SIZE 262144   /* bytes */
#define FILE_SIZE 67108864 /* of the longest file */

typedef struct Play {
        Ledger *ledger;
        Registry *registry;
        AttributeTarget targets[4], *target;
        Source *source;
        int writer;
        int64_t sealed; /* the length of the region once it is sealed; -1: it is not, or what is kept was changed */
} Play;

enum { ROOT, DIRECTORY, REGION, PERSISTED };

static Pool *pool;
static char path[] = "/tmp/regionfs-fuzz-XXXXXX";
static int file; /* of that path: what the persisted region is the memory of */

static void clean_up(void) {
        unlink(path);
        g_clear_pointer(&pool, pool_free);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
        PoolSettings settings = POOL_SETTINGS_INIT;
        g_autoptr(GError) error = NULL;

        fuzz_quieten();
        /* An ordinary user's pool has no limits of its own. */
        if (geteuid() == 0)
                settings.size = POOL_SIZE;
        pool = pool_new(&settings, &error);
        if (!pool)
                fuzz_skip(error->message);
        file = mkstemp(path);
        fuzz_check(file >= 0);
        atexit(clean_up);
        return 0;
}

/* Of what name means in the pool. */
static AttributeTarget aim(Play *play, const char *name) {
        PoolRef ref;
        struct stat st;
        uint64_t id = REGISTRY_ROOT_ID;
        int fd = openat(pool->fd, name, O_PATH | O_CLOEXEC);

        fuzz_check(fd >= 0);
        if (strcmp(name, ".") != 0) {
                fuzz_check(pool_lookup(pool, pool->fd, REGISTRY_ROOT_ID, name, &ref, &st) == 0);
                id = registry_lookup(play->registry, &ref);
        }
        return (AttributeTarget){ .registry = play->registry, .id = id, .fd = fd, .passthrough = true };
}

/* Some calls would take what there is of a disk. Not while the ledger is made, which is longer than any disk. */
static void limit_files(rlim_t most) {
        struct rlimit limit;

        signal(SIGXFSZ, SIG_IGN);
        fuzz_check(getrlimit(RLIMIT_FSIZE, &limit) == 0);
        limit.rlim_cur = most;
        fuzz_check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void make(const char *name) {
        auto_descriptor fd = openat(pool->fd, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);

        fuzz_check(fd >= 0);
}

static void begin(Play *play) {
        const RegionPolicy policy = { 0 };
        PoolRef root;
        struct stat st;

        *play = (Play){ .ledger = ledger_new(NULL), .writer = -1, .sealed = -1 };
        limit_files(FILE_SIZE);
        fuzz_check(play->ledger && region_write_policy(pool->fd, &policy) == 0);
        fuzz_check(pool_identify(pool, pool->fd, &root, &st) == 0);
        play->registry = registry_new(play->ledger, &root, !pool->by_handle);
        fuzz_check(mkdirat(pool->fd, "directory", 0755) == 0);
        make("region");
        make("persisted");
        play->targets[ROOT] = aim(play, ".");
        play->targets[DIRECTORY] = aim(play, "directory");
        play->targets[REGION] = aim(play, "region");
        play->targets[PERSISTED] = aim(play, "persisted");
        fuzz_check(ftruncate(file, 100) == 0);
        play->source = source_new(fcntl(file, F_DUPFD_CLOEXEC, 0), O_RDWR);
        play->targets[PERSISTED].source = play->source;
        source_keep(play->source, play->targets[PERSISTED].fd);
        play->target = &play->targets[REGION];
}

static void end(Play *play) {
        limit_files(RLIM_INFINITY);
        descriptor_clear(&play->writer);
        source_free(play->source);
        for (size_t i = 0; i < G_N_ELEMENTS(play->targets); i++)
                close(play->targets[i].fd);
        registry_free(play->registry);
        ledger_free(play->ledger);
        fuzz_check(unlinkat(pool->fd, "region", 0) == 0 && unlinkat(pool->fd, "persisted", 0) == 0 &&
                   unlinkat(pool->fd, "directory", AT_REMOVEDIR) == 0);
}

static void get(const AttributeTarget *target, const char *name) {
        char value[ATTRIBUTES_VALUE_MAX];
        int length = attributes_get(target, name, value);

        fuzz_check(length < (int)sizeof(value));
        if (length >= 0)
                fuzz_check(strlen(value) == (size_t)length);
}

/* What was set is what is there. */
static void set(const AttributeTarget *target, const char *name, const char *value, size_t size, int flags) {
        char present[ATTRIBUTES_VALUE_MAX];
        int result = attributes_set(target, name, value, size, flags);

        fuzz_check(result <= 1);
        if (result < 0)
                return;
        fuzz_check(!(flags & XATTR_CREATE));
        result = attributes_get(target, name, present);
        fuzz_check(result == (int)size && memcmp(present, value, size) == 0);
}

static void list(const AttributeTarget *target) {
        g_autoptr(GString) names = g_string_new(NULL);

        fuzz_check(attributes_list(target, names) == 0);
        for (size_t at = 0; at < names->len; at += strlen(names->str + at) + 1)
                fuzz_check(attributes_own(names->str + at));
}

static void parse_size(const char *text) {
        uint64_t size = 42;
        bool good = size_parse(text, &size);

        fuzz_check(good ? size <= G_MAXINT64 : size == 42);
}

static void change_origin(const Play *play, size_t index) {
        int fd = play->targets[PERSISTED].fd;
        unsigned char kept[8192];
        ssize_t size = stored_get(fd, "origin", kept, sizeof(kept));

        if (size <= 0)
                return;
        kept[index % size] ^= 1;
        stored_set(fd, "origin", kept, size);
}

static void restore(Play *play) {
        AttributeTarget *target = &play->targets[PERSISTED];

        g_clear_pointer(&play->source, source_free);
        target->source = NULL;
        if (source_restore(target->fd, &play->source) == 0)
                target->source = play->source;
}

/* A region that is sealed stays as long as it is. */
static void look_after_seal(Play *play) {
        const AttributeTarget *target = &play->targets[REGION];
        RegionPolicy policy;
        struct stat st;

        fuzz_check(fstatat(target->fd, "", &st, AT_EMPTY_PATH) == 0);
        if (play->sealed >= 0)
                fuzz_check(st.st_size == play->sealed && region_read_policy(target->fd, &policy) == 0 && policy.sealed);
        else if (region_read_policy(target->fd, &policy) == 0 && policy.sealed)
                play->sealed = st.st_size;
}

static void act(Play *play, char verb, const char *name, const char *value, size_t size) {
        AttributeTarget *target = play->target;
        g_autofree char *full = g_strconcat(REGIONFS_ATTRIBUTE_PREFIX, name, NULL);
        RegistryRelease release;
        int unused;

        switch (verb) {
        case 't':
                if (*name && strchr("rdfp", *name))
                        play->target = &play->targets[strchr("rdfp", *name) - "rdfp"];
                return;
        case 'g':
                return get(target, full);
        case 's':
                return set(target, full, value, size, 0);
        case 'c':
                return set(target, full, value, size, XATTR_CREATE);
        case 'a':
                target->again = true;
                set(target, full, value, size, 0);
                target->again = false;
                return;
        case 'x':
                attributes_remove(target, full);
                return;
        case 'l':
                return list(target);
        case 'h':
        case 'w':
                registry_handle_added(play->registry, target->id, verb == 'w', &unused);
                return;
        case 'H':
        case 'W':
                registry_handle_removed(play->registry, target->id, verb == 'W', &release);
                return;
        case 'v':
                /* Nobody can open what is sealed for writing: the kernel asks us, and the owner of a pool does not. */
                if (play->writer < 0 && play->sealed < 0)
                        play->writer = openat(pool->fd, "region", O_WRONLY | O_CLOEXEC);
                return;
        case 'V':
                return descriptor_clear(&play->writer);
        case 'u':
                target->caller.uid = strtoul(name, NULL, 10);
                return;
        case 'b':
                target->passthrough = !target->passthrough;
                return;
        case 'k':
                stored_set(target->fd, "policy", name, strlen(name));
                play->sealed = -1;
                return;
        case 'o':
                stored_set(play->targets[PERSISTED].fd, "origin", name, strlen(name));
                return;
        case 'm':
                return change_origin(play, strtoul(name, NULL, 10));
        case 'r':
                return restore(play);
        case 'z':
                return parse_size(name);
        default:
                return;
        }
}

/* "VERB NAME VALUE", without the end of the line. */
static void take_line(Play *play, const char *line, size_t size) {
        const char *rest = line + MIN(size, 2), *space = memchr(rest, ' ', line + size - rest);
        const char *stop = space ? space : line + size, *value = space ? space + 1 : stop;
        g_autofree char *name = g_strndup(rest, stop - rest);

        if (size > 0)
                act(play, *line, name, value, line + size - value);
        look_after_seal(play);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
        const char *line = (const char *)bytes, *stop = line + size;
        Play play;

        begin(&play);
        for (int i = 0; i < LINES && line < stop; i++) {
                const char *newline = memchr(line, '\n', stop - line);
                const char *next = newline ? newline + 1 : stop;

                take_line(&play, line, newline ? newline - line : stop - line);
                line = next;
        }
        end(&play);
        return 0;
}
