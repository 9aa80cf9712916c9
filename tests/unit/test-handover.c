/* What another program finds: a ledger by its descriptor, and what of its descriptors has not come with it. */
#include "handover/handover.h"
#include "ledger/ledger-mend.h"
#include "ledger/ledger.h"
#include "registry/registry.h"

#include "unit.h"

#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

START_TEST(a_ledger_is_found_again_by_its_descriptor) {
        g_autoptr(Ledger) ledger = ledger_new(NULL), again = NULL;

        ledger_header(ledger)->regions = 7;
        ledger_node(ledger, 3)->id = 4;
        ledger_set(ledger, &ledger_header(ledger)->regions, 8);
        again = ledger_open(fcntl(ledger_file(ledger), F_DUPFD_CLOEXEC, 0), NULL);
        ck_assert_ptr_nonnull(again);
        ck_assert_uint_eq(ledger_node(again, 3)->id, 4);
        /* At another address. */
        ck_assert_ptr_ne(ledger_header(again), ledger_header(ledger));
        ledger_recover(again);
        ck_assert_uint_eq(ledger_header(ledger)->regions, 7);
}
END_TEST

START_TEST(what_is_none_of_ours_is_refused) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        g_autoptr(GError) error = NULL, none = NULL;
        unsigned before = unit_descriptors();

        ledger_header(ledger)->format++;
        ck_assert_ptr_null(ledger_open(fcntl(ledger_file(ledger), F_DUPFD_CLOEXEC, 0), &error));
        ck_assert_msg(strstr(error->message, "cannot read what another one has left"), "%s", error->message);
        ck_assert_ptr_null(ledger_open(memfd_create("empty", MFD_CLOEXEC), &none));
        ck_assert_uint_eq(unit_descriptors(), before);
}
END_TEST

START_TEST(what_is_missing_is_taken_out) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        int open = fcntl(ledger_file(ledger), F_DUPFD_CLOEXEC, 100), missing = 99;
        LedgerHeader *header = ledger_header(ledger);

        header->nodes = header->handles = header->requests = 3;
        header->reports = ledger_note_descriptor(open);
        /* By descriptor alone; by handle as well; nothing missing. */
        *ledger_node(ledger, 0) = (LedgerNode){ .id = 1, .inode = 5, .descriptor = ledger_note_descriptor(missing) };
        *ledger_node(ledger, 1) = (LedgerNode){
                .id = 2, .inode = 5, .handle_size = 8, .descriptor = ledger_note_descriptor(missing),
                .source = ledger_note_descriptor(missing), .source_kind = 1
        };
        *ledger_node(ledger, 2) = (LedgerNode){ .id = 3, .inode = 5, .descriptor = ledger_note_descriptor(open) };
        *ledger_handle(ledger, 0) = (LedgerHandle){ .id = 1, .descriptor = ledger_note_descriptor(missing) };
        *ledger_handle(ledger, 1) = (LedgerHandle){ .id = 2, .descriptor = ledger_note_descriptor(open) };
        ledger_request(ledger, 0)->unique = 9;
        ledger_request(ledger, 0)->descriptor[1] = ledger_note_descriptor(missing);
        /* A free one has none. */
        ledger_request(ledger, 1)->descriptor[0] = ledger_note_descriptor(missing);

        ck_assert_uint_eq(ledger_mend(ledger), 5);
        ck_assert_int_eq(ledger_descriptor(header->reports), open);
        ck_assert_uint_eq(ledger_node(ledger, 0)->descriptor, 0);
        ck_assert_uint_ne(ledger_node(ledger, 0)->inode, 5);
        ck_assert_str_eq(ledger_name(ledger, ledger_node(ledger, 0)), ".");
        ck_assert_uint_eq(ledger_node(ledger, 1)->descriptor, 0);
        ck_assert_uint_eq(ledger_node(ledger, 1)->source, 0);
        ck_assert_uint_eq(ledger_node(ledger, 1)->inode, 5);
        ck_assert_int_eq(ledger_descriptor(ledger_node(ledger, 2)->descriptor), open);
        ck_assert_uint_eq(ledger_handle(ledger, 0)->id, 0);
        ck_assert_uint_eq(ledger_handle(ledger, 1)->id, 2);
        ck_assert_uint_eq(ledger_request(ledger, 0)->descriptor[1], 0);
        ck_assert_uint_eq(ledger_mend(ledger), 0);
        close(open);
}
END_TEST

/* As one that was handed over. */
static void fill(const Ledger *ledger, int fd) {
        LedgerKeeper *keeper = ledger_keeper(ledger);

        *keeper = (LedgerKeeper){ .mountpoint = "/mount", .program = "/program" };
        keeper->channel = keeper->pool = keeper->notifier[0] = keeper->notifier[1] = ledger_note_descriptor(fd);
}

