/* The daemon from start to end, and what it says of a wrong command line. */
#include "fixture.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* Whether the process is there and no zombie. */
static bool alive(pid_t process) {
        return run_command(NULL, "grep -q '^State:.[^ZX]' /proc/%d/status 2>/dev/null", process) == 0;
}

/* The pools that this user's daemons have now; those that were there when the test began. */
static char *pools_before;

static char *list_pools(void) {
        char *said;

        run_command(&said, "ls -d /dev/shm/regionfs-%u-* 2>/dev/null", geteuid());
        return said;
}

static bool has_no_new_pool(void) {
        g_autofree char *pools = list_pools();

        return strstr(pools_before, pools) != NULL;
}

static void prepare(void) {
        fixture_prepare();
        pools_before = list_pools();
}

static void finish(void) {
        g_clear_pointer(&pools_before, g_free);
        fixture_remove();
}

/* Starts the daemon into the background; it must be ready when the command returns. Its process. */
static pid_t start_in_background(void) {
        g_autofree char *said = NULL, *pid = NULL;
        int status = run_command(&said, "%s %s", fixture_program(), fixture_mountpoint());

        ck_assert_msg(status == 0, "status %d: %s", status, said);
        ck_assert(is_mounted());
        must_write(in_mount("a"), "ready");
        pid = must_get(fixture_mountpoint(), "user.regionfs.server_pid");
        return atoi(pid);
}

static void check_ended(pid_t daemon) {
        eventually(!alive(daemon));
        ck_assert(!is_mounted());
        /* An ordinary user's pool has gone too. Those of other daemons have nothing to do with us. */
        eventually(has_no_new_pool());
}

START_TEST(it_goes_to_the_background_when_the_mount_answers) {
        pid_t daemon = start_in_background();

        ck_assert(alive(daemon));
        must(kill(daemon, SIGTERM));
        check_ended(daemon);
}
END_TEST

START_TEST(sigint_ends_it) {
        pid_t daemon = start_in_background();

        must(kill(daemon, SIGINT));
        check_ended(daemon);
}
END_TEST

START_TEST(umount_ends_it) {
        pid_t daemon = start_in_background();

        ck_assert_int_eq(run_command(NULL, geteuid() == 0 ? "umount %s" : "fusermount3 -u %s", fixture_mountpoint()),
                         0);
        check_ended(daemon);
}
END_TEST

START_TEST(a_signal_ends_it_under_its_clients) {
        pid_t daemon = start_in_background();
        int fd = must_open(in_mount("a"), O_RDWR, 0);
        int directory = must_open(fixture_mountpoint(), O_RDONLY | O_DIRECTORY, 0);

        must(kill(daemon, SIGTERM));
        check_ended(daemon);
        must_fail(openat(directory, "a", O_RDONLY), ENOTCONN);
        must(close(directory));
        must(close(fd));
}
END_TEST

START_TEST(it_can_be_mounted_again_and_again) {
        for (int i = 0; i < 10; i++) {
                pid_t daemon = start_in_background();

                must(kill(daemon, SIGTERM));
                check_ended(daemon);
        }
}
END_TEST

START_TEST(mount_starts_it) {
        g_autofree char *said = NULL;
        int status;

        /* mount(8) finds the program in a standard place: in a mount namespace of its own it stands in one. */
        status = run_command(&said,
                             "unshare -m sh -e <<'SCRIPT'\n"
                             "mount -t tmpfs none /usr/local/sbin\n"
                             "cp %s /usr/local/sbin/regionfs\n"
                             "mount -t fuse.regionfs -o size=3m,noexec,nofail,x-test=1 none %s\n"
                             "grep ' %s fuse.regionfs .*nosuid,nodev,noexec' /proc/mounts >/dev/null\n"
                             "test $(df --output=size -k %s | tail -n 1) = 3072\n"
                             "pid=$(getfattr --only-values -n user.regionfs.server_pid %s 2>/dev/null)\n"
                             "umount %s\n"
                             "timeout 10 tail --pid=$pid -f /dev/null\n"
                             "SCRIPT",
                             fixture_program(), fixture_mountpoint(), fixture_mountpoint(), fixture_mountpoint(),
                             fixture_mountpoint(), fixture_mountpoint());
        ck_assert_msg(status == 0, "status %d: %s", status, said);
}
END_TEST

/* A command line that is refused: status 1 and one sentence with these words in it; nothing is mounted. */
static void check_refused(const char *arguments, const char *words, const char *more_words) {
        g_autofree char *said = NULL;
        int status = run_command(&said, "cd %s && %s %s", fixture_directory(), fixture_program(), arguments);

        ck_assert_msg(status == 1, "%s: status %d: %s", arguments, status, said);
        ck_assert_msg(strstr(said, words) && strstr(said, more_words), "%s: says %s", arguments, said);
        ck_assert_msg(strchr(said, '\n') == said + strlen(said) - 1, "%s: more than one line: %s", arguments, said);
        ck_assert(!is_mounted());
}

