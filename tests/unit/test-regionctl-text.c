#include "regionctl/words/text.h"

#include "unit.h"

#include <locale.h>

static void setup(void) {
        ck_assert_ptr_nonnull(setlocale(LC_ALL, "C.UTF-8"));
}

static const struct {
        gint64 bytes;
        const char *human, *digits;
} sizes[] = {
        { -1, "-", "-" },
        { 0, "0", "0" },
        { 13, "13", "13" },
        { 1023, "1023", "1023" },
        { 1024, "1.0K", "1024" },
        { 1025, "1.1K", "1025" }, /* rounded up, so that nothing looks smaller than it is */
        { 1536, "1.5K", "1536" },
        { 1537, "1.6K", "1537" },
        { 10137, "9.9K", "10137" },
        { 10138, "10K", "10138" },
        { 10240, "10K", "10240" },
        { 10241, "11K", "10241" },
        { 65536, "64K", "65536" },
        { 1022 * 1024, "1022K", "1046528" },
        { 1023 * 1024, "1023K", "1047552" },
        { 1023 * 1024 + 1, "1.0M", "1047553" }, /* and not 1024K */
        { 1 << 20, "1.0M", "1048576" },
        { (1 << 20) + 1, "1.1M", "1048577" },
        { 1 << 30, "1.0G", "1073741824" },
        { (gint64)1 << 40, "1.0T", "1099511627776" },
        { (gint64)1 << 50, "1.0P", "1125899906842624" },
        { (gint64)1 << 60, "1.0E", "1152921504606846976" },
        { G_MAXINT64, "8.0E", "9223372036854775807" },
};

START_TEST(sizes_are_written) {
        g_autofree char *human = text_size(sizes[_i].bytes, true), *digits = text_size(sizes[_i].bytes, false);

        ck_assert_str_eq(human, sizes[_i].human);
        ck_assert_str_eq(digits, sizes[_i].digits);
}
END_TEST

static const struct {
        gint64 seconds;
        const char *text;
} ages[] = {
        { -1, "-" },      { 0, "0s" },      { 59, "59s" },     { 60, "1m" },        { 3599, "59m" },
        { 3600, "1h" },   { 86399, "23h" }, { 86400, "1d" },   { 172799, "1d" },    { 31536000, "365d" },
        { G_MAXINT64, "106751991167300d" },
};

START_TEST(ages_are_written) {
        g_autofree char *text = text_age(ages[_i].seconds);

        ck_assert_str_eq(text, ages[_i].text);
}
END_TEST

START_TEST(users_and_groups_have_names_or_numbers) {
        g_autofree char *root = text_user(0), *group = text_group(0);
        g_autofree char *user = text_user(4294967290), *other = text_group(4294967290);

        ck_assert_str_eq(root, "root");
        ck_assert_str_eq(group, "root");
        ck_assert_str_eq(user, "4294967290");
        ck_assert_str_eq(other, "4294967290");
}
END_TEST

static const struct {
        mode_t mode;
        const char *text;
} modes[] = {
        { S_IFREG | 0644, "-rw-r--r--" },  { S_IFREG, "----------" },         { S_IFREG | 0777, "-rwxrwxrwx" },
        { S_IFREG | 0421, "-r---w---x" },  { S_IFREG | 06755, "-rwsr-sr-x" }, { S_IFREG | 06644, "-rwSr-Sr--" },
        { S_IFDIR | 01777, "drwxrwxrwt" }, { S_IFDIR | 01770, "drwxrwx--T" }, { S_IFLNK | 0777, "lrwxrwxrwx" },
        { S_IFIFO | 0600, "prw-------" },  { S_IFSOCK | 0600, "srw-------" }, { S_IFCHR | 0600, "crw-------" },
        { S_IFBLK | 0660, "brw-rw----" },  { 0600, "?rw-------" },            { S_IFREG | 04611, "-rwS--x--x" },
        { S_IFREG | 02744, "-rwxr-Sr--" }, { S_IFREG | 02654, "-rw-r-sr--" }, { S_IFDIR | 01776, "drwxrwxrwT" },
};

