/* What counts as a server that hangs. The ledger is written here as servers do; the channel is an eventfd. */
#include "operations/requests.h"
#include "server/watchdog.h"

#include "unit.h"

#include <sys/eventfd.h>

#define SECONDS 5
#define INTERVAL (G_USEC_PER_SEC / 2)
#define PATIENCE (SECONDS * G_USEC_PER_SEC)
#define RESENT (UINT64_C(1) << 63)

enum { MKDIR = 9 };

static struct {
        Ledger *ledger;
        Registry *registry;
        Requests *requests;
        Watchdog *watchdog;
        int channel;
        int64_t now;
} place;

static void start_server(void) {
        LedgerHeader *header = ledger_header(place.ledger);

        place.registry = registry_new(place.ledger, NULL, false);
        place.requests = requests_new(place.ledger, place.registry);
        header->serving = 1;
        header->server = header->restarts + 1;
        watchdog_begin(place.watchdog, place.channel);
}

static void lose_server(void) {
        watchdog_end(place.watchdog);
        ledger_set_current(place.ledger, NULL);
        requests_free(place.requests);
        registry_free(place.registry);
}

static void replace_server(void) {
        lose_server();
        ledger_header(place.ledger)->restarts++;
        start_server();
        /* As after the kernel was asked to repeat them. */
        requests_clear_buffers(place.requests);
}

static void set_up(void) {
        PoolRef root = { .inode = 1, .fd = -1 };

        place.ledger = ledger_new(NULL);
        registry_free(registry_new(place.ledger, &root, false));
        place.channel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        place.watchdog = watchdog_new(place.ledger, SECONDS);
        place.now = 1;
        start_server();
}

static void tear_down(void) {
        lose_server();
        watchdog_free(place.watchdog);
        ledger_free(place.ledger);
        close(place.channel);
}

/* A request of the kernel's; the slot that it is in. */
static LedgerRequest *begin(uint64_t unique) {
        uint64_t buffer[8] = { 40 | (uint64_t)MKDIR << 32, unique, 77 };

        requests_begin(place.requests, buffer);
        return ledger_current(place.ledger);
}

static bool look_after(int64_t passed) {
        place.now += passed;
        return watchdog_look(place.watchdog, place.now);
}

/* How long it takes until the server is to be killed; 0: much longer than it should. */
static int64_t time_until_killed(void) {
        int64_t began = place.now;

        for (int i = 0; i < 10 * PATIENCE / INTERVAL; i++)
                if (look_after(INTERVAL))
                        return place.now - began;
        return 0;
}

static void check_explained(const char *words) {
        g_autofree char *why = watchdog_explain(place.watchdog);

        ck_assert_ptr_nonnull(why);
        ck_assert_msg(strstr(why, words), "%s", why);
}

START_TEST(it_looks_often_enough) {
        struct timespec interval = watchdog_interval(place.watchdog);
        g_autoptr(Watchdog) patient = watchdog_new(place.ledger, 3600);

        ck_assert_int_eq(interval.tv_sec, 0);
        ck_assert_int_eq(interval.tv_nsec, INTERVAL * 1000);
        interval = watchdog_interval(patient);
        ck_assert_int_eq(interval.tv_sec, 1);
        ck_assert_int_eq(interval.tv_nsec, 0);
}
END_TEST

START_TEST(an_idle_server_is_well) {
        begin(10);
        requests_end(place.requests);
        ck_assert_int_eq(time_until_killed(), 0);
        ck_assert_ptr_null(watchdog_explain(place.watchdog));
}
END_TEST

START_TEST(what_comes_and_goes_is_well) {
        for (uint64_t unique = 10; unique < 100; unique += 2) {
                begin(unique);
                ck_assert(!look_after(INTERVAL));
                requests_end(place.requests);
        }
}
END_TEST

START_TEST(a_request_that_stays_in_hand_hangs) {
        int64_t took;

        look_after(INTERVAL);
        begin(10);
        took = time_until_killed();
        ck_assert_int_ge(took, PATIENCE);
        ck_assert_int_le(took, PATIENCE + 2 * INTERVAL);
        check_explained("request 10 (operation 9 on node 77) made no progress for 5 seconds");
        /* Once: it may take its time to die. */
        ck_assert_int_eq(time_until_killed(), 0);
}
END_TEST

