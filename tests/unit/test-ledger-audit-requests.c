/* The same of what was in hand: handles, requests, forgets, ends. */
#include "unit-audit.h"

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

/* It has to tell by them, and by the name, whether it was carried out. */
START_TEST(an_intent_goes_without_its_descriptors) {
        const unsigned three[LEDGER_DAMAGES] = { [LEDGER_BAD_VALUES] = 3 };
        LedgerRequest *first = keep_request(10), *second = keep_request(12), *nameless = keep_request(14);

        g_strlcpy(first->name, "name", sizeof(first->name));
        g_strlcpy(second->name, "name", sizeof(second->name));
        nameless->intent = LEDGER_MAKING;
        first->intent = LEDGER_REMOVING;
        second->intent = LEDGER_RENAMING;
        second->inode[0] = 5;
        nodes_left(three);
        ck_assert_uint_eq(nameless->intent, LEDGER_NO_INTENT);
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

int main(void) {
        Suite *suite = suite_create("ledger-audit-requests");
        TCase *tcase = unit_case(suite, "audit");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, a_handle_that_cannot_be_is_dropped, 0, 5);
        tcase_add_test(tcase, of_two_handles_with_one_id_one_is_left);
        tcase_add_loop_test(tcase, a_request_that_cannot_be_is_dropped, 0, 2);
        tcase_add_test(tcase, values_of_a_request_are_put_right);
        tcase_add_test(tcase, an_intent_goes_without_its_descriptors);
        tcase_add_test(tcase, room_is_left_for_new_requests);
        tcase_add_test(tcase, of_two_slots_of_one_request_one_is_left);
        tcase_add_loop_test(tcase, forgets_that_are_not_whole_are_none, 0, G_N_ELEMENTS(forgets));
        tcase_add_test(tcase, what_is_told_of_an_end_is_bounded);
        return unit_main(suite);
}
