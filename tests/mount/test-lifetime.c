/* user.regionfs.lifetime: regions that end with their last handle and their last view. */
#include "lifetime.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

START_TEST(the_last_close_ends_it) {
        int fd = new_region("a"), second = must_open(in_mount("a"), O_RDONLY, 0), third = dup(fd);

        must(close(fd));
        check_there("a");
        must(close(third));
        check_there("a");
        must(close(second));
        check_gone("a");
}
END_TEST

START_TEST(the_last_view_ends_it) {
        int fd = new_region("a");
        char *writable = map(fd, PROT_READ | PROT_WRITE), *readable = map(fd, PROT_READ);

        must(close(fd));
        check_there("a");
        must(munmap(writable, 8192));
        check_there("a");
        ck_assert_mem_eq(readable, "data", 4);
        must(munmap(readable, 4096));
        check_there("a");
        must(munmap(readable + 4096, 4096));
        check_gone("a");
}
END_TEST

START_TEST(a_read_only_view_counts) {
        int fd = new_region("a"), reader = must_open(in_mount("a"), O_RDONLY, 0);
        char *view = map(reader, PROT_READ);

        must(close(fd));
        must(close(reader));
        check_there("a");
        must(munmap(view, 8192));
        check_gone("a");
}
END_TEST

static void hold_view(void *data) {
        pause();
}

START_TEST(forked_views_count_until_they_are_killed) {
        int fd = new_region("a");
        char *view = map(fd, PROT_READ | PROT_WRITE);
        pid_t first = start_process(hold_view, NULL), second = start_process(hold_view, NULL);

        must(close(fd));
        must(munmap(view, 8192));
        check_there("a");
        must(kill(first, SIGKILL));
        must(waitpid(first, NULL, 0));
        check_there("a");
        must(kill(second, SIGKILL));
        must(waitpid(second, NULL, 0));
        check_gone("a");
}
END_TEST

START_TEST(inherited_handles_count_over_exec) {
        int fd = new_region("a");
        pid_t child = fork();

        if (child == 0) {
                execl("/bin/sleep", "sleep", "100", NULL);
                _exit(127);
        }
        must(close(fd));
        check_there("a");
        must(kill(child, SIGKILL));
        must(waitpid(child, NULL, 0));
        check_gone("a");
}
END_TEST

START_TEST(memory_comes_back) {
        struct statvfs before, now;
        int fd;

        must(statvfs(fixture_mountpoint(), &before));
        fd = new_region("a");
        must(fallocate(fd, 0, 0, 16 << 20));
        must(close(fd));
        check_gone("a");
        for (int waited = 0; waited < PATIENCE_US; waited += 1000) {
                must(statvfs(fixture_mountpoint(), &now));
                if (now.f_bfree >= before.f_bfree)
                        break;
                g_usleep(1000);
        }
        if (fixture_mode() != MODE_USER) /* whose tmpfs others use too */
                ck_assert_uint_eq(now.f_bfree, before.f_bfree);
}
END_TEST

START_TEST(all_names_go) {
        g_autofree char *regions = NULL;
        int fd = new_region("a");

        must(mkdir(in_mount("d"), 0700));
        must(mkdir(in_mount("d/e"), 0700));
        must(link(in_mount("a"), in_mount("d/b")));
        must(link(in_mount("a"), in_mount("c")));
        must(rename(in_mount("c"), in_mount("d/e/name with\nnewline (deleted)")));
        must(unlink(in_mount("a")));
        must(close(fd));
        check_gone("d/b");
        check_gone("d/e/name with\nnewline (deleted)");
        regions = must_get(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS);
        ck_assert_str_eq(regions, "0");
        must(rmdir(in_mount("d/e")));
        must(rmdir(in_mount("d")));
}
END_TEST

START_TEST(a_living_region_can_be_given_either) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);
        g_autofree char *lifetime = must_get(in_mount("a"), REGIONFS_ATTRIBUTE_LIFETIME);

        ck_assert_str_eq(lifetime, "kept");
        ck_assert_int_eq(pwrite(fd, "data", 4, 0), 4);
        must(close(fd));
        check_there("a");
        must(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        ck_assert(is_there("a"));
        must(close(must_open(in_mount("a"), O_RDONLY, 0)));
        check_gone("a");

        fd = new_region("b");
        must(setxattr(in_mount("b"), REGIONFS_ATTRIBUTE_LIFETIME, "kept", 4, 0));
        must(close(fd));
        check_there("b");
        must_fail(setxattr(in_mount("b"), REGIONFS_ATTRIBUTE_LIFETIME, "forever", 7, 0), EINVAL);
        must(removexattr(in_mount("b"), REGIONFS_ATTRIBUTE_LIFETIME));
        check_there("b");
}
END_TEST

