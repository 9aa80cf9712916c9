/* What a server has left that has stored anywhere before it died: the next one takes none of it for granted. */
#include "handles.h"
#include "ledger-room.h"
#include "requests.h"
#include "server-descriptors.h"
#include "server.h"

#include "unit.h"

#define SOME_ID 4000
#define REGIONS 3

static Ledger *ledger;
static LedgerHeader *header;

static PoolRef made_up(unsigned number) {
        PoolRef ref = { .inode = 1000 + number, .fd = -1, .handle_type = 1, .handle_size = sizeof(number) };

        memcpy(ref.handle, &number, sizeof(number));
        return ref;
}

/* The root has slot and inode number 0, and id 1; each region the next ones. */
static void setup(void) {
        PoolRef root = made_up(0);
        Registry *registry;

        ledger = ledger_new(NULL);
        header = ledger_header(ledger);
        registry = registry_new(ledger, &root, true);
        for (unsigned i = 1; i <= REGIONS; i++) {
                PoolRef ref = made_up(i);

                registry_lookup(registry, &ref);
        }
        registry_free(registry);
}

static void teardown(void) {
        ledger_free(ledger);
}

/* Nodes that are left for the next server, which finds as many of each kind damaged as said; NULL: none of any. */
static uint64_t nodes_left(const unsigned damage[LEDGER_DAMAGES]) {
        Registry *registry;
        uint64_t nodes;

        ledger_recover(ledger);
        ledger_audit(ledger, NULL);
        registry = registry_new(ledger, NULL, true);
        nodes = registry_nodes(registry);
        for (int i = 0; i < LEDGER_DAMAGES; i++)
                ck_assert_msg(ledger_damage(ledger, i) == (damage ? damage[i] : 0), "damage %d is %u", i,
                              ledger_damage(ledger, i));
        registry_free(registry);
        return nodes;
}

static const unsigned one_node[LEDGER_DAMAGES] = { [LEDGER_BAD_NODES] = 1 };
static const unsigned one_value[LEDGER_DAMAGES] = { [LEDGER_BAD_VALUES] = 1 };
static const unsigned one_handle[LEDGER_DAMAGES] = { [LEDGER_BAD_HANDLES] = 1 };
static const unsigned one_request[LEDGER_DAMAGES] = { [LEDGER_BAD_REQUESTS] = 1 };

static uint64_t inode_of(int fd) {
        struct stat st;

        ck_assert_int_eq(fstat(fd, &st), 0);
        return st.st_ino;
}

/* Has a node be reached by a descriptor, which is the ledger's from now on. */
static int pin(uint64_t number) {
        LedgerNode *slot = ledger_node(ledger, number);
        int fd = unit_any_descriptor();

        slot->inode = inode_of(fd);
        slot->descriptor = ledger_note_descriptor(fd);
        slot->handle_size = 0;
        return fd;
}

/* Has a node be reached by a name. */
static void name(uint64_t number, const char *text, uint64_t parent) {
        LedgerNode *slot = ledger_node(ledger, number);

        slot->handle_size = 0;
        slot->parent = parent;
        memset(ledger_name(ledger, slot), 0, LEDGER_NAME_SIZE);
        memcpy(ledger_name(ledger, slot), text, strlen(text));
}

static LedgerHandle *keep_handle(uint64_t id, int fd) {
        LedgerHandle *slot = ledger_handle(ledger, header->handles++);

        *slot = (LedgerHandle){ .id = id, .kind = LEDGER_FILE, .descriptor = ledger_note_descriptor(fd) };
        header->next_handle = id + 1;
        return slot;
}

static LedgerRequest *keep_request(uint64_t unique) {
        LedgerRequest *slot = ledger_request(ledger, header->requests++);

        slot->unique = unique;
        return slot;
}

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

