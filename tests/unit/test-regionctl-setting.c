#include "regionctl/changes/setting.h"

#include "base/size.h"
#include "unit.h"

#include <regionfs/regionfs.h>

/* What people are told: standard error, while a test runs. */
static struct {
        char *str;
        size_t len;
        FILE *stream, *standard;
} told;

static void setup(void) {
        told.standard = stderr;
        told.stream = stderr = open_memstream(&told.str, &told.len);
}

static void teardown(void) {
        stderr = told.standard;
        fclose(told.stream);
        free(told.str);
}

static const char *said(void) {
        fflush(told.stream);
        return told.str;
}

static void forget(void) {
        teardown();
        setup();
}

static const struct {
        const char *attribute, *value;
        uint64_t number;
} good[] = {
        { "allocation", "delayed" },
        { "allocation", "committed" },
        { "lifetime", "kept" },
        { "lifetime", "handles" },
        { "sealed", "1" },
        { "length", "0" },
        { "length", "64k", 65536 },
        { "length", "9223372036854775807", INT64_MAX },
        { "mode", "0" },
        { "mode", "644", 0644 },
        { "mode", "0644", 0644 },
        { "mode", "7777", 07777 },
};

START_TEST(values_are_taken) {
        Setting setting = { .number = 4711 };

        ck_assert_int_eq(setting_init(&setting, good[_i].attribute, good[_i].value, "given"), STATUS_DONE);
        ck_assert_str_eq(said(), "");
        ck_assert_str_eq(setting_name(&setting), good[_i].attribute);
        ck_assert_str_eq(setting.value, good[_i].value);
        ck_assert_uint_eq(setting.number, good[_i].number);
}
END_TEST

static const struct {
        const char *attribute, *value, *allowed;
} bad[] = {
        { "allocation", "", "delayed or committed" },
        { "allocation", "kept", "delayed or committed" },
        { "allocation", "Delayed", "delayed or committed" },
        { "lifetime", "handle", "kept or handles" },
        { "lifetime", "delayed", "kept or handles" },
        { "length", "", "a number of bytes from 0 to 2^63-1, with k, m, g or t behind it for powers of 1024" },
        { "length", "-1", SIZE_ALLOWED },
        { "length", "9223372036854775808", SIZE_ALLOWED },
        { "mode", "", "octal permissions from 0 to 7777" },
        { "mode", "8", "octal permissions from 0 to 7777" },
        { "mode", "648", "octal permissions from 0 to 7777" },
        { "mode", "10000", "octal permissions from 0 to 7777" },
        { "mode", "7777777777777777777777777777", "octal permissions from 0 to 7777" },
        { "mode", "-1", "octal permissions from 0 to 7777" },
        { "mode", " 644", "octal permissions from 0 to 7777" },
        { "mode", "u+w", "octal permissions from 0 to 7777" },
        { "sealed", "0", "1, as nothing unseals a region" },
        { "sealed", "yes", "1, as nothing unseals a region" },
};

START_TEST(what_is_allowed_instead_is_said) {
        g_autofree char *sentence = g_strdup_printf("regionctl: given=this is not allowed: %s takes %s\n",
                                                    bad[_i].attribute, bad[_i].allowed);
        Setting setting;

        ck_assert_int_eq(setting_init(&setting, bad[_i].attribute, bad[_i].value, "given=this"), STATUS_USAGE);
        ck_assert_str_eq(said(), sentence);
}
END_TEST

static const char *const unknown[] = { "", "Length", "lengt", "length ", "source", "user.regionfs.lifetime" };

START_TEST(unknown_attributes_are_refused) {
        Setting setting;

        ck_assert_int_eq(setting_init(&setting, unknown[_i], "1", "given"), STATUS_USAGE);
        ck_assert_str_eq(said(), "regionctl: given is not allowed: what can be set is allocation, length, lifetime, "
                                    "mode or sealed\n");
}
END_TEST

START_TEST(rules_alone_can_be_reset) {
        static const char *const cannot[] = { "length", "mode", "sealed", "unheard-of" };
        Setting setting;

        ck_assert_int_eq(setting_init_reset(&setting, "lifetime"), STATUS_DONE);
        ck_assert_str_eq(setting_name(&setting), "lifetime");
        ck_assert_ptr_null(setting.value);
        ck_assert_int_eq(setting_init_reset(&setting, "allocation"), STATUS_DONE);
        ck_assert_str_eq(said(), "");
        for (size_t i = 0; i < G_N_ELEMENTS(cannot); i++) {
                g_autofree char *sentence = g_strdup_printf(
                        "regionctl: --reset %s is not allowed: it takes allocation or lifetime\n", cannot[i]);

                forget();
                ck_assert_int_eq(setting_init_reset(&setting, cannot[i]), STATUS_USAGE);
                ck_assert_str_eq(said(), sentence);
        }
}
END_TEST

START_TEST(names_are_listed) {
        g_autofree char *all = setting_names(FALSE), *some = setting_names(TRUE);

        ck_assert_str_eq(all, "allocation, length, lifetime, mode or sealed");
        ck_assert_str_eq(some, "allocation or lifetime");
}
END_TEST

