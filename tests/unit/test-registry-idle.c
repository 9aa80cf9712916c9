/* Backing ids that no handle uses: see registry-idle.c. */
#include "registry/registry.h"

#include "unit.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define ROOT_INODE 1000
#define MOST 2

static Ledger *ledger;
static Registry *registry;

static PoolRef ref_of(uint64_t inode) {
        return (PoolRef){ .inode = inode, .fd = -1, .handle_type = 1, .handle_size = 1, .handle = { inode } };
}

static void set_up(void) {
        PoolRef root = ref_of(ROOT_INODE);

        ledger = ledger_new(NULL);
        registry = registry_new(ledger, &root, false);
        registry_keep_backings(registry, MOST);
}

static void tear_down(void) {
        registry_free(registry);
        ledger_free(ledger);
}

static uint64_t look_up(uint64_t inode) {
        PoolRef ref = ref_of(inode);

        return registry_lookup(registry, &ref);
}

/* One more handle; the backing id that it finds. */
static int add_handle(uint64_t id) {
        int backing_id = -1;

        ck_assert_int_eq(registry_handle_added(registry, id, false, &backing_id), 0);
        return backing_id;
}

/* One handle less; the backing id that is to be closed. */
static int remove_handle(uint64_t id) {
        RegistryRelease release;

        ck_assert_int_eq(registry_handle_removed(registry, id, false, &release), 0);
        ck_assert(release.last);
        return release.backing_id;
}

/* A region that has been open and has kept that backing id. */
static uint64_t make_idle(uint64_t inode, int backing_id) {
        uint64_t id = look_up(inode);
        int unused;

        ck_assert_int_eq(add_handle(id), 0);
        ck_assert_int_eq(registry_set_backing(registry, id, backing_id, &unused), backing_id);
        remove_handle(id);
        return id;
}

START_TEST(the_next_handle_finds_it) {
        uint64_t id = make_idle(1, 7);

        ck_assert_int_eq(add_handle(id), 7);
        ck_assert_int_eq(remove_handle(id), 0);
        ck_assert_int_eq(add_handle(id), 7);
}
END_TEST

START_TEST(those_used_last_stay) {
        uint64_t first = make_idle(1, 7), second = make_idle(2, 8), third = look_up(3);
        int unused;

        /* So that the second one is the oldest. */
        ck_assert_int_eq(add_handle(first), 7);
        ck_assert_int_eq(remove_handle(first), 0);
        ck_assert_int_eq(add_handle(third), 0);
        ck_assert_int_eq(registry_set_backing(registry, third, 9, &unused), 9);
        ck_assert_int_eq(remove_handle(third), 8);
        ck_assert_int_eq(add_handle(second), 0);
        ck_assert_int_eq(add_handle(first), 7);
        ck_assert_int_eq(add_handle(third), 9);
}
END_TEST

START_TEST(what_is_about_to_go_keeps_none) {
        const RegionPolicy ends = { .lifetime = REGION_HANDLES };
        uint64_t id = make_idle(1, 7);

        ck_assert_int_eq(add_handle(id), 7);
        registry_note_policy(registry, id, &ends, true);
        ck_assert_int_eq(remove_handle(id), 7);
        ck_assert_int_eq(add_handle(id), 0);
}
END_TEST

START_TEST(it_can_be_taken_away) {
        uint64_t id = make_idle(1, 7);

        ck_assert_int_eq(registry_lose_backing(registry, id), 7);
        ck_assert_int_eq(registry_lose_backing(registry, id), 0);
        ck_assert_int_eq(add_handle(id), 0);
}
END_TEST

START_TEST(one_in_use_goes_with_the_last_handle) {
        uint64_t id = make_idle(1, 7);
        int unused;

        ck_assert_int_eq(add_handle(id), 7);
        ck_assert_int_eq(registry_lose_backing(registry, id), 0);
        ck_assert_int_eq(remove_handle(id), 7);
        /* But for that one, nothing has changed. */
        ck_assert_int_eq(add_handle(id), 0);
        ck_assert_int_eq(registry_set_backing(registry, id, 8, &unused), 8);
        ck_assert_int_eq(remove_handle(id), 0);
}
END_TEST

