/* The keeper becomes the program that is now on disk, and nobody notices. */
#include "crash.h"
#include "held.h"
#include "program.h"

#include <regionfs/regionfs.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* The daemon's children that run anything else than the program on disk, or have not been waited for. */
static int count_others(void) {
        g_autofree char *said = NULL;

        run_command(&said, "for child in $(cat /proc/%d/task/%d/children); do "
                           "[ /proc/$child/exe -ef '%s' ] || echo $child; done | wc -l",
                    fixture_daemon(), fixture_daemon(), program_path());
        return atoi(said);
}

START_TEST(everything_goes_on) {
        Held *held = held_take();
        pid_t keeper = fixture_daemon();

        for (int i = 1; i <= 4; i++) {
                program_upgrade();
                held_check(held);
                ck_assert_int_eq(restarts(), i);
                ck_assert_int_eq(fixture_daemon(), keeper);
        }
        held_end(held);
}
END_TEST

START_TEST(the_program_on_disk_is_the_one_that_goes_on) {
        Held *held = held_take();
        ino_t before = program_image_of(fixture_daemon());

        program_put_original();
        ck_assert_uint_ne(program_image(), before);
        program_upgrade();
        ck_assert_uint_eq(program_image_of(fixture_daemon()), program_image());
        ck_assert_uint_eq(program_image_of(fixture_server()), program_image());
        /* All of it, the notifier too. */
        eventually(count_others() == 0);
        held_check(held);
        /* And once more, from there. */
        program_put_original();
        program_upgrade();
        ck_assert_uint_eq(program_image_of(fixture_daemon()), program_image());
        held_check(held);
        held_end(held);
}
END_TEST

START_TEST(crashes_before_and_after_are_survived) {
        Held *held = held_take();

        for (int i = 0; i < 3; i++) {
                int before = restarts();

                must(kill(fixture_server(), SIGKILL));
                eventually(restarts() == before + 1);
                held_check(held);
                program_upgrade();
                held_check(held);
        }
        held_end(held);
}
END_TEST

START_TEST(nothing_is_left_over) {
        g_autofree char *count = g_strdup_printf("ls /proc/%d/fd | wc -l", fixture_daemon());
        g_autofree char *before = NULL, *after = NULL;

        must_write(in_mount("a"), "text");
        program_upgrade();
        must_read(in_mount("a"), "text");
        run_command(&before, "%s", count);
        for (int i = 0; i < 10; i++) {
                int fd = must_open(in_mount("b"), O_RDWR | O_CREAT, 0600);

                must(unlink(in_mount("b")));
                program_upgrade();
                must(close(fd));
        }
        for (int i = 0; i < 200; i++) {
                g_clear_pointer(&after, g_free);
                run_command(&after, "%s", count);
                if (atoi(after) <= atoi(before))
                        break;
                g_usleep(10000);
        }
        ck_assert_int_le(atoi(after), atoi(before));
        ck_assert(root_has(REGIONFS_ATTRIBUTE_REGIONS, "1"));
}
END_TEST

START_TEST(requests_in_hand_are_answered_once) {
        Hammer *hammer = hammer_start(4);
        Held *held = held_take();

        for (int i = 0; i < 50; i++) {
                program_upgrade();
                if (i % 10 == 0)
                        held_check(held);
                g_usleep(g_random_int_range(0, 20000));
        }
        held_check(held);
        ck_assert_uint_ge(hammer_stop(hammer), 50);
        held_end(held);
        ck_assert_int_ge(restarts(), 50);
}
END_TEST

START_TEST(crashes_meanwhile_are_survived) {
        Hammer *hammer = hammer_start(2);
        Held *held = held_take();

        for (int i = 0; i < 30; i++) {
                int before = restarts();
                pid_t server = fixture_server();

                if (i % 2)
                        must(kill(server, SIGKILL));
                must(kill(fixture_daemon(), SIGHUP));
                g_usleep(g_random_int_range(0, 15000));
                /* It may be dead by now. */
                kill(server, SIGKILL);
                eventually(restarts() > before);
        }
        held_check(held);
        ck_assert_uint_ge(hammer_stop(hammer), 1);
        held_end(held);
}
END_TEST

