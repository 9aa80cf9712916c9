/* user.regionfs.lifetime: regions that end with their last handle and their last view. */
#include "fixture.h"

#include <regionfs/regionfs.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/*
 * How long a name may stay after the last user has gone. A tenth of a second is promised, and as a rule it is a
 * millisecond; but what is tested here is that it goes, on a machine that may be busy with other things.
 */
#define PATIENCE_US 10000000

static int new_region(const char *name) {
        int fd = must_open(in_mount(name), O_RDWR | O_CREAT | O_EXCL, 0600);

        must(fsetxattr(fd, REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        must(ftruncate(fd, 8192));
        ck_assert_int_eq(pwrite(fd, "data", 4, 0), 4);
        return fd;
}

static char *map(int fd, int protection) {
        char *view = mmap(NULL, 8192, protection, MAP_SHARED, fd, 0);

        ck_assert_msg(view != MAP_FAILED, "mmap: %s", g_strerror(errno));
        return view;
}

static bool is_there(const char *name) {
        return access(in_mount(name), F_OK) == 0;
}

static void check_gone(const char *name) {
        for (int waited = 0; is_there(name); waited += 1000) {
                ck_assert_msg(waited < PATIENCE_US, "%s is still there", name);
                g_usleep(1000);
        }
        must_fail(open(in_mount(name), O_RDWR), ENOENT);
        must(close(must_open(in_mount(name), O_RDWR | O_CREAT | O_EXCL, 0600)));
        /* Where new regions end with their handles, this one may be gone too. */
        ck_assert(unlink(in_mount(name)) == 0 || errno == ENOENT);
}

/* It stays: for longer than it would take to go. */
static void check_there(const char *name) {
        char found[4];
        int fd;

        g_usleep(20000);
        fd = must_open(in_mount(name), O_RDWR, 0);
        ck_assert_int_eq(pread(fd, found, 4, 0), 4);
        ck_assert_mem_eq(found, "data", 4);
        must(close(fd));
        g_usleep(20000);
        ck_assert(is_there(name));
}

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

/* Opens and closes the region until it is gone, and each time finds its data. */
static void race(void *data) {
        for (int i = 0; i < 300; i++) {
                char found[4];
                int fd = open(in_mount("a"), O_RDWR);

                if (fd < 0) {
                        ck_assert_msg(errno == ENOENT, "open: %s", g_strerror(errno));
                        fd = open(in_mount("a"), O_RDWR | O_CREAT, 0600);
                        ck_assert_msg(fd >= 0, "create or open: %s", g_strerror(errno));
                        flock(fd, LOCK_EX);
                        must(fsetxattr(fd, REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
                        ck_assert_int_eq(pwrite(fd, "data", 4, 0), 4);
                } else {
                        flock(fd, LOCK_EX);
                        if (pread(fd, found, 4, 0) == 4) /* else its maker has not come to it yet */
                                ck_assert_mem_eq(found, "data", 4);
                }
                must(close(fd));
        }
}

START_TEST(racing_openers_have_it_whole_or_not_at_all) {
        pid_t processes[4];

        for (size_t i = 0; i < G_N_ELEMENTS(processes); i++)
                processes[i] = start_process(race, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(processes); i++)
                end_process(processes[i]);
        for (int waited = 0; is_there("a") && waited < PATIENCE_US; waited += 1000)
                g_usleep(1000);
        /* The last maker may not have come to giving it the rule: then it is given now. */
        if (is_there("a")) {
                setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0);
                close(open(in_mount("a"), O_RDONLY));
        }
        check_gone("a");
}
END_TEST

/* One way to use a region, until told to go. */
typedef struct Holder {
        int kind; /* 0: handle, 1: writable view, 2: read-only view, 3: view in a fork */
        pid_t process;
        int end; /* a byte tells the process to go */
} Holder;

static void start_holder(Holder *holder, const char *name) {
        int ready[2], end[2];
        char byte;

        must(pipe2(ready, O_CLOEXEC));
        must(pipe2(end, O_CLOEXEC));
        holder->end = end[1];
        holder->process = check_fork();
        if (holder->process == 0) {
                int fd = must_open(in_mount(name), holder->kind == 2 ? O_RDONLY : O_RDWR, 0);

                if (holder->kind > 0) {
                        map(fd, holder->kind == 2 ? PROT_READ : PROT_READ | PROT_WRITE);
                        must(close(fd));
                }
                if (holder->kind == 3 && fork() > 0)
                        _exit(write(ready[1], "", 1) == 1 ? 0 : 1); /* the copy stays */
                if (holder->kind != 3 && write(ready[1], "", 1) != 1)
                        _exit(1);
                _exit(read(end[0], &byte, 1) == 1 ? 0 : 1);
        }
        close(end[0]);
        close(ready[1]);
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        close(ready[0]);
}

static void end_holder(Holder *holder) {
        if (holder->kind != 3 && g_random_boolean())
                must(kill(holder->process, SIGKILL));
        else
                ck_assert_int_eq(write(holder->end, "", 1), 1);
        must(close(holder->end));
        must(waitpid(holder->process, NULL, 0));
}

START_TEST(random_holders_keep_it_to_the_last) {
        const int rounds = atoi(g_getenv("REGIONFS_TEST_ROUNDS") ? g_getenv("REGIONFS_TEST_ROUNDS") : "1000");

        for (int round = 0; round < rounds; round++) {
                int count = g_random_int_range(1, 5);
                Holder holders[5];
                int fd = new_region("a");

                for (int i = 0; i < count; i++) {
                        holders[i].kind = g_random_int_range(0, 4);
                        start_holder(&holders[i], "a");
                }
                must(close(fd));
                for (int i = 0; i < count; i++) {
                        g_usleep(g_random_int_range(0, 2000));
                        ck_assert_msg(is_there("a"), "gone in round %d with %d holders left", round, count - i);
                        end_holder(&holders[i]);
                }
                check_gone("a");
        }
}
END_TEST

START_TEST(many_leftover_views_cost_a_mark_each) {
        /* Without passthrough each keeps a handle, and so a descriptor: fewer than a daemon may have as a rule. */
        const int regions = fixture_mode() == MODE_PASSTHROUGH ? 10000 : 2000;
        g_autofree char *listing = g_strdup_printf("/proc/%d/fd", fixture_daemon());
        g_autofree char **views = g_new(char *, regions);
        guint before = 0, after = 0;
        GDir *directory;
        char name[16];

        if (fixture_mode() == MODE_USER)
                return;
        for (directory = g_dir_open(listing, 0, NULL); g_dir_read_name(directory);)
                before++;
        g_dir_close(directory);
        for (int i = 0; i < regions; i++) {
                int fd;

                g_snprintf(name, sizeof(name), "%d", i);
                fd = new_region(name);
                views[i] = map(fd, PROT_READ | PROT_WRITE);
                must(close(fd));
        }
        if (fixture_mode() == MODE_PASSTHROUGH) {
                g_usleep(200000);
                for (directory = g_dir_open(listing, 0, NULL); g_dir_read_name(directory);)
                        after++;
                g_dir_close(directory);
                ck_assert_uint_le(after, before + 10);
        }
        for (int i = 0; i < regions; i++) {
                g_snprintf(name, sizeof(name), "%d", i);
                ck_assert(is_there(name));
                must(munmap(views[i], 8192));
        }
        for (int i = 0; i < regions; i++) {
                g_snprintf(name, sizeof(name), "%d", i);
                for (int waited = 0; is_there(name); waited += 1000) {
                        ck_assert_msg(waited < PATIENCE_US, "%s is still there", name);
                        g_usleep(1000);
                }
        }
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
                        if (getxattr(in_mount(name), REGIONFS_ATTRIBUTE_HANDLES, value, sizeof(value)) < 0 || value[0] == '0')
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
                gint64 until = g_get_monotonic_time() + PATIENCE_US;
                bool closed = false;

                /* What happened before it got the rule does not count, although we may hear of it later. */
                must(fsetxattr(fd, REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
                must(fsetxattr(fd, REGIONFS_ATTRIBUTE_LIFETIME, "kept", 4, 0));
                must(close(fd));
                while (!closed && g_get_monotonic_time() < until) {
                        g_autofree char *handles = must_get(in_mount("a"), REGIONFS_ATTRIBUTE_HANDLES);

                        closed = g_str_equal(handles, "0");
                }
                must(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
                g_usleep(2000);
                must(close(must_open(in_mount("a"), O_RDONLY, 0)));
                check_gone("a");
        }
}
END_TEST

START_TEST(a_refused_open_is_no_use) {
        must_write(in_mount("a"), "data");
        must(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        must(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_SEALED, "1", 1, 0));
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
        if (fixture_mode() == MODE_USER)
                return;
        ck_assert_int_eq(run_command(NULL, "setpriv --reuid=64201 --regid=64201 --clear-groups "
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
        tcase_add_test(tests, racing_openers_have_it_whole_or_not_at_all);
        tcase_add_test(tests, random_holders_keep_it_to_the_last);
        tcase_add_test(tests, many_leftover_views_cost_a_mark_each);
        tcase_add_test(tests, what_has_ended_is_not_there_at_the_next_mount);
        tcase_add_test(tests, a_view_alone_can_be_given_the_rule);
        tcase_add_test(tests, an_unused_one_waits_for_its_first_user);
        tcase_add_test(tests, a_refused_open_is_no_use);
        tcase_add_test(tests, the_mode_does_not_matter);
        tcase_add_test(tests, depth_does_not_matter);
        tcase_add_test(tests, others_may_not_change_it);
        tcase_add_test(tests, directories_and_the_mount_give_defaults);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "lifetime", add);
}
