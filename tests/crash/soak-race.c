#include "soak-race.h"

#include "soak-client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/xattr.h>

/* In the directory: counters that views add to, a number that is read and written under a lock, a journal that grows.
 */
#define COUNTERS "counters"
#define SUM "sum"
#define JOURNAL "journal"

#define COUNTERS_SIZE (BOARD_RACED * sizeof(uint64_t))

typedef struct Record {
        uint64_t client, number;
} Record;

static char *path_to(const char *directory, const char *kind, unsigned i) {
        return g_strdup_printf("%s/%s-%u", directory, kind, i);
}

static char *attribute_of(unsigned i) {
        return g_strdup_printf("user.race.%u", i);
}

/* Whether a call has won. To lose is to be told so by one errno. */
static bool wins(Client *client, int64_t result, int lost, const char *what) {
        return result < 0 && errno == lost ? false : client_expect(client, result, 0, "%s", what);
}

static void create(Client *client) {
        unsigned i = client_random(client, 0, BOARD_RACED);
        g_autofree char *path = path_to(client->shared, "name", i);
        int fd = timed(client, open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));

        if (!wins(client, fd, EEXIST, "creating a shared name"))
                return;
        client->board->names[i]++;
        client_expect(client, timed(client, close(fd)), 0, "close");
}

static void remove_name(Client *client) {
        unsigned i = client_random(client, 0, BOARD_RACED);
        g_autofree char *path = path_to(client->shared, "name", i);

        if (wins(client, timed(client, unlink(path)), ENOENT, "removing a shared name"))
                client->board->names[i]--;
}

/* link(2) and rename(2) that replaces nothing can lose in two ways. */
static bool moves(Client *client, int result, const char *what) {
        return result < 0 && errno == EEXIST ? false : wins(client, result, ENOENT, what);
}

static void rename_name(Client *client) {
        unsigned i = client_random(client, 0, BOARD_RACED), j = client_random(client, 0, BOARD_RACED);
        g_autofree char *from = path_to(client->shared, "name", i);
        g_autofree char *to = path_to(client->shared, "name", j);

        if (!moves(client, timed(client, renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE)),
                   "renaming a shared name"))
                return;
        client->board->names[i]--;
        client->board->names[j]++;
}

static void link_name(Client *client) {
        unsigned i = client_random(client, 0, BOARD_RACED), j = client_random(client, 0, BOARD_RACED);
        g_autofree char *from = path_to(client->shared, "name", i);
        g_autofree char *to = path_to(client->shared, "name", j);

        if (moves(client, timed(client, link(from, to)), "linking a shared name"))
                client->board->names[j]++;
}

static void make_directory(Client *client) {
        unsigned i = client_random(client, 0, BOARD_RACED);
        g_autofree char *path = path_to(client->shared, "directory", i);

        if (wins(client, timed(client, mkdir(path, 0700)), EEXIST, "making a shared directory"))
                client->board->directories[i]++;
}

static void remove_directory(Client *client) {
        unsigned i = client_random(client, 0, BOARD_RACED);
        g_autofree char *path = path_to(client->shared, "directory", i);

        if (wins(client, timed(client, rmdir(path)), ENOENT, "removing a shared directory"))
                client->board->directories[i]--;
}

static void set_attribute(Client *client) {
        unsigned i = client_random(client, 0, BOARD_RACED);
        g_autofree char *attribute = attribute_of(i);

        if (wins(client, timed(client, setxattr(client->shared, attribute, "1", 1, XATTR_CREATE)), EEXIST,
                 "setting a shared attribute"))
                client->board->attributes[i]++;
}

static void remove_attribute(Client *client) {
        unsigned i = client_random(client, 0, BOARD_RACED);
        g_autofree char *attribute = attribute_of(i);

        if (wins(client, timed(client, removexattr(client->shared, attribute)), ENODATA, "removing a shared attribute"))
                client->board->attributes[i]--;
}

static int open_shared(Client *client, const char *name, int flags) {
        g_autofree char *path = g_build_filename(client->shared, name, NULL);
        int fd = timed(client, open(path, flags | O_CLOEXEC));

        client_expect(client, fd, 0, "opening %s", path);
        return fd;
}

