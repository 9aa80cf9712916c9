/* What is in the ledger when its server has died: changes as a whole or not at all, and all that the next one needs. */
#include "ledger/ledger-room.h"
#include "operations/handles.h"
#include "operations/requests.h"

#include "unit.h"

#include <signal.h>
#include <sys/wait.h>

#define KILLS 200
#define NODES 8

static PoolRef made_up(unsigned number) {
        PoolRef ref = { .inode = 1000 + number, .fd = -1, .handle_type = 1, .handle_size = sizeof(number) };

        memcpy(ref.handle, &number, sizeof(number));
        return ref;
}

static uint64_t lookup(Registry *registry, unsigned number) {
        PoolRef ref = made_up(number);

        return registry_lookup(registry, &ref);
}

static Registry *begin(Ledger *ledger) {
        PoolRef root = made_up(0);

        return registry_new(ledger, &root, false);
}

/* As a server begins that follows a dead one. */
static Registry *follow(Ledger *ledger) {
        ledger_recover(ledger);
        return registry_new(ledger, NULL, false);
}

START_TEST(what_is_settled_stands) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        LedgerHeader *header = ledger_header(ledger);

        ledger_set(ledger, &header->regions, 1);
        ledger_set(ledger, &header->next_node, 2);
        ledger_set(ledger, &header->regions, 3);
        ledger_settle(ledger);
        ledger_recover(ledger);
        ck_assert_uint_eq(header->regions, 3);
        ck_assert_uint_eq(header->next_node, 2);
}
END_TEST

START_TEST(what_is_not_settled_is_taken_back) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        LedgerHeader *header = ledger_header(ledger);
        LedgerNode *node = ledger_node(ledger, 5);

        ledger_set(ledger, &header->regions, 1);
        ledger_set_name(ledger, node, "a name of some length, longer than a word");
        ledger_settle(ledger);
        ledger_set(ledger, &header->regions, 2);
        ledger_set_name(ledger, node, "another");
        ledger_set(ledger, &header->regions, 3);
        ck_assert_str_eq(ledger_name(ledger, node), "another");
        ledger_recover(ledger);
        ck_assert_uint_eq(header->regions, 1);
        ck_assert_str_eq(ledger_name(ledger, node), "a name of some length, longer than a word");
}
END_TEST

/* A note that no ledger_set() has made, before one that it has; what the change was made of comes back all the same. */
static void note_badly(Ledger *ledger, uint64_t offset) {
        LedgerHeader *header = ledger_header(ledger);

        header->regions = 1;
        ledger_set(ledger, &header->regions, 2);
        ledger->room->log[ledger->room->notes++] = (LedgerNote){ offset, UINT64_C(0x5a5a5a5a5a5a5a5a) };
        ledger_recover(ledger);
        ck_assert_uint_eq(header->regions, 1);
        ck_assert_uint_eq(ledger->room->notes, 0);
}

START_TEST(bad_notes_are_passed_over) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        LedgerHeader *header = ledger_header(ledger);

        note_badly(ledger, sizeof(LedgerRoom));
        note_badly(ledger, UINT64_MAX - 7);
        note_badly(ledger, offsetof(LedgerRoom, notes));
        note_badly(ledger, offsetof(LedgerRoom, log) + 8);
        header->next_node = 3;
        note_badly(ledger, offsetof(LedgerRoom, header.next_node) + 1);
        ck_assert_uint_eq(header->next_node, 3);
}
END_TEST

START_TEST(a_note_may_concern_any_other_word) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        uint64_t *words[] = { &ledger_header(ledger)->next_node, &ledger_node(ledger, 0)->id,
                              (uint64_t *)ledger_buffer(ledger, LEDGER_BUFFERS - 1) + LEDGER_BUFFER_SIZE / 8 - 1 };

        for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
                *words[i] = 17;
                ledger_set(ledger, words[i], 18);
        }
        ledger_recover(ledger);
        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
                ck_assert_uint_eq(*words[i], 17);
}
END_TEST

START_TEST(more_notes_than_there_is_room_for_are_none) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        LedgerHeader *header = ledger_header(ledger);

        header->regions = 1;
        ledger_set(ledger, &header->regions, 2);
        ledger->room->notes = LEDGER_NOTES + 1;
        ledger_recover(ledger);
        ck_assert_uint_eq(header->regions, 2);
        ck_assert_uint_eq(ledger->room->notes, 0);
}
END_TEST

