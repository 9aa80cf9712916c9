#include "operations/attributes.h"

#include "pool/region.h"
#include "unit.h"

#include <regionfs/regionfs.h>
#include <sys/xattr.h>

#define SECOND_ID 2 /* of the first node that is looked up */

static char *directory; /* of the test's own: stands for the pool's root */
static Ledger *ledger;
static Registry *registry;
static int file; /* "region" in it, open for reading and writing */
static AttributeTarget target, root;

static int open_path(const char *name) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        return fd;
}

static void setup(void) {
        PoolRef root_ref = { .inode = 1, .fd = -1 };
        PoolRef region_ref = { .inode = 2, .fd = -1 };

        directory = unit_directory(UNIT_TMPFS);
        file = unit_create(directory, "region", 13);
        ledger = ledger_new(NULL);
        registry = registry_new(ledger, &root_ref, false);
        target = (AttributeTarget){ registry, registry_lookup(registry, &region_ref), open_path("region"), false };
        root = (AttributeTarget){ registry, REGISTRY_ROOT_ID, open_path("."), false };
}

static void teardown(void) {
        close(file);
        close(target.fd);
        close(root.fd);
        registry_free(registry);
        ledger_free(ledger);
        g_clear_pointer(&directory, g_free);
}

static void expect(const AttributeTarget *of, const char *name, const char *wanted) {
        char value[ATTRIBUTES_VALUE_MAX];
        int result;

        memset(value, '!', sizeof(value));
        result = attributes_get(of, name, value);
        ck_assert_msg(result >= 0, "%s: %s", name, g_strerror(-result));
        ck_assert_int_lt(result, ATTRIBUTES_VALUE_MAX);
        ck_assert_str_eq(value, wanted);
        ck_assert_int_eq(result, (int)strlen(wanted));
}

static void expect_number(const AttributeTarget *of, const char *name, uint64_t wanted) {
        g_autofree char *text = g_strdup_printf("%" PRIu64, wanted);

        expect(of, name, text);
}

static int set(const AttributeTarget *of, const char *name, const char *value) {
        return attributes_set(of, name, value, strlen(value), 0);
}

static int get(const AttributeTarget *of, const char *name) {
        char value[ATTRIBUTES_VALUE_MAX];

        return attributes_get(of, name, value);
}

static struct stat stat_of_file(void) {
        struct stat st;

        ck_assert_int_eq(fstat(file, &st), 0);
        return st;
}

/* The backing id that the last handle leaves. */
static int remove_handle(Registry *from, uint64_t id, int *backing_id) {
        RegistryRelease release;
        int result = registry_handle_removed(from, id, false, &release);

        *backing_id = release.backing_id;
        return result;
}

START_TEST(own_names_have_the_prefix) {
        ck_assert(attributes_own(REGIONFS_ATTRIBUTE_PAGE_SIZE));
        ck_assert(attributes_own("user.regionfs.unheard_of"));
        ck_assert(attributes_own("user.regionfs."));
        ck_assert(!attributes_own("user.regionfs"));
        ck_assert(!attributes_own("user.regionfsx"));
        ck_assert(!attributes_own("user.mime_type"));
        ck_assert(!attributes_own("security.capability"));
        ck_assert(!attributes_own("xuser.regionfs.id"));
        ck_assert(!attributes_own(""));
}
END_TEST

static const struct {
        off_t length;
        unsigned pages;
} lengths[] = { { 0, 0 }, { 1, 1 }, { 13, 1 }, { 4096, 1 }, { 4097, 2 } };

START_TEST(values_of_a_region) {
        uint64_t page = region_page_size();
        off_t length = lengths[_i].length;

        ck_assert_int_eq(ftruncate(file, length), 0);
        expect_number(&target, REGIONFS_ATTRIBUTE_PAGE_SIZE, page);
        expect_number(&target, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, length);
        expect_number(&target, REGIONFS_ATTRIBUTE_PADDED_LENGTH,
                      page == 4096 ? lengths[_i].pages * page : (length + page - 1) / page * page);
        expect_number(&target, REGIONFS_ATTRIBUTE_HANDLES, 0);
        expect_number(&target, REGIONFS_ATTRIBUTE_ID, stat_of_file().st_ino);
}
END_TEST

