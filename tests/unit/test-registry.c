#include "registry/registry.h"

#include "unit.h"

#define HAMMER_THREADS 4
#define HAMMER_ROUNDS 50000
#define HAMMER_NODES 8

/* What identifies a node is made up: the registry never looks into the pool. */
static PoolRef made_up(unsigned number) {
        PoolRef ref = { .inode = 1000 + number, .fd = -1, .handle_type = 1, .handle_size = sizeof(number) };

        memcpy(ref.handle, &number, sizeof(number));
        return ref;
}

static Registry *new_registry(Ledger *ledger) {
        PoolRef root = made_up(0);

        return registry_new(ledger, &root, false);
}

static uint64_t lookup(Registry *registry, unsigned number) {
        PoolRef ref = made_up(number);

        return registry_lookup(registry, &ref);
}

static bool known(Registry *registry, uint64_t id) {
        PoolRef ref;
        int result = registry_resolve(registry, id, &ref);

        ck_assert(result == 0 || result == -ESTALE);
        return result == 0;
}

/* The backing id that the last handle leaves. */
static int remove_handle(Registry *registry, uint64_t id, int *backing_id) {
        RegistryRelease release;
        int result = registry_handle_removed(registry, id, false, &release);

        *backing_id = release.backing_id;
        return result;
}

START_TEST(ids_start_at_the_root_and_are_never_used_again) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        g_autoptr(Registry) registry = new_registry(ledger);
        uint64_t last = REGISTRY_ROOT_ID;

        ck_assert_uint_eq(REGISTRY_ROOT_ID, 1);
        ck_assert(known(registry, REGISTRY_ROOT_ID));
        ck_assert_uint_eq(registry_nodes(registry), 1);
        for (unsigned i = 0; i < 1000; i++) {
                uint64_t id = lookup(registry, 1 + i % 3);

                ck_assert_uint_gt(id, last);
                ck_assert(known(registry, id));
                registry_forget(registry, id, 1);
                ck_assert(!known(registry, id));
                last = id;
        }
        ck_assert_uint_eq(registry_nodes(registry), 1);
}
END_TEST

START_TEST(lookups_are_counted) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        g_autoptr(Registry) registry = new_registry(ledger);
        uint64_t id = lookup(registry, 1);

        ck_assert_uint_eq(lookup(registry, 1), id);
        ck_assert_uint_eq(lookup(registry, 1), id);
        ck_assert_uint_eq(registry_nodes(registry), 2);
        registry_forget(registry, id, 2);
        ck_assert(known(registry, id));
        registry_forget(registry, id, 0);
        ck_assert(known(registry, id));
        ck_assert_uint_eq(lookup(registry, 1), id);
        registry_forget(registry, id, 1);
        ck_assert(known(registry, id));
        registry_forget(registry, id, 1);
        ck_assert(!known(registry, id));
        ck_assert_uint_eq(registry_nodes(registry), 1);
}
END_TEST

START_TEST(nodes_are_told_apart) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        g_autoptr(Registry) registry = new_registry(ledger);
        PoolRef same_inode = made_up(1);
        PoolRef found;
        uint64_t first = lookup(registry, 1);
        uint64_t second;

        /* A new generation of the same inode number. */
        same_inode.handle[0] ^= 0x80;
        second = registry_lookup(registry, &same_inode);
        ck_assert_uint_ne(first, second);
        ck_assert_uint_ne(first, lookup(registry, 2));
        ck_assert_uint_eq(registry_nodes(registry), 4);

        ck_assert_int_eq(registry_resolve(registry, second, &found), 0);
        ck_assert_uint_eq(found.inode, 1001);
        ck_assert_uint_eq(found.handle[0], 0x81);
        registry_forget(registry, second, 1);
        ck_assert(known(registry, first));
}
END_TEST

START_TEST(forgetting_too_much_stops_at_zero) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        g_autoptr(Registry) registry = new_registry(ledger);
        uint64_t id = lookup(registry, 1);
        uint64_t again;

        registry_forget(registry, id, UINT64_MAX);
        ck_assert(!known(registry, id));
        registry_forget(registry, id, 1);
        registry_forget(registry, 4711, 1);
        ck_assert_uint_eq(registry_nodes(registry), 1);

        again = lookup(registry, 1);
        ck_assert_uint_ne(again, id);
        registry_forget(registry, again, 1);
        ck_assert(!known(registry, again));
}
END_TEST

START_TEST(root_is_never_forgotten) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        g_autoptr(Registry) registry = new_registry(ledger);

        registry_forget(registry, REGISTRY_ROOT_ID, 1);
        registry_forget(registry, REGISTRY_ROOT_ID, UINT64_MAX);
        ck_assert(known(registry, REGISTRY_ROOT_ID));
        ck_assert_uint_eq(registry_nodes(registry), 1);
}
END_TEST