START_TEST(nodes_are_found_again) {
        const RegionPolicy policy = { .lifetime = REGION_HANDLES, .allocation = REGION_COMMITTED, .sealed = true };
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        Registry *registry = begin(ledger);
        uint64_t one = lookup(registry, 1), two = lookup(registry, 2), three = lookup(registry, 3), count;
        RegistryRelease release;
        RegionPolicy found;
        int backing, unused;
        PoolRef ref;

        lookup(registry, 1);
        ck_assert_int_eq(registry_handle_added(registry, one, true, &backing), 0);
        ck_assert_int_eq(registry_set_backing(registry, one, 17, &unused), 17);
        registry_note_policy(registry, one, &policy, false);
        registry_regions_changed(registry, 3);
        registry_hold(registry, two);
        registry_forget(registry, two, 1);
        registry_forget(registry, three, 1);
        registry_free(registry);

        registry = follow(ledger);
        /* Held by the dead one alone. */
        ck_assert_int_eq(registry_resolve(registry, two, &ref), -ESTALE);
        ck_assert_uint_eq(registry_nodes(registry), 2);
        ck_assert_uint_eq(registry_regions(registry), 3);
        ck_assert_int_eq(registry_resolve(registry, one, &ref), 0);
        {
                PoolRef wanted = made_up(1);

                ck_assert(pool_ref_equal(&ref, &wanted));
        }
        found = registry_policy(registry, one);
        ck_assert(found.lifetime == policy.lifetime && found.allocation == policy.allocation && found.sealed);
        ck_assert_int_eq(registry_handles(registry, one, &count), 0);
        ck_assert_uint_eq(count, 1);
        ck_assert_uint_gt(lookup(registry, 4), three);
        ck_assert_int_eq(registry_handle_removed(registry, one, true, &release), 0);
        ck_assert_int_eq(release.backing_id, 17);
        ck_assert_uint_eq(lookup(registry, 1), one);
        registry_forget(registry, one, 2);
        ck_assert_int_eq(registry_resolve(registry, one, &ref), 0);
        registry_forget(registry, one, 1);
        ck_assert_int_eq(registry_resolve(registry, one, &ref), -ESTALE);
        registry_free(registry);
}
END_TEST

static bool was_used(Registry *registry, uint64_t id) {
        g_autoptr(GArray) ids = registry_in_doubt(registry, REGISTRY_WAS_USED);

        for (guint i = 0; i < ids->len; i++)
                if (g_array_index(ids, uint64_t, i) == id)
                        return true;
        return false;
}

START_TEST(what_ends_with_its_handles_and_had_one_is_told) {
        const RegionPolicy ends = { .lifetime = REGION_HANDLES };
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        Registry *registry = begin(ledger);
        uint64_t unused = lookup(registry, 1), open = lookup(registry, 2), released = lookup(registry, 3),
                 kept = lookup(registry, 4);
        RegistryRelease release;
        int backing;

        registry_note_policy(registry, unused, &ends, false);
        registry_await_use(registry, unused);
        ck_assert_int_eq(registry_handle_added(registry, open, false, &backing), 0);
        registry_note_policy(registry, open, &ends, false);
        ck_assert_int_eq(registry_handle_added(registry, released, false, &backing), 0);
        registry_note_policy(registry, released, &ends, false);
        registry_handle_used(registry, released);
        ck_assert_int_eq(registry_handle_removed(registry, released, false, &release), 0);
        ck_assert_int_eq(registry_handle_added(registry, kept, false, &backing), 0);
        registry_free(registry);

        registry = follow(ledger);
        ck_assert(was_used(registry, open));
        ck_assert(was_used(registry, released));
        ck_assert(!was_used(registry, unused));
        ck_assert(!was_used(registry, kept));
        registry_free(registry);
}
END_TEST

