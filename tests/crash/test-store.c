/* A service manager keeps the mount while no process of the service runs. */
#include "held.h"
#include "manager.h"

#include <regionfs/regionfs.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/xattr.h>

static bool log_is_clean(void) {
        return !has_logged("]: warning:") && !has_logged("]: error:") && !has_logged("Sanitizer") &&
               !has_logged("runtime error:");
}

START_TEST(a_restart_loses_nothing) {
        Held *held;
        guint lasting;

        manager_start();
        lasting = manager_kept()->len;
        ck_assert_uint_ge(lasting, 3);
        held = held_take();
        for (int i = 1; i <= 4; i++) {
                held_check(held);
                manager_end_by(SIGUSR2);
                ck_assert(is_mounted());
                ck_assert_uint_gt(manager_kept()->len, lasting);
                manager_start();
                held_check(held);
                ck_assert_int_eq(restarts(), i);
                /* What was handed over is not kept any longer than it has to be. */
                ck_assert_uint_eq(manager_kept()->len, lasting);
        }
        held_end(held);
        manager_stop();
        ck_assert_msg(log_is_clean(), "%s", fixture_log());
}
END_TEST

START_TEST(clients_wait_for_the_next_run) {
        Hammer *hammer;

        manager_start();
        hammer = hammer_start(3);
        for (int i = 0; i < 10; i++) {
                g_usleep(20000);
                manager_end_by(SIGUSR2);
                g_usleep(20000);
                manager_start();
        }
        ck_assert_uint_ge(hammer_stop(hammer), 10);
        ck_assert(root_has(REGIONFS_ATTRIBUTE_REGIONS, "0"));
        manager_stop();
        ck_assert_msg(log_is_clean(), "%s", fixture_log());
}
END_TEST

START_TEST(restarts_and_upgrades_take_turns) {
        Held *held;

        manager_start();
        held = held_take();
        for (int i = 0; i < 3; i++) {
                manager_forget_ready();
                must(kill(fixture_daemon(), SIGHUP));
                eventually(manager_listen() && manager_is_ready());
                ck_assert_int_eq(restarts(), 2 * i + 1);
                held_check(held);
                manager_end_by(SIGUSR2);
                manager_start();
                held_check(held);
        }
        held_end(held);
        manager_stop();
        ck_assert_msg(log_is_clean(), "%s", fixture_log());
}
END_TEST

/* Nobody could hand over anything: what is in the store from the start has to do. */
START_TEST(killed_with_its_server_it_is_taken_up_again) {
        int opened, unlinked, status;
        char byte;

        manager_start();
        must(mkdir(in_mount("d"), 0700));
        must_write(in_mount("d/a"), "text");
        opened = must_open(in_mount("d/a"), O_RDWR, 0);
        unlinked = must_open(in_mount("d/b"), O_RDWR | O_CREAT, 0600);
        ck_assert_int_eq(write(unlinked, "x", 1), 1);
        must(unlink(in_mount("d/b")));
        stop_process(fixture_server());
        must(kill(-fixture_daemon(), SIGKILL));
        eventually(manager_has_ended(&status));
        manager_start();
        must_read(in_mount("d/a"), "text");
        must_write(in_mount("d/c"), "more");
        ck_assert_int_eq(restarts(), 1);
        if (fixture_mode() == MODE_PASSTHROUGH) {
                /* Reached by its handle, also without a name. */
                must(ftruncate(opened, 2));
                must_read(in_mount("d/a"), "te");
                must(fchmod(unlinked, 0640));
                ck_assert_int_eq(pread(unlinked, &byte, 1, 0), 1);
        } else {
                /* What the daemon had open for it is lost, and that is told. */
                ck_assert(has_logged("descriptors of the mount's are lost"));
                ck_assert_int_lt(pread(unlinked, &byte, 1, 0), 0);
        }
        close(opened);
        close(unlinked);
        must_read(in_mount("d/c"), "more");
        manager_stop();
        ck_assert_msg(!has_logged("names that have gone"), "%s", fixture_log());
}
END_TEST

START_TEST(a_dead_mount_of_the_service_is_in_nobodys_way) {
        int status;

        manager_start();
        must_write(in_mount("a"), "text");
        stop_process(fixture_server());
        must(kill(-fixture_daemon(), SIGKILL));
        eventually(manager_has_ended(&status));
        manager_keep_nothing();
        /* An ordinary user's has an unmounter. */
        eventually(open(in_mount("a"), O_RDONLY) < 0 &&
                   (errno == ENOTCONN || (fixture_mode() == MODE_USER && errno == ENOENT)));
        manager_start();
        must_fail(access(in_mount("a"), F_OK), ENOENT);
        manager_stop();
}
END_TEST