START_TEST(wrong_command_lines_are_explained) {
        g_autofree char *file = g_build_filename(fixture_directory(), "file", NULL);

        check_refused("", "MOUNTPOINT", "missing");
        check_refused("a b c", "MOUNTPOINT", "more than one");
        check_refused("missing", "missing", "No such file");
        must_write(file, "");
        check_refused("file", "file", "not a directory");
        must(unlink(file));
        check_refused("--colour mount", "--colour", "unknown");
        check_refused("-o colour=red mount", "colour", "nknown");
        check_refused("-o size=0 mount", "size=0", "percentage");
        check_refused("-o size=-1 mount", "size=-1", "number of bytes");
        check_refused("-o size=12x mount", "size=12x", "k, m, g or t");
        check_refused("-o size=101% mount", "size=101%", "100%");
        check_refused("-o size mount", "size", "needs a value");
        check_refused("mount -o", "-o", "missing");
        check_refused("-o nr_regions=none mount", "nr_regions=none", "whole number");
        check_refused("-o nr_regions=0 mount", "nr_regions=0", "whole number");
        check_refused("-o huge=very mount", "huge=very", "within_size");
        check_refused("-o mode=999 mount", "mode=999", "octal");
        check_refused("-o mode=77777 mount", "mode=77777", "octal");
        check_refused("-o uid=no-such-user mount", "uid=no-such-user", "name of a user");
        check_refused("-o gid=-5 mount", "gid=-5", "name of a group");
        check_refused("-o mpol=somewhere mount", "mpol=somewhere", "interleave");
        check_refused("-o pool=missing mount", "pool=missing", "directory");
        check_refused("-o pool=mount,size=1m mount", "size", "pool=");
        check_refused("-o max_threads=0 mount", "max_threads=0", "1024");
        check_refused("-o clone_fd mount", "clone_fd", "max_threads");
        check_refused("-o auto_unmount mount", "auto_unmount", "by itself");
        check_refused("-o pool=. mount", "pool=", "lies in it");
        check_refused("-o passthrough=maybe mount", "passthrough=maybe", "require");
}
END_TEST

START_TEST(what_needs_root_is_refused_to_users) {
        check_refused("-o size=1m mount", "size", "without root");
        check_refused("-o passthrough=require mount", "passthrough=require", "root");
        check_refused("-o uid=5 mount", "uid", "root");
}
END_TEST

START_TEST(a_second_one_on_the_same_place_is_refused) {
        pid_t daemon = start_in_background();
        g_autofree char *said = NULL;

        ck_assert_int_eq(run_command(&said, "%s %s", fixture_program(), fixture_mountpoint()), 1);
        ck_assert_msg(strstr(said, "already"), "%s", said);
        must_read(in_mount("a"), "ready");
        must(kill(daemon, SIGTERM));
        check_ended(daemon);
}
END_TEST

START_TEST(help_and_version_are_told) {
        g_autofree char *said = NULL;

        ck_assert_int_eq(run_command(&said, "%s --help", fixture_program()), 0);
        ck_assert(g_str_has_prefix(said, "Usage: regionfs"));
        g_free(said);
        ck_assert_int_eq(run_command(&said, "%s --version", fixture_program()), 0);
        ck_assert(g_str_has_prefix(said, "regionfs "));
}
END_TEST

START_TEST(closed_standard_streams_do_no_harm) {
        g_autofree char *pid = NULL;

        ck_assert_int_eq(run_command(NULL, "%s %s <&- >&- 2>&-", fixture_program(), fixture_mountpoint()), 0);
        must_write(in_mount("a"), "a");
        must_read(in_mount("a"), "a");
        pid = must_get(fixture_mountpoint(), "user.regionfs.server_pid");
        must(kill(atoi(pid), SIGTERM));
        check_ended(atoi(pid));
}
END_TEST

static void take_descriptors(void *data) {
        char name[16];

        for (int i = 0; i < 150; i++) {
                g_snprintf(name, sizeof(name), "%d", i);
                open(in_mount(name), O_RDWR | O_CREAT, 0600); /* until there are none */
        }
        pause();
}

START_TEST(it_ends_well_without_free_descriptors) {
        pid_t daemon, client;

        ck_assert_int_eq(run_command(NULL, "ulimit -n 100; %s -o passthrough=off %s", fixture_program(), fixture_mountpoint()), 0);
        {
                g_autofree char *pid = must_get(fixture_mountpoint(), "user.regionfs.server_pid");

                daemon = atoi(pid);
        }
        client = start_process(take_descriptors, NULL);
        g_usleep(500000);
        must(kill(daemon, SIGTERM));
        check_ended(daemon);
        must(kill(client, SIGKILL));
        must(waitpid(client, NULL, 0));
}
END_TEST

START_TEST(a_deep_tree_goes_with_its_pool) {
        g_autofree char *said = NULL;
        pid_t daemon = start_in_background();

        ck_assert_int_eq(run_command(&said,
                                     "cd %s && n=$(printf '%%0200d' 7) && i=0 && while [ $i -lt 40 ]; do "
                                     "mkdir $n && cd -P $n || exit 1; i=$((i + 1)); done",
                                     fixture_mountpoint()),
                         0);
        must(kill(daemon, SIGTERM));
        check_ended(daemon);
}
END_TEST

