#include "regionctl/words/table.h"

#include "unit.h"

#include <locale.h>

static const TableColumn columns[] = { { "NAME", false }, { "SIZE", true }, { "OWNER", false } };

static Table *table;

static void setup(void) {
        ck_assert_ptr_nonnull(setlocale(LC_ALL, "C.UTF-8"));
        table = table_new(columns, G_N_ELEMENTS(columns));
}

static void teardown(void) {
        g_clear_pointer(&table, table_free);
}

static void add(const char *name, const char *size, const char *owner) {
        const char *cells[] = { name, size, owner, NULL };

        table_take_row(table, g_strdupv((char **)cells));
}

static void expect(const char *const *wanted) {
        g_autoptr(GPtrArray) lines = table_lines(table);

        ck_assert_uint_eq(lines->len, g_strv_length((char **)wanted));
        for (guint i = 0; i < lines->len; i++)
                ck_assert_str_eq(lines->pdata[i], wanted[i]);
}

START_TEST(titles_alone) {
        expect((const char *const[]){ "NAME SIZE OWNER", NULL });
}
END_TEST

START_TEST(columns_are_as_wide_as_what_is_in_them) {
        add("a", "1", "root");
        expect((const char *const[]){ "NAME SIZE OWNER", "a       1 root", NULL });
        add("longer", "1000000", "nobody");
        expect((const char *const[]){
                "NAME      SIZE OWNER",
                "a            1 root",
                "longer 1000000 nobody",
                NULL,
        });
}
END_TEST

START_TEST(the_last_column_is_not_filled_up) {
        add("", "", "");
        add("a", "1", "a long owner");
        expect((const char *const[]){ "NAME SIZE OWNER", "          ", "a       1 a long owner", NULL });
}
END_TEST

/* Not in bytes. */
START_TEST(widths_are_in_columns) {
        add("\xe6\xbc\xa2\xe5\xad\x97", "1", "root");
        add("Gr\xc3\xb6\xc3\x9f" "e", "22", "e\xcc\x81");
        add("plain", "333", "x");
        expect((const char *const[]){
                "NAME  SIZE OWNER",
                "\xe6\xbc\xa2\xe5\xad\x97     1 root",
                "Gr\xc3\xb6\xc3\x9f" "e   22 e\xcc\x81",
                "plain  333 x",
                NULL,
        });
}
END_TEST

START_TEST(the_last_column_may_be_of_numbers) {
        static const TableColumn numbers[] = { { "N", true } };
        const char *cells[] = { "100", NULL };
        g_autoptr(Table) one = table_new(numbers, 1);
        g_autoptr(GPtrArray) lines = NULL;

        table_take_row(one, g_strdupv((char **)cells));
        lines = table_lines(one);
        ck_assert_str_eq(lines->pdata[0], "  N");
        ck_assert_str_eq(lines->pdata[1], "100");
}
END_TEST

START_TEST(lines_are_printed_behind_the_margin) {
        g_autofree char *directory = unit_directory(UNIT_TEMPORARY);
        g_autofree char *path = g_build_filename(directory, "printed", NULL), *printed = NULL;
        auto_descriptor file = unit_create(directory, "printed", 0);
        auto_descriptor before = dup(STDOUT_FILENO);

        add("Gr\xc3\xb6\xc3\x9f" "e", "1", "root");
        fflush(stdout);
        ck_assert_int_ge(dup2(file, STDOUT_FILENO), 0);
        table_print(table, "  ");
        fflush(stdout);
        ck_assert_int_ge(dup2(before, STDOUT_FILENO), 0);
        ck_assert(g_file_get_contents(path, &printed, NULL, NULL));
        ck_assert_str_eq(printed, "  NAME  SIZE OWNER\n  Gr\xc3\xb6\xc3\x9f" "e    1 root\n");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("regionctl-table");
        TCase *tcase = unit_case(suite, "table");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, titles_alone);
        tcase_add_test(tcase, columns_are_as_wide_as_what_is_in_them);
        tcase_add_test(tcase, the_last_column_is_not_filled_up);
        tcase_add_test(tcase, widths_are_in_columns);
        tcase_add_test(tcase, the_last_column_may_be_of_numbers);
        tcase_add_test(tcase, lines_are_printed_behind_the_margin);
        return unit_main(suite);
}