START_TEST(a_lost_connection_leaves_what_is_of_the_mount) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        LedgerHeader *header = ledger_header(ledger);
        Registry *registry = begin(ledger);
        uint64_t last = lookup(registry, 7);
        PoolRef ref;

        header->restarts = 5;
        header->init_size = 100;
        header->reports = 9;
        registry_free(registry);
        ck_assert_int_eq(ledger_clear_connection(ledger), 0);
        /* As often as servers die of it. */
        ck_assert_int_eq(ledger_clear_connection(ledger), 0);
        ck_assert_uint_eq(header->nodes, 0);
        ck_assert_uint_eq(header->init_size, 0);
        ck_assert_uint_eq(header->restarts, 5);
        ck_assert_uint_eq(header->reports, 9);
        ck_assert_uint_eq(ledger_node(ledger, 0)->id, 0);
        ck_assert_uint_eq(ledger_node(ledger, 1)->inode, 0);

        registry = begin(ledger);
        ck_assert_uint_eq(registry_nodes(registry), 1);
        ck_assert_int_eq(registry_resolve(registry, REGISTRY_ROOT_ID, &ref), 0);
        ck_assert_int_eq(registry_resolve(registry, last, &ref), -ESTALE);
        ck_assert_uint_gt(lookup(registry, 7), last);
        registry_free(registry);
}
END_TEST

/* In the next server. */
static bool has_handles(Ledger *ledger, uint64_t file, int given, uint64_t directory) {
        Handles *handles = handles_new(ledger);
        Directory *found;
        int fd;
        bool good = handles_file(handles, file, &fd) == 0 && fd == given &&
                    handles_directory(handles, directory, &found) == 0 &&
                    handles_keep_file(handles, unit_any_descriptor()) > directory;

        handles_drop_file(handles, file);
        return good && !unit_is_open(given) && handles_file(handles, file, &fd) == -EBADF;
}

START_TEST(handles_are_found_again) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        g_autoptr(Handles) handles = handles_new(ledger);
        int given = unit_any_descriptor(), status;
        uint64_t file = handles_keep_file(handles, given);
        uint64_t directory = handles_keep_directory(handles, unit_any_descriptor());
        pid_t next = fork();

        if (next == 0)
                _exit(has_handles(ledger, file, given, directory) ? 0 : 1);
        ck_assert_int_eq(waitpid(next, &status, 0), next);
        ck_assert_int_eq(status, 0);
}
END_TEST

/* A request as the kernel hands it out, in its first words. */
static void fill(uint32_t *buffer, uint32_t opcode, uint64_t unique) {
        memset(buffer, 0, 64);
        buffer[0] = opcode == 42 ? 96 : 40;
        buffer[1] = opcode;
        memcpy(&buffer[2], &unique, sizeof(unique));
}

START_TEST(a_request_that_comes_again_is_known) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        Registry *registry = begin(ledger);
        Requests *requests = requests_new(ledger, registry);
        uint32_t buffer[16];
        uint64_t id;

        fill(buffer, 1, 100);
        ck_assert(!requests_begin(requests, buffer));
        id = lookup(registry, 1);
        requests_end(requests);
        fill(buffer, 1, 102);
        ck_assert(!requests_begin(requests, buffer));
        ck_assert_uint_eq(lookup(registry, 1), id);
        /* It dies here. */
        ledger_set_current(ledger, NULL);
        requests_free(requests);
        registry_free(registry);
        registry = follow(ledger);
        requests = requests_new(ledger, registry);

        fill(buffer, 1, 102 | UINT64_C(1) << 63);
        ck_assert(requests_begin(requests, buffer));
        ck_assert_uint_eq(ledger_current(ledger)->lookups, 1);
        ck_assert_uint_eq(ledger_current(ledger)->looked_up[0], id);
        registry_forget(registry, id, 1);
        ck_assert_uint_eq(ledger_current(ledger)->lookups, 0);
        ck_assert_uint_eq(registry_nodes(registry), 2);
        requests_end(requests);
        fill(buffer, 1, 100 | UINT64_C(1) << 63);
        ck_assert(!requests_begin(requests, buffer));
        requests_end(requests);
        requests_free(requests);
        registry_free(registry);
}
END_TEST

START_TEST(forgets_are_applied_by_the_next) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        Registry *registry = begin(ledger);
        Requests *requests = requests_new(ledger, registry);
        uint32_t *buffer = ledger_buffer(ledger, 0);
        uint64_t forgets[3][2] = { 0 };

        ledger_header(ledger)->buffers = 1;
        for (unsigned i = 0; i < 3; i++) {
                forgets[i][0] = lookup(registry, i + 1);
                forgets[i][1] = 1;
        }
        fill(buffer, 42, 200);
        buffer[10] = 3;
        memcpy(&buffer[12], forgets, sizeof(forgets));
        /* It dies after the first of them. */
        requests_begin(requests, buffer);
        registry_forget(registry, forgets[0][0], 1);
        ledger_set_current(ledger, NULL);
        requests_free(requests);
        registry_free(registry);
        registry = follow(ledger);
        ck_assert_uint_eq(registry_nodes(registry), 3);
        ck_assert_uint_eq(lookup(registry, 1), forgets[2][0] + 1);
        requests = requests_new(ledger, registry);
        ck_assert_uint_eq(registry_nodes(registry), 2);
        requests_free(requests);
        requests = requests_new(ledger, registry);
        ck_assert_uint_eq(registry_nodes(registry), 2);
        requests_free(requests);
        registry_free(registry);
}
END_TEST