static const struct {
        const char *attribute, *value;
        bool of_directories;
} kinds[] = {
        { "allocation", "committed", true }, { "lifetime", "kept", true }, { "mode", "0", true },
        { "length", "0", false },            { "sealed", "1", false },
};

START_TEST(kinds_of_files_are_told_apart) {
        static const mode_t others[] = { S_IFLNK | 0777, S_IFIFO | 0644, S_IFSOCK, S_IFCHR, S_IFBLK };
        g_autofree char *sentence =
                g_strdup_printf("regionctl: a/b is not a region: %s can be set for regions%s alone\n",
                                kinds[_i].attribute, kinds[_i].of_directories ? " and directories" : "");
        Setting setting;

        ck_assert_int_eq(setting_init(&setting, kinds[_i].attribute, kinds[_i].value, "given"), STATUS_DONE);
        ck_assert_int_eq(setting_fits(&setting, S_IFREG | 0644, "a/b"), STATUS_DONE);
        ck_assert_str_eq(said(), "");
        ck_assert_int_eq(setting_fits(&setting, S_IFDIR | 0755, "a/b"),
                         kinds[_i].of_directories ? STATUS_DONE : STATUS_USAGE);
        ck_assert_str_eq(said(), kinds[_i].of_directories ? "" : sentence);
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
                forget();
                ck_assert_int_eq(setting_fits(&setting, others[i], "a/b"), STATUS_USAGE);
                ck_assert_str_eq(said(), sentence);
        }
}
END_TEST

static int apply(const char *attribute, const char *value, int fd) {
        Setting setting;

        ck_assert_int_eq(value ? setting_init(&setting, attribute, value, "given") :
                                 setting_init_reset(&setting, attribute),
                         STATUS_DONE);
        return setting_apply(&setting, fd);
}

/* A file of any file system, which keeps what a mount would act upon. */
START_TEST(what_is_set_is_what_the_file_gets) {
        g_autofree char *directory = unit_directory(UNIT_TEMPORARY);
        g_autofree char *path = g_build_filename(directory, "file", NULL);
        auto_descriptor file = unit_create(directory, "file", 13);
        auto_descriptor fd = open(path, O_PATH | O_CLOEXEC);
        char value[16];
        struct stat st;

        ck_assert_int_eq(apply("length", "4k", fd), 0);
        ck_assert_int_eq(apply("mode", "2640", fd), 0);
        ck_assert_int_eq(fstat(file, &st), 0);
        ck_assert_int_eq(st.st_size, 4096);
        ck_assert_uint_eq(st.st_mode, S_IFREG | 02640);
        if (!unit_keeps_attributes())
                return;
        ck_assert_int_eq(apply("lifetime", NULL, fd), -ENODATA);
        ck_assert_int_eq(apply("lifetime", "handles", fd), 0);
        ck_assert_int_eq(fgetxattr(file, REGIONFS_ATTRIBUTE_LIFETIME, value, sizeof(value)), 7);
        ck_assert_mem_eq(value, "handles", 7);
        ck_assert_int_eq(apply("lifetime", NULL, fd), 0);
        ck_assert_int_lt(fgetxattr(file, REGIONFS_ATTRIBUTE_LIFETIME, value, sizeof(value)), 0);
        ck_assert_int_eq(apply("sealed", "1", fd), 0);
        ck_assert_int_eq(fgetxattr(file, REGIONFS_ATTRIBUTE_SEALED, value, sizeof(value)), 1);
        ck_assert_int_eq(apply("allocation", "committed", fd), 0);
        ck_assert_int_eq(fgetxattr(file, REGIONFS_ATTRIBUTE_ALLOCATION, value, sizeof(value)), 9);
        ck_assert_str_eq(said(), "");
}
END_TEST

START_TEST(errors_are_passed_on) {
        auto_descriptor directory = open("/", O_PATH | O_CLOEXEC);
        auto_descriptor process = open("/proc/self/status", O_PATH | O_CLOEXEC);

        ck_assert_int_eq(apply("length", "1", directory), -EISDIR);
        ck_assert_int_lt(apply("lifetime", "kept", process), 0);
        ck_assert_int_lt(apply("sealed", "1", process), 0);
        ck_assert_int_eq(apply("mode", "644", process), -EPERM);
        ck_assert_str_eq(said(), "");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("regionctl-setting");
        TCase *tcase = unit_case(suite, "setting");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, values_are_taken, 0, G_N_ELEMENTS(good));
        tcase_add_loop_test(tcase, what_is_allowed_instead_is_said, 0, G_N_ELEMENTS(bad));
        tcase_add_loop_test(tcase, unknown_attributes_are_refused, 0, G_N_ELEMENTS(unknown));
        tcase_add_test(tcase, rules_alone_can_be_reset);
        tcase_add_test(tcase, names_are_listed);
        tcase_add_loop_test(tcase, kinds_of_files_are_told_apart, 0, G_N_ELEMENTS(kinds));
        tcase_add_test(tcase, what_is_set_is_what_the_file_gets);
        tcase_add_test(tcase, errors_are_passed_on);
        return unit_main(suite);
}
