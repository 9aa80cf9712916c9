/* Who uses a node, and who has it to themselves; what a persisted region's source does to it. */
#include "registry/registry.h"

#include "unit.h"

#define LONG (UNIT_TIMEOUT * G_USEC_PER_SEC)
#define SHORT 1000 /* microseconds */

static Ledger *ledger;
static Registry *registry;
static uint64_t id; /* of a node that was looked up once */

static PoolRef made_up(ino_t inode) {
        return (PoolRef){ .inode = inode, .fd = -1, .handle_type = 1, .handle_size = 1 };
}

static uint64_t lookup(ino_t inode) {
        PoolRef ref = made_up(inode);

        return registry_lookup(registry, &ref);
}

static void setup(void) {
        PoolRef root = made_up(1);

        ledger = ledger_new(NULL);
        registry = registry_new(ledger, &root, false);
        id = lookup(2);
}

static void teardown(void) {
        g_clear_pointer(&registry, registry_free);
        g_clear_pointer(&ledger, ledger_free);
}

static bool known(uint64_t node) {
        PoolRef ref;

        return registry_resolve(registry, node, &ref) == 0;
}

static void add_handle(bool writes) {
        int backing_id;

        ck_assert_int_eq(registry_handle_added(registry, id, writes, &backing_id), 0);
}

/* Whether it was the last one. */
static bool remove_handle(bool writes) {
        RegistryRelease release;

        ck_assert_int_eq(registry_handle_removed(registry, id, writes, &release), 0);
        return release.last;
}

/* Whether one can have the node to oneself; nobody has it afterwards. */
static int try_excluding(RegistryCondition condition) {
        int result = registry_exclude(registry, id, condition);

        if (result == 0)
                registry_include(registry, id, false);
        return result;
}

static Source *new_source(int *fd) {
        *fd = unit_any_descriptor();
        return source_new(*fd, O_RDWR);
}

START_TEST(a_source_is_taken_over) {
        int fd, other;
        Source *source = new_source(&fd);

        ck_assert_ptr_null(registry_source(registry, id));
        registry_set_source(registry, id, source);
        ck_assert_ptr_eq(registry_source(registry, id), source);
        ck_assert_ptr_null(registry_source(registry, REGISTRY_ROOT_ID));
        ck_assert_ptr_null(registry_source(registry, 4711));
        /* A second one, and one of an unknown node, change nothing. */
        registry_set_source(registry, id, new_source(&other));
        ck_assert(!unit_is_open(other));
        registry_set_source(registry, 4711, new_source(&other));
        ck_assert(!unit_is_open(other));
        ck_assert_ptr_eq(registry_source(registry, id), source);
        ck_assert(unit_is_open(fd));
        teardown();
        ck_assert(!unit_is_open(fd));
}
END_TEST

START_TEST(a_node_with_a_source_is_kept) {
        PoolRef ref = made_up(2);
        int fd, other;

        registry_regions_changed(registry, 1);
        registry_set_source(registry, id, new_source(&fd));
        registry_set_source(registry, id, new_source(&other));
        registry_forget(registry, id, 1);
        ck_assert(known(id));
        ck_assert_uint_eq(lookup(2), id);
        registry_forget(registry, id, 1);
        ck_assert(unit_is_open(fd));
        /* Until it has lost its last name. */
        registry_region_gone(registry, &ref);
        ck_assert(!known(id));
        ck_assert(!unit_is_open(fd));
        ck_assert_uint_eq(registry_nodes(registry), 1);
        ck_assert_uint_eq(registry_regions(registry), 0);
}
END_TEST

START_TEST(a_nameless_one_stays_as_long_as_it_is_looked_up) {
        PoolRef ref = made_up(2);
        int fd;

        registry_set_source(registry, id, new_source(&fd));
        registry_region_gone(registry, &ref);
        ck_assert(known(id));
        ck_assert_ptr_nonnull(registry_source(registry, id));
        /* Told again, it takes nothing of what the kernel has. */
        registry_region_gone(registry, &ref);
        ck_assert(known(id));
        registry_forget(registry, id, 1);
        ck_assert(!known(id));
        ck_assert(!unit_is_open(fd));
}
END_TEST