START_TEST(a_request_that_was_left_hangs_too) {
        LedgerRequest *left;

        begin(10);
        left = requests_leave(place.requests);
        for (int i = 0; i < SECONDS; i++) {
                ck_assert(!look_after(INTERVAL));
                begin(12 + 2 * i);
                requests_end(place.requests);
        }
        ck_assert_int_ne(time_until_killed(), 0);
        ck_assert_uint_eq(left->unique, 10);
        check_explained("request 10 ");
}
END_TEST

START_TEST(a_request_that_was_received_and_not_begun_hangs_too) {
        const uint64_t received[8] = { 40 | (uint64_t)MKDIR << 32, 10, 77 };

        ledger_header(place.ledger)->buffers = 1;
        memcpy(ledger_buffer(place.ledger, 0), received, sizeof(received));
        ck_assert_int_ge(time_until_killed(), PATIENCE);
        check_explained("request 10 (operation 9 on node 77) made no progress");
        replace_server();
        ck_assert_int_eq(time_until_killed(), 0);
}
END_TEST

/* One that an earlier server has begun. */
START_TEST(one_that_is_received_again_and_again_is_hopeless) {
        const uint64_t received[8] = { 40 | (uint64_t)MKDIR << 32, 10 | RESENT, 77 };

        begin(10);
        ledger_header(place.ledger)->buffers = 1;
        for (int i = 0; i < 3; i++) {
                replace_server();
                memcpy(ledger_buffer(place.ledger, 0), received, sizeof(received));
                ck_assert_int_ne(time_until_killed(), 0);
        }
        replace_server();
        begin(10 | RESENT);
        ck_assert(requests_is_hopeless(place.requests));
}
END_TEST

START_TEST(the_one_that_hangs_longest_is_named) {
        begin(10);
        requests_leave(place.requests);
        look_after(INTERVAL);
        begin(12);
        requests_leave(place.requests);
        ck_assert_int_ne(time_until_killed(), 0);
        check_explained("request 10 ");
}
END_TEST

START_TEST(what_dead_servers_had_in_hand_does_not_hang) {
        begin(10);
        replace_server();
        ck_assert_int_eq(time_until_killed(), 0);
        begin(10 | RESENT);
        ck_assert_int_ge(time_until_killed(), PATIENCE);
}
END_TEST

START_TEST(requests_that_nobody_takes_are_seen) {
        int64_t took;

        ck_assert(!look_after(INTERVAL));
        eventfd_write(place.channel, 1);
        took = time_until_killed();
        ck_assert_int_ge(took, PATIENCE);
        ck_assert_int_le(took, PATIENCE + 2 * INTERVAL);
        check_explained("requests waited for 5 seconds and none was taken");
}
END_TEST

START_TEST(requests_that_wait_while_others_are_taken_are_well) {
        eventfd_write(place.channel, 1);
        for (uint64_t unique = 10; unique < 100; unique += 2) {
                begin(unique);
                requests_end(place.requests);
                ck_assert(!look_after(INTERVAL));
        }
}
END_TEST

START_TEST(requests_that_wait_for_a_while_are_well) {
        eventfd_t value;

        for (int i = 0; i < 100; i++) {
                eventfd_write(place.channel, 1);
                ck_assert(!look_after(INTERVAL));
                if (i % 3 == 0) {
                        eventfd_read(place.channel, &value);
                        ck_assert(!look_after(INTERVAL));
                }
        }
}
END_TEST

START_TEST(a_server_that_ends_takes_none) {
        eventfd_write(place.channel, 1);
        ledger_header(place.ledger)->ending = 1;
        ck_assert_int_eq(time_until_killed(), 0);
}
END_TEST

START_TEST(a_server_that_does_not_start_is_seen) {
        lose_server();
        ledger_header(place.ledger)->restarts++;
        watchdog_begin(place.watchdog, place.channel);
        ck_assert_int_ge(time_until_killed(), PATIENCE);
        check_explained("did not start to serve within 5 seconds");
        start_server();
}
END_TEST

START_TEST(the_first_one_may_take_its_time) {
        ledger_header(place.ledger)->serving = 0;
        ledger_header(place.ledger)->server = 0;
        eventfd_write(place.channel, 1);
        ck_assert_int_eq(time_until_killed(), 0);
}
END_TEST