START_TEST(a_region_without_a_name_ends_too) {
        struct statvfs before, now;
        char *view;
        int fd;

        must(statvfs(fixture_mountpoint(), &before));
        fd = must_open(fixture_mountpoint(), O_TMPFILE | O_RDWR, 0600);
        must(fsetxattr(fd, REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        must(ftruncate(fd, 8192));
        view = map(fd, PROT_READ | PROT_WRITE);
        view[0] = 'x';
        must(close(fd));
        g_usleep(10000);
        view[1] = 'y';
        must(munmap(view, 8192));
        for (int waited = 0; waited < PATIENCE_US; waited += 1000) {
                must(statvfs(fixture_mountpoint(), &now));
                if (now.f_ffree == before.f_ffree)
                        break;
                g_usleep(1000);
        }
        ck_assert_uint_eq(now.f_ffree, before.f_ffree);
}
END_TEST

/* A descriptor of path whose close nobody is told of. */
static int open_unseen(const char *path) {
        int reports = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);
        struct fanotify_event_metadata report;

        must(reports);
        must(fanotify_mark(reports, FAN_MARK_ADD, FAN_CLOSE_NOWRITE, AT_FDCWD, path));
        must(close(must_open(path, O_RDONLY, 0)));
        ck_assert_int_eq(read(reports, &report, sizeof(report)), sizeof(report));
        must(close(reports));
        return report.fd;
}

/* As where the one who closes it has lost the processor before the kernel has done with that. */
START_TEST(a_close_may_take_its_time) {
        static const int moments[] = { 3000, 20000, 200000 };
        g_autofree char *pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        g_autofree char *option = g_strdup_printf("pool=%s", pool), *path = g_build_filename(pool, "a", NULL);

        fixture_unmount();
        fixture_mount(option);
        for (size_t i = 0; i < G_N_ELEMENTS(moments); i++) {
                int fd = new_region("a"), unseen = open_unseen(path);

                must(close(fd));
                g_usleep(moments[i]);
                ck_assert(access(path, F_OK) == 0);
                must(close(unseen));
                eventually(access(path, F_OK) < 0);
        }
        fixture_unmount();
        must(rmdir(pool));
        fixture_mount(NULL);
}
END_TEST

START_TEST(what_has_ended_is_not_there_at_the_next_mount) {
        enum { REGIONS = 500 };
        g_autofree char *pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        g_autofree char *option = g_strdup_printf("lifetime=handles,pool=%s", pool);
        static int fds[REGIONS];
        char name[16];

        fixture_unmount();
        fixture_mount(option);
        for (int i = 0; i < REGIONS; i++) {
                g_snprintf(name, sizeof(name), "%d", i);
                fds[i] = must_open(in_mount(name), O_RDWR | O_CREAT, 0600);
        }
        for (int i = 0; i < REGIONS; i++)
                must(close(fds[i]));
        /* The last releases have reached the daemon when a later request is answered by the handles that are left. */
        for (int i = 0; i < REGIONS; i++) {
                char value[8] = "";

                g_snprintf(name, sizeof(name), "%d", i);
                for (int waited = 0; waited < 10000; waited++) {
                        if (getxattr(in_mount(name), REGIONFS_ATTRIBUTE_HANDLES, value, sizeof(value)) < 0 ||
                            value[0] == '0')
                                break;
                        g_usleep(1000);
                }
        }
        fixture_unmount();
        must(rmdir(pool));
        fixture_mount(NULL);
}
END_TEST

START_TEST(a_view_alone_can_be_given_the_rule) {
        char *view;
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);

        must(ftruncate(fd, 8192));
        view = map(fd, PROT_READ | PROT_WRITE);
        memcpy(view, "data", 4);
        must(close(fd));
        must(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        g_usleep(50000);
        ck_assert(is_there("a"));
        must(munmap(view, 8192));
        check_gone("a");
        /* One that nobody uses does not end by getting it. */
        must(mknod(in_mount("b"), S_IFREG | 0600, 0));
        must(setxattr(in_mount("b"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        g_usleep(200000);
        must(access(in_mount("b"), F_OK));
}
END_TEST

START_TEST(an_unused_one_waits_for_its_first_user) {
        for (int i = 0; i < 100; i++) {
                int fd = must_open(in_mount("a"), O_RDWR | O_CREAT | O_EXCL, 0600);

                /* What happened before it got the rule does not count, although we may hear of it later. */
                must(fsetxattr(fd, REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
                must(fsetxattr(fd, REGIONFS_ATTRIBUTE_LIFETIME, "kept", 4, 0));
                must(close(fd));
                must_become_unused(in_mount("a"));
                must(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
                g_usleep(2000);
                must(close(must_open(in_mount("a"), O_RDONLY, 0)));
                check_gone("a");
        }
}
END_TEST

START_TEST(a_refused_open_is_no_use) {
        must_write(in_mount("a"), "data");
        must_become_unused(in_mount("a"));
        must(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        /* What has just been closed may be in the way for a moment. */
        eventually(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_SEALED, "1", 1, 0) == 0);
        must_fail(open(in_mount("a"), O_RDWR), EPERM);
        g_usleep(50000);
        ck_assert(is_there("a"));
        must_read(in_mount("a"), "data");
        check_gone("a");
}
END_TEST

START_TEST(the_mode_does_not_matter) {
        must(mkdir(in_mount("d"), 0700));
        must(setxattr(in_mount("d"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        for (mode_t mode = 0; mode < 0700; mode += 0100) {
                struct stat st;
                int fd = must_open(in_mount("d/a"), O_RDWR | O_CREAT | O_EXCL, mode);

                must(fstat(fd, &st));
                ck_assert_uint_eq(st.st_mode & 07777, mode);
                ck_assert_int_eq(write(fd, "data", 4), 4);
                must(close(fd));
                check_gone("d/a");
        }
}
END_TEST

/* Deeper than a path can tell; leaves the working directory at the bottom. */
#define LONG_NAME "a-name-of-a-directory-that-is-quite-long-so-that-it-does-not-take-all-too-many-of-them-to-go-beyond-what-a-path-can-tell"

START_TEST(depth_does_not_matter) {
        int start = must_open(".", O_RDONLY | O_DIRECTORY, 0), fd;

        must(chdir(fixture_mountpoint()));
        for (int i = 0; i < 5000 / (int)strlen(LONG_NAME); i++) {
                must(mkdir(LONG_NAME, 0700));
                must(chdir(LONG_NAME));
        }
        fd = must_open("a", O_RDWR | O_CREAT, 0600);
        must(fsetxattr(fd, REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        must(link("a", "b"));
        must(access("b", F_OK));
        must(close(fd));
        for (int i = 0; i < 1000 && (access("a", F_OK) == 0 || access("b", F_OK) == 0); i++)
                g_usleep(10000);
        must_fail(access("a", F_OK), ENOENT);
        must_fail(access("b", F_OK), ENOENT);
        must(fchdir(start));
        must(close(start));
}
END_TEST

START_TEST(others_may_not_change_it) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);

        must(fchmod(fd, 0666));
        must(close(fd));
        ck_assert_int_eq(run_command(NULL,
                                     "setpriv --reuid=64201 --regid=64201 --clear-groups "
                                     "setfattr -n user.regionfs.lifetime -v handles %s 2>&1 | grep -q 'not permitted'",
                                     in_mount("a")),
                         0);
}
END_TEST

START_TEST(directories_and_the_mount_give_defaults) {
        g_autofree char *lifetime = NULL;

        fixture_unmount();
        fixture_mount("lifetime=handles");
        must_write(in_mount("a"), "data");
        check_gone("a");
        must(mkdir(in_mount("d"), 0700));
        must_write(in_mount("d/b"), "data");
        check_gone("d/b");
        must(setxattr(in_mount("d"), REGIONFS_ATTRIBUTE_LIFETIME, "kept", 4, 0));
        must_write(in_mount("d/b"), "data");
        check_there("d/b");
        must(setxattr(in_mount("d"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        must(mkdir(in_mount("d/e"), 0700));
        lifetime = must_get(in_mount("d/e"), REGIONFS_ATTRIBUTE_LIFETIME);
        ck_assert_str_eq(lifetime, "handles");
        must(removexattr(in_mount("d"), REGIONFS_ATTRIBUTE_LIFETIME));
        must_write(in_mount("d/c"), "data");
        check_there("d/c");
        must_write(in_mount("d/e/c"), "data");
        check_gone("d/e/c");
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "lifetime");

        tcase_add_test(tests, the_last_close_ends_it);
        tcase_add_test(tests, the_last_view_ends_it);
        tcase_add_test(tests, a_read_only_view_counts);
        tcase_add_test(tests, forked_views_count_until_they_are_killed);
        tcase_add_test(tests, inherited_handles_count_over_exec);
        tcase_add_test(tests, memory_comes_back);
        tcase_add_test(tests, all_names_go);
        tcase_add_test(tests, a_living_region_can_be_given_either);
        tcase_add_test(tests, a_region_without_a_name_ends_too);
        add_test_if(tests, a_close_may_take_its_time, fixture_mode() == MODE_PASSTHROUGH, "is about passthrough mode");
        tcase_add_test(tests, what_has_ended_is_not_there_at_the_next_mount);
        tcase_add_test(tests, a_view_alone_can_be_given_the_rule);
        tcase_add_test(tests, an_unused_one_waits_for_its_first_user);
        tcase_add_test(tests, a_refused_open_is_no_use);
        tcase_add_test(tests, the_mode_does_not_matter);
        tcase_add_test(tests, depth_does_not_matter);
        add_test_if(tests, others_may_not_change_it, fixture_mode() != MODE_USER, "needs root");
        tcase_add_test(tests, directories_and_the_mount_give_defaults);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "lifetime", add);
}
