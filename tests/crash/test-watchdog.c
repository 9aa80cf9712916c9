/* A server that lives and does not get on is replaced, where that is asked for. */
#include "crash.h"

#include "holder.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* The shortest time, as each test waits for it. */
#define SECONDS 1
#define WITH_WATCHDOG "watchdog=1"

/* A longer one, and how much less one may be stopped that is not to be replaced. */
#define LONG_SECONDS 2
#define WITH_LONG_WATCHDOG "watchdog=2"
#define PART 10

/* Beyond that time: for looks in between, and a machine that does other work. Microseconds. */
#define SLACK (10 * G_USEC_PER_SEC)

/* As of regionfs(8). */
#define HANGS 3

#define UNTAKEN "requests waited for 1 seconds and none was taken"
#define HUNG "made no progress for 1 seconds"
#define REFUSED "servers die of request "

static void begin_watched(void) {
        fixture_mount(WITH_WATCHDOG);
        fixture_expect(UNTAKEN);
        fixture_expect(HUNG);
        fixture_expect(REFUSED);
        must_write(in_mount("a"), "text");
}

static void begin_watched_for_long(void) {
        fixture_mount(WITH_LONG_WATCHDOG);
        must_write(in_mount("a"), "text");
}

static void begin_unwatched(void) {
        fixture_begin();
        must_write(in_mount("a"), "text");
}

static void set_length(void *data) {
        const int *wanted = data;

        if (*wanted)
                must_fail(truncate(in_mount("a"), 2), *wanted);
        else
                must(truncate(in_mount("a"), 2));
}

/* Others go on while one request hangs. */
static void use_otherwise(void) {
        must_write(in_mount("other"), "other");
        must_read(in_mount("other"), "other");
        must(mkdir(in_mount("d"), 0700));
        must(rename(in_mount("other"), in_mount("d/other")));
        must(unlink(in_mount("d/other")));
        must(rmdir(in_mount("d")));
}

START_TEST(a_stopped_server_is_replaced_when_it_is_needed) {
        pid_t server = fixture_server();
        gint64 began;

        /* What is released behind our back is a request as well. */
        g_usleep(G_USEC_PER_SEC / 2);
        stop_process(server);
        g_usleep(2 * SECONDS * G_USEC_PER_SEC);
        /* Nobody needed it. */
        ck_assert(is_stopped(server));
        began = g_get_monotonic_time();
        must(mkdir(in_mount("d"), 0700));
        began = g_get_monotonic_time() - began;
        ck_assert_int_ge(began, SECONDS * G_USEC_PER_SEC);
        ck_assert_int_le(began, SECONDS * G_USEC_PER_SEC + SLACK);
        ck_assert_int_ne(fixture_server(), server);
        ck_assert_int_eq(restarts(), 1);
        ck_assert(has_logged(UNTAKEN));
        must_read(in_mount("a"), "text");
}
END_TEST

START_TEST(one_that_goes_on_in_time_is_not) {
        pid_t server = fixture_server(), client;
        int wanted = 0;

        stop_process(server);
        client = start_process(set_length, &wanted);
        eventually(waits_in(client, SYS_truncate));
        g_usleep(LONG_SECONDS * G_USEC_PER_SEC / PART);
        must(kill(server, SIGCONT));
        end_process(client);
        g_usleep(2 * LONG_SECONDS * G_USEC_PER_SEC);
        ck_assert_int_eq(fixture_server(), server);
        ck_assert_int_eq(restarts(), 0);
}
END_TEST

START_TEST(a_request_that_hangs_goes_to_the_next) {
        Holder *holder = holder_new(HOLDER_SETATTR, 1);
        gint64 began = g_get_monotonic_time();
        int wanted = 0;
        pid_t client = start_process(set_length, &wanted);
        pid_t server = holder_wait(holder, 1);

        use_otherwise();
        ck_assert_int_eq(fixture_server(), server);
        end_process(client);
        began = g_get_monotonic_time() - began;
        ck_assert_int_ge(began, SECONDS * G_USEC_PER_SEC);
        ck_assert_int_le(began, SECONDS * G_USEC_PER_SEC + SLACK);
        holder_free(holder);
        must_read(in_mount("a"), "te");
        use_otherwise();
        ck_assert_int_ne(fixture_server(), server);
        ck_assert_int_eq(restarts(), 1);
        ck_assert(has_logged("(operation 4 on node "));
        ck_assert(has_logged(HUNG));
        ck_assert(!has_logged(REFUSED));
}
END_TEST

START_TEST(one_that_hangs_each_time_is_answered_with_an_error) {
        Holder *holder = holder_new(HOLDER_SETATTR, 100);
        int wanted = EIO;
        pid_t client = start_process(set_length, &wanted);

        for (int i = 1; i <= HANGS; i++) {
                holder_wait(holder, i);
                use_otherwise();
        }
        end_process(client);
        ck_assert_uint_eq(holder_held(holder), HANGS);
        holder_free(holder);
        ck_assert(has_logged(REFUSED));
        ck_assert_int_eq(restarts(), HANGS);
        must_read(in_mount("a"), "text");
        wanted = 0;
        set_length(&wanted);
        must_read(in_mount("a"), "te");
        ck_assert_int_eq(restarts(), HANGS);
}
END_TEST

