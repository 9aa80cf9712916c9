/* A program on disk that does not go on in the keeper's place: all goes on as it was. */
#include "crash.h"
#include "held.h"
#include "program.h"

#include <sys/wait.h>

/* Nothing changes but the log, whose words are checked. */
static void try_in_vain(const char *words) {
        pid_t server = fixture_server();
        ino_t image = program_image_of(fixture_daemon());
        Held *held = held_take();

        must(kill(fixture_daemon(), SIGHUP));
        eventually(has_logged("this regionfs goes on"));
        ck_assert(has_logged("warning: "));
        ck_assert(has_logged(words));
        held_check(held);
        ck_assert_int_eq(fixture_server(), server);
        ck_assert_uint_eq(program_image_of(fixture_daemon()), image);
        ck_assert_int_eq(restarts(), 0);
        held_end(held);
        program_forget_log();
}

/* The way is free for one that can. */
static void upgrade_after_all(void) {
        program_put_original();
        program_upgrade();
}

START_TEST(a_missing_program_is_told_of) {
        must(unlink(program_path()));
        try_in_vain("cannot go on in this one's place");
        upgrade_after_all();
}
END_TEST

START_TEST(a_broken_program_is_told_of) {
        program_put_script("exit 1");
        try_in_vain("cannot go on in this one's place");
        program_put_script("exit 0");
        must(kill(fixture_daemon(), SIGHUP));
        eventually(has_logged("cannot go on in this one's place"));
        program_forget_log();
        upgrade_after_all();
}
END_TEST

START_TEST(a_program_that_hangs_is_told_of) {
        program_put_script("sleep 1000 & echo $! > \"$0.pid\"; wait");
        try_in_vain("does not answer");
        /* With all that it has started. */
        eventually(run_command(NULL, "grep -q '^State:.[^ZX]' /proc/$(cat '%s.pid')/status 2>/dev/null",
                               program_path()) != 0);
        upgrade_after_all();
}
END_TEST

START_TEST(a_program_of_another_format_is_told_of) {
        program_put_script("[ \"${1%%=*}\" = --takes-over ] || exit 1; shift; exec \"$original\" --takes-over=1234 \"$@\"");
        try_in_vain("cannot go on with what the running one has kept");
        upgrade_after_all();
}
END_TEST

START_TEST(a_program_that_takes_other_options_is_told_of) {
        program_put_script("question=$1; shift; exec \"$original\" \"$question\" -o lifetime=never \"$@\"");
        try_in_vain("option lifetime=never is not allowed");
        upgrade_after_all();
}
END_TEST

/* When the server has made way already. */
START_TEST(a_program_that_cannot_be_run_after_all_is_told_of) {
        Held *held = held_take();

        program_put_script("case $1 in --takes-over=*) rm -f \"$0\"; exec \"$original\" \"$@\";; esac");
        must(kill(fixture_daemon(), SIGHUP));
        eventually(has_logged("cannot run"));
        held_check(held);
        ck_assert_int_eq(restarts(), 1);
        program_forget_log();
        upgrade_after_all();
        held_check(held);
        held_end(held);
}
END_TEST

/* The new image is killed before it has done anything, or cannot read what it is given. */
static const struct {
        const char *command, *words;
} ends[] = {
        { "kill -KILL $$", "has died before it could go on" },
        { "exec 9</dev/null; export REGIONFS_HANDOVER=9", "cannot go on with the mount that REGIONFS_HANDOVER" },
        { "export REGIONFS_HANDOVER=none", "cannot go on with the mount that REGIONFS_HANDOVER" },
};

START_TEST(after_one_that_ends_at_once_the_one_before_goes_on) {
        g_autofree char *script = g_strdup_printf("case $1 in --takes-over=*) exec \"$original\" \"$@\";; esac; %s\n"
                                                  "exec \"$original\" \"$@\"", ends[_i].command);
        pid_t keeper, server;
        Held *held;

        program_begin_mounted();
        keeper = fixture_daemon();
        held = held_take();
        program_put_script(script);
        must(kill(keeper, SIGHUP));
        must(waitpid(keeper, NULL, 0));
        eventually(restarts() == 1);
        held_check(held);
        ck_assert(has_logged("has died before it could go on"));
        ck_assert(has_logged(ends[_i].words));
        {
                g_autofree char *number = must_get(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SERVER_PID);

                server = atoi(number);
        }
        /* It keeps as the first one did. */
        must(kill(server, SIGKILL));
        eventually(restarts() == 2);
        held_check(held);
        held_end(held);
        {
                g_autofree char *number = must_get(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SERVER_PID);

                server = atoi(number);
        }
        must(kill(server, SIGTERM));
        eventually(process_is_gone(server));
        eventually(!is_mounted());
        fixture_remove();
        program_end();
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("unfit"), *alone = tcase_create("alone");

        tcase_add_checked_fixture(tests, program_begin_mounted, program_end_mounted);
        tcase_add_test(tests, a_missing_program_is_told_of);
        tcase_add_test(tests, a_broken_program_is_told_of);
        tcase_add_test(tests, a_program_that_hangs_is_told_of);
        tcase_add_test(tests, a_program_of_another_format_is_told_of);
        tcase_add_test(tests, a_program_that_takes_other_options_is_told_of);
        tcase_add_test(tests, a_program_that_cannot_be_run_after_all_is_told_of);
        suite_add_tcase(suite, tests);
        tcase_add_loop_test(alone, after_one_that_ends_at_once_the_one_before_goes_on, 0, G_N_ELEMENTS(ends));
        suite_add_tcase(suite, alone);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "upgrade-unfit", add);
}
