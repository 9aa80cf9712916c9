/* What servers die of besides operations: forgets, which are not answered, and what a dead server had begun. */
#include "operations/requests.h"

#include "unit.h"

/* As of regionfs(8). */
#define DEATHS 10

enum { FORGET = 2, SETATTR = 4 };

static unsigned warnings;

static void count_warning(const char *domain, GLogLevelFlags level, const char *message, gpointer data) {
        ck_assert_msg(strstr(message, data), "%s", message);
        warnings++;
}

/* Whether a node is known still when the server after those that died, with its forget in hand, has begun. */
static bool is_known_after(unsigned deaths) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        PoolRef root = { .inode = 1, .fd = -1 }, ref = { .inode = 2, .fd = -1, .handle_type = 1, .handle_size = 4 },
                found = POOL_REF_INIT;
        Registry *registry = registry_new(ledger, &root, false);
        Requests *requests = requests_new(ledger, registry);
        uint64_t id = registry_lookup(registry, &ref), *buffer = ledger_buffer(ledger, 0);
        const uint64_t forget[] = { 48 | (uint64_t)FORGET << 32, 10, id, 0, 0, 1 };
        bool known;

        ledger_header(ledger)->buffers = 1;
        memcpy(buffer, forget, sizeof(forget));
        requests_begin(requests, buffer);
        /* But the last one, which dies now. */
        ledger_current(ledger)->deaths = deaths - 1;
        ledger_current(ledger)->since = g_get_monotonic_time();
        ledger_set_current(ledger, NULL);
        requests_free(requests);
        registry_free(registry);

        ledger_header(ledger)->restarts++;
        registry = registry_new(ledger, NULL, false);
        requests = requests_new(ledger, registry);
        known = registry_resolve(registry, id, &found) == 0;
        ck_assert_uint_eq(ledger_request(ledger, 0)->unique, 0);
        requests_free(requests);
        registry_free(registry);
        return known;
}

START_TEST(forgets_that_servers_die_of_are_left) {
        g_log_set_always_fatal(G_LOG_FATAL_MASK);
        g_log_set_default_handler(count_warning, (gpointer) "servers die of what the kernel forgets");
        ck_assert(!is_known_after(DEATHS - 1));
        ck_assert_uint_eq(warnings, 0);
        ck_assert(is_known_after(DEATHS));
        ck_assert_uint_eq(warnings, 1);
}
END_TEST

START_TEST(what_servers_die_of_taking_back_is_left) {
        const char *said =
                "servers die of what they had begun of request 7 (operation 4 on node 1): it is left as it is";
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        const uint64_t request[] = { 48 | (uint64_t)SETATTR << 32, 7, 1, 0, 0, 0 };

        g_log_set_always_fatal(G_LOG_FATAL_MASK);
        g_log_set_default_handler(count_warning, (gpointer)said);
        for (int deaths = 0; deaths <= 2 * DEATHS; deaths++) {
                g_autoptr(Requests) requests = requests_new(ledger, NULL);

                ck_assert_int_eq(requests_begin(requests, request), deaths > 0 && deaths < 2 * DEATHS);
                ck_assert_int_eq(requests_is_hopeless(requests), deaths >= DEATHS);
                ck_assert_uint_eq(warnings, deaths == 2 * DEATHS);
                /* That one refuses it and lives. */
                if (deaths == 2 * DEATHS)
                        requests_end(requests);
                ledger_set_current(ledger, NULL);
                ledger_header(ledger)->restarts++;
        }
        ck_assert_uint_eq(ledger_request(ledger, 0)->unique, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("requests");
        TCase *tcase = unit_case(suite, "requests");

        tcase_add_test(tcase, forgets_that_servers_die_of_are_left);
        tcase_add_test(tcase, what_servers_die_of_taking_back_is_left);
        return unit_main(suite);
}