START_TEST(a_handle_that_cannot_be_is_dropped) {
        LedgerHandle *slot = keep_handle(5, unit_any_descriptor());

        switch (_i) {
        case 0:
                slot->kind = 3;
                break;
        case 1:
                slot->descriptor = 0;
                break;
        case 2:
                slot->descriptor = SOME_ID;
                break;
        case 3:
                slot->descriptor |= UINT64_C(1) << 32;
                break;
        default:
                slot->id = UINT64_MAX;
        }
        nodes_left(one_handle);
        ck_assert_uint_eq(slot->id, 0);
}
END_TEST

START_TEST(of_two_handles_with_one_id_one_is_left) {
        Handles *handles;
        int one = unit_any_descriptor(), other = unit_any_descriptor(), fd;

        keep_handle(5, one);
        keep_handle(5, other);
        handles = handles_new(ledger);
        ck_assert_uint_eq(ledger_damage(ledger, LEDGER_BAD_HANDLES), 1);
        ck_assert_int_eq(handles_file(handles, 5, &fd), 0);
        ck_assert_int_eq(fd, one);
        handles_free(handles);
        /* For whoever closes what the ledger does not name. */
        ck_assert(unit_is_open(other));
}
END_TEST

START_TEST(a_request_that_cannot_be_is_dropped) {
        LedgerRequest *slot = keep_request(_i ? UINT64_MAX : 10);

        slot->lookups = _i ? 0 : LEDGER_LOOKUPS + 1;
        nodes_left(one_request);
        ck_assert_uint_eq(slot->unique, 0);
}
END_TEST

START_TEST(values_of_a_request_are_put_right) {
        const unsigned values[LEDGER_DAMAGES] = { [LEDGER_BAD_VALUES] = 8 };
        LedgerRequest *slot = keep_request(10), *other = keep_request(12);

        slot->writes = 2;
        slot->state = UINT64_MAX;
        slot->left_size = LEDGER_LEFT_MAX + 1;
        other->left_size = LEDGER_LEFT_MIN - 1;
        slot->backing = UINT64_MAX;
        slot->registering = 2;
        slot->descriptor[0] = SOME_ID;
        slot->intent = LEDGER_STRIPPING + 1;
        nodes_left(values);
        ck_assert_uint_eq(slot->writes, 1);
        ck_assert_uint_eq(slot->state & ~(uint64_t)LEDGER_NODE_STATES, 0);
        ck_assert_uint_eq(slot->left_size, 0);
        ck_assert_uint_eq(other->left_size, 0);
        ck_assert_uint_eq(slot->backing, 0);
        ck_assert_uint_eq(slot->registering, 0);
        ck_assert_uint_eq(slot->descriptor[0], 0);
        ck_assert_uint_eq(slot->intent, LEDGER_NO_INTENT);
}
END_TEST

/* It has to tell by them whether it was carried out. */
START_TEST(an_intent_goes_without_its_descriptors) {
        const unsigned two[LEDGER_DAMAGES] = { [LEDGER_BAD_VALUES] = 2 };
        LedgerRequest *first = keep_request(10), *second = keep_request(12);

        first->intent = LEDGER_REMOVING;
        second->intent = LEDGER_RENAMING;
        second->inode[0] = 5;
        nodes_left(two);
        ck_assert_uint_eq(first->intent, LEDGER_NO_INTENT);
        ck_assert_uint_eq(second->intent, LEDGER_NO_INTENT);
}
END_TEST

START_TEST(room_is_left_for_new_requests) {
        const uint32_t buffer[16] = { 40, 1, 1 };
        Registry *registry;
        Requests *requests;

        for (uint64_t i = 0; i < LEDGER_REQUESTS; i++)
                keep_request(2 * i + 2);
        ledger_audit(ledger, NULL);
        ck_assert_uint_gt(ledger_damage(ledger, LEDGER_BAD_REQUESTS), 1000);
        registry = registry_new(ledger, NULL, true);
        requests = requests_new(ledger, registry);
        ck_assert(!requests_begin(requests, buffer));
        requests_end(requests);
        requests_free(requests);
        registry_free(registry);
}
END_TEST