START_TEST(a_node_whose_file_is_lost_is_not_kept) {
        PoolRef ref = made_up(2);

        registry_set_source(registry, id, source_new(-1, O_RDWR));
        ck_assert_ptr_nonnull(registry_source(registry, id));
        registry_forget(registry, id, 1);
        ck_assert(!known(id));
        /* Nor is anything taken of what the kernel has. */
        id = lookup(2);
        registry_set_source(registry, id, source_new(-1, O_RDWR));
        registry_region_gone(registry, &ref);
        ck_assert(known(id));
}
END_TEST

START_TEST(a_kept_node_keeps_its_directory) {
        PoolRef directory_ref = { .inode = 3, .fd = unit_any_descriptor() }, ref = { .inode = 4, .fd = -1 };
        uint64_t directory = registry_lookup(registry, &directory_ref), node;
        PoolRef named = { .inode = 4, .fd = -1, .parent = directory, .name = g_strdup("a") };
        int fd;

        node = registry_lookup(registry, &named);
        registry_set_source(registry, node, new_source(&fd));
        registry_forget(registry, directory, 1);
        registry_forget(registry, node, 1);
        ck_assert(known(directory));
        ck_assert(known(node));
        registry_region_gone(registry, &ref);
        ck_assert(!known(node));
        ck_assert(!known(directory));
}
END_TEST

START_TEST(regions_gone_are_counted) {
        PoolRef ref = made_up(2), unknown = made_up(4711);

        registry_regions_changed(registry, 3);
        registry_region_gone(registry, &ref);
        registry_region_gone(registry, &unknown);
        ck_assert_uint_eq(registry_regions(registry), 1);
        ck_assert(known(id));
        registry_region_gone(registry, &ref);
        registry_region_gone(registry, &ref);
        ck_assert_uint_eq(registry_regions(registry), 0);
        registry_regions_changed(registry, -5);
        ck_assert_uint_eq(registry_regions(registry), 0);
}
END_TEST

START_TEST(who_was_told_is_expected_for_a_while) {
        gint64 until;

        ck_assert(!registry_is_expected(registry, id, LONG));
        registry_expect(registry, id);
        until = g_get_monotonic_time() + SHORT;
        ck_assert(registry_is_expected(registry, id, LONG));
        ck_assert(!registry_is_expected(registry, id, 0));
        ck_assert(!registry_is_expected(registry, lookup(3), LONG));
        while (g_get_monotonic_time() < until)
                g_usleep(SHORT);
        ck_assert(!registry_is_expected(registry, id, SHORT));
        ck_assert(registry_is_expected(registry, id, LONG));
        registry_expect(registry, id);
        ck_assert(registry_is_expected(registry, id, LONG / 2));
        registry_expect(registry, 4711);
        ck_assert(!registry_is_expected(registry, 4711, LONG));
}
END_TEST

START_TEST(one_that_waits_for_its_first_use_is_not_after_it) {
        ck_assert_int_eq(try_excluding(REGISTRY_AFTER_USE), 0);
        registry_await_use(registry, id);
        ck_assert_int_eq(try_excluding(REGISTRY_AFTER_USE), -EBUSY);
        ck_assert_int_eq(try_excluding(REGISTRY_AFTER_USE), -EBUSY);
        ck_assert_int_eq(try_excluding(REGISTRY_WITHOUT_HANDLES), 0);
        ck_assert_int_eq(try_excluding(REGISTRY_WITHOUT_WRITERS), 0);
        ck_assert_int_eq(try_excluding(REGISTRY_ANY), 0);
        add_handle(false);
        ck_assert_int_eq(try_excluding(REGISTRY_AFTER_USE), -EBUSY);
        ck_assert(remove_handle(false));
        /* It was refused to its client. */
        ck_assert_int_eq(try_excluding(REGISTRY_AFTER_USE), -EBUSY);
        add_handle(false);
        registry_handle_used(registry, id);
        ck_assert_int_eq(try_excluding(REGISTRY_AFTER_USE), -EBUSY);
        ck_assert(remove_handle(false));
        ck_assert_int_eq(try_excluding(REGISTRY_AFTER_USE), 0);
        /* One that is in use does not wait for it, nor does another one. */
        add_handle(false);
        registry_await_use(registry, id);
        ck_assert(remove_handle(false));
        ck_assert_int_eq(try_excluding(REGISTRY_AFTER_USE), 0);
        registry_await_use(registry, lookup(3));
        registry_await_use(registry, 4711);
        ck_assert_int_eq(try_excluding(REGISTRY_AFTER_USE), 0);
}
END_TEST