START_TEST(modes_are_as_ls_writes_them) {
        g_autofree char *text = text_mode(modes[_i].mode);

        ck_assert_str_eq(text, modes[_i].text);
}
END_TEST

static const struct {
        const char *bytes, *unicode, *ascii;
} escapes[] = {
        { "", "", "" },
        { "plain name~", "plain name~", "plain name~" },
        { "a\nb\tc\\d", "a\\nb\\tc\\\\d", "a\\nb\\tc\\\\d" },
        { "\x1b[2J\x07\x7f\x01", "\\033[2J\\007\\177\\001", "\\033[2J\\007\\177\\001" },
        { "Gr\xc3\xb6\xc3\x9f" "e", "Gr\xc3\xb6\xc3\x9f" "e", "Gr\\303\\266\\303\\237e" },
        { "\xe6\xbc\xa2", "\xe6\xbc\xa2", "\\346\\274\\242" },
        { "\xff", "\\377", "\\377" },
        { "\xc3", "\\303", "\\303" },             /* cut off, */
        { "\xe6\xbc", "\\346\\274", "\\346\\274" },
        { "\xc3x", "\\303x", "\\303x" },          /* or broken */
        { "\xc0\xaf", "\\300\\257", "\\300\\257" },
        { "\xc2\x9b", "\\302\\233", "\\302\\233" },               /* a control character beyond ASCII */
        { "\xe2\x80\xae", "\\342\\200\\256", "\\342\\200\\256" }, /* one that turns the direction of writing */
};

START_TEST(what_cannot_be_shown_is_escaped) {
        g_autofree char *unicode = text_escape(escapes[_i].bytes), *ascii = NULL;

        ck_assert(text_is_unicode());
        ck_assert_str_eq(unicode, escapes[_i].unicode);
        ck_assert_ptr_nonnull(setlocale(LC_ALL, "C"));
        ck_assert(!text_is_unicode());
        ascii = text_escape(escapes[_i].bytes);
        ck_assert_str_eq(ascii, escapes[_i].ascii);
}
END_TEST

static const struct {
        const char *text;
        int width;
        size_t fits[6]; /* bytes in 0, 1, ... columns */
} widths[] = {
        { "", 0, { 0, 0, 0, 0, 0, 0 } },
        { "abc", 3, { 0, 1, 2, 3, 3, 3 } },
        { "a\xc3\xb6" "c", 3, { 0, 1, 3, 4, 4, 4 } },
        { "\xe6\xbc\xa2\xe5\xad\x97", 4, { 0, 0, 3, 3, 6, 6 } },    /* two wide ones */
        { "e\xcc\x81" "f", 2, { 0, 3, 4, 4, 4, 4 } },               /* an accent takes no column */
        { "\\303", 4, { 0, 1, 2, 3, 4, 4 } },
};

START_TEST(widths_are_in_columns) {
        ck_assert_int_eq(text_width(widths[_i].text), widths[_i].width);
        for (int columns = 0; columns < (int)G_N_ELEMENTS(widths[_i].fits); columns++)
                ck_assert_uint_eq(text_fit(widths[_i].text, columns), widths[_i].fits[columns]);
        ck_assert_uint_eq(text_fit(widths[_i].text, -1), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("regionctl-text");
        TCase *tcase = unit_case(suite, "text");

        tcase_add_checked_fixture(tcase, setup, NULL);
        tcase_add_loop_test(tcase, sizes_are_written, 0, G_N_ELEMENTS(sizes));
        tcase_add_loop_test(tcase, ages_are_written, 0, G_N_ELEMENTS(ages));
        tcase_add_test(tcase, users_and_groups_have_names_or_numbers);
        tcase_add_loop_test(tcase, modes_are_as_ls_writes_them, 0, G_N_ELEMENTS(modes));
        tcase_add_loop_test(tcase, what_cannot_be_shown_is_escaped, 0, G_N_ELEMENTS(escapes));
        tcase_add_loop_test(tcase, widths_are_in_columns, 0, G_N_ELEMENTS(widths));
        return unit_main(suite);
}
