#include "held.h"

#include <dirent.h>
#include <regionfs/regionfs.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define PAGE 4096
#define ENTRIES 400

struct Held {
        int reader, writer, unlinked, nameless, directory, removed, by_handle, source, locked;
        char *shared, *by_view;
        DIR *stream;
        unsigned seen;   /* entries that the stream has told */
        unsigned checks;
        ino_t inode;
};

bool root_has(const char *name, const char *value) {
        g_autofree char *found = must_get(fixture_mountpoint(), name);

        return g_str_equal(found, value);
}

static int new_ending(const char *name) {
        int fd = must_open(in_mount(name), O_RDWR | O_CREAT | O_EXCL, 0600);

        must(setxattr(in_mount(name), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        must(ftruncate(fd, PAGE));
        return fd;
}

static char *map(int fd) {
        char *view = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        ck_assert_ptr_ne(view, MAP_FAILED);
        return view;
}

static void take_rules(Held *held) {
        int by_view = new_ending("by-view");

        held->by_handle = new_ending("by-handle");
        held->by_view = map(by_view);
        must(close(by_view));
        must_write(in_mount("sealed"), "final");
        /* The writer's handle is released behind its back. */
        eventually(setxattr(in_mount("sealed"), REGIONFS_ATTRIBUTE_SEALED, "1", 1, 0) == 0);
}

static void take_persisted(Held *held) {
        g_autofree char *path = g_build_filename(fixture_directory(), "source", NULL);
        g_autofree char *number = NULL;

        must_write(path, "on disk");
        held->source = must_open(path, O_RDWR, 0);
        number = g_strdup_printf("%d", held->source);
        must(mknod(in_mount("persisted"), S_IFREG | 0600, 0));
        must(setxattr(in_mount("persisted"), REGIONFS_ATTRIBUTE_SOURCE, number, strlen(number), 0));
}

static void take_stream(Held *held) {
        must(mkdir(in_mount("many"), 0700));
        for (int i = 0; i < ENTRIES; i++) {
                g_autofree char *name = g_strdup_printf("many/%d", i);

                must(mknod(in_mount(name), S_IFREG | 0600, 0));
        }
        held->stream = opendir(in_mount("many"));
        ck_assert_ptr_nonnull(held->stream);
}

Held *held_take(void) {
        Held *held = g_new0(Held, 1);
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
        struct stat st;

        must_write(in_mount("a"), "before");
        held->reader = must_open(in_mount("a"), O_RDONLY, 0);
        held->writer = must_open(in_mount("a"), O_RDWR, 0);
        held->locked = must_open(in_mount("locked"), O_RDWR | O_CREAT, 0600);
        must(flock(held->locked, LOCK_EX));
        must(fcntl(held->locked, F_SETLK, &lock));
        must(fstat(held->reader, &st));
        held->inode = st.st_ino;
        held->unlinked = must_open(in_mount("unlinked"), O_RDWR | O_CREAT, 0600);
        must(ftruncate(held->unlinked, PAGE));
        held->shared = map(held->unlinked);
        must(unlink(in_mount("unlinked")));
        held->nameless = must_open(fixture_mountpoint(), O_RDWR | O_TMPFILE, 0600);
        must(mkdir(in_mount("d"), 0700));
        held->directory = must_open(in_mount("d"), O_RDONLY | O_DIRECTORY, 0);
        must(mkdir(in_mount("e"), 0700));
        held->removed = must_open(in_mount("e"), O_RDONLY | O_DIRECTORY, 0);
        must(rmdir(in_mount("e")));
        take_rules(held);
        take_persisted(held);
        take_stream(held);
        return held;
}

static void check_contents(int fd, const char *text) {
        char found[64] = "";

        ck_assert_int_eq(pread(fd, found, sizeof(found) - 1, 0), strlen(text));
        ck_assert_str_eq(found, text);
}

static void find_locked(void *data) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
        int fd = must_open(in_mount("locked"), O_RDWR, 0);

        must_fail(flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
        must_fail(fcntl(fd, F_SETLK, &lock), EAGAIN);
}

static void stand_in(void *data) {
        Held *held = data;

        must(fchdir(held->directory));
        must_write("b", "in it");
        must_read(in_mount("d/b"), "in it");
        must(unlink("b"));
}

static void check_regions(Held *held) {
        g_autofree char *text = g_strdup_printf("check %u", held->checks);
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", held->nameless);
        struct stat st;
        int again;

        must(ftruncate(held->writer, 0));
        ck_assert_int_eq(pwrite(held->writer, text, strlen(text), 0), strlen(text));
        check_contents(held->reader, text);
        must_read(in_mount("a"), text);
        must(fstat(held->reader, &st));
        ck_assert_uint_eq(st.st_ino, held->inode);
        must(fchmod(held->writer, 0600 + held->checks % 8));
        strcpy(held->shared, text);
        ck_assert_int_eq(pread(held->unlinked, &st, 1, 0), 1);
        must(fstat(held->unlinked, &st));
        ck_assert_int_eq(st.st_nlink, 0);
        must(ftruncate(held->unlinked, PAGE + held->checks));
        must(ftruncate(held->nameless, 0));
        ck_assert_int_eq(pwrite(held->nameless, text, strlen(text), 0), strlen(text));
        again = must_open(path, O_RDONLY, 0);
        check_contents(again, text);
        must(close(again));
        ck_assert_int_eq(pwrite(held->by_handle, text, strlen(text), 0), strlen(text));
        must(access(in_mount("by-handle"), F_OK));
        strcpy(held->by_view, text);
        must(access(in_mount("by-view"), F_OK));
        must_fail(open(in_mount("sealed"), O_RDWR), EPERM);
        must_read(in_mount("sealed"), "final");
        must_read(in_mount("persisted"), "on disk");
        must_fail(open(in_mount("never"), O_RDONLY), ENOENT);
        must_fail(openat(held->removed, "x", O_RDWR | O_CREAT, 0600), ENOENT);
}

void held_check(Held *held) {
        held->checks++;
        check_regions(held);
        run_process(find_locked, NULL);
        run_process(stand_in, held);
        for (int i = 0; i < 20 && readdir(held->stream); i++)
                held->seen++;
}

static bool is_gone(const char *name) {
        return access(in_mount(name), F_OK) < 0 && errno == ENOENT;
}

void held_end(Held *held) {
        g_autofree char *path = g_build_filename(fixture_directory(), "source", NULL);

        while (readdir(held->stream))
                held->seen++;
        ck_assert_uint_eq(held->seen, ENTRIES + 2);
        must(closedir(held->stream));
        must(close(held->by_handle));
        eventually(is_gone("by-handle"));
        must(munmap(held->by_view, PAGE));
        eventually(is_gone("by-view"));
        must(munmap(held->shared, PAGE));
        must(close(held->unlinked));
        must(close(held->nameless));
        must(close(held->removed));
        must(close(held->directory));
        must(close(held->reader));
        must(close(held->writer));
        must(close(held->locked));
        must(close(held->source));
        must(unlink(path));
        ck_assert_int_eq(run_command(NULL, "rm -r '%s'/*", fixture_mountpoint()), 0);
        eventually(root_has(REGIONFS_ATTRIBUTE_REGIONS, "0"));
        g_free(held);
}

/* Shared with the clients. */
typedef struct Board {
        bool stop;
        uint64_t rounds;
} Board;

struct Hammer {
        Board *board;
        int clients;
        pid_t processes[16];
};

/* Exactly once: each name is there exactly when it should be, with exactly what was written. */
static void hammer_round(const char *here, unsigned round) {
        g_autofree char *one = g_strdup_printf("%s/one", here), *two = g_strdup_printf("%s/two", here);
        g_autofree char *text = g_strdup_printf("round %u", round);
        char value[16];
        struct stat st;
        int fd;

        must((fd = open(one, O_RDWR | O_CREAT | O_EXCL, 0600)));
        ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
        must(link(one, two));
        must_fail(link(one, two), EEXIST);
        must(fstat(fd, &st));
        ck_assert_uint_eq(st.st_nlink, 2);
        must(unlink(one));
        must_fail(unlink(one), ENOENT);
        must(rename(two, one));
        must_fail(rename(two, one), ENOENT);
        must(setxattr(one, "user.round", "x", 1, XATTR_CREATE));
        must_fail(setxattr(one, "user.round", "x", 1, XATTR_CREATE), EEXIST);
        ck_assert_int_eq(getxattr(one, "user.round", value, sizeof(value)), 1);
        must(removexattr(one, "user.round"));
        must(ftruncate(fd, strlen(text) - 1));
        must(close(fd));
        text[strlen(text) - 1] = '\0';
        must_read(one, text);
        must(unlink(one));
        must(mkdir(two, 0700));
        must_fail(mkdir(two, 0700), EEXIST);
        must(rmdir(two));
}

typedef struct Client {
        Board *board;
        int number;
} Client;

static void hammer_on(void *data) {
        const Client *client = data;
        g_autofree char *name = g_strdup_printf("client-%d", client->number);
        const char *here = in_mount(name);

        must(mkdir(here, 0700));
        for (unsigned round = 0; !__atomic_load_n(&client->board->stop, __ATOMIC_RELAXED); round++) {
                hammer_round(here, round);
                __atomic_add_fetch(&client->board->rounds, 1, __ATOMIC_RELAXED);
        }
        must(rmdir(here));
}

Hammer *hammer_start(int clients) {
        Hammer *hammer = g_new0(Hammer, 1);

        hammer->board = mmap(NULL, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        hammer->clients = clients;
        for (int i = 0; i < clients; i++)
                hammer->processes[i] = start_process(hammer_on, &(Client){ hammer->board, i });
        return hammer;
}

uint64_t hammer_stop(Hammer *hammer) {
        uint64_t rounds;

        hammer->board->stop = true;
        for (int i = 0; i < hammer->clients; i++)
                end_process(hammer->processes[i]);
        rounds = hammer->board->rounds;
        munmap(hammer->board, sizeof(Board));
        g_free(hammer);
        return rounds;
}
