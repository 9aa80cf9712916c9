#include "pool/region.h"

#include "unit.h"

static char *directory; /* of the test's own */

static void setup(void) {
        directory = unit_directory(UNIT_TMPFS);
}

static void teardown(void) {
        g_clear_pointer(&directory, g_free);
}

static int open_path(const char *name) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        int fd = open(path, O_PATH | O_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        return fd;
}

static off_t length_of(int fd) {
        struct stat st;

        ck_assert_int_eq(fstat(fd, &st), 0);
        return st.st_size;
}

static mode_t mode_of(int fd) {
        struct stat st;

        ck_assert_int_eq(fstat(fd, &st), 0);
        return st.st_mode & 07777;
}

START_TEST(page_size_is_the_kernels) {
        ck_assert_uint_eq(region_page_size(), sysconf(_SC_PAGESIZE));
}
END_TEST

START_TEST(padded_length_is_in_whole_pages) {
        uint64_t page = region_page_size();

        ck_assert_uint_eq(region_padded_length(0), 0);
        ck_assert_uint_eq(region_padded_length(1), page);
        ck_assert_uint_eq(region_padded_length(13), page);
        ck_assert_uint_eq(region_padded_length(page - 1), page);
        ck_assert_uint_eq(region_padded_length(page), page);
        ck_assert_uint_eq(region_padded_length(page + 1), 2 * page);
        ck_assert_uint_eq(region_padded_length(1000 * page), 1000 * page);
        ck_assert_uint_eq(region_padded_length(1000 * page + 13), 1001 * page);
        ck_assert_uint_eq(region_padded_length(INT64_MAX), (uint64_t)INT64_MAX + 1);
}
END_TEST

START_TEST(length_is_set_through_a_path_descriptor) {
        auto_descriptor file = unit_create(directory, "region", 13);
        auto_descriptor fd = open_path("region");
        char text[20];

        ck_assert_int_eq(region_set_length(fd, fd, 10000), 0);
        ck_assert_int_eq(length_of(file), 10000);
        ck_assert_int_eq(region_set_length(fd, fd, 5), 0);
        ck_assert_int_eq(length_of(file), 5);
        ck_assert_int_eq(region_set_length(fd, fd, 20), 0);
        ck_assert_int_eq(pread(file, text, sizeof(text), 0), 20);
        ck_assert_mem_eq(text, "xxxxx\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
        ck_assert_int_eq(region_set_length(fd, fd, 0), 0);
        ck_assert_int_eq(length_of(file), 0);
}
END_TEST

START_TEST(length_is_set_without_a_name) {
        auto_descriptor file = unit_create(directory, "region", 13);
        auto_descriptor fd = open_path("region");
        g_autofree char *path = g_build_filename(directory, "region", NULL);

        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(region_set_length(fd, fd, 4097), 0);
        ck_assert_int_eq(length_of(file), 4097);
}
END_TEST

START_TEST(length_errors_are_passed_on) {
        auto_descriptor file = unit_create(directory, "region", 13);
        auto_descriptor fd = open_path("region");
        auto_descriptor parent = open_path(".");

        ck_assert_int_eq(region_set_length(fd, fd, -1), -EINVAL);
        ck_assert_int_eq(region_set_length(parent, parent, 0), -EISDIR);
        ck_assert_int_lt(region_set_length(-1, -1, 0), 0);
        ck_assert_int_eq(length_of(file), 13);
}
END_TEST

START_TEST(length_needs_the_right_to_write) {
        auto_descriptor file = -1;
        auto_descriptor fd = -1;

        file = unit_create(directory, "region", 13);
        fd = open_path("region");
        ck_assert_int_eq(fchmod(file, 0444), 0);
        unit_become_user();
        ck_assert_int_eq(region_set_length(fd, fd, 5), -EACCES);
        ck_assert_int_eq(length_of(file), 13);
}
END_TEST

static const struct {
        mode_t before, after;
} setid_cases[] = {
        { 04755, 00755 }, /* set-user-id always goes, executable or not */
        { 04644, 00644 },
        { 02755, 00755 }, /* set-group-id goes with the group's right to execute, */
        { 02715, 00715 },
        { 02745, 02745 }, /* and stays without it */
        { 02644, 02644 },
        { 02701, 02701 },
        { 06777, 00777 },
        { 06767, 02767 },
        { 00755, 00755 }, /* nothing else changes */
        { 01777, 01777 },
        { 00000, 00000 },
};

START_TEST(setid_bits_are_dropped) {
        auto_descriptor file = unit_create(directory, "region", 13);
        auto_descriptor fd = open_path("region");

        ck_assert_int_eq(fchmod(file, setid_cases[_i].before), 0);
        ck_assert_uint_eq(mode_of(file), setid_cases[_i].before);
        ck_assert_int_eq(region_drop_setid(fd, false), 0);
        ck_assert_uint_eq(mode_of(file), setid_cases[_i].after);
        ck_assert_int_eq(length_of(file), 13);
        /* A stranger to the group takes its bit off whether it may execute or not. */
        ck_assert_int_eq(fchmod(file, setid_cases[_i].before), 0);
        ck_assert_int_eq(region_drop_setid(fd, true), 0);
        ck_assert_uint_eq(mode_of(file), setid_cases[_i].before & ~06000);
}
END_TEST

START_TEST(setid_errors_are_passed_on) {
        auto_descriptor file = unit_create(directory, "region", 13);
        auto_descriptor fd = open_path("region");

        ck_assert_int_eq(region_drop_setid(-1, false), -EBADF);
        ck_assert_int_eq(fchmod(file, 04755), 0);
        unit_become_user();
        ck_assert_int_eq(region_drop_setid(fd, false), -EPERM);
        ck_assert_uint_eq(mode_of(file), 04755);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("region");
        TCase *tcase;

        tcase = unit_case(suite, "lengths");
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, page_size_is_the_kernels);
        tcase_add_test(tcase, padded_length_is_in_whole_pages);
        tcase_add_test(tcase, length_is_set_through_a_path_descriptor);
        tcase_add_test(tcase, length_is_set_without_a_name);
        tcase_add_test(tcase, length_errors_are_passed_on);
        tcase_add_test(tcase, length_needs_the_right_to_write);

        tcase = unit_case(suite, "setid");
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, setid_bits_are_dropped, 0, G_N_ELEMENTS(setid_cases));
        unit_add_root_test(tcase, setid_errors_are_passed_on);
        return unit_main(suite);
}
