/* What a server has left that has stored anywhere before it died: the next one takes none of it for granted. */
#include "unit-audit.h"

START_TEST(what_is_good_stays) {
        LedgerRequest *request = keep_request(10);
        int removed = unit_any_descriptor();

        pin(1);
        name(2, "..name", 1);
        ledger_node(ledger, 3)->source = ledger_note_descriptor(unit_any_descriptor());
        ledger_node(ledger, 3)->state = LEDGER_NODE_STATES;
        ledger_node(ledger, 3)->handles = ledger_node(ledger, 3)->writers = 2;
        ledger_node(ledger, 3)->backing_id = header->backings = 7;
        keep_handle(1, unit_any_descriptor());
        request->intent = LEDGER_RENAMING;
        g_strlcpy(request->name, "name", sizeof(request->name));
        request->descriptor[0] = ledger_note_descriptor(removed);
        request->inode[0] = inode_of(removed);
        request->registering = 8;
        request->lookups = LEDGER_LOOKUPS;
        keep_request(12)->intent = LEDGER_STRIPPING;
        ledger_end(ledger)->node = 3;
        ledger_end(ledger)->descriptor = ledger_note_descriptor(unit_any_descriptor());
        ledger_end(ledger)->names = 1;
        strcpy(ledger_end(ledger)->removed[0].name, "name");
        ck_assert_uint_eq(nodes_left(NULL), REGIONS + 1);
        ck_assert_uint_eq(request->intent, LEDGER_RENAMING);
        ck_assert_uint_eq(request->registering, 8);
        ck_assert_uint_eq(ledger_end(ledger)->names, 1);
        ck_assert_uint_ne(ledger_end(ledger)->descriptor, 0);
}
END_TEST

/* Reading them all would take minutes, and gigabytes. */
START_TEST(counts_of_slots_are_bounded) {
        const unsigned values[LEDGER_DAMAGES] = { [LEDGER_BAD_VALUES] = 5 };

        header->nodes = header->handles = header->requests = header->buffers = header->init_size = UINT64_MAX / 2;
        ck_assert_uint_eq(nodes_left(values), REGIONS + 1);
        ck_assert_uint_le(header->nodes, LEDGER_NODES / 1000);
        ck_assert_uint_eq(header->handles, 0);
        ck_assert_uint_eq(header->requests, 0);
        ck_assert_uint_eq(header->buffers, 0);
        ck_assert_uint_eq(header->init_size, 0);
}
END_TEST

/* A server counts a slot before it stores into it. */
START_TEST(counts_may_be_ahead) {
        header->handles = 1;
        header->requests = 2;
        ledger_request(ledger, 1)->unique = 10;
        ((char *)ledger_buffer(ledger, 2))[0] = 1;
        header->buffers = 4;
        nodes_left(NULL);
        ck_assert_uint_eq(header->requests, 2);
        ck_assert_uint_ge(header->buffers, 3);
}
END_TEST

static const uint64_t counts_that_cannot_be[] = { UINT64_C(1) << 57, UINT64_MAX };

START_TEST(a_node_with_counts_that_cannot_be_is_dropped) {
        uint64_t *const words[] = { &ledger_node(ledger, 2)->id, &ledger_node(ledger, 2)->lookups,
                                    &ledger_node(ledger, 2)->handles };

        *words[_i % 3] = counts_that_cannot_be[_i / 3];
        ck_assert_uint_eq(nodes_left(one_node), REGIONS);
}
END_TEST

START_TEST(a_file_handle_is_no_longer_than_there_is_room) {
        ledger_node(ledger, 1)->handle_size = POOL_HANDLE_MAX + 1;
        ck_assert_uint_eq(nodes_left(one_node), REGIONS);
}
END_TEST

static const char *const bad_names[] = { "", ".", "..", "a/b", "/" };

START_TEST(a_name_that_is_none_is_dropped) {
        name(2, bad_names[_i], 1);
        ck_assert_uint_eq(nodes_left(one_node), REGIONS);
}
END_TEST

START_TEST(a_name_without_end_is_dropped) {
        name(2, "", 1);
        memset(ledger_name(ledger, ledger_node(ledger, 2)), 'x', LEDGER_NAME_SIZE);
        ck_assert_uint_eq(nodes_left(one_node), REGIONS);
}
END_TEST

