/* Places to mount on that are not as they should be, and that change later. */
#include "faults.h"

#include <regionfs/regionfs.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static const char *of_directory(const char *name) {
        static char path[512];

        g_snprintf(path, sizeof(path), "%s/%s", fixture_directory(), name);
        return path;
}

/* One sentence, with these words, and status 1; the path is below the test's directory. */
static void check_refused(const char *path, const char *words) {
        g_autofree char *said = NULL;
        int status = run_command(&said, "cd %s && %s %s", fixture_directory(), fixture_program(), path);

        ck_assert_msg(status == 1, "%s: status %d: %s", path, status, said);
        ck_assert_msg(strstr(said, words), "%s: says %s", path, said);
        ck_assert_msg(strchr(said, '\n') == said + strlen(said) - 1, "%s: says %s", path, said);
}

static void unmount(const char *path) {
        ck_assert_int_eq(run_command(NULL, geteuid() == 0 ? "umount %s" : "fusermount3 -u %s", path), 0);
}

/* Starts a daemon into the background. */
static void mount_on(const char *path) {
        g_autofree char *said = NULL;

        ck_assert_msg(run_command(&said, "cd %s && %s %s", fixture_directory(), fixture_program(), path) == 0, "%s",
                      said);
}

/* The process that serves the mount, which was started in the background. */
static pid_t server_of(const char *path) {
        return number_of(path, REGIONFS_ATTRIBUTE_SERVER_PID);
}

static void await_end(pid_t server) {
        eventually(process_is_gone(server));
}

START_TEST(wrong_places_are_refused) {
        must(symlink("loop", of_directory("loop")));
        must(symlink("nowhere", of_directory("dangling")));
        must_write(of_directory("file"), "");
        check_refused("loop", "cannot mount on loop: Too many levels");
        check_refused("dangling", "cannot mount on dangling: No such file");
        check_refused("file", "cannot mount on file: it is not a directory");
        check_refused("file/below", "cannot mount on file/below: Not a directory");
        must(unlink(of_directory("loop")));
        must(unlink(of_directory("dangling")));
        must(unlink(of_directory("file")));
}
END_TEST

START_TEST(places_of_others_are_refused) {
        check_refused("/proc/1", "cannot mount on /proc/1");
        must(mkdir(of_directory("closed"), 0700));
        must(mkdir(of_directory("closed/in"), 0700));
        must(chmod(of_directory("closed"), 0));
        check_refused("closed/in", "cannot mount on closed/in: Permission denied");
        must(chmod(of_directory("closed"), 0700));
        must(rmdir(of_directory("closed/in")));
        must(rmdir(of_directory("closed")));
}
END_TEST

START_TEST(a_place_may_be_in_use) {
        int inside = must_open(fixture_mountpoint(), O_RDONLY | O_DIRECTORY, 0);
        pid_t server;

        /* What is in it is hidden meanwhile. */
        must_write(in_mount("below"), "below");
        must(fchdir(inside));
        mount_on(fixture_mountpoint());
        must_fail(access(in_mount("below"), F_OK), ENOENT);
        must(access("below", F_OK));
        server = server_of(fixture_mountpoint());
        unmount(fixture_mountpoint());
        await_end(server);
        must_read(in_mount("below"), "below");
        must(unlink(in_mount("below")));
        must(chdir("/"));
        must(close(inside));
}
END_TEST

START_TEST(a_link_leads_to_the_place) {
        must(symlink("mount", of_directory("link")));
        mount_on("link");
        ck_assert_int_eq(mounts_on(fixture_mountpoint()), 1);
        check_refused("link", "already");
        unmount(fixture_mountpoint());
        must(unlink(of_directory("link")));
}
END_TEST

START_TEST(a_closed_directory_is_a_place) {
        must(chmod(fixture_mountpoint(), 0));
        mount_on(fixture_mountpoint());
        must_write(in_mount("a"), "text");
        unmount(fixture_mountpoint());
        must(chmod(fixture_mountpoint(), 0755));
}
END_TEST

START_TEST(another_file_system_may_be_mounted_there) {
        pid_t server;

        must(mount("none", fixture_mountpoint(), "tmpfs", 0, "size=1m"));
        must_write(in_mount("theirs"), "theirs");
        mount_on(fixture_mountpoint());
        must_fail(access(in_mount("theirs"), F_OK), ENOENT);
        server = server_of(fixture_mountpoint());
        unmount(fixture_mountpoint());
        await_end(server);
        must_read(in_mount("theirs"), "theirs");
        must(umount(fixture_mountpoint()));
}
END_TEST