/* Keeper and server stood still together. */
START_TEST(time_that_the_keeper_did_not_run_does_not_count) {
        int64_t took;

        begin(10);
        eventfd_write(place.channel, 1);
        for (int i = 0; i < 4; i++)
                ck_assert(!look_after(100 * PATIENCE));
        took = time_until_killed();
        ck_assert_int_ge(took, PATIENCE - 4 * INTERVAL);
        ck_assert_int_le(took, PATIENCE);
}
END_TEST

/* Each time a server is killed because of it. */
static void hang(uint64_t unique) {
        begin(unique);
        requests_leave(place.requests);
        ck_assert_int_ne(time_until_killed(), 0);
        replace_server();
}

START_TEST(the_request_that_hangs_three_servers_is_hopeless) {
        for (int i = 0; i < 3; i++) {
                begin(10 | (i ? RESENT : 0));
                ck_assert_uint_eq(ledger_current(place.ledger)->hangs, i);
                ck_assert(!requests_is_hopeless(place.requests));
                hang(10 | (i ? RESENT : 0));
        }
        begin(10 | RESENT);
        ck_assert(requests_is_hopeless(place.requests));
        requests_end(place.requests);
        /* The slot is another one's now. */
        begin(12);
        ck_assert(!requests_is_hopeless(place.requests));
        requests_end(place.requests);
}
END_TEST

START_TEST(others_that_were_in_hand_have_not_hung) {
        LedgerRequest *late;

        begin(10);
        requests_leave(place.requests);
        for (int i = 0; i < SECONDS; i++)
                look_after(INTERVAL);
        late = begin(12);
        requests_leave(place.requests);
        ck_assert_int_ne(time_until_killed(), 0);
        watchdog_end(place.watchdog);
        ck_assert_uint_eq(late->hangs, 0);
        watchdog_begin(place.watchdog, place.channel);
}
END_TEST

START_TEST(one_that_ended_at_last_has_not_hung) {
        LedgerRequest *slot = begin(10);

        ck_assert_int_ne(time_until_killed(), 0);
        requests_end(place.requests);
        watchdog_end(place.watchdog);
        ck_assert_uint_eq(slot->hangs, 0);
        watchdog_begin(place.watchdog, place.channel);
}
END_TEST

START_TEST(a_server_that_died_by_itself_hung_in_nothing) {
        LedgerRequest *slot = begin(10);

        look_after(INTERVAL);
        replace_server();
        ck_assert_uint_eq(slot->hangs, 0);
        ck_assert_ptr_null(watchdog_explain(place.watchdog));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("watchdog");
        TCase *tcase = unit_case(suite, "watchdog");

        tcase_add_checked_fixture(tcase, set_up, tear_down);
        tcase_add_test(tcase, it_looks_often_enough);
        tcase_add_test(tcase, an_idle_server_is_well);
        tcase_add_test(tcase, what_comes_and_goes_is_well);
        tcase_add_test(tcase, a_request_that_stays_in_hand_hangs);
        tcase_add_test(tcase, a_request_that_was_left_hangs_too);
        tcase_add_test(tcase, a_request_that_was_received_and_not_begun_hangs_too);
        tcase_add_test(tcase, one_that_is_received_again_and_again_is_hopeless);
        tcase_add_test(tcase, the_one_that_hangs_longest_is_named);
        tcase_add_test(tcase, what_dead_servers_had_in_hand_does_not_hang);
        tcase_add_test(tcase, requests_that_nobody_takes_are_seen);
        tcase_add_test(tcase, requests_that_wait_while_others_are_taken_are_well);
        tcase_add_test(tcase, requests_that_wait_for_a_while_are_well);
        tcase_add_test(tcase, a_server_that_ends_takes_none);
        tcase_add_test(tcase, a_server_that_does_not_start_is_seen);
        tcase_add_test(tcase, the_first_one_may_take_its_time);
        tcase_add_test(tcase, time_that_the_keeper_did_not_run_does_not_count);
        tcase_add_test(tcase, the_request_that_hangs_three_servers_is_hopeless);
        tcase_add_test(tcase, others_that_were_in_hand_have_not_hung);
        tcase_add_test(tcase, one_that_ended_at_last_has_not_hung);
        tcase_add_test(tcase, a_server_that_died_by_itself_hung_in_nothing);
        return unit_main(suite);
}