START_TEST(the_node_stays_known_meanwhile) {
        uint64_t id = make_idle(1, 7);

        registry_forget(registry, id, 1);
        ck_assert_uint_eq(look_up(1), id);
        registry_forget(registry, id, 1);
        ck_assert_int_eq(registry_lose_backing(registry, id), 7);
        ck_assert_uint_ne(look_up(1), id);
}
END_TEST

START_TEST(the_next_server_has_it_too) {
        uint64_t known = make_idle(1, 7), forgotten = make_idle(2, 8);

        registry_forget(registry, forgotten, 1);
        registry_free(registry);
        registry = registry_new(ledger, NULL, false);
        registry_keep_backings(registry, MOST);
        ck_assert_int_eq(registry_lose_backing(registry, forgotten), 8);
        ck_assert_int_eq(add_handle(known), 7);
        ck_assert_int_eq(remove_handle(known), 0);
}
END_TEST

START_TEST(what_a_request_takes_away_is_noted_with_it) {
        uint64_t id = make_idle(1, 7);
        LedgerRequest *request = ledger_request(ledger, 0);

        ledger_set_current(ledger, request);
        ck_assert_int_eq(registry_lose_backing(registry, id), 7);
        ck_assert_uint_eq(request->backing, 7);
        registry_backing_closed(registry);
        ck_assert_uint_eq(request->backing, 0);
        ledger_set_current(ledger, NULL);
}
END_TEST

START_TEST(one_that_is_being_registered_goes_with_the_last_handle) {
        uint64_t id = look_up(1);
        int unused;

        ck_assert_int_eq(add_handle(id), 0);
        ck_assert_int_eq(registry_lose_backing(registry, id), 0);
        ck_assert_int_eq(registry_set_backing(registry, id, 7, &unused), 7);
        ck_assert_int_eq(remove_handle(id), 7);
        ck_assert_int_eq(add_handle(id), 0);
}
END_TEST

/* What a dead server has made is taken away with the request that made it. */
START_TEST(a_handle_that_is_taken_back_leaves_none) {
        uint64_t id = look_up(1);
        LedgerRequest *request = ledger_request(ledger, 0);
        int unused;

        ledger_set_current(ledger, request);
        ck_assert_int_eq(add_handle(id), 0);
        ck_assert_int_eq(registry_set_backing(registry, id, 7, &unused), 7);
        registry_handle_taken_back(registry, request);
        ck_assert_uint_eq(request->backing, 7);
        ledger_set_current(ledger, NULL);
        ck_assert_int_eq(registry_lose_backing(registry, id), 0);
        registry_forget(registry, id, 1);
        ck_assert_uint_ne(look_up(1), id);
}
END_TEST

START_TEST(at_the_end_all_are_given_up) {
        uint64_t known = make_idle(1, 7);

        registry_forget(registry, make_idle(2, 8), 1);
        ck_assert_int_eq(registry_end_backings(registry), 7);
        ck_assert_int_eq(registry_end_backings(registry), 8);
        ck_assert_int_eq(registry_end_backings(registry), 0);
        ck_assert_uint_eq(registry_nodes(registry), 2);
        ck_assert_int_eq(add_handle(known), 0);
}
END_TEST

/* Where the request's note of it cannot be stored, in which the server dies. */
static void die_releasing(uint64_t id) {
        LedgerRequest *request = ledger_request(ledger, LEDGER_REQUESTS / 2);
        uintptr_t page = sysconf(_SC_PAGESIZE), first = (uintptr_t)request & ~(page - 1);
        struct rlimit none = { 0 };
        RegistryRelease release;

        setrlimit(RLIMIT_CORE, &none);
        /* Sanitizers would report it. */
        signal(SIGSEGV, SIG_DFL);
        ledger_set_current(ledger, request);
        if (mprotect((void *)first, (uintptr_t)(request + 1) - first, PROT_READ) == 0)
                registry_handle_removed(registry, id, false, &release);
        _exit(0);
}

