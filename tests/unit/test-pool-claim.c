/* What keeps daemons off a directory that is another one's pool, or is of another format. */
#include "unit-pool.h"

#include <regionfs/regionfs.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define FORMAT (geteuid() == 0 ? "trusted.regionfs.format" : "user.regionfs.format")

static char *directory; /* of the test's own */
static PoolSettings settings;

static void setup(void) {
        settings = (PoolSettings)POOL_SETTINGS_INIT;
        directory = settings.directory = unit_directory(UNIT_TEMPORARY);
}

static void teardown(void) {
        g_clear_pointer(&directory, g_free);
}

/* NULL: it has none. */
static void expect_format(const char *wanted) {
        char value[64];
        ssize_t size = getxattr(directory, FORMAT, value, sizeof(value));

        if (!wanted) {
                ck_assert_int_lt(size, 0);
                return;
        }
        ck_assert_int_eq(size, (ssize_t)strlen(wanted));
        ck_assert_mem_eq(value, wanted, size);
}

static void set_format(const char *format) {
        ck_assert_int_eq(setxattr(directory, FORMAT, format, strlen(format), 0), 0);
}

/* A process that has the directory as its pool, and ends by itself after so many milliseconds, or is killed. */
static pid_t start_daemon(unsigned milliseconds) {
        int ready[2];
        pid_t daemon;
        char byte;

        ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
        daemon = fork();
        ck_assert_int_ge(daemon, 0);
        if (daemon == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (pool_new(&settings, NULL) && write(ready[1], "", 1) == 1)
                        g_usleep(milliseconds * 1000);
                _exit(EXIT_SUCCESS);
        }
        close(ready[1]);
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        return daemon;
}

static void end_daemon(pid_t daemon) {
        ck_assert_int_eq(kill(daemon, SIGKILL), 0);
        ck_assert_int_eq(waitpid(daemon, NULL, 0), daemon);
}

START_TEST(one_daemon_has_a_directory) {
        pid_t daemon = start_daemon(UNIT_TIMEOUT * 1000);
        g_autofree char *sentence =
                g_strdup_printf("option pool=%s is not allowed: another regionfs uses the directory", directory);
        Pool *pool;

        unit_pool_refused(&settings, sentence);
        end_daemon(daemon);
        /* A killed one is in nobody's way. */
        pool = unit_pool(&settings);
        pool_free(pool);
        pool_free(unit_pool(&settings));
}
END_TEST

START_TEST(one_that_ends_meanwhile_is_waited_for) {
        pid_t daemon = start_daemon(500);
        Pool *pool = unit_pool(&settings);
        int status;

        ck_assert_int_eq(waitpid(daemon, &status, 0), daemon);
        ck_assert_int_eq(status, 0);
        pool_free(pool);
}
END_TEST

START_TEST(directories_in_each_other_are_two) {
        g_autofree char *inner = g_build_filename(directory, "inner", NULL);
        g_autoptr(Pool) pool = unit_pool(&settings), other = NULL;

        ck_assert_int_eq(mkdir(inner, 0755), 0);
        settings.directory = inner;
        other = unit_pool(&settings);
}
END_TEST

START_TEST(its_format_is_written) {
        expect_format(NULL);
        for (int i = 0; i < 2; i++) {
                g_autoptr(Pool) pool = unit_pool(&settings);

                expect_format("1");
        }
        expect_format("1");
}
END_TEST

START_TEST(one_in_use_is_not_marked) {
        auto_descriptor fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        ck_assert_int_eq(flock(fd, LOCK_EX), 0);
        ck_assert_ptr_null(pool_new(&settings, NULL));
        expect_format(NULL);
}
END_TEST

static const char *const formats[] = { "2", "10", "1.1", "01", "1 ", "x", "" };

START_TEST(other_formats_are_refused) {
        g_autofree char *sentence =
                g_strdup_printf("option pool=%s is not allowed: the directory is a pool of format %s, made by a newer "
                                "regionfs; this one (%s) knows format 1", directory, formats[_i], REGIONFS_VERSION);
        auto_descriptor fd = -1;

        set_format(formats[_i]);
        unit_pool_refused(&settings, sentence);
        expect_format(formats[_i]);
        /* It is not locked afterwards. */
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
}
END_TEST

/* Not in the machine's mounts, and gone with the test. False where mounting is not allowed, as in some containers. */
static bool mount_alone(const char *type, unsigned long flags) {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount(directory, directory, type, type ? 0 : MS_BIND, NULL) < 0 ||
            (flags && mount(NULL, directory, NULL, MS_REMOUNT | MS_BIND | flags, NULL) < 0)) {
                printf("# left out, as nothing can be mounted\n");
                return false;
        }
        return true;
}

/* It is taken, and locked, but has no format. */
static void expect_taken_unmarked(void) {
        g_autoptr(Pool) pool = unit_pool(&settings);
        auto_descriptor fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        expect_format(NULL);
        ck_assert_int_lt(flock(fd, LOCK_EX | LOCK_NB), 0);
        ck_assert_int_eq(errno, EWOULDBLOCK);
}

START_TEST(file_systems_without_attributes_will_do) {
        if (mount_alone("ramfs", 0))
                expect_taken_unmarked();
}
END_TEST

START_TEST(read_only_ones_will_do) {
        if (mount_alone(NULL, MS_RDONLY))
                expect_taken_unmarked();
}
END_TEST

START_TEST(directories_of_others_will_do) {
        unit_become_user();
        expect_taken_unmarked();
}
END_TEST

int main(void) {
        Suite *suite;
        TCase *tcase;

        if (!unit_keeps_attributes()) {
                printf("1..0 # SKIP the file system of temporary files keeps no user attributes\n");
                return EXIT_SUCCESS;
        }
        suite = suite_create("pool-claim");
        tcase = unit_case(suite, "use");
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, one_daemon_has_a_directory);
        tcase_add_test(tcase, one_that_ends_meanwhile_is_waited_for);
        tcase_add_test(tcase, directories_in_each_other_are_two);

        tcase = unit_case(suite, "format");
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, its_format_is_written);
        tcase_add_test(tcase, one_in_use_is_not_marked);
        tcase_add_loop_test(tcase, other_formats_are_refused, 0, G_N_ELEMENTS(formats));
        unit_add_root_test(tcase, file_systems_without_attributes_will_do);
        unit_add_root_test(tcase, read_only_ones_will_do);
        unit_add_root_test(tcase, directories_of_others_will_do);
        return unit_main(suite);
}
