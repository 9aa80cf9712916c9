#include "operations/handles.h"

#include "unit.h"

#define HAMMER_THREADS 4
#define HAMMER_ROUNDS 20000

START_TEST(files_are_kept_by_id) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        unsigned before = unit_descriptors();
        Handles *handles = handles_new(ledger);
        int first = unit_any_descriptor();
        int second = unit_any_descriptor();
        uint64_t one = handles_keep_file(handles, first);
        uint64_t two = handles_keep_file(handles, second);
        Directory *directory;
        uint64_t three;
        int fd;

        /* 0 is the handle of those that the kernel serves. */
        ck_assert_uint_ne(one, 0);
        ck_assert_uint_gt(two, one);
        ck_assert_int_eq(handles_file(handles, one, &fd), 0);
        ck_assert_int_eq(fd, first);
        ck_assert_int_eq(handles_file(handles, two, &fd), 0);
        ck_assert_int_eq(fd, second);

        handles_drop_file(handles, one);
        ck_assert(!unit_is_open(first));
        ck_assert(unit_is_open(second));
        ck_assert_int_eq(handles_file(handles, one, &fd), -EBADF);
        handles_drop_file(handles, one);
        ck_assert_int_eq(handles_file(handles, 0, &fd), -EBADF);
        ck_assert_int_eq(handles_directory(handles, two, &directory), -EBADF);

        three = handles_keep_file(handles, unit_any_descriptor());
        ck_assert_uint_gt(three, two);
        handles_free(handles);
        ck_assert_uint_eq(unit_descriptors(), before);
}
END_TEST

START_TEST(directories_are_kept_by_id) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        unsigned before = unit_descriptors();
        Handles *handles = handles_new(ledger);
        int fd = unit_any_descriptor();
        uint64_t one = handles_keep_directory(handles, fd);
        uint64_t two = handles_keep_directory(handles, unit_any_descriptor());
        Directory *found;
        int file;

        ck_assert_uint_ne(one, 0);
        ck_assert_uint_ne(two, one);
        ck_assert_int_eq(handles_directory(handles, one, &found), 0);
        ck_assert_int_eq(directory_fd(found), fd);
        ck_assert_int_eq(handles_file(handles, one, &file), -EBADF);
        handles_drop_file(handles, one);
        ck_assert_int_eq(handles_directory(handles, one, &found), 0);
        handles_drop_directory(handles, one);
        ck_assert(!unit_is_open(fd));
        ck_assert_int_eq(handles_directory(handles, one, &found), -EBADF);
        handles_drop_directory(handles, one);
        handles_free(handles);
        ck_assert_uint_eq(unit_descriptors(), before);
}
END_TEST

static gpointer hammer(gpointer data) {
        Handles *handles = data;
        guint wrong = 0;

        for (int round = 0; round < HAMMER_ROUNDS; round++) {
                int given = unit_any_descriptor(), fd;
                uint64_t id = handles_keep_file(handles, given);

                wrong += handles_file(handles, id, &fd) != 0 || fd != given || !unit_is_open(fd);
                handles_drop_file(handles, id);
                wrong += handles_file(handles, id, &fd) != -EBADF;
        }
        return GUINT_TO_POINTER(wrong);
}

START_TEST(threads_may_share_them) {
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        unsigned before = unit_descriptors();
        Handles *handles = handles_new(ledger);
        GThread *threads[HAMMER_THREADS];
        guint wrong = 0;

        for (int i = 0; i < HAMMER_THREADS; i++)
                threads[i] = g_thread_new("hammer", hammer, handles);
        for (int i = 0; i < HAMMER_THREADS; i++)
                wrong += GPOINTER_TO_UINT(g_thread_join(threads[i]));
        ck_assert_uint_eq(wrong, 0);
        handles_free(handles);
        ck_assert_uint_eq(unit_descriptors(), before);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("handles");
        TCase *tcase = unit_case(suite, "handles");

        tcase_add_test(tcase, files_are_kept_by_id);
        tcase_add_test(tcase, directories_are_kept_by_id);
        tcase_add_test(tcase, threads_may_share_them);
        return unit_main(suite);
}