START_TEST(resident_is_what_memory_it_has) {
        uint64_t page = region_page_size();

        ck_assert_int_eq(ftruncate(file, 0), 0);
        expect_number(&target, REGIONFS_ATTRIBUTE_RESIDENT, 0);
        ck_assert_int_eq(ftruncate(file, 100 * page), 0);
        expect_number(&target, REGIONFS_ATTRIBUTE_RESIDENT, 0);
        ck_assert_int_eq(pwrite(file, "x", 1, 50 * page), 1);
        expect_number(&target, REGIONFS_ATTRIBUTE_RESIDENT, (uint64_t)stat_of_file().st_blocks * 512);
        ck_assert_uint_gt(stat_of_file().st_blocks, 0);
}
END_TEST

START_TEST(handles_are_the_registrys) {
        int backing_id;

        ck_assert_int_eq(registry_handle_added(registry, target.id, false, &backing_id), 0);
        ck_assert_int_eq(registry_handle_added(registry, target.id, false, &backing_id), 0);
        expect(&target, REGIONFS_ATTRIBUTE_HANDLES, "2");
        ck_assert_int_eq(remove_handle(registry, target.id, &backing_id), 0);
        expect(&target, REGIONFS_ATTRIBUTE_HANDLES, "1");
        registry_forget(registry, target.id, 1);
        ck_assert_int_eq(get(&target, REGIONFS_ATTRIBUTE_HANDLES), -ESTALE);
}
END_TEST

START_TEST(created_is_a_time) {
        char value[ATTRIBUTES_VALUE_MAX];
        int result = attributes_get(&target, REGIONFS_ATTRIBUTE_CREATED, value);
        gint64 now = g_get_real_time() / G_USEC_PER_SEC;
        struct statx stx;
        guint64 seconds, nanoseconds;
        char *point;

        ck_assert_int_eq(statx(file, "", AT_EMPTY_PATH, STATX_BTIME, &stx), 0);
        if (!(stx.stx_mask & STATX_BTIME)) {
                ck_assert_int_eq(result, -ENODATA);
                return;
        }
        ck_assert_int_eq(result, (int)strlen(value));
        point = strchr(value, '.');
        ck_assert_ptr_nonnull(point);
        *point = '\0';
        ck_assert_uint_eq(strlen(point + 1), 9);
        ck_assert_uint_eq(strspn(point + 1, "0123456789"), 9);
        ck_assert(g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT64, &seconds, NULL));
        nanoseconds = g_ascii_strtoull(point + 1, NULL, 10);
        ck_assert_int_le((gint64)seconds, now);
        ck_assert_int_ge((gint64)seconds, now - UNIT_TIMEOUT);
        ck_assert_int_eq((gint64)seconds, stx.stx_btime.tv_sec);
        ck_assert_uint_eq(nanoseconds, stx.stx_btime.tv_nsec);

        /* Later changes leave it. */
        ck_assert_int_eq(ftruncate(file, 99), 0);
        *point = '.';
        expect(&target, REGIONFS_ATTRIBUTE_CREATED, value);
}
END_TEST

static const char *const of_regions[] = {
        REGIONFS_ATTRIBUTE_PAGE_SIZE, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, REGIONFS_ATTRIBUTE_PADDED_LENGTH,
        REGIONFS_ATTRIBUTE_RESIDENT,  REGIONFS_ATTRIBUTE_HANDLES,        REGIONFS_ATTRIBUTE_ID,
        REGIONFS_ATTRIBUTE_CREATED,
};

static const char *const of_the_root[] = {
        REGIONFS_ATTRIBUTE_VERSION,
        REGIONFS_ATTRIBUTE_PASSTHROUGH,
        REGIONFS_ATTRIBUTE_IO_URING,
        REGIONFS_ATTRIBUTE_SERVER_PID,
        REGIONFS_ATTRIBUTE_REGIONS,
};