START_TEST(references_are_taken_over) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        unsigned before = unit_descriptors();
        PoolRef root = made_up(0);
        PoolRef ref = made_up(1);
        Registry *registry;
        uint64_t id;
        int fd, second;

        root.fd = unit_any_descriptor();
        registry = registry_new(ledger, &root, false);
        ck_assert_int_eq(root.fd, -1);

        fd = ref.fd = unit_any_descriptor();
        id = registry_lookup(registry, &ref);
        ck_assert_int_eq(ref.fd, -1);
        ck_assert(unit_is_open(fd));
        ck_assert_int_eq(registry_resolve(registry, id, &ref), 0);
        ck_assert_int_eq(ref.fd, fd);

        /* The second one for a node that is known is not needed. */
        ref = made_up(1);
        second = ref.fd = unit_any_descriptor();
        ck_assert_uint_eq(registry_lookup(registry, &ref), id);
        ck_assert_int_eq(ref.fd, -1);
        ck_assert(!unit_is_open(second));

        registry_forget(registry, id, 1);
        ck_assert(unit_is_open(fd));
        registry_forget(registry, id, 1);
        ck_assert(!unit_is_open(fd));
        registry_free(registry);
        ck_assert_uint_eq(unit_descriptors(), before);
}
END_TEST

START_TEST(unlinked_nodes_are_pinned_if_known) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        g_autoptr(Registry) registry = new_registry(ledger);
        PoolRef ref = made_up(1);
        PoolRef other = made_up(2);
        PoolRef found;
        auto_descriptor fd = unit_any_descriptor();
        int number = fd;
        uint64_t id = lookup(registry, 1);

        registry_unlinked(registry, &other, &fd);
        ck_assert_int_eq(fd, number);
        registry_unlinked(registry, &ref, &fd);
        ck_assert_int_eq(fd, -1);
        ck_assert_int_eq(registry_resolve(registry, id, &found), 0);
        ck_assert_int_eq(found.fd, number);

        /* It is the same node still, however it is described. */
        ck_assert_uint_eq(lookup(registry, 1), id);
        registry_forget(registry, id, 2);
        ck_assert(!unit_is_open(number));

        fd = unit_any_descriptor();
        number = fd;
        registry_unlinked(registry, &ref, &fd);
        ck_assert_int_eq(fd, number);
        ck_assert(unit_is_open(number));
}
END_TEST

START_TEST(handles_are_counted) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        g_autoptr(Registry) registry = new_registry(ledger);
        uint64_t id = lookup(registry, 1);
        uint64_t other = lookup(registry, 2);
        uint64_t handles = 4711;
        int backing_id = 4711;

        ck_assert_int_eq(registry_handles(registry, id, &handles), 0);
        ck_assert_uint_eq(handles, 0);
        ck_assert_int_eq(registry_handle_added(registry, id, false, &backing_id), 0);
        ck_assert_int_eq(backing_id, 0);
        ck_assert_int_eq(registry_handle_added(registry, id, false, &backing_id), 0);
        ck_assert_int_eq(registry_handles(registry, id, &handles), 0);
        ck_assert_uint_eq(handles, 2);
        ck_assert_int_eq(registry_handles(registry, other, &handles), 0);
        ck_assert_uint_eq(handles, 0);
        ck_assert_int_eq(remove_handle(registry, id, &backing_id), 0);
        ck_assert_int_eq(remove_handle(registry, id, &backing_id), 0);
        ck_assert_int_eq(backing_id, 0);
        ck_assert_int_lt(remove_handle(registry, id, &backing_id), 0);
        ck_assert_int_eq(registry_handles(registry, id, &handles), 0);
        ck_assert_uint_eq(handles, 0);
}
END_TEST

START_TEST(backing_is_shared_by_all_handles) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        g_autoptr(Registry) registry = new_registry(ledger);
        uint64_t id = lookup(registry, 1);
        int backing_id, unused;

        ck_assert_int_eq(registry_handle_added(registry, id, false, &backing_id), 0);
        ck_assert_int_eq(registry_set_backing(registry, id, 7, &unused), 7);
        ck_assert_int_eq(unused, 0);
        ck_assert_int_eq(registry_handle_added(registry, id, false, &backing_id), 0);
        ck_assert_int_eq(backing_id, 7);
        /* Who comes second gets the first one's, and closes what it has made. */
        ck_assert_int_eq(registry_set_backing(registry, id, 8, &unused), 7);
        ck_assert_int_eq(unused, 8);

        ck_assert_int_eq(remove_handle(registry, id, &backing_id), 0);
        ck_assert_int_eq(backing_id, 0);
        ck_assert_int_eq(remove_handle(registry, id, &backing_id), 0);
        ck_assert_int_eq(backing_id, 7);

        /* Given up is given up. */
        ck_assert_int_eq(registry_handle_added(registry, id, false, &backing_id), 0);
        ck_assert_int_eq(backing_id, 0);
        ck_assert_int_eq(registry_set_backing(registry, id, 9, &unused), 9);
        ck_assert_int_eq(remove_handle(registry, id, &backing_id), 0);
        ck_assert_int_eq(backing_id, 9);

        /* Without a handle nobody would ever close it. */
        ck_assert_int_lt(registry_set_backing(registry, id, 10, &unused), 0);
        ck_assert_int_eq(unused, 10);
}
END_TEST