/* Never ends. */
static G_NORETURN void work(Ledger *ledger) {
        Registry *registry = follow(ledger);

        for (;;) {
                uint64_t id = lookup(registry, g_random_int_range(1, NODES));
                RegistryRelease release;
                int backing;

                registry_handle_added(registry, id, true, &backing);
                if (g_random_boolean()) {
                        registry_handle_removed(registry, id, true, &release);
                        registry_forget(registry, id, 1);
                }
                if (g_random_int_range(0, 10) == 0) {
                        while (registry_handle_removed(registry, id, true, &release) == 0 && !release.last)
                                ;
                        registry_forget(registry, id, G_MAXUINT32);
                }
        }
}

START_TEST(it_may_die_at_any_time) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        const LedgerHeader *header = ledger_header(ledger);

        registry_free(begin(ledger));
        for (int i = 0; i < KILLS; i++) {
                g_autoptr(GHashTable) inodes = g_hash_table_new(g_direct_hash, g_direct_equal);
                pid_t server = fork();

                if (server == 0)
                        work(ledger);
                g_usleep(g_random_int_range(200, 3000));
                ck_assert_int_eq(kill(server, SIGKILL), 0);
                ck_assert_int_eq(waitpid(server, NULL, 0), server);
                ledger_recover(ledger);
                ck_assert_uint_le(header->nodes, NODES + 1);
                for (uint64_t number = 0; number < header->nodes; number++) {
                        const LedgerNode *node = ledger_node(ledger, number);

                        if (!node->id)
                                continue;
                        ck_assert_uint_lt(node->id, header->next_node);
                        ck_assert_uint_eq(node->handles, node->writers);
                        ck_assert_uint_gt(node->lookups, 0);
                        ck_assert(g_hash_table_add(inodes, GUINT_TO_POINTER(node->inode)));
                }
        }
}
END_TEST

/* Of the requests in hand; as long as they have not been looked for to the end. */
START_TEST(backing_ids_in_the_making_are_known) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);

        ck_assert_int_eq(requests_first_backing(ledger), 0);
        for (unsigned i = 0; i < 4; i++)
                *ledger_request(ledger, i) = (LedgerRequest){ .unique = i, .registering = 10 - i };
        ledger_request(ledger, 3)->registering = 0;
        ledger_header(ledger)->requests = 4;
        ck_assert_int_eq(requests_first_backing(ledger), 8);
        ck_assert_int_eq(requests_first_backing(ledger), 8);
        requests_backings_given_up(ledger);
        ck_assert_int_eq(requests_first_backing(ledger), 0);
        ck_assert_uint_eq(ledger_request(ledger, 2)->unique, 2);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("ledger");
        TCase *tcase = unit_case(suite, "ledger");

        tcase_add_test(tcase, what_is_settled_stands);
        tcase_add_test(tcase, what_is_not_settled_is_taken_back);
        tcase_add_test(tcase, bad_notes_are_passed_over);
        tcase_add_test(tcase, a_note_may_concern_any_other_word);
        tcase_add_test(tcase, more_notes_than_there_is_room_for_are_none);
        tcase_add_test(tcase, nodes_are_found_again);
        tcase_add_test(tcase, what_ends_with_its_handles_and_had_one_is_told);
        tcase_add_test(tcase, a_lost_connection_leaves_what_is_of_the_mount);
        tcase_add_test(tcase, handles_are_found_again);
        tcase_add_test(tcase, a_request_that_comes_again_is_known);
        tcase_add_test(tcase, forgets_are_applied_by_the_next);
        tcase_add_test(tcase, backing_ids_in_the_making_are_known);
        tcase_add_test(tcase, it_may_die_at_any_time);
        return unit_main(suite);
}
