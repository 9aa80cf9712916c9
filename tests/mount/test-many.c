/*
 * Many at once: processes, views, descriptors, bytes. As few as the time allows; more where the environment says so:
 *   MANY_PROCESSES  that open and close regions at once
 *   MANY_VIEWS      of one region
 *   MANY_MIB        that one region holds
 */
#include "fixture.h"

#include <dirent.h>
#include <regionfs/regionfs.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#define MIB ((off_t)1024 * 1024)
#define PAGE 4096
#define TURNS 5

static unsigned many(const char *name, unsigned otherwise) {
        const char *text = g_getenv(name);
        guint64 number = otherwise;

        if (text && !g_ascii_string_to_unsigned(text, 10, 1, 1 << 20, &number, NULL))
                ck_abort_msg("%s=%s: it takes a whole number from 1 to 1048576", name, text);
        return number;
}

/* How many descriptors of regions the server has, or -1 where nobody is to look at it. */
static int server_descriptors(void) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd", (int)fixture_server());
        DIR *directory = opendir(path);
        int count = 0;

        if (!directory)
                return -1;
        while (readdir(directory))
                count++;
        closedir(directory);
        return count;
}

static void *map(int fd, size_t size) {
        void *view = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (view == MAP_FAILED)
                ck_abort_msg("mmap: %s", g_strerror(errno));
        return view;
}

#define REGIONS 300

START_TEST(descriptors_grow_with_what_is_open) {
        int open_ones[REGIONS], before, then;
        char name[32];

        for (int i = 0; i < 10 * REGIONS; i++) {
                g_snprintf(name, sizeof(name), "%d", i);
                must(mknod(in_mount(name), S_IFREG | 0600, 0));
        }
        before = server_descriptors();
        for (int i = 0; i < REGIONS; i++) {
                g_snprintf(name, sizeof(name), "%d", i);
                open_ones[i] = must_open(in_mount(name), O_RDWR, 0);
        }
        then = server_descriptors();
        /* With passthrough the kernel has them. A thread or two may have one for a moment. */
        if (fixture_mode() == MODE_PASSTHROUGH)
                ck_assert_int_le(then, before + 50);
        else
                ck_assert_int_ge(then, before + REGIONS - 50);
        ck_assert_int_le(then, before + REGIONS + 50);
        ck_assert_int_le(before, 100);
        for (int i = 0; i < REGIONS; i++)
                must(close(open_ones[i]));
        eventually(server_descriptors() <= before + 20);
}
END_TEST

typedef struct Crowd {
        int start; /* read(2) ends when they are to start */
        unsigned number;
} Crowd;

/* Each has a region of its own, and one that it shares with all others. */
static void come_and_go(void *data) {
        const Crowd *crowd = data;
        char own[32], byte;

        g_snprintf(own, sizeof(own), "own-%u", crowd->number);
        while (read(crowd->start, &byte, 1) > 0)
                ;
        for (int turn = 0; turn < TURNS; turn++) {
                int fd = must_open(in_mount("shared"), O_RDWR, 0), mine;
                _Atomic uint64_t *view = map(fd, PAGE);

                atomic_fetch_add(view, 1);
                must(munmap((void *)view, PAGE));
                must(close(fd));
                mine = must_open(in_mount(own), O_RDWR | O_CREAT | O_EXCL, 0600);
                ck_assert_int_eq(write(mine, own, sizeof(own)), sizeof(own));
                must(unlink(in_mount(own)));
                must(close(mine));
        }
}

static uint64_t count_in(int fd) {
        uint64_t count;

        ck_assert_int_eq(pread(fd, &count, sizeof(count), 0), sizeof(count));
        return count;
}

START_TEST(processes_open_and_close_at_once) {
        unsigned processes = many("MANY_PROCESSES", 200);
        g_autofree pid_t *crowd = g_new(pid_t, processes);
        int fd = must_open(in_mount("shared"), O_RDWR | O_CREAT | O_EXCL, 0600), before = server_descriptors(),
            start[2];
        pid_t server = fixture_server();

        must(ftruncate(fd, PAGE));
        must(pipe(start));
        for (unsigned i = 0; i < processes; i++) {
                Crowd one = { start[0], i };

                /* The other end is to be closed by the last one that has it: this process. */
                crowd[i] = check_fork();
                if (crowd[i] == 0) {
                        close(start[1]);
                        come_and_go(&one);
                        _exit(EXIT_SUCCESS);
                }
        }
        must(close(start[1]));
        /* In the middle of it. Over io_uring calls that wait would fail. */
        if (!fixture_over_uring()) {
                eventually(count_in(fd) >= processes);
                must(kill(server, SIGKILL));
        }
        for (unsigned i = 0; i < processes; i++)
                end_process(crowd[i]);
        ck_assert_uint_eq(count_in(fd), (uint64_t)processes * TURNS);
        ck_assert_int_eq(restarts(), !fixture_over_uring());
        ck_assert_uint_eq(number_of(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS), 1);
        eventually(number_of(in_mount("shared"), REGIONFS_ATTRIBUTE_HANDLES) == 1);
        must(close(fd));
        must_become_unused(in_mount("shared"));
        /* Threads that were started for the crowd have a few. */
        eventually(server_descriptors() <= before + 70);
        must(close(start[0]));
}
END_TEST