START_TEST(unknown_nodes_are_stale) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        g_autoptr(Registry) registry = new_registry(ledger);
        uint64_t forgotten = lookup(registry, 1);
        uint64_t handles;
        int backing_id, unused;
        PoolRef ref;

        registry_forget(registry, forgotten, 1);
        for (uint64_t id = 0; id < 100; id += id == 0 ? forgotten : 97) {
                ck_assert_int_eq(registry_resolve(registry, id, &ref), -ESTALE);
                ck_assert_int_eq(registry_handle_added(registry, id, false, &backing_id), -ESTALE);
                ck_assert_int_eq(remove_handle(registry, id, &backing_id), -ESTALE);
                ck_assert_int_eq(backing_id, 0);
                ck_assert_int_eq(registry_handles(registry, id, &handles), -ESTALE);
                ck_assert_int_eq(registry_set_backing(registry, id, 7, &unused), -ESTALE);
                ck_assert_int_eq(unused, 7);
        }
}
END_TEST

START_TEST(regions_are_counted) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        g_autoptr(Registry) registry = new_registry(ledger);

        ck_assert_uint_eq(registry_regions(registry), 0);
        registry_regions_changed(registry, 5);
        registry_regions_changed(registry, -2);
        registry_regions_changed(registry, 1);
        ck_assert_uint_eq(registry_regions(registry), 4);
}
END_TEST

/* Counts on the same few nodes as all others do. What it got was wrong that many times. */
static gpointer hammer(gpointer data) {
        Registry *registry = data;
        guint wrong = 0;

        for (unsigned round = 0; round < HAMMER_ROUNDS; round++) {
                PoolRef ref = made_up(1 + round % HAMMER_NODES);
                PoolRef wanted = ref;
                PoolRef found;
                uint64_t id;
                int fd, backing_id;

                if (round % 16 == 0)
                        ref.fd = unit_any_descriptor();
                id = registry_lookup(registry, &ref);
                wrong += registry_resolve(registry, id, &found) != 0 || !pool_ref_equal(&wanted, &found);
                if (round % 16 == 1) {
                        fd = unit_any_descriptor();
                        registry_unlinked(registry, &wanted, &fd);
                        descriptor_clear(&fd);
                }
                wrong += registry_handle_added(registry, id, false, &backing_id) != 0;
                registry_regions_changed(registry, 1);
                wrong += remove_handle(registry, id, &backing_id) != 0;
                registry_forget(registry, id, 1);
        }
        return GUINT_TO_POINTER(wrong);
}

START_TEST(threads_may_share_it) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        unsigned before = unit_descriptors();
        Registry *registry = new_registry(ledger);
        GThread *threads[HAMMER_THREADS];
        guint wrong = 0;

        for (int i = 0; i < HAMMER_THREADS; i++)
                threads[i] = g_thread_new("hammer", hammer, registry);
        for (int i = 0; i < HAMMER_THREADS; i++)
                wrong += GPOINTER_TO_UINT(g_thread_join(threads[i]));
        ck_assert_uint_eq(wrong, 0);
        ck_assert_uint_eq(registry_nodes(registry), 1);
        ck_assert_uint_eq(registry_regions(registry), HAMMER_THREADS * HAMMER_ROUNDS);
        registry_free(registry);
        ck_assert_uint_eq(unit_descriptors(), before);
}
END_TEST

/* A node that is reached by its name in a directory; a directory that is pinned. */
static PoolRef named(unsigned number, uint64_t parent, const char *name) {
        return (PoolRef){ .inode = 1000 + number, .fd = -1, .parent = parent, .name = g_strdup(name) };
}

static uint64_t lookup_directory(Registry *registry, unsigned number) {
        PoolRef ref = { .inode = 1000 + number, .fd = unit_any_descriptor() };

        return registry_lookup(registry, &ref);
}

static uint64_t lookup_named(Registry *registry, unsigned number, uint64_t parent, const char *name) {
        PoolRef ref = named(number, parent, name);

        return registry_lookup(registry, &ref);
}

