#include "base/size.h"

#include "unit.h"

static const struct {
        const char *text;
        uint64_t bytes;
} good[] = {
        { "0", 0 },
        { "0k", 0 },
        { "00", 0 },
        { "1", 1 },
        { "010", 10 },
        { "4k", 4096 },
        { "4K", 4096 },
        { "3m", 3 << 20 },
        { "3M", 3 << 20 },
        { "2g", 2ULL << 30 },
        { "2G", 2ULL << 30 },
        { "5t", 5ULL << 40 },
        { "5T", 5ULL << 40 },
        { "9007199254740991k", 9007199254740991ULL << 10 },
        { "8796093022207m", 8796093022207ULL << 20 },
        { "8589934591g", 8589934591ULL << 30 },
        { "8388607t", 8388607ULL << 40 },
        { "9223372036854775807", INT64_MAX },
};

START_TEST(sizes_are_taken) {
        uint64_t bytes = 17;

        ck_assert(size_parse(good[_i].text, &bytes));
        ck_assert_uint_eq(bytes, good[_i].bytes);
}
END_TEST

static const char *const bad[] = {
        "", "-1", "+1", " 1", "1 ", "k", "1kb", "1kk", "1p", "1%", "0x10", "1.5g", "much",
        " ", "1 k", "k1", "1,5", "4k\n", "\xd9\xa1", "1\xc2\xb5",
        "9223372036854775808", "18446744073709551616", "9007199254740992k", "8796093022208m", "8589934592g",
        "8388608t", "18014398509481985k", "18446744073709551615t",
};

START_TEST(all_else_is_refused) {
        uint64_t bytes = 17;

        ck_assert_msg(!size_parse(bad[_i], &bytes), "\"%s\" is taken", bad[_i]);
        ck_assert_uint_eq(bytes, 17);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("size");
        TCase *tcase = unit_case(suite, "size");

        tcase_add_loop_test(tcase, sizes_are_taken, 0, G_N_ELEMENTS(good));
        tcase_add_loop_test(tcase, all_else_is_refused, 0, G_N_ELEMENTS(bad));
        return unit_main(suite);
}
