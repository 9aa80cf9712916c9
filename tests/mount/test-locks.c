/* Locks between processes: of flock(2), of fcntl(2) by process and by open file. */
#include "fixture.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define COUNTERS 4
#define ROUNDS 5000

/* One way to lock a byte of a file, for writing (wait or not) and no longer. */
typedef struct Way {
        int (*lock)(int fd, off_t byte, bool wait);
        int (*unlock)(int fd, off_t byte);
        bool of_bytes; /* and not of the whole file */
} Way;

static int lock_whole(int fd, off_t byte, bool wait) {
        return flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));
}

static int unlock_whole(int fd, off_t byte) {
        return flock(fd, LOCK_UN);
}

static int lock_for_process(int fd, off_t byte, bool wait) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

        return fcntl(fd, wait ? F_SETLKW : F_SETLK, &lock);
}

static int unlock_for_process(int fd, off_t byte) {
        struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

        return fcntl(fd, F_SETLK, &lock);
}

static int lock_for_file(int fd, off_t byte, bool wait) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

        return fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock);
}

static int unlock_for_file(int fd, off_t byte) {
        struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

        return fcntl(fd, F_OFD_SETLK, &lock);
}

static const Way ways[] = {
        { lock_whole, unlock_whole, false },
        { lock_for_process, unlock_for_process, true },
        { lock_for_file, unlock_for_file, true },
};

static long *map_counters(int fd) {
        long *view = mmap(NULL, COUNTERS * sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        ck_assert_msg(view != MAP_FAILED, "mmap: %s", g_strerror(errno));
        return view;
}

/* Adds, in steps that would lose some without the lock. */
static void count(void *data) {
        const Way *way = data;
        int fd = must_open(in_mount("counters"), O_RDWR, 0);
        volatile long *counters = map_counters(fd);

        for (int i = 0; i < ROUNDS; i++) {
                int byte = i % COUNTERS;
                long value;

                must(way->lock(fd, byte, true));
                value = counters[byte];
                if (i % 64 == 0)
                        g_usleep(1);
                counters[byte] = value + 1;
                must(way->unlock(fd, byte));
        }
}

START_TEST(processes_count_under_a_lock) {
        const Way *way = &ways[_i];
        int fd = must_open(in_mount("counters"), O_RDWR | O_CREAT, 0600);
        pid_t processes[4];
        long *counters;

        must(ftruncate(fd, COUNTERS * sizeof(long)));
        for (size_t i = 0; i < G_N_ELEMENTS(processes); i++)
                processes[i] = start_process(count, (void *)way);
        for (size_t i = 0; i < G_N_ELEMENTS(processes); i++)
                end_process(processes[i]);
        counters = map_counters(fd);
        for (int i = 0; i < COUNTERS; i++)
                ck_assert_int_eq(counters[i], (long)G_N_ELEMENTS(processes) * ROUNDS / COUNTERS);
        must(munmap(counters, COUNTERS * sizeof(long)));
        must(close(fd));
}
END_TEST

/* Another has byte 1, or all of it. */
static void find_locked(void *data) {
        const Way *way = data;
        int fd = must_open(in_mount("a"), O_RDWR, 0);

        must_fail(way->lock(fd, 1, false), EAGAIN);
        if (way->of_bytes)
                must(way->lock(fd, 2, false));
}

static void hold_until_killed(void *data) {
        const Way *way = data;
        int fd = must_open(in_mount("a"), O_RDWR, 0);

        must(way->lock(fd, 1, true));
        must_write(in_mount("held"), "");
        for (;;)
                pause();
}

START_TEST(a_lock_ends_with_its_holder) {
        const Way *way = &ways[_i];
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600), status;
        pid_t holder = start_process(hold_until_killed, (void *)way);

        eventually(access(in_mount("held"), F_OK) == 0);
        must_fail(way->lock(fd, 1, false), EAGAIN);
        must(kill(holder, SIGKILL));
        must(way->lock(fd, 1, true));
        must(waitpid(holder, &status, 0));
        run_process(find_locked, (void *)way);
        must(way->unlock(fd, 1));
        must(way->lock(fd, 1, false));
        must(close(fd));
}
END_TEST

/* A lock of flock(2) and one by open file are the file's, not the process's. */
START_TEST(handles_of_one_process_keep_each_other_out) {
        int first = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600), second = must_open(in_mount("a"), O_RDWR, 0);
        int copy = dup(first);

        must(lock_whole(first, 0, false));
        must_fail(lock_whole(second, 0, false), EAGAIN);
        must(close(first));
        must_fail(lock_whole(second, 0, false), EAGAIN);
        must(close(copy));
        must(lock_whole(second, 0, false));
        first = must_open(in_mount("a"), O_RDWR, 0);
        must(lock_for_file(first, 7, false));
        must_fail(lock_for_file(second, 7, false), EAGAIN);
        must(lock_for_file(second, 8, false));
        must_fail(lock_for_process(second, 7, false), EAGAIN);
        must(close(first));
        must(lock_for_process(second, 7, false));
        must(close(second));
}
END_TEST

static void lock_the_other_way(void *data) {
        int fd = must_open(in_mount("a"), O_RDWR, 0);

        must(lock_for_process(fd, 2, true));
        must_write(in_mount("held"), "");
        must(lock_for_process(fd, 1, true));
}

START_TEST(a_deadlock_is_told) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600), result, code = 0;
        pid_t other;

        must(lock_for_process(fd, 1, true));
        other = start_process(lock_the_other_way, NULL);
        eventually(access(in_mount("held"), F_OK) == 0);
        /* Until the other one waits there is none: this one would, and the other one be told. */
        eventually(waits_for_lock(other));
        result = lock_for_process(fd, 2, true);
        code = errno;
        must(unlock_for_process(fd, 1));
        end_process(other);
        ck_assert_int_eq(result, -1);
        ck_assert_int_eq(code, EDEADLK);
        must(close(fd));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "locks");

        tcase_add_loop_test(tests, processes_count_under_a_lock, 0, G_N_ELEMENTS(ways));
        tcase_add_loop_test(tests, a_lock_ends_with_its_holder, 0, G_N_ELEMENTS(ways));
        tcase_add_test(tests, handles_of_one_process_keep_each_other_out);
        tcase_add_test(tests, a_deadlock_is_told);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "locks", add);
}