START_TEST(parents_are_there_and_not_reached_by_name) {
        const unsigned three[LEDGER_DAMAGES] = { [LEDGER_BAD_NODES] = 3 };

        /* Two that are each other's, and one that has none. */
        name(1, "one", 3);
        name(2, "two", 2);
        name(3, "three", SOME_ID);
        ck_assert_uint_eq(nodes_left(three), 1);
}
END_TEST

START_TEST(of_two_nodes_with_one_id_one_is_left) {
        ledger_node(ledger, 3)->id = ledger_node(ledger, 1)->id;
        ck_assert_uint_eq(nodes_left(one_node), REGIONS);
        ck_assert_uint_eq(ledger_node(ledger, 3)->id, 0);
}
END_TEST

/* Two ids for what is one by its file handle: no harm is done, whichever goes first. */
START_TEST(two_nodes_may_be_found_by_one_reference) {
        LedgerNode *one = ledger_node(ledger, 1 + _i), *other = ledger_node(ledger, 2 - _i);
        Registry *registry;

        *other = *one;
        other->id = one->id == 2 ? 3 : 2;
        registry = registry_new(ledger, NULL, false);
        registry_forget(registry, 2, 1);
        registry_forget(registry, 3, 1);
        ck_assert_uint_eq(registry_nodes(registry), REGIONS - 1);
        registry_free(registry);
}
END_TEST

START_TEST(what_is_dropped_is_not_found_in_place_of_another) {
        Registry *registry;
        PoolRef ref;

        name(2, "dropped", SOME_ID);
        name(3, "kept", 1);
        ledger_node(ledger, 3)->inode = ledger_node(ledger, 2)->inode;
        registry = registry_new(ledger, NULL, true);
        ck_assert_uint_eq(registry_nodes(registry), REGIONS);
        ck_assert_int_eq(registry_resolve(registry, 4, &ref), 0);
        ck_assert_uint_eq(registry_find(registry, &ref), 4);
        registry_free(registry);
}
END_TEST

START_TEST(ids_are_not_given_out_again) {
        const unsigned two[LEDGER_DAMAGES] = { [LEDGER_BAD_VALUES] = 2 };
        static const uint64_t next[] = { 0, 2, UINT64_MAX };

        keep_handle(9, unit_any_descriptor());
        header->next_node = header->next_handle = next[_i];
        nodes_left(two);
        ck_assert_uint_eq(header->next_node, REGIONS + 2);
        ck_assert_uint_eq(header->next_handle, 10);
}
END_TEST

START_TEST(values_of_a_node_are_put_right) {
        const unsigned values[LEDGER_DAMAGES] = { [LEDGER_BAD_VALUES] = 7 };
        LedgerNode *slot = ledger_node(ledger, 1);

        slot->handles = 2;
        slot->writers = 3;
        slot->state = UINT64_MAX;
        slot->source = UINT64_MAX;
        slot->source_kind = 2;
        slot->backing_id = UINT64_MAX;
        header->backings = UINT64_MAX;
        /* Nothing is counted for a source. */
        ledger_node(ledger, 2)->state = LEDGER_NODE_KEPT;
        ledger_node(ledger, 2)->lookups = 0;
        /* Another's. */
        ledger_node(ledger, 2)->backing_id = ledger_node(ledger, 3)->backing_id = 5;
        ledger_node(ledger, 2)->handles = ledger_node(ledger, 3)->handles = 1;
        ck_assert_uint_eq(nodes_left(values), REGIONS);
        ck_assert_uint_eq(slot->writers, 2);
        ck_assert_uint_eq(slot->state, LEDGER_NODE_STATES);
        ck_assert_uint_eq(slot->source, 0);
        ck_assert_uint_eq(slot->backing_id, 0);
        ck_assert_uint_eq(ledger_node(ledger, 3)->backing_id, 0);
        ck_assert_uint_eq(header->backings, 5);
}
END_TEST