START_TEST(one_region_has_many_views) {
        unsigned views = many("MANY_VIEWS", 1000);
        g_autofree char **view = g_new(char *, views);
        int fd = must_open(in_mount("region"), O_RDWR | O_CREAT, 0600);
        pid_t server = fixture_server();

        must(ftruncate(fd, (off_t)views * PAGE));
        for (unsigned i = 0; i < views; i++) {
                view[i] = map(fd, (size_t)views * PAGE);
                view[i][(size_t)i * PAGE] = 1 + i % 100;
        }
        must(close(fd));
        if (!fixture_over_uring()) {
                must(kill(server, SIGKILL));
                eventually(fixture_server() != server);
        }
        /* Each shows what was written by each other one. */
        for (unsigned i = 0; i < views; i++)
                for (unsigned page = i % 7; page < views; page += 7)
                        ck_assert_int_eq(view[i][(size_t)page * PAGE], 1 + page % 100);
        must(unlink(in_mount("region")));
        for (unsigned i = 0; i < views; i++) {
                ck_assert_int_eq(view[views - 1][(size_t)i * PAGE], 1 + i % 100);
                if (i < views - 1)
                        must(munmap(view[i], (size_t)views * PAGE));
        }
        must(munmap(view[views - 1], (size_t)views * PAGE));
}
END_TEST

static off_t free_bytes(void) {
        struct statvfs st;

        must(statvfs(fixture_mountpoint(), &st));
        return st.f_bfree * st.f_frsize;
}

/* A word for each page. */
static uint64_t word_at(off_t offset) {
        return (offset + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

START_TEST(a_big_region_holds_all_of_it) {
        off_t size = many("MANY_MIB", 64) * MIB, before;
        g_autofree uint64_t *buffer = g_malloc0(MIB);
        struct stat st;
        char *view;
        int fd;

        /* A pool has half of the memory as a rule. */
        if (free_bytes() < size && fixture_mode() != MODE_USER) {
                g_autofree char *options = g_strdup_printf("size=%jd", (intmax_t)(size + 64 * MIB));

                fixture_unmount();
                fixture_mount(options);
        }
        before = free_bytes();
        ck_assert_msg(before >= size, "there is no room for %jd MiB", (intmax_t)(size / MIB));
        fd = must_open(in_mount("big"), O_RDWR | O_CREAT, 0600);
        for (off_t offset = 0; offset < size; offset += MIB) {
                for (off_t page = 0; page < MIB; page += PAGE)
                        buffer[page / sizeof(*buffer)] = word_at(offset + page);
                ck_assert_int_eq(pwrite(fd, buffer, MIB, offset), MIB);
        }
        must(fstat(fd, &st));
        ck_assert_int_eq(st.st_size, size);
        view = map(fd, size);
        for (off_t offset = 0; offset < size; offset += PAGE)
                ck_assert_uint_eq(*(uint64_t *)(void *)(view + offset), word_at(offset));
        must(munmap(view, size));
        if (fixture_mode() != MODE_USER)
                ck_assert_int_le(free_bytes(), before - size);
        must(unlink(in_mount("big")));
        must(close(fd));
        /* In the pool of an ordinary user others may take some meanwhile. */
        if (fixture_mode() != MODE_USER)
                eventually(free_bytes() >= before);
}
END_TEST

#define TIB (1024 * 1024 * MIB)

START_TEST(a_sparse_region_may_be_larger_than_the_memory) {
        const off_t written[] = { 0, 5 * MIB + 17, TIB / 2, TIB - 1 };
        int fd = must_open(in_mount("sparse"), O_RDWR | O_CREAT, 0600);
        char *view, byte;
        struct stat st;

        must(ftruncate(fd, TIB));
        view = map(fd, TIB);
        for (size_t i = 0; i < G_N_ELEMENTS(written); i++) {
                if (i % 2)
                        view[written[i]] = 'a' + i;
                else
                        ck_assert_int_eq(pwrite(fd, (const char[]){ 'a' + i }, 1, written[i]), 1);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(written); i++) {
                ck_assert_int_eq(pread(fd, &byte, 1, written[i]), 1);
                ck_assert_int_eq(byte, 'a' + (int)i);
                ck_assert_int_eq(view[written[i]], 'a' + (int)i);
                if (written[i] + PAGE < TIB)
                        ck_assert_int_eq(view[written[i] + PAGE], 0);
        }
        must(munmap(view, TIB));
        must(fsync(fd));
        must(fstat(fd, &st));
        ck_assert_int_eq(st.st_size, TIB);
        ck_assert_int_eq(pread(fd, &byte, 1, TIB), 0);
        /* With huge pages a byte may take two MiB. */
        eventually(fstat(fd, &st) == 0 && st.st_blocks * 512 <= 10 * 2 * MIB);
        must(unlink(in_mount("sparse")));
        must(close(fd));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "many");

        add_test_if(tests, descriptors_grow_with_what_is_open, fixture_mode() != MODE_USER,
                    "looks into the daemon, which is root's to do");
        tcase_add_test(tests, processes_open_and_close_at_once);
        tcase_add_test(tests, one_region_has_many_views);
        tcase_add_test(tests, a_big_region_holds_all_of_it);
        tcase_add_test(tests, a_sparse_region_may_be_larger_than_the_memory);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "many", add);
}
