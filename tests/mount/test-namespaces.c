/* -o namespaces: Global and Local. */
#include "fixture.h"

#include <grp.h>
#include <regionfs/regionfs.h>
#include <sys/xattr.h>

#define FIRST 64201
#define SECOND 64204

static void become(uid_t uid) {
        must(setgroups(0, NULL));
        must(setgid(uid));
        must(setuid(uid));
}

static char *local_of(uid_t uid) {
        g_autofree char *name = g_strdup_printf("Sessions/%u", uid);

        return g_strdup(in_mount(name));
}

static void check_own(uid_t uid) {
        g_autofree char *link = NULL, *expected = g_strdup_printf("Sessions/%u", uid);
        g_autofree char *directory = local_of(uid);
        struct stat st;

        link = g_file_read_link(in_mount("Local"), NULL);
        ck_assert_str_eq(link, expected);
        must(stat(directory, &st));
        ck_assert_uint_eq(st.st_mode, S_IFDIR | 0700);
        ck_assert_uint_eq(st.st_uid, uid);
}

static void use_as_first(void *data) {
        g_autofree char *own = local_of(FIRST);
        struct stat st;

        become(FIRST);
        /* Before the link has made it. */
        must_fail(stat(own, &st), ENOENT);
        must_write(in_mount("Local/r"), "first");
        must_write(in_mount("Local/R"), "other case");
        check_own(FIRST);
        must_read(in_mount("Local/r"), "first");
        must_write(in_mount("Global/shared"), "all");
        must(chmod(in_mount("Global/shared"), 0666));
        must_fail(open(in_mount("neither"), O_RDWR | O_CREAT, 0600), EACCES);
        must_fail(unlink(in_mount("Local")), EACCES);
}

static void use_as_second(void *data) {
        g_autofree char *theirs = local_of(FIRST), *region = g_build_filename(theirs, "r", NULL);

        become(SECOND);
        must_fail(open(in_mount("Local/r"), O_RDONLY), ENOENT);
        must_write(in_mount("Local/r"), "second");
        check_own(SECOND);
        /* Others' are closed, and are not shown. */
        must_fail(open(region, O_RDONLY), EACCES);
        must_fail(open(theirs, O_RDONLY | O_DIRECTORY), EACCES);
        must_fail(open(in_mount("Sessions"), O_RDONLY | O_DIRECTORY), EACCES);
        must_fail(mkdir(in_mount("Sessions/1"), 0700), EACCES);
        must_read(in_mount("Global/shared"), "all");
        /* Sticky. */
        must_fail(unlink(in_mount("Global/shared")), EPERM);
}

static void read_as_first(void *data) {
        become(FIRST);
        for (int i = 0; i < 200; i++)
                must_read(in_mount("Local/r"), "first");
}

static void read_as_second(void *data) {
        become(SECOND);
        for (int i = 0; i < 200; i++)
                must_read(in_mount("Local/r"), "second");
}

START_TEST(each_user_has_a_local_one) {
        struct stat st;
        pid_t first, second;

        fixture_mount("namespaces");
        must(stat(in_mount("."), &st));
        ck_assert_uint_eq(st.st_mode & 07777, 0755);
        must(stat(in_mount("Global"), &st));
        ck_assert_uint_eq(st.st_mode & 07777, 01777);
        run_process(use_as_first, NULL);
        run_process(use_as_second, NULL);
        first = start_process(read_as_first, NULL);
        second = start_process(read_as_second, NULL);
        end_process(first);
        end_process(second);
        must_write(in_mount("Local/r"), "root");
        check_own(0);
        fixture_unmount();
}
END_TEST

START_TEST(one_user_has_both) {
        fixture_mount("namespaces,lifetime=handles");
        must_write(in_mount("Global/a"), "x");
        must(close(must_open(in_mount("Local/b"), O_RDWR | O_CREAT, 0600)));
        check_own(geteuid());
        /* What regions start with holds in all of them. */
        for (int i = 0; i < 1000 && (access(in_mount("Global/a"), F_OK) == 0 || access(in_mount("Local/b"), F_OK) == 0);
             i++)
                g_usleep(10000);
        must_fail(access(in_mount("Global/a"), F_OK), ENOENT);
        must_fail(access(in_mount("Local/b"), F_OK), ENOENT);
        fixture_unmount();
}
END_TEST

START_TEST(they_are_there_again) {
        g_autofree char *pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        g_autofree char *option = g_strdup_printf("namespaces,pool=%s", pool), *said = NULL;

        fixture_mount(option);
        must_write(in_mount("Local/r"), "stays");
        fixture_unmount();
        fixture_mount(option);
        must_read(in_mount("Local/r"), "stays");
        check_own(geteuid());
        fixture_unmount();

        /* What has one of the names and is none of ours stays. */
        ck_assert_int_eq(run_command(NULL, "rm %s/Local && echo mine >%s/Local", pool, pool), 0);
        fixture_prepare();
        ck_assert_int_eq(run_command(&said, "%s -o %s %s", fixture_program(), option, fixture_mountpoint()), 1);
        ck_assert_msg(strstr(said, "option namespaces: cannot make Local in the pool: something else, or of another owner, has that name"), "%s",
                      said);
        fixture_remove();
        ck_assert_int_eq(run_command(NULL, "test \"$(cat %s/Local)\" = mine && rm -rf %s", pool, pool), 0);
}
END_TEST

static void plant(void *data) {
        become(FIRST);
        must(mkdir(in_mount("Sessions"), 0777));
        must(mkdir(in_mount("Sessions/0"), 0777));
}

START_TEST(what_a_stranger_made_before_is_not_taken) {
        g_autofree char *pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        g_autofree char *option = g_strdup_printf("namespaces,pool=%s", pool),
                        *plain = g_strdup_printf("pool=%s", pool);
        g_autofree char *said = NULL;

        must(chmod(pool, 01777));
        fixture_mount(plain);
        run_process(plant, NULL);
        fixture_unmount();
        fixture_prepare();
        ck_assert_int_eq(run_command(&said, "%s -o %s %s", fixture_program(), option, fixture_mountpoint()), 1);
        ck_assert_msg(strstr(said, "option namespaces: cannot make Sessions in the pool"), "%s", said);
        fixture_remove();
        ck_assert_int_eq(run_command(NULL, "rm -rf %s", pool), 0);
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("namespaces");

        if (geteuid() == 0) {
                tcase_add_test(tests, each_user_has_a_local_one);
                tcase_add_test(tests, what_a_stranger_made_before_is_not_taken);
        }
        tcase_add_test(tests, one_user_has_both);
        tcase_add_test(tests, they_are_there_again);
        suite_add_tcase(suite, tests);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "namespaces", add);
}