/* Written by a program that is not understood, as by one from the future. */
START_TEST(what_cannot_be_read_is_given_up) {
        const uint64_t other = 1234;

        manager_start();
        must_write(in_mount("a"), "text");
        manager_end_by(SIGUSR2);
        for (guint i = 0; i < manager_kept()->len; i++) {
                const ManagerKept *kept = &g_array_index(manager_kept(), ManagerKept, i);

                if (strstr(kept->name, "ledger"))
                        ck_assert_int_eq(pwrite(kept->fd, &other, sizeof(other), 0), sizeof(other));
        }
        manager_start();
        ck_assert(has_logged("cannot read what another one has left"));
        must_fail(access(in_mount("a"), F_OK), ENOENT);
        must_write(in_mount("a"), "new");
        ck_assert_int_eq(restarts(), 0);
        manager_stop();
        ck_assert(!is_mounted());
}
END_TEST

/* It ends as if it had been stopped: the next run mounts anew. */
START_TEST(what_the_next_run_cannot_take_is_not_left_behind) {
        g_autofree char *directory = g_dir_make_tmp("regionfs-store-XXXXXX", NULL);
        g_autofree char *program = g_build_filename(directory, "regionfs", NULL);

        ck_assert_int_eq(run_command(NULL, "cp '%s' '%s' && chmod 755 '%s'", fixture_program(), program, program), 0);
        fixture_use_program(program);
        manager_start();
        must_write(in_mount("a"), "text");
        must(unlink(program));
        manager_end_by(SIGUSR2);
        ck_assert(!is_mounted());
        ck_assert(has_logged("this regionfs ends, and its mount with it"));
        must(rmdir(directory));
}
END_TEST

START_TEST(a_manager_that_does_not_answer_leaves_no_mount) {
        manager_start();
        must_write(in_mount("a"), "text");
        manager_set_deaf();
        manager_end_by(SIGUSR2);
        ck_assert(!is_mounted());
        ck_assert(has_logged("the service manager does not keep the mount"));
}
END_TEST

START_TEST(options_that_cannot_be_read_are_not_taken) {
        Held *held;

        manager_start();
        held = held_take();
        manager_set_options("watchdog=17");
        manager_end_by(SIGUSR2);
        manager_start();
        ck_assert_msg(log_is_clean(), "%s", fixture_log());
        manager_set_options("watchdog=soon");
        for (int i = 2; i <= 3; i++) {
                manager_end_by(SIGUSR2);
                manager_start();
                ck_assert(has_logged("]: warning: option watchdog=soon is not allowed"));
                ck_assert(has_logged("going on with the options of before"));
                held_check(held);
                ck_assert_int_eq(restarts(), i);
        }
        held_end(held);
        manager_stop();
        ck_assert(!manager_try());
        ck_assert(!is_mounted());
}
END_TEST

START_TEST(without_options_to_go_on_with_no_mount_is_left) {
        g_autofree char *rest = g_strnfill(9000, 'a'), *many = g_strconcat("x-", rest, NULL);

        manager_set_options(many);
        manager_start();
        must_write(in_mount("a"), "text");
        manager_end_by(SIGUSR2);
        manager_set_options("watchdog=soon");
        ck_assert(!manager_try());
        eventually(!is_mounted());
        ck_assert_uint_eq(manager_kept()->len, 0);
        manager_set_options(NULL);
        manager_start();
        must_fail(access(in_mount("a"), F_OK), ENOENT);
        manager_stop();
}
END_TEST

START_TEST(options_that_take_a_new_mount_are_told) {
        manager_start();
        manager_set_options("watchdog=17,lifetime=handles,noatime");
        manager_end_by(SIGUSR2);
        manager_start();
        ck_assert_msg(has_logged("]: warning: these options stay as they were when the mount was made, until it is made "
                                 "anew: lifetime, those of mount(8)\n"),
                      "%s", fixture_log());
        manager_stop();
}
END_TEST

static void take_mount_away(void) {
        const char *command = geteuid() == 0 ? "umount -l" : "fusermount3 -u -z";

        ck_assert_int_eq(run_command(NULL, "%s %s", command, fixture_mountpoint()), 0);
}

/* Nobody's, and one that somebody still uses. */
START_TEST(a_mount_that_was_taken_away_is_made_anew) {
        int used;

        for (int i = 0; i < 2; i++) {
                manager_start();
                must_fail(access(in_mount("a"), F_OK), ENOENT);
                must_write(in_mount("a"), "text");
                used = must_open(i ? in_mount("a") : "/", O_RDONLY, 0);
                manager_end_by(SIGUSR2);
                take_mount_away();
                manager_start();
                ck_assert(is_mounted());
                ck_assert(has_logged("]: warning: the mount that another regionfs has left has been taken away"));
                must_fail(access(in_mount("a"), F_OK), ENOENT);
                must(close(used));
                manager_stop();
        }
}
END_TEST

START_TEST(a_mount_that_is_covered_is_gone_on_with) {
        manager_start();
        must_write(in_mount("a"), "text");
        manager_end_by(SIGUSR2);
        must(mount("none", fixture_mountpoint(), "tmpfs", 0, "size=1m"));
        manager_start();
        must(umount(fixture_mountpoint()));
        must_read(in_mount("a"), "text");
        manager_stop();
        ck_assert_msg(log_is_clean(), "%s", fixture_log());
}
END_TEST

#define MANY 20