/* A server that went wild may have written anything. */
START_TEST(what_cannot_be_meant_is_not_whole) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        LedgerKeeper *keeper = ledger_keeper(ledger);
        int fd = fcntl(ledger_file(ledger), F_DUPFD_CLOEXEC, 100);
        uint64_t *const needed[] = { &keeper->channel, &keeper->pool, &keeper->notifier[0], &keeper->notifier[1] };
        uint64_t *const others[] = { &keeper->unmounter, &keeper->pool_mount, &keeper->lifeline };
        static const uint64_t bad[] = { 1, 3, (uint64_t)INT_MAX + 1, (UINT64_C(1) << 32) + 101, UINT64_MAX };
        char *const paths[] = { keeper->mountpoint, keeper->pool_path, keeper->program };

        fill(ledger, fd);
        ck_assert(handover_is_whole(ledger));
        for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
                fill(ledger, fd);
                *needed[i] = 0;
                ck_assert(!handover_is_whole(ledger));
                *needed[i] = ledger_note_descriptor(99);
                ck_assert(!handover_is_whole(ledger));
                for (size_t k = 0; k < G_N_ELEMENTS(bad); k++) {
                        *needed[i] = bad[k];
                        ck_assert(!handover_is_whole(ledger));
                }
        }
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                for (size_t k = 0; k < G_N_ELEMENTS(bad); k++) {
                        fill(ledger, fd);
                        *others[i] = bad[k];
                        ck_assert(!handover_is_whole(ledger));
                }
        for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
                fill(ledger, fd);
                memset(paths[i], '/', PATH_MAX);
                ck_assert(!handover_is_whole(ledger));
                strcpy(paths[i], "relative");
                ck_assert(!handover_is_whole(ledger));
        }
        fill(ledger, fd);
        keeper->pool_kind = 3;
        ck_assert(!handover_is_whole(ledger));
        fill(ledger, fd);
        ledger_header(ledger)->ending = 1;
        ck_assert(!handover_is_whole(ledger));
        close(fd);
}
END_TEST

static void find(void *data, int fd) {
        int *wanted = data;

        if (fd == *wanted)
                *wanted = -1;
}

START_TEST(the_root_is_found_wherever_it_is) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        int root = 77;

        ledger_header(ledger)->nodes = 6;
        *ledger_node(ledger, 0) = (LedgerNode){ .id = 8, .descriptor = ledger_note_descriptor(66) };
        *ledger_node(ledger, 5) = (LedgerNode){ .id = REGISTRY_ROOT_ID, .descriptor = ledger_note_descriptor(root) };
        handover_lasting(ledger, find, &root);
        ck_assert_int_eq(root, -1);
        ledger_node(ledger, 5)->id = 0;
        root = 66;
        handover_lasting(ledger, find, &root);
        ck_assert_int_eq(root, 66);
}
END_TEST

static char **arguments_of(const char *first, ...) {
        GPtrArray *arguments = g_ptr_array_new();
        va_list rest;

        va_start(rest, first);
        for (const char *next = first; next; next = va_arg(rest, const char *))
                g_ptr_array_add(arguments, g_strdup(next));
        va_end(rest);
        g_ptr_array_add(arguments, NULL);
        return (char **)g_ptr_array_free(arguments, FALSE);
}

START_TEST(the_last_good_options_are_gone_on_with) {
        g_auto(GStrv) made = arguments_of("regionfs", "-f", "-o", "watchdog=5", "/", NULL);
        g_auto(GStrv) other = arguments_of("regionfs", "-f", "-o", "watchdog=6", "/", NULL);
        g_auto(GStrv) bad = arguments_of("regionfs", "-f", "-o", "watchdog=soon", "/", NULL);
        g_auto(GStrv) first = NULL, second = NULL;
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        g_auto(Options) one = { 0 }, two = { 0 };
        g_autoptr(GError) error = NULL;

        /* It is said, too. */
        g_log_set_always_fatal(G_LOG_FATAL_MASK);
        handover_note_arguments(ledger, made);
        first = handover_read_options(ledger, &one, other, &error);
        ck_assert(g_strv_equal((const char *const *)first, (const char *const *)other));
        ck_assert_uint_eq(one.watchdog, 6);
        second = handover_read_options(ledger, &two, bad, &error);
        ck_assert_ptr_null(error);
        ck_assert_uint_eq(two.watchdog, 6);
        ck_assert(g_strv_equal((const char *const *)second, (const char *const *)other));
}
END_TEST

/* What there is no room for, and what a ledger that was stored into may say. */
START_TEST(options_that_were_not_kept_are_none) {
        g_autofree char *text = g_strnfill(LEDGER_ARGUMENTS_SIZE, 'x');
        g_auto(GStrv) made = arguments_of("regionfs", text, "/", NULL),
                      bad = arguments_of("regionfs", "-o", "watchdog=soon", "/", NULL);
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        g_autoptr(GError) error = NULL, again = NULL;
        g_auto(Options) options = { 0 };

        handover_note_arguments(ledger, made);
        ck_assert_ptr_null(handover_read_options(ledger, &options, bad, &error));
        ck_assert_msg(strstr(error->message, "watchdog=soon"), "%s", error->message);
        memset(&ledger_keeper(ledger)->accepted, 'x', sizeof(LedgerArguments));
        ck_assert_ptr_null(handover_read_options(ledger, &options, bad, &again));
        ck_assert_msg(strstr(again->message, "watchdog=soon"), "%s", again->message);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("handover");
        TCase *tcase = unit_case(suite, "handover");

        tcase_add_test(tcase, a_ledger_is_found_again_by_its_descriptor);
        tcase_add_test(tcase, what_is_none_of_ours_is_refused);
        tcase_add_test(tcase, what_is_missing_is_taken_out);
        tcase_add_test(tcase, what_cannot_be_meant_is_not_whole);
        tcase_add_test(tcase, the_root_is_found_wherever_it_is);
        tcase_add_test(tcase, the_last_good_options_are_gone_on_with);
        tcase_add_test(tcase, options_that_were_not_kept_are_none);
        return unit_main(suite);
}
