#include "pool/stored.h"

#include "unit.h"

#define NAME "unit"
#define FULL_NAME "user.regionfs.unit" /* without privilege */

static char *directory; /* of the test's own; for a user's tests, the user's */
static int file, fd;    /* "region" in it, and the same O_PATH */

static void set_up(void) {
        g_autofree char *path = g_build_filename(directory, "region", NULL);

        file = unit_create(directory, "region", 1);
        fd = open(path, O_PATH | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
}

static void setup(void) {
        directory = unit_directory(UNIT_TEMPORARY);
        set_up();
}

static void setup_user(void) {
        directory = unit_directory(UNIT_TEMPORARY);
        if (geteuid() == 0)
                ck_assert_int_eq(chown(directory, UNIT_USER, UNIT_USER), 0);
        unit_become_user();
        set_up();
}

static void teardown(void) {
        descriptor_clear(&file);
        descriptor_clear(&fd);
        g_clear_pointer(&directory, g_free);
}

static void expect(int of, const char *wanted) {
        char value[64];
        ssize_t size = stored_get(of, NAME, value, sizeof(value));

        ck_assert_int_eq(size, (ssize_t)strlen(wanted));
        ck_assert_mem_eq(value, wanted, size);
}

static mode_t mode_of(int of) {
        struct stat st;

        ck_assert_int_eq(fstatat(of, "", &st, AT_EMPTY_PATH), 0);
        return st.st_mode & 07777;
}

/* As getxattr(2) and setxattr(2) do. */
static void check_results(int of) {
        char value[64] = "!!!!!!!!";
        g_autofree char *large = g_strnfill(100 * 1024, 'x');

        ck_assert_int_eq(stored_get(of, NAME, value, sizeof(value)), -ENODATA);
        ck_assert_int_eq(stored_set(of, NAME, "four", 4), 0);
        expect(of, "four");
        ck_assert_int_eq(stored_get(of, NAME, value, 4), 4);
        ck_assert_int_eq(value[4], '!');
        ck_assert_int_eq(stored_get(of, NAME, value, 3), -ERANGE);
        ck_assert_int_eq(stored_get(of, NAME, NULL, 0), 4);
        ck_assert_int_eq(stored_set(of, NAME, "another", 7), 0);
        expect(of, "another");
        ck_assert_int_eq(stored_set(of, NAME, large, 100 * 1024), -E2BIG);
        expect(of, "another");
        ck_assert_int_eq(stored_set(of, NAME, "", 0), 0);
        expect(of, "");
}

START_TEST(values_are_kept) {
        check_results(_i ? fd : file);
}
END_TEST

START_TEST(modes_do_not_hinder_root) {
        ck_assert_int_eq(fchmod(file, 0), 0);
        check_results(fd);
        ck_assert_uint_eq(mode_of(fd), 0);
}
END_TEST

START_TEST(file_systems_without_attributes_say_so) {
        auto_descriptor process = open("/proc/self/status", O_PATH | O_CLOEXEC);
        char value[4];

        ck_assert_int_ge(process, 0);
        ck_assert_int_eq(stored_get(process, NAME, value, sizeof(value)), -ENOTSUP);
        ck_assert_int_lt(stored_set(process, NAME, "x", 1), 0);
}
END_TEST

static const mode_t modes[] = { 0, 0200, 0400, 0600, 0100, 0077, 0444, 01000, 04111, 02010, 06755 };

START_TEST(modes_do_not_hinder_the_owner) {
        ck_assert_int_eq(fchmod(file, modes[_i]), 0);
        check_results(fd);
        ck_assert_uint_eq(mode_of(fd), modes[_i]);
}
END_TEST

START_TEST(nor_do_those_of_directories) {
        auto_descriptor inside = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

        ck_assert_int_ge(inside, 0);
        ck_assert_int_eq(chmod(directory, modes[_i]), 0);
        check_results(inside);
        ck_assert_uint_eq(mode_of(inside), modes[_i]);
}
END_TEST

/* Root's. What the mode gives to others: a value that is read, or none. */
static const struct {
        mode_t mode;
        bool readable, writable;
} others[] = {
        { 0, false, false }, { 0700, false, false }, { 0744, true, false }, { 0602, false, true }, { 0666, true, true },
};

START_TEST(rights_to_files_of_others_are_not_lent) {
        int size = !others[_i].readable ? -1 : others[_i].writable ? 4 : 5;
        char value[64];

        ck_assert_int_eq(fsetxattr(file, FULL_NAME, "roots", 5, 0), 0);
        ck_assert_int_eq(fchmod(file, others[_i].mode), 0);
        unit_become_user();
        ck_assert_int_eq(stored_get(fd, NAME, value, sizeof(value)), others[_i].readable ? 5 : -EACCES);
        ck_assert_int_eq(stored_set(fd, NAME, "mine", 4), others[_i].writable ? 0 : -EACCES);
        ck_assert_uint_eq(mode_of(fd), others[_i].mode);
        ck_assert_int_eq(fgetxattr(file, FULL_NAME, value, sizeof(value)), size);
}
END_TEST

int main(void) {
        Suite *suite;
        TCase *tcase;

        if (!unit_keeps_attributes()) {
                printf("1..0 # SKIP the file system of temporary files keeps no user attributes\n");
                return EXIT_SUCCESS;
        }
        suite = suite_create("stored");
        tcase = unit_case(suite, "any");
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, values_are_kept, 0, 2);
        tcase_add_test(tcase, file_systems_without_attributes_say_so);
        unit_add_root_test(tcase, modes_do_not_hinder_root);
        for (size_t i = 0; i < G_N_ELEMENTS(others) && unit_is_root(); i++)
                tcase_add_loop_test(tcase, rights_to_files_of_others_are_not_lent, i, i + 1);

        tcase = unit_case(suite, "user");
        tcase_add_checked_fixture(tcase, setup_user, teardown);
        tcase_add_loop_test(tcase, modes_do_not_hinder_the_owner, 0, G_N_ELEMENTS(modes));
        tcase_add_loop_test(tcase, nor_do_those_of_directories, 0, G_N_ELEMENTS(modes));
        return unit_main(suite);
}