/* Before the mount has answered its own server, too. */
START_TEST(one_that_comes_early_is_kept) {
        for (int i = 0; i < 10; i++) {
                program_begin_mounted();
                must(kill(fixture_daemon(), SIGHUP));
                eventually(restarts() == 1);
                program_end_mounted();
        }
}
END_TEST

START_TEST(many_signals_at_once_are_as_good_as_one) {
        Held *held = held_take();

        for (int i = 0; i < 200; i++) {
                must(kill(fixture_daemon(), SIGHUP));
                g_usleep(g_random_int_range(0, 500));
        }
        eventually(restarts() >= 1);
        held_check(held);
        held_end(held);
}
END_TEST

START_TEST(the_server_takes_no_hangup_from_others) {
        pid_t server = fixture_server();

        must(kill(server, SIGHUP));
        must_write(in_mount("a"), "text");
        g_usleep(50000);
        ck_assert_int_eq(fixture_server(), server);
        ck_assert_int_eq(restarts(), 0);
}
END_TEST

START_TEST(a_directory_pool_stays_claimed) {
        g_autofree char *pool = NULL, *other = NULL, *said = NULL, *options = NULL;
        Held *held;

        program_begin();
        pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        other = g_dir_make_tmp("regionfs-other-XXXXXX", NULL);
        options = g_strdup_printf("pool=%s,namespaces", pool);
        fixture_mount(options);
        must(unlink(in_mount("Local")));
        must(rmdir(in_mount("Global")));
        must(rmdir(in_mount("Sessions")));
        held = held_take();
        must(symlink("Sessions", in_mount("Local")));
        must(mkdir(in_mount("Global"), 01777));
        must(chmod(in_mount("Global"), 01777));
        must(mkdir(in_mount("Sessions"), 0711));
        program_upgrade();
        held_check(held);
        ck_assert_int_eq(run_command(&said, "%s -f -o pool=%s %s", program_path(), pool, other), 1);
        ck_assert_msg(strstr(said, "another regionfs uses the directory"), "%s", said);
        held_end(held);
        fixture_unmount();
        ck_assert_int_eq(run_command(NULL, "rm -r '%s' '%s'", pool, other), 0);
        program_end();
}
END_TEST

/* Wherever it is with it, it ends as asked, and takes the mount away. */
START_TEST(it_can_be_ended_meanwhile) {
        for (int i = 0; i < 12; i++) {
                program_begin_mounted();
                must_write(in_mount("a"), "text");
                must(kill(fixture_daemon(), SIGHUP));
                g_usleep(g_random_int_range(0, 40000));
                program_end_mounted();
        }
}
END_TEST

/* A terminal that goes takes the daemon of the foreground with it, and the mount, as ever. */
START_TEST(a_terminal_that_goes_ends_it) {
        g_autofree char *log = NULL;
        int terminal, status;
        pid_t daemon;

        program_begin();
        fixture_prepare();
        log = g_build_filename(fixture_directory(), "log", NULL);
        terminal = posix_openpt(O_RDWR | O_NOCTTY);
        must(terminal);
        must(grantpt(terminal));
        must(unlockpt(terminal));
        daemon = fork();
        if (daemon == 0) {
                int other = open(ptsname(terminal), O_RDWR | O_NOCTTY),
                    to = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);

                setsid();
                ioctl(other, TIOCSCTTY, 0);
                close(terminal);
                dup2(to, STDERR_FILENO);
                execl(program_path(), program_path(), "-f", fixture_mountpoint(), NULL);
                _exit(127);
        }
        eventually(getxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_VERSION, NULL, 0) > 0);
        must(close(terminal));
        must(waitpid(daemon, &status, 0));
        ck_assert_int_eq(status, 0);
        ck_assert_int_lt(getxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_VERSION, NULL, 0), 0);
        fixture_remove();
        program_end();
}
END_TEST