#define RIVALS 6

START_TEST(of_many_at_once_one_mounts) {
        for (int round = 0; round < 5; round++) {
                g_autofree char *said = NULL;

                /* All of them have looked at the place when the first may go on. */
                run_command(&said,
                            "cd %s && exec 9<mount && flock 9 || exit 1\n"
                            "for i in $(seq %d); do (exec 9<&-; %s mount; echo status $?) & done\n"
                            "sleep 0.3; flock -u 9; exec 9<&-; wait",
                            fixture_directory(), RIVALS, fixture_program());
                ck_assert_int_eq(mounts_on(fixture_mountpoint()), 1);
                ck_assert_msg(strstr(said, "status 0"), "%s", said);
                ck_assert_msg(!strstr(strstr(said, "status 0") + 1, "status 0"), "%s", said);
                ck_assert_msg(strstr(said, "a regionfs is mounted there already"), "%s", said);
                must_write(in_mount("a"), "works");
                must_read(in_mount("a"), "works");
                {
                        pid_t server = server_of(fixture_mountpoint());

                        unmount(fixture_mountpoint());
                        await_end(server);
                }
        }
}
END_TEST

/* Whoever holds a lock on the directory does not keep the daemon from mounting for good. */
START_TEST(a_lock_on_the_place_does_not_keep_it) {
        ck_assert_int_eq(run_command(NULL, "cd %s && flock mount %s mount", fixture_directory(), fixture_program()), 0);
        ck_assert_int_eq(mounts_on(fixture_mountpoint()), 1);
        unmount(fixture_mountpoint());
}
END_TEST

/* What is asked of the mount itself finds it where it is now. */
START_TEST(directories_above_may_be_moved) {
        g_autofree char *pool = g_build_filename(fixture_directory(), "pool", NULL);
        g_autofree char *moved = g_build_filename(fixture_directory(), "after", NULL);
        g_autofree char *place = g_build_filename(moved, "a b", NULL), *path = g_build_filename(place, "a", NULL);
        g_autofree char *said = NULL, *in_pool = g_build_filename(pool, "a", NULL);
        pid_t server;
        char *view;
        int fd;

        must(mkdir(pool, 0700));
        must(mkdir(of_directory("before"), 0700));
        must(mkdir(of_directory("before/a b"), 0700));
        ck_assert_msg(run_command(&said, "cd %s && %s -o passthrough=%s,pool=pool 'before/a b'", fixture_directory(),
                                  fixture_program(), geteuid() == 0 ? "off" : "auto") == 0, "%s", said);
        must(rename(of_directory("before"), moved));

        must_write(path, "text");
        fd = must_open(path, O_RDWR | O_APPEND, 0);
        must(setxattr(path, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "2", 1, 0));
        ck_assert_int_eq(write(fd, "end", 3), 3);
        must_read(path, "teend");
        server = server_of(place);
        must(kill(server, SIGKILL));
        eventually(server_of(place) != server);
        must_read(path, "teend");

        view = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(view, MAP_FAILED);
        memcpy(view, "stored", 5);
        server = server_of(place);
        must(kill(server, SIGTERM));
        await_end(server);
        ck_assert_int_eq(run_command(NULL, "grep -q ' %s/' /proc/mounts", fixture_directory()), 1);
        must_read(in_pool, "store");
        must(munmap(view, 4096));
        must(close(fd));
        must(unlink(in_pool));
        must(rmdir(place));
        must(rmdir(moved));
        must(rmdir(pool));
}
END_TEST

/* Where the mount is not seen the directory can be removed: the mount goes with it, and the daemon. */
START_TEST(the_place_may_be_removed) {
        pid_t server;

        mount_on(fixture_mountpoint());
        must_write(in_mount("a"), "text");
        server = server_of(fixture_mountpoint());
        must_fail(rmdir(fixture_mountpoint()), EBUSY);
        ck_assert_int_eq(run_command(NULL, "unshare -m --propagation private sh -c 'umount %s && rmdir %s'",
                                     fixture_mountpoint(), fixture_mountpoint()), 0);
        await_end(server);
        ck_assert_int_eq(mounts_on(fixture_mountpoint()), 0);
        must(mkdir(fixture_mountpoint(), 0755));
}
END_TEST

