/* What a server finds of the nodes that a dead one has known. */
#include "registry/registry.h"

#include "unit.h"

static Ledger *ledger;
static Registry *registry;
static Registry *dead[4]; /* not to be taken for leaks */
static size_t n_dead;

static PoolRef by_handle(unsigned number) {
        PoolRef ref = { .inode = 1000 + number, .fd = -1, .handle_type = 1, .handle_size = sizeof(number) };

        memcpy(ref.handle, &number, sizeof(number));
        return ref;
}

/* A directory is reached by a descriptor, and what is in it by its name. */
static PoolRef by_descriptor(unsigned number) {
        return (PoolRef){ .inode = 1000 + number, .fd = unit_any_descriptor() };
}

static PoolRef by_name(unsigned number, uint64_t parent, const char *name) {
        PoolRef ref = { .inode = 1000 + number, .fd = -1 };

        pool_name(&ref, parent, name);
        return ref;
}

static uint64_t lookup(PoolRef ref) {
        return registry_lookup(registry, &ref);
}

static bool known(uint64_t id) {
        PoolRef ref;

        return registry_resolve(registry, id, &ref) == 0;
}

static void begin(void) {
        PoolRef root = by_handle(0);

        registry = registry_new(ledger, &root, true);
        pool_ref_clear(&root);
}

/* The server is gone, but what it had open is not: so nothing of it is given up in order. */
static void crash(void) {
        g_assert(n_dead < G_N_ELEMENTS(dead));
        dead[n_dead++] = registry;
        begin();
}

static void setup(void) {
        ledger = ledger_new(NULL);
        begin();
}

static void teardown(void) {
        g_clear_pointer(&registry, registry_free);
        g_clear_pointer(&ledger, ledger_free);
}

#define MANY 20000

START_TEST(many_are_found_by_id_and_as_what_they_are) {
        g_autofree uint64_t *ids = g_new(uint64_t, MANY);
        uint64_t slots;

        for (unsigned i = 0; i < MANY; i++)
                ids[i] = lookup(by_handle(1 + i));
        slots = ledger_header(ledger)->nodes;
        for (int crashes = 0; crashes < 2; crashes++) {
                crash();
                ck_assert_uint_eq(registry_nodes(registry), MANY + 1);
                for (unsigned i = 0; i < MANY; i++) {
                        PoolRef ref;

                        if (i % 2)
                                ck_assert_int_eq(registry_resolve(registry, ids[i], &ref), 0);
                        ck_assert_uint_eq(lookup(by_handle(1 + i)), ids[i]);
                        ck_assert_int_eq(registry_resolve(registry, ids[i], &ref), 0);
                        ck_assert_uint_eq(ref.inode, 1001 + i);
                }
        }
        ck_assert_uint_eq(ledger_header(ledger)->nodes, slots);
        /* Those that are forgotten make room for others. */
        for (unsigned i = 0; i < MANY; i++)
                registry_forget(registry, ids[i], i % 2 ? 3 : 2);
        ck_assert_uint_eq(registry_nodes(registry), MANY / 2 + 1);
        crash();
        ck_assert_uint_eq(registry_nodes(registry), MANY / 2 + 1);
        for (unsigned i = 0; i < MANY; i++)
                ck_assert_int_eq(known(ids[i]), i % 2 == 0);
        for (unsigned i = 1; i < MANY; i += 2)
                ck_assert_uint_gt(lookup(by_handle(1 + i)), ids[MANY - 1]);
        ck_assert_uint_eq(ledger_header(ledger)->nodes, slots);
        ck_assert_uint_eq(registry_nodes(registry), MANY + 1);
}
END_TEST

START_TEST(names_keep_their_directory_before_anyone_asks_for_them) {
        uint64_t directory = lookup(by_descriptor(1));
        uint64_t one = lookup(by_name(2, directory, "one")), two = lookup(by_name(3, directory, "two"));
        PoolRef ref;

        crash();
        registry_forget(registry, directory, 1);
        ck_assert(known(directory));
        registry_forget(registry, one, 1);
        ck_assert(!known(one));
        crash();
        ck_assert_int_eq(registry_resolve(registry, two, &ref), 0);
        ck_assert_str_eq(ref.name, "two");
        ck_assert_uint_eq(ref.parent, directory);
        ck_assert(unit_is_open(ref.directory));
        registry_forget(registry, two, 1);
        ck_assert(!known(directory));
        ck_assert_uint_eq(registry_nodes(registry), 1);
}
END_TEST