START_TEST(a_source_that_is_not_open_is_looked_for) {
        Registry *registry;
        GArray *lost;

        ledger_node(ledger, 1)->source = SOME_ID;
        ledger_node(ledger, 1)->source_kind = 1;
        ledger_audit(ledger, NULL);
        registry = registry_new(ledger, NULL, true);
        lost = registry_in_doubt(registry, REGISTRY_LACKS_SOURCE);
        ck_assert_uint_eq(lost->len, 1);
        ck_assert_uint_eq(g_array_index(lost, uint64_t, 0), ledger_node(ledger, 1)->id);
        g_array_unref(lost);
        registry_free(registry);
}
END_TEST

START_TEST(a_descriptor_has_one_owner) {
        const unsigned damage[LEDGER_DAMAGES] = {
                [LEDGER_BAD_NODES] = 1,
                [LEDGER_BAD_HANDLES] = 1,
                [LEDGER_BAD_VALUES] = 3,
        };
        int fd = pin(1);
        LedgerRequest *request = keep_request(10);

        ledger_node(ledger, 2)->inode = ledger_node(ledger, 1)->inode;
        ledger_node(ledger, 2)->descriptor = ledger_note_descriptor(fd);
        ledger_node(ledger, 3)->source = ledger_note_descriptor(fd);
        keep_handle(1, fd);
        request->intent = LEDGER_REMOVING;
        request->inode[0] = inode_of(fd);
        request->descriptor[0] = ledger_note_descriptor(fd);
        ck_assert_uint_eq(nodes_left(damage), REGIONS);
        ck_assert_uint_eq(request->intent, LEDGER_NO_INTENT);
}
END_TEST

START_TEST(a_node_is_not_reached_by_a_descriptor_of_another_file) {
        pin(1);
        ledger_node(ledger, 1)->inode++;
        ck_assert_uint_eq(nodes_left(one_node), REGIONS);
}
END_TEST

static void add(void *data, int fd) {
        ck_assert_int_ne(fd, *(int *)data);
}

/* Neither taken nor closed, wherever the ledger names it. */
START_TEST(the_keepers_descriptors_stay_its_own) {
        g_autoptr(GArray) keepers = server_descriptors_open();
        int fd = unit_any_descriptor(), stray = unit_any_descriptor();
        LedgerRequest *request = keep_request(10);
        Registry *registry;
        Handles *handles;

        g_array_append_val(keepers, fd);
        ledger_node(ledger, 1)->inode = inode_of(fd);
        ledger_node(ledger, 1)->descriptor = ledger_node(ledger, 2)->source = ledger_note_descriptor(fd);
        header->reports = ledger_note_descriptor(fd);
        keep_handle(1, fd);
        request->descriptor[1] = ledger_note_descriptor(fd);
        request->inode[1] = inode_of(fd);
        ledger_audit(ledger, keepers);
        registry = registry_new(ledger, NULL, true);
        handles = handles_new(ledger);
        registry_descriptors(ledger, add, &fd);
        handles_descriptors(ledger, add, &fd);
        requests_descriptors(ledger, add, &fd);
        ck_assert_uint_eq(header->reports, 0);
        server_descriptors_sweep(keepers, ledger, -1, NULL, NULL);
        ck_assert(unit_is_open(fd) && unit_is_open(ledger->file) && !unit_is_open(stray));
        registry_free(registry);
        handles_free(handles);
        ck_assert(unit_is_open(fd));
}
END_TEST

/* Reading it might wait for ever. */
START_TEST(reports_are_read_from_nothing_else) {
        header->reports = ledger_note_descriptor(unit_any_descriptor());
        nodes_left(one_value);
        ck_assert_uint_eq(header->reports, 0);
}
END_TEST

/* Whatever the ledger says of it: gone, another inode, or reached by a name. */
START_TEST(the_root_is_the_pools_directory) {
        g_auto(PoolRef) root = made_up(0), found;
        LedgerNode *slot = ledger_node(ledger, 0);
        Registry *registry;

        if (_i == 0)
                slot->id = 0;
        else if (_i == 1)
                slot->inode++;
        else
                name(0, "name", 1);
        name(2, "child", 1);
        registry = registry_new(ledger, &root, true);
        ck_assert_uint_eq(registry_nodes(registry), REGIONS + 1);
        ck_assert_uint_eq(ledger_damage(ledger, LEDGER_BAD_NODES), 1);
        ck_assert_int_eq(registry_resolve(registry, REGISTRY_ROOT_ID, &found), 0);
        root = made_up(0);
        ck_assert(pool_ref_equal(&found, &root));
        found = (PoolRef)POOL_REF_INIT;
        registry_forget(registry, 3, 1);
        registry_forget(registry, REGISTRY_ROOT_ID, UINT64_MAX);
        ck_assert_uint_eq(registry_nodes(registry), REGIONS);
        registry_free(registry);
}
END_TEST