START_TEST(of_two_slots_of_one_request_one_is_left) {
        Registry *registry;
        Requests *requests;

        keep_request(10);
        keep_request(10);
        registry = registry_new(ledger, NULL, true);
        requests = requests_new(ledger, registry);
        ck_assert_uint_eq(ledger_damage(ledger, LEDGER_BAD_REQUESTS), 1);
        requests_free(requests);
        registry_free(registry);
}
END_TEST

/* A message as the kernel hands it out; and the one forget that it holds, or says that it does. */
static void receive(uint32_t length, uint32_t opcode, uint32_t count) {
        const uint32_t words[] = { length, opcode, 10, 0, 2, 0, 0, 0, 0, 0, count, 0, 2, 0, 1, 0 };

        memcpy(ledger_buffer(ledger, 0), words, sizeof(words));
        header->buffers = 1;
}

static const uint32_t forgets[][3] = {
        { 40, 2, 1 }, { 47, 2, 1 }, { 48, 42, 1 }, { 63, 42, 1 }, { 64, 42, 2 }, { 64, 42, UINT32_MAX },
        { LEDGER_BUFFER_SIZE + 1, 42, 1 }, { UINT32_MAX, 42, UINT32_MAX / 16 },
};

START_TEST(forgets_that_are_not_whole_are_none) {
        Registry *registry = registry_new(ledger, NULL, true);
        Requests *requests;

        receive(forgets[_i][0], forgets[_i][1], forgets[_i][2]);
        requests = requests_new(ledger, registry);
        ck_assert_uint_eq(ledger_damage(ledger, LEDGER_BAD_FORGETS), 1);
        ck_assert_uint_eq(registry_nodes(registry), REGIONS + 1);
        requests_free(requests);
        receive(64, 42, 1);
        requests = requests_new(ledger, registry);
        ck_assert_uint_eq(ledger_damage(ledger, LEDGER_BAD_FORGETS), 1);
        ck_assert_uint_eq(registry_nodes(registry), REGIONS);
        requests_free(requests);
        registry_free(registry);
}
END_TEST

START_TEST(what_is_told_of_an_end_is_bounded) {
        const unsigned five[LEDGER_DAMAGES] = { [LEDGER_BAD_VALUES] = 5 };
        LedgerEnd *end = ledger_end(ledger);

        end->node = 2;
        end->names = UINT64_MAX;
        strcpy(end->removed[0].name, "good");
        memset(end->removed[1].name, 'x', LEDGER_NAME_SIZE);
        end->request.lookups = UINT64_MAX;
        end->request.gone = 2;
        /* Another's. */
        end->descriptor = ledger_note_descriptor(pin(1));
        nodes_left(five);
        ck_assert_uint_eq(end->descriptor, 0);
        ck_assert_uint_eq(end->names, 1);
        ck_assert_uint_eq(end->request.lookups, 0);
        ck_assert_uint_eq(end->request.gone, 1);
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
        tcase_add_loop_test(tcase, a_handle_that_cannot_be_is_dropped, 0, 5);
        tcase_add_test(tcase, of_two_handles_with_one_id_one_is_left);
        tcase_add_loop_test(tcase, a_request_that_cannot_be_is_dropped, 0, 2);
        tcase_add_test(tcase, values_of_a_request_are_put_right);
        tcase_add_test(tcase, an_intent_goes_without_its_descriptors);
        tcase_add_test(tcase, room_is_left_for_new_requests);
        tcase_add_test(tcase, of_two_slots_of_one_request_one_is_left);
        tcase_add_loop_test(tcase, forgets_that_are_not_whole_are_none, 0, G_N_ELEMENTS(forgets));
        tcase_add_test(tcase, what_is_told_of_an_end_is_bounded);
        tcase_add_loop_test(tcase, the_root_is_the_pools_directory, 0, 3);
        tcase_add_test(tcase, the_root_is_not_reached_by_a_name);
        tcase_add_test(tcase, without_a_root_nothing_is_found);
        tcase_add_test(tcase, damage_is_told_once);
        return unit_main(suite);
}