static void check_name(Registry *registry, uint64_t id, uint64_t parent, const char *name) {
        PoolRef directory, ref;

        ck_assert_int_eq(registry_resolve(registry, id, &ref), 0);
        ck_assert_int_eq(registry_resolve(registry, parent, &directory), 0);
        ck_assert_str_eq(ref.name, name);
        ck_assert_int_eq(ref.directory, directory.fd);
        ck_assert_int_lt(ref.fd, 0);
}

START_TEST(names_are_kept_with_their_directory) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        g_autoptr(Registry) registry = new_registry(ledger);
        uint64_t one = lookup_directory(registry, 1), two = lookup_directory(registry, 2);
        uint64_t node = lookup_named(registry, 3, one, "a");
        g_auto(PoolRef) moved = named(3, two, "b");

        check_name(registry, node, one, "a");
        /* A directory is needed as long as a name in it is. */
        registry_forget(registry, one, 1);
        ck_assert(known(registry, one));
        check_name(registry, node, one, "a");
        registry_moved(registry, &moved);
        ck_assert(!known(registry, one));
        check_name(registry, node, two, "b");
        /* A lookup by another name tells of it. */
        ck_assert_uint_eq(lookup_named(registry, 3, two, "c"), node);
        check_name(registry, node, two, "c");
        registry_forget(registry, two, 1);
        ck_assert(known(registry, two));
        registry_forget(registry, node, 2);
        ck_assert(!known(registry, node));
        ck_assert(!known(registry, two));
        ck_assert_uint_eq(registry_nodes(registry), 1);
}
END_TEST

START_TEST(a_name_that_goes_leaves_a_pinned_node) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        g_autoptr(Registry) registry = new_registry(ledger);
        uint64_t directory = lookup_directory(registry, 1);
        uint64_t node = lookup_named(registry, 2, directory, "a");
        g_auto(PoolRef) gone = named(2, directory, "a");
        int fd = unit_any_descriptor(), pinned = fd;
        PoolRef ref;

        registry_unlinked(registry, &gone, &fd);
        ck_assert_int_eq(fd, -1);
        ck_assert_int_eq(registry_resolve(registry, node, &ref), 0);
        ck_assert_int_eq(ref.fd, pinned);
        ck_assert_ptr_null(ref.name);
        registry_forget(registry, directory, 1);
        ck_assert(!known(registry, directory));
        /* Another name is not needed. */
        registry_moved(registry, &gone);
        ck_assert_int_eq(registry_resolve(registry, node, &ref), 0);
        ck_assert_ptr_null(ref.name);
        registry_forget(registry, node, 1);
        ck_assert(!unit_is_open(pinned));
        ck_assert_uint_eq(registry_nodes(registry), 1);
}
END_TEST

START_TEST(what_others_resolve_stays_till_they_have) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        PoolRef root = made_up(0), ref;
        g_autoptr(Registry) registry = registry_new(ledger, &root, true);
        uint64_t one = lookup_directory(registry, 1), two = lookup_directory(registry, 2);
        uint64_t node = lookup_named(registry, 3, one, "a");

        registry_forget(registry, one, 1);
        registry_begin_resolving(registry);
        ck_assert_int_eq(registry_resolve(registry, node, &ref), 0);
        /* Meanwhile someone looks it up, by the same name, and by another one. */
        lookup_named(registry, 3, one, "a");
        lookup_named(registry, 3, two, "b");
        ck_assert_str_eq(ref.name, "a");
        ck_assert(unit_is_open(ref.directory));
        registry_end_resolving(registry);
        ck_assert(!unit_is_open(ref.directory));
        check_name(registry, node, two, "b");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("registry");
        TCase *tcase;

        tcase = unit_case(suite, "nodes");
        tcase_add_test(tcase, ids_start_at_the_root_and_are_never_used_again);
        tcase_add_test(tcase, lookups_are_counted);
        tcase_add_test(tcase, nodes_are_told_apart);
        tcase_add_test(tcase, forgetting_too_much_stops_at_zero);
        tcase_add_test(tcase, root_is_never_forgotten);
        tcase_add_test(tcase, references_are_taken_over);
        tcase_add_test(tcase, unlinked_nodes_are_pinned_if_known);
        tcase_add_test(tcase, unknown_nodes_are_stale);

        tcase = unit_case(suite, "names");
        tcase_add_test(tcase, names_are_kept_with_their_directory);
        tcase_add_test(tcase, a_name_that_goes_leaves_a_pinned_node);
        tcase_add_test(tcase, what_others_resolve_stays_till_they_have);

        tcase = unit_case(suite, "handles");
        tcase_add_test(tcase, handles_are_counted);
        tcase_add_test(tcase, backing_is_shared_by_all_handles);

        tcase = unit_case(suite, "all");
        tcase_add_test(tcase, regions_are_counted);
        tcase_add_test(tcase, threads_may_share_it);
        return unit_main(suite);
}