START_TEST(a_name_may_go_or_change_before_anyone_asks_for_it) {
        uint64_t directory = lookup(by_descriptor(1)), other = lookup(by_descriptor(2));
        uint64_t moved = lookup(by_name(3, directory, "old")), gone = lookup(by_name(4, directory, "gone"));
        g_auto(PoolRef) now = by_name(3, other, "new"), was = by_name(4, directory, "gone");
        int fd = unit_any_descriptor(), pinned = fd;
        PoolRef ref;

        crash();
        registry_moved(registry, &now);
        registry_unlinked(registry, &was, &fd);
        registry_forget(registry, directory, 1);
        ck_assert(!known(directory));
        crash();
        ck_assert_int_eq(registry_resolve(registry, moved, &ref), 0);
        ck_assert_str_eq(ref.name, "new");
        ck_assert_int_eq(registry_resolve(registry, gone, &ref), 0);
        ck_assert_int_eq(ref.fd, pinned);
        ck_assert_ptr_null(ref.name);
        registry_forget(registry, gone, 1);
        ck_assert(!unit_is_open(pinned));
}
END_TEST

/* Also those that nobody has asked for. */
START_TEST(descriptors_have_an_owner) {
        PoolRef directory = by_descriptor(1);
        int pin = directory.fd, file = unit_any_descriptor();

        lookup(directory);
        registry_set_source(registry, lookup(by_handle(2)), source_new(file, O_RDWR));
        crash();
        ck_assert(unit_is_open(pin) && unit_is_open(file));
        g_clear_pointer(&registry, registry_free);
        ck_assert(!unit_is_open(pin) && !unit_is_open(file));
}
END_TEST

START_TEST(what_only_a_dead_server_held_is_forgotten) {
        PoolRef ref = by_handle(1);
        uint64_t id = registry_meet(registry, &ref);

        crash();
        ck_assert(!known(id));
        ck_assert_uint_eq(registry_nodes(registry), 1);
}
END_TEST

static unsigned in_doubt(void) {
        g_autoptr(GArray) ids = registry_in_doubt(registry, REGISTRY_MAY_HAVE_ENDED);

        return ids->len;
}

/* The kernel knows it no more, and it is to be seen whether it ends. */
START_TEST(what_has_lost_its_last_handle_is_known_until_it_was_looked_at) {
        const RegionPolicy policy = { .lifetime = REGION_HANDLES };
        PoolRef ref = by_handle(1);
        uint64_t id = lookup(ref);
        RegistryRelease release;
        int unused;

        registry_note_policy(registry, id, &policy, true);
        ck_assert_int_eq(registry_handle_added(registry, id, false, &unused), 0);
        registry_handle_used(registry, id);
        ck_assert_int_eq(registry_handle_removed(registry, id, false, &release), 0);
        ck_assert(registry_hold(registry, id));
        registry_forget(registry, id, 1);
        crash();
        ck_assert_uint_eq(in_doubt(), 1);
        ck_assert(registry_hold(registry, id));
        registry_drop(registry, id);
        ck_assert(!known(id));
        ck_assert_uint_eq(in_doubt(), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("registry-adopt");
        TCase *tests = unit_case(suite, "registry-adopt");

        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_add_test(tests, many_are_found_by_id_and_as_what_they_are);
        tcase_add_test(tests, names_keep_their_directory_before_anyone_asks_for_them);
        tcase_add_test(tests, a_name_may_go_or_change_before_anyone_asks_for_it);
        tcase_add_test(tests, descriptors_have_an_owner);
        tcase_add_test(tests, what_only_a_dead_server_held_is_forgotten);
        tcase_add_test(tests, what_has_lost_its_last_handle_is_known_until_it_was_looked_at);
        return unit_main(suite);
}