/* One that was reached by a descriptor has no file handle either. */
START_TEST(the_root_is_not_reached_by_a_name) {
        g_auto(PoolRef) root = POOL_REF_INIT;
        Registry *registry;
        PoolRef found;
        int fd = pin(0);

        root.inode = ledger_node(ledger, 0)->inode;
        root.handle_type = ledger_node(ledger, 0)->handle_type;
        root.fd = fd;
        name(0, "name", 1);
        ledger_node(ledger, 0)->descriptor = 0;
        registry = registry_new(ledger, &root, true);
        ck_assert_int_eq(registry_resolve(registry, REGISTRY_ROOT_ID, &found), 0);
        ck_assert_int_eq(found.fd, fd);
        registry_free(registry);
}
END_TEST

START_TEST(without_a_root_nothing_is_found) {
        PoolRef root = made_up(0);
        Registry *registry;

        ledger_node(ledger, 0)->id = 0;
        registry = registry_new(ledger, NULL, true);
        ck_assert_uint_eq(registry_find(registry, &root), 0);
        registry_free(registry);
}
END_TEST

static GString *told;

static void take_message(const char *domain, GLogLevelFlags level, const char *message, void *data) {
        g_string_append_printf(told, "%s\n", message);
}

START_TEST(damage_is_told_once) {
        told = g_string_new(NULL);
        g_log_set_always_fatal(G_LOG_FATAL_MASK);
        g_log_set_default_handler(take_message, NULL);
        ledger_audit(ledger, NULL);
        ledger_tell_damage(ledger);
        ck_assert_str_eq(told->str, "");
        ledger_node(ledger, 1)->id = UINT64_MAX;
        header->next_node = 0;
        ledger_audit(ledger, NULL);
        ledger_tell_damage(ledger);
        ck_assert_str_eq(told->str, "the ledger is damaged: dropped are 1 nodes, 0 handles, 0 requests, 0 notes and 0 "
                                    "messages; put right are 1 values\n");
        g_string_free(told, TRUE);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("ledger-audit");
        TCase *tcase = unit_case(suite, "audit");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, what_is_good_stays);
        tcase_add_test(tcase, counts_of_slots_are_bounded);
        tcase_add_test(tcase, counts_may_be_ahead);
        tcase_add_loop_test(tcase, a_node_with_counts_that_cannot_be_is_dropped, 0, 6);
        tcase_add_test(tcase, a_file_handle_is_no_longer_than_there_is_room);
        tcase_add_loop_test(tcase, a_name_that_is_none_is_dropped, 0, G_N_ELEMENTS(bad_names));
        tcase_add_test(tcase, a_name_without_end_is_dropped);
        tcase_add_test(tcase, parents_are_there_and_not_reached_by_name);
        tcase_add_test(tcase, of_two_nodes_with_one_id_one_is_left);
        tcase_add_loop_test(tcase, two_nodes_may_be_found_by_one_reference, 0, 2);
        tcase_add_test(tcase, what_is_dropped_is_not_found_in_place_of_another);
        tcase_add_loop_test(tcase, ids_are_not_given_out_again, 0, 3);
        tcase_add_test(tcase, values_of_a_node_are_put_right);
        tcase_add_test(tcase, a_source_that_is_not_open_is_looked_for);
        tcase_add_test(tcase, a_descriptor_has_one_owner);
        tcase_add_test(tcase, a_node_is_not_reached_by_a_descriptor_of_another_file);
        tcase_add_test(tcase, the_keepers_descriptors_stay_its_own);
        tcase_add_test(tcase, reports_are_read_from_nothing_else);
        tcase_add_loop_test(tcase, the_root_is_the_pools_directory, 0, 3);
        tcase_add_test(tcase, the_root_is_not_reached_by_a_name);
        tcase_add_test(tcase, without_a_root_nothing_is_found);
        tcase_add_test(tcase, damage_is_told_once);
        return unit_main(suite);
}
