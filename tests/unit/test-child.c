#include "base/child.h"

#include "unit-process.h"

/* Of another process than this one. */
static pid_t start_stranger(void) {
        int ends[2];
        pid_t between, stranger;

        ck_assert_int_eq(pipe(ends), 0);
        between = fork();
        if (between == 0) {
                stranger = fork();
                if (stranger == 0) {
                        for (;;)
                                pause();
                }
                _exit(write(ends[1], &stranger, sizeof(stranger)) == sizeof(stranger) ? EXIT_SUCCESS : EXIT_FAILURE);
        }
        ck_assert_int_eq(read(ends[0], &stranger, sizeof(stranger)), sizeof(stranger));
        ck_assert_int_eq(waitpid(between, NULL, 0), between);
        close(ends[0]);
        close(ends[1]);
        return stranger;
}

START_TEST(a_child_is_killed) {
        pid_t child = unit_process_any();
        int status;

        ck_assert(child_is_ours(child));
        ck_assert(child_kill(child));
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        ck_assert(!child_is_ours(child));
        ck_assert(!child_kill(child));
}
END_TEST

/* How it has ended is yet to be learnt. */
START_TEST(one_that_has_ended_is_left) {
        siginfo_t end;
        pid_t child = fork();
        int status;

        if (child == 0)
                _exit(7);
        ck_assert_int_eq(waitid(P_PID, child, &end, WEXITED | WNOWAIT), 0);
        ck_assert(child_is_ours(child));
        ck_assert(!child_kill(child));
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(WEXITSTATUS(status), 7);
}
END_TEST

START_TEST(nobody_else_is_killed) {
        pid_t stranger = start_stranger();

        ck_assert(!child_is_ours(stranger));
        ck_assert(!child_kill(stranger));
        ck_assert_int_eq(kill(stranger, 0), 0);
        ck_assert_int_eq(kill(stranger, SIGKILL), 0);
        /* In a group of its own, in case. */
        setpgid(0, 0);
        ck_assert(!child_kill(0));
        ck_assert(!child_kill(1));
        ck_assert(!child_kill(-getpgrp()));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("child");
        TCase *tcase = unit_case(suite, "child");

        tcase_add_test(tcase, a_child_is_killed);
        tcase_add_test(tcase, one_that_has_ended_is_left);
        tcase_add_test(tcase, nobody_else_is_killed);
        return unit_main(suite);
}
