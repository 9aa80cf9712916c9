/* When reading sets times of last access: as the mount's options say, and as they are changed. */
#include "fixture.h"

#include <dirent.h>
#include <regionfs/regionfs.h>
#include <signal.h>
#include <sys/xattr.h>

/* Of an hour ago, so that a read is due to set it also by relatime. */
static struct timespec make_old(const char *path) {
        struct timespec times[2];
        struct stat st;

        must(clock_gettime(CLOCK_REALTIME, &times[0]));
        times[0].tv_sec -= 3600;
        times[1].tv_nsec = UTIME_OMIT;
        must(utimensat(AT_FDCWD, path, times, 0));
        must(stat(path, &st));
        return st.st_atim;
}

static bool is_since(const char *path, struct timespec before) {
        struct statx stx;

        must(statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_ATIME, &stx));
        return stx.stx_atime.tv_sec != before.tv_sec || stx.stx_atime.tv_nsec != before.tv_nsec;
}

static void read_directory(const char *path) {
        DIR *directory = opendir(path);

        ck_assert_ptr_nonnull(directory);
        while (readdir(directory))
                ;
        closedir(directory);
}

/* Whether reading a region sets its time, and likewise a directory. */
static bool reading_sets(const char *name) {
        struct timespec old = make_old(in_mount(name));

        must_read(in_mount(name), "text");
        return is_since(in_mount(name), old);
}

static bool listing_sets(const char *name) {
        struct timespec old = make_old(in_mount(name));

        read_directory(in_mount(name));
        return is_since(in_mount(name), old);
}

static void mount_with(const char *options) {
        fixture_mount(options);
        must_write(in_mount("a"), "text");
        must(mkdir(in_mount("d"), 0755));
}

static void check_rule(const char *name) {
        g_autofree char *value = must_get(fixture_mountpoint(), REGIONFS_ATTRIBUTE_ACCESS_TIMES);

        ck_assert_str_eq(value, name);
}

START_TEST(as_the_mount_was_made) {
        static const struct {
                const char *options, *rule;
                bool reading, listing;
        } cases[] = {
                { NULL, "relatime", true, true },
                { "noatime", "noatime", false, false },
                { "nodiratime", "relatime,nodiratime", true, false },
                { "strictatime", "strictatime", true, true },
                { "noatime,strictatime,nodiratime", "strictatime,nodiratime", true, false },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                mount_with(cases[i].options);
                check_rule(cases[i].rule);
                ck_assert_int_eq(reading_sets("a"), cases[i].reading);
                ck_assert_int_eq(listing_sets("d"), cases[i].listing);
                must(unlink(in_mount("a")));
                must(rmdir(in_mount("d")));
                fixture_unmount();
        }
}
END_TEST

static void remount(const char *options) {
        ck_assert_int_eq(run_command(NULL, "%s -o remount,%s none %s", fixture_program(), options, fixture_mountpoint()), 0);
}

START_TEST(as_it_is_remounted) {
        struct timespec old;

        mount_with(NULL);
        remount("noatime");
        check_rule("noatime");
        ck_assert(!reading_sets("a"));
        remount("relatime");
        ck_assert(reading_sets("a"));
        remount("strictatime");
        old = make_old(in_mount("a"));
        remount("ro");
        check_rule("noatime");
        must_read(in_mount("a"), "text");
        ck_assert(!is_since(in_mount("a"), old));
        remount("rw");
        check_rule("strictatime");
        must_read(in_mount("a"), "text");
        ck_assert(is_since(in_mount("a"), old));
        fixture_unmount();
}
END_TEST

/* Read-only is refused while someone can write. */
START_TEST(what_is_refused_changes_nothing) {
        int fd;

        mount_with("strictatime");
        fd = must_open(in_mount("a"), O_RDWR, 0);
        ck_assert_int_ne(run_command(NULL, "%s -o remount,ro none %s", fixture_program(), fixture_mountpoint()), 0);
        check_rule("strictatime");
        ck_assert(reading_sets("a"));
        must(close(fd));
        fixture_unmount();
}
END_TEST

START_TEST(what_is_no_rule_is_refused) {
        mount_with(NULL);
        must_fail(setxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_ACCESS_TIMES, "never", 5, 0), EINVAL);
        must_fail(removexattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_ACCESS_TIMES), EPERM);
        must_fail(getxattr(in_mount("d"), REGIONFS_ATTRIBUTE_ACCESS_TIMES, NULL, 0), ENODATA);
        check_rule("relatime");
        fixture_unmount();
}
END_TEST

/* It has a mount of its own, which is not ours to change. */
START_TEST(a_directory_goes_by_its_own_mount) {
        g_autofree char *pool = g_dir_make_tmp("pool-XXXXXX", NULL),
                        *options = g_strdup_printf("pool=%s,noatime", pool);

        mount_with(options);
        must_fail(getxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_ACCESS_TIMES, NULL, 0), ENODATA);
        must_fail(setxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_ACCESS_TIMES, "noatime", 7, 0), ENODATA);
        remount("strictatime");
        fixture_unmount();
        ck_assert_int_eq(run_command(NULL, "rm -r %s", pool), 0);
}
END_TEST

START_TEST(a_crash_changes_nothing) {
        mount_with("noatime");
        remount("strictatime,nodiratime");
        must(kill(fixture_server(), SIGKILL));
        eventually(restarts() == 1);
        check_rule("strictatime,nodiratime");
        fixture_unmount();
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("access-times");
        bool direct = fixture_mode() == MODE_PASSTHROUGH;

        add_test_if(tests, as_the_mount_was_made, direct, "needs passthrough");
        add_test_if(tests, as_it_is_remounted, direct, "needs passthrough");
        add_test_if(tests, what_is_refused_changes_nothing, direct, "needs passthrough");
        tcase_add_test(tests, what_is_no_rule_is_refused);
        tcase_add_test(tests, a_directory_goes_by_its_own_mount);
        add_test_if(tests, a_crash_changes_nothing, !fixture_over_uring(), "is about a mount that survives");
        suite_add_tcase(suite, tests);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "access-times", add);
}
