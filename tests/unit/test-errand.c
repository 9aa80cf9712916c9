#include "kernel/errand.h"

#include "unit.h"

#include <signal.h>
#include <sys/wait.h>

#define PATIENCE 50

static Errands *errands;

static void setup(void) {
        errands = errands_new(2);
}

static void teardown(void) {
        g_clear_pointer(&errands, errands_free);
}

static int64_t add_one(void *data) {
        return *(int64_t *)data + 1;
}

static int64_t run_out(void *data) {
        return -ENOSPC;
}

static int64_t die(void *data) {
        raise(SIGKILL);
        return 0;
}

/* Until there is something to read, or nobody to write it. */
static int64_t wait_for(void *data) {
        char byte;

        return read(*(int *)data, &byte, 1);
}

static int64_t run(int patience, ErrandCall call, void *data, int needed) {
        return errands_run(errands, patience, call, data, &needed, 1);
}

START_TEST(the_result_is_the_calls) {
        int64_t number = INT64_C(1) << 40;

        ck_assert_int_eq(run(-1, add_one, &number, -1), number + 1);
        ck_assert_int_eq(run(-1, run_out, NULL, -1), -ENOSPC);
        ck_assert_int_eq(run(-1, die, NULL, -1), -EIO);
        /* Nobody is left, and all places are free. */
        ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

/* Bit by bit: of these numbers, which are open. */
static int64_t look_at(void *data) {
        const int *numbers = data;
        int64_t open = 0;

        for (int i = 0; i < 3; i++)
                if (fcntl(numbers[i], F_GETFD) >= 0)
                        open |= 1 << i;
        return open;
}

START_TEST(what_is_not_needed_is_closed) {
        int numbers[3];
        int needed[2];

        for (int i = 0; i < 3; i++)
                ck_assert_int_ge(numbers[i] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3), 0);
        needed[0] = numbers[2];
        needed[1] = numbers[0];
        ck_assert_int_eq(errands_run(errands, -1, look_at, numbers, needed, 2), 5);
        for (int i = 0; i < 3; i++)
                close(numbers[i]);
}
END_TEST

START_TEST(who_waits_too_long_keeps_a_place_until_the_end) {
        int64_t number = 0;
        int ends[2];

        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        errands_restrict(errands, 2, PATIENCE);
        ck_assert_int_eq(run(PATIENCE / 2, wait_for, &ends[0], ends[0]), -EBUSY);
        ck_assert_int_eq(run(-1, wait_for, &ends[0], ends[0]), -EBUSY);
        /* All places are taken: it is not begun. */
        ck_assert_int_eq(run(-1, add_one, &number, -1), -EBUSY);
        close(ends[1]);
        for (int tries = 0; tries < UNIT_TIMEOUT * 100 && run(-1, add_one, &number, -1) != 1; tries++)
                g_usleep(10000);
        ck_assert_int_eq(run(-1, add_one, &number, -1), 1);
        close(ends[0]);
}
END_TEST

static int64_t rest(void *data) {
        return usleep(10000);
}

static void *run_rest(void *data) {
        return GINT_TO_POINTER(run(-1, rest, NULL, -1));
}

/* One more than there are places. */
START_TEST(many_at_once_do_not_fail) {
        GThread *others[2];

        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                others[i] = g_thread_new("other", run_rest, NULL);
        ck_assert_int_eq(run(-1, rest, NULL, -1), 0);
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                ck_assert_int_eq(GPOINTER_TO_INT(g_thread_join(others[i])), 0);
}
END_TEST

static void *interrupt(void *data) {
        const pthread_t *thread = data;

        g_usleep(PATIENCE * 1000);
        errands_stop(errands);
        pthread_kill(*thread, SIGUSR1);
        return NULL;
}

static void take_signal(int signal) {
}

START_TEST(the_end_is_not_kept_waiting) {
        const struct sigaction taken = { .sa_handler = take_signal };
        pthread_t self = pthread_self(), other;
        int ends[2];

        sigaction(SIGUSR1, &taken, NULL);
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        ck_assert_int_eq(pthread_create(&other, NULL, interrupt, &self), 0);
        ck_assert_int_eq(run(-1, wait_for, &ends[0], ends[0]), -EBUSY);
        pthread_join(other, NULL);
        close(ends[1]);
        close(ends[0]);
        ck_assert_int_gt(waitpid(-1, NULL, 0), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("errand");
        TCase *tcase = unit_case(suite, "errand");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, the_result_is_the_calls);
        tcase_add_test(tcase, what_is_not_needed_is_closed);
        tcase_add_test(tcase, who_waits_too_long_keeps_a_place_until_the_end);
        tcase_add_test(tcase, many_at_once_do_not_fail);
        tcase_add_test(tcase, the_end_is_not_kept_waiting);
        return unit_main(suite);
}