/* As the next server would find it. */
static bool may_have_ended(void) {
        g_autoptr(Registry) next = registry_new(ledger, NULL, false);
        g_autoptr(GArray) ids = registry_in_doubt(next, REGISTRY_MAY_HAVE_ENDED);

        return ids->len > 0;
}

START_TEST(one_that_was_refused_has_not_ended) {
        const RegionPolicy policy = { .lifetime = REGION_HANDLES };

        registry_note_policy(registry, id, &policy, false);
        add_handle(false);
        ck_assert(remove_handle(false));
        ck_assert(!may_have_ended());
        add_handle(false);
        registry_handle_used(registry, id);
        ck_assert(!may_have_ended());
        ck_assert(remove_handle(false));
        ck_assert(may_have_ended());
        add_handle(false);
        ck_assert(!may_have_ended());
        ck_assert(remove_handle(false));
        ck_assert(may_have_ended());
}
END_TEST

/* What a request has done that comes again, and is about to be done anew. */
START_TEST(a_handle_that_is_taken_back_was_no_use) {
        const RegionPolicy policy = { .lifetime = REGION_HANDLES };
        LedgerRequest *request = ledger_request(ledger, 0);
        int backing_id, unused;

        registry_note_policy(registry, id, &policy, false);
        registry_await_use(registry, id);
        ledger_set_current(ledger, request);
        ck_assert_int_eq(registry_handle_added(registry, id, true, &backing_id), 0);
        registry_handle_used(registry, id);
        registry_set_backing(registry, id, 17, &unused);
        registry_handle_taken_back(registry, request);
        ck_assert_uint_eq(request->backing, 17);
        ck_assert(!may_have_ended());
        ck_assert_int_eq(try_excluding(REGISTRY_AFTER_USE), -EBUSY);
        ck_assert_int_eq(try_excluding(REGISTRY_WITHOUT_HANDLES), 0);
        /* There is none any more. */
        registry_handle_taken_back(registry, request);
        ledger_set_current(ledger, NULL);

        /* Someone else has got one meanwhile. */
        *request = (LedgerRequest){ 0 };
        ledger_set_current(ledger, request);
        add_handle(false);
        ledger_set_current(ledger, NULL);
        add_handle(false);
        registry_handle_used(registry, id);
        registry_handle_taken_back(registry, request);
        ck_assert(remove_handle(false));
        ck_assert(may_have_ended());
        ck_assert_int_eq(try_excluding(REGISTRY_AFTER_USE), 0);
}
END_TEST

/* With a reader, and with a writer. */
static const struct {
        RegistryCondition condition;
        int reader, writer;
} conditions[] = {
        { REGISTRY_ANY, 0, 0 },
        { REGISTRY_WITHOUT_WRITERS, 0, -EBUSY },
        { REGISTRY_WITHOUT_HANDLES, -EBUSY, -EBUSY },
        { REGISTRY_AFTER_USE, -EBUSY, -EBUSY },
};

START_TEST(conditions_are_about_handles) {
        RegistryCondition condition = conditions[_i].condition;

        ck_assert_int_eq(try_excluding(condition), 0);
        add_handle(false);
        ck_assert_int_eq(try_excluding(condition), conditions[_i].reader);
        add_handle(true);
        ck_assert_int_eq(try_excluding(condition), conditions[_i].writer);
        ck_assert(!remove_handle(true));
        ck_assert_int_eq(try_excluding(condition), conditions[_i].reader);
        ck_assert(remove_handle(false));
        ck_assert_int_eq(try_excluding(condition), 0);
        ck_assert_int_eq(registry_exclude(registry, 4711, condition), -ESTALE);
}
END_TEST

START_TEST(policy_is_noted) {
        const RegionPolicy policy = { REGION_HANDLES, REGION_COMMITTED, true };
        RegistryRelease release;
        RegionPolicy noted = registry_policy(registry, id);

        ck_assert(noted.lifetime == REGION_KEPT && noted.allocation == REGION_DELAYED && !noted.sealed);
        registry_note_policy(registry, id, &policy, false);
        registry_note_policy(registry, 4711, &policy, false);
        noted = registry_policy(registry, id);
        ck_assert(noted.lifetime == REGION_HANDLES && noted.allocation == REGION_COMMITTED && noted.sealed);
        noted = registry_policy(registry, 4711);
        ck_assert(noted.lifetime == REGION_KEPT && noted.allocation == REGION_DELAYED && !noted.sealed);
        add_handle(false);
        ck_assert_int_eq(registry_handle_removed(registry, id, false, &release), 0);
        ck_assert(release.last);
        ck_assert_int_eq(release.policy.lifetime, REGION_HANDLES);
}
END_TEST