START_TEST(one_that_hangs_less_often_is_answered_rightly) {
        Holder *holder = holder_new(HOLDER_SETATTR, HANGS - 1);
        int wanted = 0;

        end_process(start_process(set_length, &wanted));
        ck_assert_uint_eq(holder_held(holder), HANGS - 1);
        holder_free(holder);
        must_read(in_mount("a"), "te");
        ck_assert(!has_logged(REFUSED));
        ck_assert_int_eq(restarts(), HANGS - 1);
}
END_TEST

static void set_logical_length(void *data) {
        must(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "3", 1, 0));
}

/* In cached mode the answer waits for what a process of the server's asks of the mount, which hangs here. */
START_TEST(a_question_of_the_servers_own_hangs_as_well) {
        Holder *holder;

        must(access(in_mount("a"), F_OK));
        holder = holder_new(HOLDER_GETATTR, 1);
        end_process(start_process(set_logical_length, NULL));
        ck_assert_uint_eq(holder_held(holder), 1);
        eventually(restarts() == 1);
        holder_free(holder);
        ck_assert(has_logged(HUNG));
        must_read(in_mount("a"), "tex");
}
END_TEST

START_TEST(nothing_happens_to_one_that_gets_on) {
        pid_t server = fixture_server();
        gint64 end;

        g_usleep(2 * SECONDS * G_USEC_PER_SEC);
        end = g_get_monotonic_time() + 2 * SECONDS * G_USEC_PER_SEC;
        while (g_get_monotonic_time() < end)
                use_otherwise();
        ck_assert_int_eq(fixture_server(), server);
        ck_assert_int_eq(restarts(), 0);
}
END_TEST

START_TEST(a_death_is_no_hang) {
        pid_t server = fixture_server();

        must(kill(server, SIGKILL));
        use_otherwise();
        g_usleep(2 * SECONDS * G_USEC_PER_SEC);
        ck_assert_int_eq(restarts(), 1);
        ck_assert(!has_logged(HUNG));
        ck_assert(!has_logged(UNTAKEN));
}
END_TEST

/* The server waits for its thread. */
START_TEST(one_that_hangs_in_its_end_is_ended) {
        Holder *holder = holder_new(HOLDER_SETATTR, 1);
        gint64 began = g_get_monotonic_time();
        int wanted = ENOTCONN, status;
        pid_t client = start_process(set_length, &wanted);

        holder_wait(holder, 1);
        must(kill(fixture_daemon(), SIGTERM));
        must(waitpid(fixture_daemon(), &status, 0));
        /* That was no good end. */
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
        ck_assert_int_le(g_get_monotonic_time() - began, SECONDS * G_USEC_PER_SEC + SLACK);
        must(waitpid(client, &status, 0));
        holder_free(holder);
        ck_assert(!is_mounted());
        fixture_remove();
}
END_TEST

START_TEST(without_it_servers_may_hang) {
        Holder *holder = holder_new(HOLDER_SETATTR, 1);
        int wanted = 0;
        pid_t client = start_process(set_length, &wanted);
        pid_t server = holder_wait(holder, 1);

        g_usleep(2 * SECONDS * G_USEC_PER_SEC);
        use_otherwise();
        ck_assert_int_eq(waitpid(client, NULL, WNOHANG), 0);
        holder_free(holder);
        end_process(client);
        must_read(in_mount("a"), "te");
        ck_assert_int_eq(fixture_server(), server);

        stop_process(server);
        client = start_process(set_length, &wanted);
        g_usleep(2 * SECONDS * G_USEC_PER_SEC);
        ck_assert(is_stopped(server));
        must(kill(server, SIGCONT));
        end_process(client);
        ck_assert_int_eq(restarts(), 0);
}
END_TEST

static void add(Suite *suite) {
        TCase *watched = tcase_create("watched"), *ending = tcase_create("ending"),
              *unwatched = tcase_create("unwatched");
        TCase *patient = tcase_create("patient");

        tcase_add_checked_fixture(watched, begin_watched, fixture_unmount);
        tcase_add_test(watched, a_stopped_server_is_replaced_when_it_is_needed);
        tcase_add_test(watched, a_request_that_hangs_goes_to_the_next);
        tcase_add_test(watched, one_that_hangs_each_time_is_answered_with_an_error);
        tcase_add_test(watched, one_that_hangs_less_often_is_answered_rightly);
        add_test_if(watched, a_question_of_the_servers_own_hangs_as_well, fixture_mode() != MODE_PASSTHROUGH,
                    "is about cached mode");
        tcase_add_test(watched, nothing_happens_to_one_that_gets_on);
        tcase_add_test(watched, a_death_is_no_hang);
        tcase_add_checked_fixture(patient, begin_watched_for_long, fixture_unmount);
        tcase_add_test(patient, one_that_goes_on_in_time_is_not);
        tcase_add_checked_fixture(ending, begin_watched, NULL);
        tcase_add_test(ending, one_that_hangs_in_its_end_is_ended);
        tcase_add_checked_fixture(unwatched, begin_unwatched, fixture_unmount);
        tcase_add_test(unwatched, without_it_servers_may_hang);
        suite_add_tcase(suite, watched);
        suite_add_tcase(suite, patient);
        suite_add_tcase(suite, ending);
        suite_add_tcase(suite, unwatched);
}

int main(int argc, char **argv) {
        if (!holder_works()) {
                printf("1..0 # SKIP ptrace(2) is not permitted\n");
                return 0;
        }
        return fixture_main(argc, argv, "watchdog", add);
}