static void expect_none(const AttributeTarget *of, const char *name) {
        ck_assert_int_eq(get(of, name), -ENODATA);
        ck_assert_int_eq(set(of, name, "1"), -EINVAL);
        ck_assert_int_eq(attributes_set(of, name, "1", 1, XATTR_CREATE), -EINVAL);
        ck_assert_int_eq(attributes_remove(of, name), -ENODATA);
}

START_TEST(values_of_the_root) {
        expect(&root, REGIONFS_ATTRIBUTE_VERSION, REGIONFS_VERSION);
        expect_number(&root, REGIONFS_ATTRIBUTE_SERVER_PID, getpid());
        expect(&root, REGIONFS_ATTRIBUTE_PASSTHROUGH, "0");
        root.passthrough = true;
        expect(&root, REGIONFS_ATTRIBUTE_PASSTHROUGH, "1");
        expect(&root, REGIONFS_ATTRIBUTE_IO_URING, "0");
        root.rings = true;
        expect(&root, REGIONFS_ATTRIBUTE_IO_URING, "1");
        expect(&root, REGIONFS_ATTRIBUTE_REGIONS, "0");
        registry_regions_changed(registry, 3);
        expect(&root, REGIONFS_ATTRIBUTE_REGIONS, "3");
}
END_TEST

START_TEST(each_applies_to_its_kind_alone) {
        g_autofree char *path = g_build_filename(directory, "link", NULL);
        AttributeTarget sub = root;
        AttributeTarget link = target;

        sub.id = SECOND_ID + 10; /* a directory, but not the root */
        ck_assert_int_eq(symlink("region", path), 0);
        link.fd = open_path("link");
        for (size_t i = 0; i < G_N_ELEMENTS(of_regions); i++) {
                ck_assert_int_gt(get(&target, of_regions[i]), 0);
                expect_none(&root, of_regions[i]);
                expect_none(&sub, of_regions[i]);
                expect_none(&link, of_regions[i]);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(of_the_root); i++) {
                ck_assert_int_gt(get(&root, of_the_root[i]), 0);
                expect_none(&target, of_the_root[i]);
                expect_none(&sub, of_the_root[i]);
                expect_none(&link, of_the_root[i]);
        }
        close(link.fd);
}
END_TEST

START_TEST(unknown_names) {
        expect_none(&target, "user.regionfs.unheard_of");
        expect_none(&target, "user.regionfs.");
        expect_none(&target, "user.regionfs.page_size_");
        expect_none(&target, "user.regionfs.page");
        expect_none(&target, "page_size");
        expect_none(&root, "user.regionfs.unheard_of");
}
END_TEST

static void expect_listed(const AttributeTarget *of, const char *wanted, size_t size) {
        g_autoptr(GString) names = g_string_new("before");

        ck_assert_int_eq(attributes_list(of, names), 0);
        ck_assert_uint_eq(names->len, strlen("before") + size);
        ck_assert_mem_eq(names->str, "before", strlen("before"));
        ck_assert_mem_eq(names->str + strlen("before"), wanted, size);
}

START_TEST(listed_are_those_that_do_not_change_by_themselves) {
        static const char listed[] = REGIONFS_ATTRIBUTE_PAGE_SIZE "\0" REGIONFS_ATTRIBUTE_LOGICAL_LENGTH
                                                                  "\0" REGIONFS_ATTRIBUTE_PADDED_LENGTH;

        expect_listed(&target, listed, sizeof(listed));
        expect_listed(&root, "", 0);
}
END_TEST