START_TEST(what_the_store_has_no_room_for_is_told) {
        int opened[MANY], good = 0;
        guint lasting;

        manager_start();
        lasting = manager_kept()->len;
        manager_stop();
        manager_set_room(lasting + MANY / 2);
        manager_start();
        must_write(in_mount("a"), "text");
        for (int i = 0; i < MANY; i++) {
                opened[i] = must_open(in_mount("b"), O_RDWR | O_CREAT, 0600);
                must(unlink(in_mount("b")));
        }
        manager_end_by(SIGUSR2);
        ck_assert_msg(has_logged("]: warning: the service manager keeps"), "%s", fixture_log());
        manager_start();
        must_read(in_mount("a"), "text");
        for (int i = 0; i < MANY; i++) {
                good += fchmod(opened[i], 0640) == 0;
                must(close(opened[i]));
        }
        ck_assert_int_gt(good, 0);
        /* There all are reached by file handles as well. */
        if (fixture_mode() == MODE_PASSTHROUGH)
                ck_assert_int_eq(good, MANY);
        else
                ck_assert_int_lt(good, MANY);
        manager_stop();
}
END_TEST

/* One that keeps nothing would not say either. */
START_TEST(a_manager_that_does_not_say_what_it_keeps_leaves_no_mount) {
        manager_set_room(0);
        manager_start();
        must_write(in_mount("a"), "text");
        manager_end_by(SIGUSR2);
        ck_assert(!is_mounted());
        ck_assert_msg(has_logged("does not say how many descriptors it keeps"), "%s", fixture_log());
}
END_TEST

START_TEST(in_the_background_nobody_is_told) {
        ck_assert_int_eq(run_command(NULL, "cd %s && NOTIFY_SOCKET=$PWD/notify %s mount", fixture_directory(),
                                     fixture_program()), 0);
        must_write(in_mount("a"), "text");
        take_mount_away();
        g_usleep(100000);
        manager_listen();
        ck_assert(!manager_is_ready() && !manager_is_stopping());
        ck_assert_uint_eq(manager_kept()->len, 0);
}
END_TEST

START_TEST(programs_that_it_runs_are_not_told_of_the_manager) {
        g_autofree char *directory = g_dir_make_tmp("regionfs-store-XXXXXX", NULL), *variables = NULL;
        g_autofree char *program = g_build_filename(directory, "regionfs", NULL);
        g_autofree char *script = g_strdup_printf("#!/bin/sh\nenv >%s/environment\nexit 1\n", directory);
        g_autofree char *environment = g_build_filename(directory, "environment", NULL);

        ck_assert_int_eq(run_command(NULL, "cp '%s' '%s' && chmod 755 '%s'", fixture_program(), program, program), 0);
        fixture_use_program(program);
        manager_start();
        must(unlink(program));
        must_write(program, script);
        must(chmod(program, 0755));
        must(kill(fixture_daemon(), SIGHUP));
        eventually(has_logged("cannot go on in this one's place"));
        ck_assert(g_file_get_contents(environment, &variables, NULL, NULL));
        ck_assert(strstr(variables, "PATH="));
        ck_assert(!strstr(variables, "NOTIFY_SOCKET"));
        manager_stop();
        ck_assert_int_eq(run_command(NULL, "rm -r '%s'", directory), 0);
}
END_TEST

START_TEST(without_a_manager_nothing_is_given_up) {
        int before;

        before = restarts();
        must_write(in_mount("a"), "text");
        must(kill(fixture_daemon(), SIGUSR2));
        g_usleep(100000);
        must_read(in_mount("a"), "text");
        ck_assert_int_eq(restarts(), before);
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("store");

        tcase_add_checked_fixture(tests, manager_begin, manager_end);
        tcase_add_test(tests, a_restart_loses_nothing);
        tcase_add_test(tests, clients_wait_for_the_next_run);
        tcase_add_test(tests, restarts_and_upgrades_take_turns);
        tcase_add_test(tests, killed_with_its_server_it_is_taken_up_again);
        tcase_add_test(tests, a_dead_mount_of_the_service_is_in_nobodys_way);
        tcase_add_test(tests, what_cannot_be_read_is_given_up);
        tcase_add_test(tests, what_the_next_run_cannot_take_is_not_left_behind);
        tcase_add_test(tests, a_manager_that_does_not_answer_leaves_no_mount);
        tcase_add_test(tests, options_that_cannot_be_read_are_not_taken);
        tcase_add_test(tests, without_options_to_go_on_with_no_mount_is_left);
        tcase_add_test(tests, options_that_take_a_new_mount_are_told);
        tcase_add_test(tests, a_mount_that_was_taken_away_is_made_anew);
        add_test_if(tests, a_mount_that_is_covered_is_gone_on_with, geteuid() == 0, "needs root");
        tcase_add_test(tests, what_the_store_has_no_room_for_is_told);
        tcase_add_test(tests, a_manager_that_does_not_say_what_it_keeps_leaves_no_mount);
        tcase_add_test(tests, in_the_background_nobody_is_told);
        tcase_add_test(tests, programs_that_it_runs_are_not_told_of_the_manager);
        suite_add_tcase(suite, tests);
        tcase_add_test(add_case(suite, "alone"), without_a_manager_nothing_is_given_up);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "store", add);
}