START_TEST(one_in_the_background_goes_on_there) {
        g_autofree char *value = NULL, *said = NULL;
        pid_t server, keeper;

        program_begin();
        fixture_prepare();
        /* By a relative path, from a directory that the daemon leaves. */
        ck_assert_int_eq(run_command(&said, "cd '%s' && ../$(basename $(dirname '%s'))/regionfs mount",
                                     fixture_directory(), program_path()),
                         0);
        value = must_get(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SERVER_PID);
        server = atoi(value);
        g_clear_pointer(&said, g_free);
        run_command(&said, "sed -n 's/^PPid:.//p' /proc/%d/status", server);
        keeper = atoi(said);
        ck_assert_int_gt(keeper, 1);
        program_put_original();
        must(kill(keeper, SIGHUP));
        eventually(restarts() == 1);
        ck_assert_uint_eq(program_image_of(keeper), program_image());
        must(kill(keeper, SIGTERM));
        eventually(process_is_gone(keeper));
        ck_assert(!is_mounted());
        fixture_remove();
        program_end();
}
END_TEST

/* As after a crash: what the pool has, and what the kernel serves itself. */
START_TEST(over_io_uring_names_contents_and_views_go_on) {
        char *view, text[8] = "";
        int fd;

        fixture_expect("handles of before are void");
        must(mkdir(in_mount("d"), 0700));
        must_write(in_mount("d/a"), "before");
        must(setxattr(in_mount("d/a"), "user.own", "value", 5, 0));
        fd = must_open(in_mount("d/a"), O_RDWR, 0);
        view = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(view, MAP_FAILED);
        for (int i = 1; i <= 3; i++) {
                g_autofree char *value = NULL;

                must(kill(fixture_daemon(), SIGHUP));
                eventually(has_restarted(i));
                eventually(has_logged("warning: as requests come over io_uring, the mount was made afresh"));
                program_forget_log();
                value = must_get(in_mount("d/a"), "user.own");
                ck_assert_str_eq(value, "value");
                ck_assert(root_has(REGIONFS_ATTRIBUTE_REGIONS, "1"));
                must_fail(fchmod(fd, 0600), ENOTCONN);
                view[0] = '0' + i;
                ck_assert_int_eq(pread(fd, text, 6, 0), 6);
                ck_assert_int_eq(text[0], '0' + i);
                must_read(in_mount("d/a"), text);
        }
        must(munmap(view, 4096));
        close(fd);
        must_write(in_mount("new"), "more");
        must_read(in_mount("new"), "more");
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("upgrade"), *alone;

        if (fixture_over_uring()) {
                tcase_add_checked_fixture(tests, program_begin_mounted, program_end_mounted);
                tcase_add_test(tests, over_io_uring_names_contents_and_views_go_on);
                suite_add_tcase(suite, tests);
                return;
        }
        tcase_add_checked_fixture(tests, program_begin_mounted, program_end_mounted);
        tcase_add_test(tests, everything_goes_on);
        tcase_add_test(tests, the_program_on_disk_is_the_one_that_goes_on);
        tcase_add_test(tests, crashes_before_and_after_are_survived);
        tcase_add_test(tests, nothing_is_left_over);
        tcase_add_test(tests, requests_in_hand_are_answered_once);
        tcase_add_test(tests, crashes_meanwhile_are_survived);
        tcase_add_test(tests, many_signals_at_once_are_as_good_as_one);
        tcase_add_test(tests, the_server_takes_no_hangup_from_others);
        suite_add_tcase(suite, tests);
        alone = tcase_create("alone");
        tcase_add_test(alone, a_directory_pool_stays_claimed);
        tcase_add_test(alone, one_that_comes_early_is_kept);
        tcase_add_test(alone, it_can_be_ended_meanwhile);
        tcase_add_test(alone, a_terminal_that_goes_ends_it);
        tcase_add_test(alone, one_in_the_background_goes_on_there);
        suite_add_tcase(suite, alone);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "upgrade", add);
}