START_TEST(read_only_ones_take_the_same_value_alone) {
        for (size_t i = 0; i < G_N_ELEMENTS(of_regions); i++) {
                char value[ATTRIBUTES_VALUE_MAX];
                int size = attributes_get(&target, of_regions[i], value);

                ck_assert_int_gt(size, 0);
                ck_assert_int_eq(attributes_set(&target, of_regions[i], value, size, XATTR_CREATE), -EEXIST);
                ck_assert_int_eq(attributes_set(&target, of_regions[i], value, size, 0), 0);
                ck_assert_int_eq(attributes_set(&target, of_regions[i], value, size, XATTR_REPLACE), 0);
                if (g_str_equal(of_regions[i], REGIONFS_ATTRIBUTE_LOGICAL_LENGTH))
                        continue;
                ck_assert_int_eq(set(&target, of_regions[i], "4711"), -EPERM);
                ck_assert_int_eq(set(&target, of_regions[i], ""), -EPERM);
                ck_assert_int_eq(set(&target, of_regions[i], "nonsense"), -EPERM);
                /* One byte less, and the NUL too, are other values. */
                ck_assert_int_eq(attributes_set(&target, of_regions[i], value, size - 1, 0), -EPERM);
                ck_assert_int_eq(attributes_set(&target, of_regions[i], value, size + 1, 0), -EPERM);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(of_the_root); i++)
                ck_assert_int_eq(set(&root, of_the_root[i], "4711x"), -EPERM);
        ck_assert_int_eq(stat_of_file().st_size, 13);
}
END_TEST

/* The first ones of regions are those that are listed. */
START_TEST(removing_changes_nothing) {
        for (size_t i = 0; i < G_N_ELEMENTS(of_regions); i++) {
                g_autofree char *before = NULL;
                char value[ATTRIBUTES_VALUE_MAX];

                ck_assert_int_gt(attributes_get(&target, of_regions[i], value), 0);
                before = g_strdup(value);
                ck_assert_int_eq(attributes_remove(&target, of_regions[i]), i < 3 ? 0 : -EPERM);
                expect(&target, of_regions[i], before);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(of_the_root); i++)
                ck_assert_int_eq(attributes_remove(&root, of_the_root[i]), -EPERM);
}
END_TEST

START_TEST(length_is_set) {
        static const struct {
                const char *value;
                off_t length;
                int result;
        } steps[] = {
                { "5000", 5000, 1 }, { "5000", 5000, 0 }, { "7", 7, 1 },
                { "0", 0, 1 },       { "0", 0, 0 },       { "1099511627776", 1099511627776, 1 },
        };
        char byte = '!';

        for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
                ck_assert_int_eq(set(&target, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, steps[i].value), steps[i].result);
                ck_assert_int_eq(stat_of_file().st_size, steps[i].length);
                expect(&target, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, steps[i].value);
        }
        ck_assert_int_eq(attributes_set(&target, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "20", 2, XATTR_REPLACE), 1);
        ck_assert_int_eq(attributes_set(&target, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "30", 2, XATTR_CREATE), -EEXIST);
        ck_assert_int_eq(stat_of_file().st_size, 20);
        ck_assert_int_eq(pread(file, &byte, 1, 6), 1);
        ck_assert_int_eq(byte, 0);
        /* What follows the value in memory does not belong to it. */
        ck_assert_int_eq(attributes_set(&target, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "123", 1, 0), 1);
        ck_assert_int_eq(stat_of_file().st_size, 1);
}
END_TEST

static const struct {
        const char *value;
        size_t size; /* 0: up to the NUL */
        int result;
} bad_lengths[] = {
        { "", 0, -EINVAL },
        { "-1", 0, -EINVAL },
        { "+1", 0, -EINVAL },
        { "1 ", 0, -EINVAL },
        { " 1", 0, -EINVAL },
        { "1\n", 0, -EINVAL },
        { "0x10", 0, -EINVAL },
        { "1k", 0, -EINVAL },
        { "1.5", 0, -EINVAL },
        { "1e3", 0, -EINVAL },
        { "twelve", 0, -EINVAL },
        { "\xd9\xa1", 0, -EINVAL },  /* an Arabic digit */
        { "\0", 1, -EINVAL },
        { "5\0", 2, -EINVAL },
        { "13\0", 3, -EINVAL },
        { "5\0006", 3, -EINVAL },
        { "9223372036854775808", 0, -EFBIG },
        { "18446744073709551615", 0, -EFBIG },
        { "18446744073709551621", 0, -EFBIG }, /* 2^64 + 5 */
        { "99999999999999999999999999999999999999999999999999999999999999999999999999999999", 0, -EFBIG },
};