START_TEST(held_nodes_stay_known) {
        PoolRef ref = made_up(2), root = made_up(1), unknown = made_up(4711);

        ck_assert_uint_eq(registry_find(registry, &ref), id);
        ck_assert_uint_eq(registry_find(registry, &root), REGISTRY_ROOT_ID);
        ck_assert_uint_eq(registry_find(registry, &unknown), 0);
        ck_assert(registry_hold(registry, id));
        registry_forget(registry, id, 1);
        ck_assert(known(id));
        registry_drop(registry, id);
        ck_assert(!known(id));
        ck_assert(!registry_hold(registry, id));
        ck_assert_uint_eq(registry_find(registry, &ref), 0);
}
END_TEST

/* Another thread, that wants the node while it is excluded. */
typedef struct Waiting {
        gint done; /* atomic */
        int result;
} Waiting;

static gpointer open_it(gpointer data) {
        Waiting *waiting = data;
        int backing_id;

        waiting->result = registry_handle_added(registry, id, false, &backing_id);
        g_atomic_int_set(&waiting->done, 1);
        return NULL;
}

static gpointer exclude_it(gpointer data) {
        Waiting *waiting = data;

        waiting->result = registry_exclude(registry, id, REGISTRY_ANY);
        g_atomic_int_set(&waiting->done, 1);
        return NULL;
}

static const struct {
        gpointer (*want)(gpointer data);
        bool ended;
        int result;
} wishes[] = {
        { open_it, false, 0 }, { open_it, true, -ESTALE }, { exclude_it, false, 0 }, { exclude_it, true, -ESTALE },
};

START_TEST(who_wants_it_waits) {
        Waiting waiting = { .result = 4711 };
        GThread *thread;

        ck_assert_int_eq(registry_exclude(registry, id, REGISTRY_ANY), 0);
        thread = g_thread_new("waiting", wishes[_i].want, &waiting);
        /* Time enough for one that does not wait. */
        g_usleep(50000);
        ck_assert_int_eq(g_atomic_int_get(&waiting.done), 0);
        registry_include(registry, id, wishes[_i].ended);
        g_thread_join(thread);
        ck_assert_int_eq(waiting.result, wishes[_i].result);
}
END_TEST

START_TEST(what_has_ended_is_not_used_again) {
        int backing_id;

        ck_assert_int_eq(registry_exclude(registry, id, REGISTRY_AFTER_USE), 0);
        registry_include(registry, id, true);
        ck_assert_int_eq(registry_handle_added(registry, id, false, &backing_id), -ESTALE);
        ck_assert_int_eq(registry_exclude(registry, id, REGISTRY_ANY), -ESTALE);
        registry_include(registry, id, false);
        ck_assert_int_eq(registry_handle_added(registry, id, false, &backing_id), -ESTALE);
        ck_assert(known(id));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("registry-use");
        TCase *tcase;

        tcase = unit_case(suite, "source");
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, a_source_is_taken_over);
        tcase_add_test(tcase, a_node_with_a_source_is_kept);
        tcase_add_test(tcase, a_nameless_one_stays_as_long_as_it_is_looked_up);
        tcase_add_test(tcase, a_node_whose_file_is_lost_is_not_kept);
        tcase_add_test(tcase, a_kept_node_keeps_its_directory);
        tcase_add_test(tcase, regions_gone_are_counted);

        tcase = unit_case(suite, "use");
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, who_was_told_is_expected_for_a_while);
        tcase_add_test(tcase, one_that_waits_for_its_first_use_is_not_after_it);
        tcase_add_test(tcase, one_that_was_refused_has_not_ended);
        tcase_add_test(tcase, a_handle_that_is_taken_back_was_no_use);
        tcase_add_loop_test(tcase, conditions_are_about_handles, 0, G_N_ELEMENTS(conditions));
        tcase_add_test(tcase, policy_is_noted);
        tcase_add_test(tcase, held_nodes_stay_known);
        tcase_add_loop_test(tcase, who_wants_it_waits, 0, G_N_ELEMENTS(wishes));
        tcase_add_test(tcase, what_has_ended_is_not_used_again);
        return unit_main(suite);
}