START_TEST(without_the_right_to_passthrough_it_falls_back) {
        g_autofree char *said = NULL;
        int status;

        /* Root of a user namespace may mount, and may not have backing files. */
        status = run_command(&said,
                             "unshare -Urm sh -e <<'SCRIPT'\n"
                             "%s -o size=8m,io_uring %s\n"
                             "getfattr --only-values -n user.regionfs.passthrough %s 2>/dev/null\n"
                             "echo text >%s/a\n"
                             "cat %s/a\n"
                             "umount %s\n"
                             "! %s -o passthrough=require %s\n"
                             "SCRIPT",
                             fixture_program(), fixture_mountpoint(), fixture_mountpoint(), fixture_mountpoint(),
                             fixture_mountpoint(), fixture_mountpoint(), fixture_program(), fixture_mountpoint());
        ck_assert_msg(status == 0, "status %d: %s", status, said);
        ck_assert_msg(strstr(said, "cached mode (passthrough needs CAP_SYS_ADMIN"), "%s", said);
        ck_assert_msg(strstr(said, "option io_uring has no effect: it needs passthrough"), "%s", said);
        ck_assert_msg(strstr(said, "0text"), "%s", said);
        ck_assert_msg(strstr(said, "option passthrough=require cannot be met"), "%s", said);
}
END_TEST

START_TEST(cached_mode_goes_without_io_uring) {
        g_autofree char *said = NULL, *pid = NULL;

        ck_assert_int_eq(run_command(&said, "%s -o passthrough=off,io_uring %s", fixture_program(), fixture_mountpoint()), 0);
        ck_assert_msg(strstr(said, "option io_uring has no effect: it needs passthrough"), "%s", said);
        must_write(in_mount("a"), "a");
        pid = must_get(fixture_mountpoint(), "user.regionfs.server_pid");
        must(kill(atoi(pid), SIGTERM));
        check_ended(atoi(pid));
}
END_TEST

START_TEST(threads_can_be_limited) {
        g_autofree char *pid = NULL;

        ck_assert_int_eq(run_command(NULL, "%s -o max_threads=2 %s", fixture_program(), fixture_mountpoint()), 0);
        must_write(in_mount("a"), "a");
        pid = must_get(fixture_mountpoint(), "user.regionfs.server_pid");
        /* And the first one, and those for lifetimes and lengths. */
        ck_assert_int_eq(run_command(NULL, "test $(ls /proc/%s/task | wc -l) -le 5", pid), 0);
        must(kill(atoi(pid), SIGTERM));
        check_ended(atoi(pid));
}
END_TEST

START_TEST(a_killed_daemon_leaves_nothing_that_the_next_does_not_remove) {
        pid_t daemon = start_in_background();

        /* The keeper first, which would put another server in the place of this one. */
        ck_assert_int_eq(run_command(NULL, "kill -KILL $(sed -n 's/^PPid:\t//p' /proc/%d/status)", daemon), 0);
        must(kill(daemon, SIGKILL));
        eventually(!alive(daemon));
        ck_assert_int_lt(open(in_mount("a"), O_RDONLY), 0);
        if (geteuid() == 0) {
                must_fail(open(in_mount("a"), O_RDONLY), ENOTCONN);
                ck_assert_int_eq(run_command(NULL, "umount %s", fixture_mountpoint()), 0);
        } else {
                /* An ordinary user's dead mount is taken away. */
                eventually(!is_mounted());
                must_fail(open(in_mount("a"), O_RDONLY), ENOENT);
        }
        daemon = start_in_background();
        must(kill(daemon, SIGTERM));
        check_ended(daemon);
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("daemon");

        tcase_add_checked_fixture(tests, prepare, finish);
        tcase_add_test(tests, it_goes_to_the_background_when_the_mount_answers);
        tcase_add_test(tests, sigint_ends_it);
        tcase_add_test(tests, umount_ends_it);
        tcase_add_test(tests, a_signal_ends_it_under_its_clients);
        tcase_add_test(tests, it_can_be_mounted_again_and_again);
        add_test_if(tests, mount_starts_it, geteuid() == 0, "needs root");
        tcase_add_test(tests, wrong_command_lines_are_explained);
        add_test_if(tests, what_needs_root_is_refused_to_users, geteuid() != 0, "is about users");
        tcase_add_test(tests, a_second_one_on_the_same_place_is_refused);
        tcase_add_test(tests, closed_standard_streams_do_no_harm);
        tcase_add_test(tests, it_ends_well_without_free_descriptors);
        tcase_add_test(tests, a_deep_tree_goes_with_its_pool);
        add_test_if(tests, without_the_right_to_passthrough_it_falls_back,
                    geteuid() == 0 && succeeds("unshare -Urm true"), "needs root, and user namespaces");
        tcase_add_test(tests, cached_mode_goes_without_io_uring);
        tcase_add_test(tests, threads_can_be_limited);
        tcase_add_test(tests, help_and_version_are_told);
        tcase_add_test(tests, a_killed_daemon_leaves_nothing_that_the_next_does_not_remove);
        suite_add_tcase(suite, tests);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "daemon", add);
}