/* The one that goes instead is known by its name, and by nobody but us: it goes together with its directory. */
START_TEST(what_a_release_takes_away_counts_with_it) {
        PoolRef directory = { .inode = 50, .fd = unit_any_descriptor(), .directory = -1 };
        uint64_t parent = registry_lookup(registry, &directory), first, id;
        PoolRef named = { .inode = 51, .fd = -1, .parent = parent, .name = g_strdup("first"), .directory = -1 };
        int unused, status;
        pid_t child;

        first = registry_lookup(registry, &named);
        ck_assert_int_eq(add_handle(first), 0);
        ck_assert_int_eq(registry_set_backing(registry, first, 7, &unused), 7);
        ck_assert_int_eq(remove_handle(first), 0);
        registry_forget(registry, first, 1);
        make_idle(1, 8);
        id = look_up(2);
        ck_assert_int_eq(add_handle(id), 0);
        ck_assert_int_eq(registry_set_backing(registry, id, 9, &unused), 9);

        child = fork();
        if (child == 0)
                die_releasing(id);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
        ledger_recover(ledger);
        registry_free(registry);
        registry = registry_new(ledger, NULL, true);
        registry_keep_backings(registry, MOST);
        ck_assert(registry_has_backing(registry, 7));
        ck_assert_int_eq(remove_handle(id), 7);
}
END_TEST

START_TEST(rules_are_certain_until_they_are_doubted) {
        const RegionPolicy sealed = { .sealed = true };
        uint64_t id = look_up(1);
        RegionPolicy policy;

        ck_assert(!registry_knows_policy(registry, id, &policy));
        registry_note_policy(registry, id, &sealed, false);
        ck_assert(!registry_knows_policy(registry, id, &policy));
        registry_note_policy(registry, id, &sealed, true);
        ck_assert(registry_knows_policy(registry, id, &policy) && policy.sealed);
        registry_doubt_policy(registry, id);
        ck_assert(!registry_knows_policy(registry, id, &policy));
        ck_assert(registry_policy(registry, id).sealed);
        ck_assert(!registry_knows_policy(registry, 4711, &policy));
        registry_note_policy(registry, id, &sealed, true);
        /* What a dead server has left is not taken for granted. */
        registry_free(registry);
        ledger_node(ledger, 1)->policy = UINT64_MAX;
        registry = registry_new(ledger, NULL, false);
        ck_assert_uint_eq(ledger_node(ledger, 1)->id, id);
        ck_assert(!registry_knows_policy(registry, id, &policy));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("registry-idle");
        TCase *tests = unit_case(suite, "idle");

        tcase_add_checked_fixture(tests, set_up, tear_down);
        tcase_add_test(tests, the_next_handle_finds_it);
        tcase_add_test(tests, those_used_last_stay);
        tcase_add_test(tests, what_is_about_to_go_keeps_none);
        tcase_add_test(tests, it_can_be_taken_away);
        tcase_add_test(tests, one_in_use_goes_with_the_last_handle);
        tcase_add_test(tests, the_node_stays_known_meanwhile);
        tcase_add_test(tests, the_next_server_has_it_too);
        tcase_add_test(tests, what_a_request_takes_away_is_noted_with_it);
        tcase_add_test(tests, one_that_is_being_registered_goes_with_the_last_handle);
        tcase_add_test(tests, a_handle_that_is_taken_back_leaves_none);
        tcase_add_test(tests, at_the_end_all_are_given_up);
        tcase_add_test(tests, what_a_release_takes_away_counts_with_it);
        tcase_add_test(tests, rules_are_certain_until_they_are_doubted);
        return unit_main(suite);
}