START_TEST(bad_lengths_are_refused) {
        const char *value = bad_lengths[_i].value;
        size_t size = bad_lengths[_i].size ? bad_lengths[_i].size : strlen(value);

        ck_assert_int_eq(attributes_set(&target, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, value, size, 0),
                         bad_lengths[_i].result);
        ck_assert_int_eq(stat_of_file().st_size, 13);
}
END_TEST

/* <regionfs/regionfs.h>: values have no leading zeros, and what is not of that form is EINVAL. */
START_TEST(leading_zeros_are_refused) {
        ck_assert_int_eq(set(&target, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "007"), -EINVAL);
        ck_assert_int_eq(set(&target, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "00"), -EINVAL);
        ck_assert_int_eq(stat_of_file().st_size, 13);
}
END_TEST

/* A file system that takes less than any number: 2^62 is beyond most of them. */
START_TEST(length_beyond_the_file_system_is_too_large) {
        g_autofree char *other = unit_directory(UNIT_TEMPORARY);
        auto_descriptor fd = unit_create(other, "region", 13);
        AttributeTarget there = target;
        int result;

        there.fd = fd;
        result = set(&there, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "4611686018427387904");
        ck_assert_int_eq(result, ftruncate(fd, 4611686018427387904) == 0 ? 1 : -EFBIG);
}
END_TEST

START_TEST(length_needs_the_right_to_write) {
        ck_assert_int_eq(fchmod(file, 0444), 0);
        unit_become_user();
        ck_assert_int_eq(set(&target, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "5"), -EACCES);
        ck_assert_int_eq(stat_of_file().st_size, 13);
}
END_TEST

START_TEST(bad_descriptors_are_errors) {
        g_autoptr(GString) names = g_string_new(NULL);
        AttributeTarget bad = target;

        bad.fd = -1;
        ck_assert_int_eq(get(&bad, REGIONFS_ATTRIBUTE_PAGE_SIZE), -EBADF);
        ck_assert_int_eq(set(&bad, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "5"), -EBADF);
        ck_assert_int_eq(attributes_remove(&bad, REGIONFS_ATTRIBUTE_PAGE_SIZE), -EBADF);
        ck_assert_int_eq(attributes_list(&bad, names), -EBADF);
        ck_assert_uint_eq(names->len, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("attributes");
        TCase *tcase;

        tcase = unit_case(suite, "values");
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, own_names_have_the_prefix);
        tcase_add_loop_test(tcase, values_of_a_region, 0, G_N_ELEMENTS(lengths));
        tcase_add_test(tcase, resident_is_what_memory_it_has);
        tcase_add_test(tcase, handles_are_the_registrys);
        tcase_add_test(tcase, created_is_a_time);
        tcase_add_test(tcase, values_of_the_root);
        tcase_add_test(tcase, each_applies_to_its_kind_alone);
        tcase_add_test(tcase, unknown_names);
        tcase_add_test(tcase, listed_are_those_that_do_not_change_by_themselves);
        tcase_add_test(tcase, bad_descriptors_are_errors);

        tcase = unit_case(suite, "changes");
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, read_only_ones_take_the_same_value_alone);
        tcase_add_test(tcase, removing_changes_nothing);
        tcase_add_test(tcase, length_is_set);
        tcase_add_loop_test(tcase, bad_lengths_are_refused, 0, G_N_ELEMENTS(bad_lengths));
        tcase_add_test(tcase, leading_zeros_are_refused);
        tcase_add_test(tcase, length_beyond_the_file_system_is_too_large);
        tcase_add_test(tcase, length_needs_the_right_to_write);
        return unit_main(suite);
}