static void add_by_view(Client *client) {
        unsigned i = client_random(client, 0, BOARD_RACED), times = client_random(client, 1, 20);
        int fd = open_shared(client, COUNTERS, O_RDWR);
        _Atomic uint64_t *counters;

        if (fd < 0)
                return;
        counters = timed(client, mmap(NULL, COUNTERS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
        client_expect(client, timed(client, close(fd)), 0, "close");
        if (!client_expect(client, counters == MAP_FAILED ? -1 : 0, 0, "mmap of the shared counters"))
                return;
        for (unsigned n = 0; n < times; n++)
                counters[i]++;
        client->board->counted[i] += times;
        client_expect(client, timed(client, munmap(counters, COUNTERS_SIZE)), 0, "munmap");
}

/* Waiting for the lock is waiting for other clients, so it is not measured. */
static void add_under_lock(Client *client) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        uint64_t sum;
        int fd = open_shared(client, SUM, O_RDWR);

        if (fd < 0)
                return;
        if (client_expect(client, fcntl(fd, F_OFD_SETLKW, &lock), 0, "F_OFD_SETLKW") &&
            client_expect(client, timed(client, pread(fd, &sum, sizeof(sum), 0)), 0, "pread of the shared sum")) {
                sum++;
                if (client_expect(client, timed(client, pwrite(fd, &sum, sizeof(sum), 0)), 0,
                                  "pwrite of the shared sum"))
                        client->board->summed++;
        }
        client_expect(client, timed(client, close(fd)), 0, "close");
}

static void append(Client *client) {
        const Record record = { .client = client->number, .number = client->own->appended };
        int fd = open_shared(client, JOURNAL, O_WRONLY | O_APPEND);

        if (fd < 0)
                return;
        if (client_expect(client, timed(client, write(fd, &record, sizeof(record))), 0,
                          "appending to the shared journal"))
                client->own->appended++;
        client_expect(client, timed(client, close(fd)), 0, "close");
}

const Operation race_operations[] = {
        { "race: create", 3, create },          { "race: unlink", 3, remove_name },
        { "race: rename", 2, rename_name },     { "race: link", 2, link_name },
        { "race: mkdir", 2, make_directory },   { "race: rmdir", 2, remove_directory },
        { "race: setxattr", 2, set_attribute }, { "race: removexattr", 2, remove_attribute },
        { "race: counter", 3, add_by_view },    { "race: lock", 2, add_under_lock },
        { "race: append", 2, append },          { .weight = 0 },
};

static bool make_file(const char *directory, const char *name, size_t size) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        bool good = fd >= 0 && ftruncate(fd, size) == 0;

        if (fd >= 0)
                close(fd);
        return good;
}

bool race_prepare(const char *directory) {
        return mkdir(directory, 0700) == 0 && make_file(directory, COUNTERS, COUNTERS_SIZE) &&
               make_file(directory, SUM, sizeof(uint64_t)) && make_file(directory, JOURNAL, 0);
}

bool race_remove(const char *directory) {
        static const char *const files[] = { COUNTERS, SUM, JOURNAL };

        for (unsigned i = 0; i < BOARD_RACED; i++) {
                g_autofree char *name = path_to(directory, "name", i);
                g_autofree char *inner = path_to(directory, "directory", i);

                if ((unlink(name) < 0 && errno != ENOENT) || (rmdir(inner) < 0 && errno != ENOENT))
                        return false;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                g_autofree char *path = g_build_filename(directory, files[i], NULL);

                if (unlink(path) < 0)
                        return false;
        }
        return rmdir(directory) == 0;
}

static unsigned compare(const char *what, unsigned i, int64_t found, int64_t wanted) {
        if (found == wanted)
                return 0;
        g_printerr("soak: shared %s %u: %" G_GINT64_FORMAT " instead of %" G_GINT64_FORMAT "\n", what, i, (gint64)found,
                   (gint64)wanted);
        return 1;
}

/* Contents of a file of the directory, by read; NULL after a line on stderr. */
static char *contents_of(const char *directory, const char *name, size_t least, gsize *size) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_autoptr(GError) error = NULL;
        g_autofree char *contents = NULL;

        if (!g_file_get_contents(path, &contents, size, &error)) {
                g_printerr("soak: %s\n", error->message);
                return NULL;
        }
        if (*size < least) {
                g_printerr("soak: %s has only %zu bytes\n", path, *size);
                return NULL;
        }
        return g_steal_pointer(&contents);
}

/* Each record once. */
static unsigned check_journal(const Board *board, const char *directory, unsigned clients) {
        uint64_t total = 0;
        unsigned wrong = 0;
        gsize size;
        g_autofree char *contents = contents_of(directory, JOURNAL, 0, &size);
        const Record *records = (const Record *)contents;

        if (!contents)
                return 1;
        for (unsigned client = 0; client < clients; client++) {
                uint64_t next = 0;

                for (size_t i = 0; i < size / sizeof(Record); i++)
                        if (records[i].client == client)
                                wrong += compare("journal, record of client", client, records[i].number, next++);
                wrong += compare("journal, records of client", client, next, board->clients[client].appended);
                total += board->clients[client].appended;
        }
        return wrong + compare("journal, size of file", 0, size, total * sizeof(Record));
}

unsigned race_check(const Board *board, const char *directory, unsigned clients) {
        gsize size;
        g_autofree char *counters = contents_of(directory, COUNTERS, COUNTERS_SIZE, &size);
        g_autofree char *sum = contents_of(directory, SUM, sizeof(uint64_t), &size);
        unsigned wrong = check_journal(board, directory, clients);

        if (!counters || !sum)
                return wrong + 1;
        wrong += compare("sum", 0, *(const uint64_t *)sum, board->summed);
        for (unsigned i = 0; i < BOARD_RACED; i++) {
                g_autofree char *name = path_to(directory, "name", i);
                g_autofree char *inner = path_to(directory, "directory", i);
                g_autofree char *attribute = attribute_of(i);

                wrong += compare("name", i, access(name, F_OK) == 0, board->names[i]);
                wrong += compare("directory", i, access(inner, F_OK) == 0, board->directories[i]);
                wrong += compare("attribute", i, getxattr(directory, attribute, NULL, 0) >= 0, board->attributes[i]);
                wrong += compare("counter", i, ((const uint64_t *)counters)[i], board->counted[i]);
        }
        return wrong;
}