START_TEST(what_is_mounted_over_it_stays) {
        pid_t server;

        mount_on(fixture_mountpoint());
        server = server_of(fixture_mountpoint());
        must(mount("none", fixture_mountpoint(), "tmpfs", 0, "size=1m"));
        must_write(in_mount("theirs"), "theirs");
        must(kill(server, SIGTERM));
        await_end(server);
        must_read(in_mount("theirs"), "theirs");
        must(umount(fixture_mountpoint()));
        ck_assert_int_eq(mounts_on(fixture_mountpoint()), 1);
        /* The dead mount makes way. */
        mount_on("mount");
        ck_assert_int_eq(mounts_on(fixture_mountpoint()), 1);
        must_write(in_mount("a"), "text");
        unmount(fixture_mountpoint());
}
END_TEST

/* The keeper first, as it would have the server replaced; returns when the channel is closed. */
static void kill_daemon(const char *path) {
        pid_t server = server_of(path);
        g_autofree char *said = NULL;
        pid_t keeper;

        ck_assert_int_eq(run_command(&said, "ps -o ppid= -p %d", server), 0);
        keeper = atoi(said);
        ck_assert_int_gt(keeper, 1);
        /* The kernel does not remember attributes of the root directory from here on. */
        must_write(in_mount("new"), "");
        must(kill(keeper, SIGKILL));
        await_end(keeper);
        must(kill(server, SIGKILL));
        await_end(server);
}

START_TEST(a_dead_mount_is_in_nobodys_way) {
        for (int i = 0; i < 3; i++) {
                mount_on("mount");
                ck_assert_int_eq(mounts_on(fixture_mountpoint()), 1);
                must_fail(access(in_mount("new"), F_OK), ENOENT);
                kill_daemon(fixture_mountpoint());
        }
        /* With what the kernel remembers of it. */
        mount_on("mount");
        ck_assert_int_eq(mounts_on(fixture_mountpoint()), 1);
        unmount(fixture_mountpoint());
        ck_assert_int_eq(mounts_on(fixture_mountpoint()), 0);
}
END_TEST

/* Another program's, which may have its reasons. */
START_TEST(a_dead_mount_of_others_is_left_alone) {
        g_autofree char *options = NULL;
        int channel;

        channel = must_open("/dev/fuse", O_RDWR, 0);
        options = g_strdup_printf("fd=%d,rootmode=40000,user_id=0,group_id=0", channel);
        must(mount("theirs", fixture_mountpoint(), "fuse", 0, options));
        must(close(channel));
        run_command(NULL, "cd %s && NOTIFY_SOCKET=$PWD/none %s mount; NOTIFY_SOCKET=$PWD/none %s -h mount; true",
                    fixture_directory(), fixture_program(), fixture_program());
        if (mounts_on(fixture_mountpoint()))
                unmount(fixture_mountpoint());
        ck_assert_int_eq(run_command(NULL, "grep -q '^theirs %s fuse ' /proc/mounts", fixture_mountpoint()), 0);
        unmount(fixture_mountpoint());
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("mountpoint");

        tcase_add_checked_fixture(tests, fixture_prepare, fixture_remove);
        tcase_add_test(tests, wrong_places_are_refused);
        add_test_if(tests, places_of_others_are_refused, geteuid() != 0, "is about users");
        tcase_add_test(tests, a_place_may_be_in_use);
        tcase_add_test(tests, a_link_leads_to_the_place);
        add_test_if(tests, a_closed_directory_is_a_place, geteuid() == 0, "needs root");
        add_test_if(tests, another_file_system_may_be_mounted_there, geteuid() == 0, "needs root");
        tcase_add_test(tests, of_many_at_once_one_mounts);
        tcase_add_test(tests, a_lock_on_the_place_does_not_keep_it);
        tcase_add_test(tests, directories_above_may_be_moved);
        add_test_if(tests, the_place_may_be_removed, geteuid() == 0, "needs root");
        add_test_if(tests, what_is_mounted_over_it_stays, geteuid() == 0, "needs root");
        tcase_add_test(tests, a_dead_mount_is_in_nobodys_way);
        add_test_if(tests, a_dead_mount_of_others_is_left_alone, geteuid() == 0, "needs root");
        suite_add_tcase(suite, tests);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "mountpoint", add);
}
