/* The rules of a region, and what is different for a persisted one. */
#include "operations/attributes.h"

#include "pool/region.h"
#include "unit.h"

#include <regionfs/regionfs.h>
#include <sys/mman.h>

static char *directory; /* of the test's own: stands for the pool's root */
static Ledger *ledger;
static Registry *registry;
static AttributeTarget region, root, persisted; /* the last one: an empty file, and a source that may be written */

static int open_path(const char *name) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        return fd;
}

static AttributeTarget new_target(const char *name, size_t size) {
        auto_descriptor file = unit_create(directory, name, size);
        PoolRef ref = POOL_REF_INIT;
        struct stat st;

        ck_assert_int_eq(fstat(file, &st), 0);
        ref.inode = st.st_ino;
        return (AttributeTarget){ .registry = registry, .id = registry_lookup(registry, &ref), .fd = open_path(name) };
}

static void set_source(AttributeTarget *target, int access) {
        registry_set_source(registry, target->id, source_new(open_path("source"), access));
        target->source = registry_source(registry, target->id);
}

static void setup(void) {
        auto_descriptor file = -1;
        PoolRef ref = { .inode = 1, .fd = -1 };

        directory = unit_directory(UNIT_TEMPORARY);
        ledger = ledger_new(NULL);
        registry = registry_new(ledger, &ref, false);
        file = unit_create(directory, "source", 13);
        region = new_target("region", 13);
        persisted = new_target("persisted", 0);
        set_source(&persisted, O_RDWR);
        root = (AttributeTarget){ .registry = registry, .id = REGISTRY_ROOT_ID, .fd = open_path(".") };
}

static void teardown(void) {
        close(region.fd);
        close(persisted.fd);
        close(root.fd);
        registry_free(registry);
        ledger_free(ledger);
        g_clear_pointer(&directory, g_free);
}

static void expect(const AttributeTarget *target, const char *name, const char *wanted) {
        char value[ATTRIBUTES_VALUE_MAX];
        int result = attributes_get(target, name, value);

        ck_assert_msg(result >= 0, "%s: %s", name, g_strerror(-result));
        ck_assert_str_eq(value, wanted);
        ck_assert_int_eq(result, (int)strlen(wanted));
}

static int set(const AttributeTarget *target, const char *name, const char *value) {
        return attributes_set(target, name, value, strlen(value), 0);
}

static int get(const AttributeTarget *target, const char *name) {
        char value[ATTRIBUTES_VALUE_MAX];

        return attributes_get(target, name, value);
}

static off_t length_of(const char *name) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        struct stat st;

        ck_assert_int_eq(stat(path, &st), 0);
        return st.st_size;
}

START_TEST(source_is_the_path_of_the_file) {
        g_autofree char *path = g_build_filename(directory, "source", NULL);
        g_autofree char *other = g_build_filename(directory, "other", NULL);
        g_autoptr(GString) names = g_string_new(NULL);

        expect(&persisted, REGIONFS_ATTRIBUTE_SOURCE, path);
        ck_assert_int_eq(rename(path, other), 0);
        expect(&persisted, REGIONFS_ATTRIBUTE_SOURCE, other);
        ck_assert_int_eq(get(&region, REGIONFS_ATTRIBUTE_SOURCE), -ENODATA);
        ck_assert_int_eq(get(&root, REGIONFS_ATTRIBUTE_SOURCE), -ENODATA);
        ck_assert_int_eq(attributes_list(&persisted, names), 0);
        ck_assert_ptr_null(memmem(names->str, names->len, "source", strlen("source")));
}
END_TEST

/* Whoever makes a region a persisted one does not come here. */
START_TEST(source_is_read_only) {
        g_autofree char *path = g_build_filename(directory, "source", NULL);

        ck_assert_int_eq(set(&persisted, REGIONFS_ATTRIBUTE_SOURCE, path), 0);
        ck_assert_int_eq(set(&persisted, REGIONFS_ATTRIBUTE_SOURCE, "3"), -EPERM);
        ck_assert_int_eq(set(&persisted, REGIONFS_ATTRIBUTE_SOURCE, ""), -EPERM);
        ck_assert_int_eq(attributes_remove(&persisted, REGIONFS_ATTRIBUTE_SOURCE), -EPERM);
        ck_assert_int_lt(set(&region, REGIONFS_ATTRIBUTE_SOURCE, "3"), 0);
        ck_assert_int_eq(set(&root, REGIONFS_ATTRIBUTE_SOURCE, "3"), -EINVAL);
        expect(&persisted, REGIONFS_ATTRIBUTE_SOURCE, path);
        ck_assert_int_eq(get(&region, REGIONFS_ATTRIBUTE_SOURCE), -ENODATA);
}
END_TEST

START_TEST(lengths_are_the_sources) {
        g_autofree char *padded = g_strdup_printf("%" PRIu64, region_page_size());
        AttributeTarget reading = new_target("reading", 0);

        expect(&persisted, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "13");
        expect(&persisted, REGIONFS_ATTRIBUTE_PADDED_LENGTH, padded);
        ck_assert_int_gt(get(&persisted, REGIONFS_ATTRIBUTE_RESIDENT), 0);
        ck_assert_int_eq(set(&persisted, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "5000"), 1);
        ck_assert_int_eq(length_of("source"), 5000);
        ck_assert_int_eq(length_of("persisted"), 0);
        expect(&persisted, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "5000");
        set_source(&reading, O_RDONLY);
        expect(&reading, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "5000");
        ck_assert_int_eq(set(&reading, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "7"), -EACCES);
        ck_assert_int_eq(length_of("source"), 5000);
        close(reading.fd);
}
END_TEST

START_TEST(persisted_regions_are_not_sealed) {
        ck_assert_int_eq(set(&persisted, REGIONFS_ATTRIBUTE_SEALED, "1"), -EOPNOTSUPP);
        expect(&persisted, REGIONFS_ATTRIBUTE_SEALED, "0");
        ck_assert_int_eq(set(&persisted, REGIONFS_ATTRIBUTE_SEALED, "0"), 0);
        ck_assert_int_eq(set(&persisted, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "7"), 1);
}
END_TEST

START_TEST(persisted_regions_have_the_other_rules) {
        ck_assert_int_eq(set(&persisted, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "1000000"), 1);
        ck_assert_int_eq(set(&persisted, REGIONFS_ATTRIBUTE_LIFETIME, "handles"), 0);
        ck_assert_int_eq(set(&persisted, REGIONFS_ATTRIBUTE_ALLOCATION, "committed"), 0);
        expect(&persisted, REGIONFS_ATTRIBUTE_LIFETIME, "handles");
        expect(&persisted, REGIONFS_ATTRIBUTE_ALLOCATION, "committed");
        /* The memory is the source's. */
        ck_assert_int_eq(length_of("persisted"), 0);
        ck_assert_int_eq(length_of("source"), 1000000);
        ck_assert_int_eq(registry_policy(registry, persisted.id).allocation, REGION_COMMITTED);
}
END_TEST

START_TEST(committed_regions_have_their_memory) {
        struct stat st;

        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "1000000"), 1);
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_ALLOCATION, "committed"), 0);
        ck_assert_int_eq(fstatat(region.fd, "", &st, AT_EMPTY_PATH), 0);
        ck_assert(!region_lacks_memory(&st));
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "3000000"), 1);
        ck_assert_int_eq(fstatat(region.fd, "", &st, AT_EMPTY_PATH), 0);
        ck_assert_int_eq(st.st_size, 3000000);
        ck_assert(!region_lacks_memory(&st));
        ck_assert_int_eq(attributes_remove(&region, REGIONFS_ATTRIBUTE_ALLOCATION), 0);
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "9000000"), 1);
        ck_assert_int_eq(fstatat(region.fd, "", &st, AT_EMPTY_PATH), 0);
        ck_assert(region_lacks_memory(&st));
}
END_TEST

START_TEST(a_sealed_region_is_final) {
        g_autofree char *path = g_build_filename(directory, "region", NULL);
        auto_descriptor writer = open(path, O_RDWR | O_CLOEXEC);
        int backing_id;
        RegistryRelease release;

        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_SEALED, "1"), -EBUSY);
        descriptor_clear(&writer);
        ck_assert_int_eq(registry_handle_added(registry, region.id, true, &backing_id), 0);
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_SEALED, "1"), -EBUSY);
        expect(&region, REGIONFS_ATTRIBUTE_SEALED, "0");
        ck_assert_int_eq(registry_handle_removed(registry, region.id, true, &release), 0);
        ck_assert_int_eq(registry_handle_added(registry, region.id, false, &backing_id), 0);
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_SEALED, "1"), 0);
        expect(&region, REGIONFS_ATTRIBUTE_SEALED, "1");
        ck_assert(registry_policy(registry, region.id).sealed);
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_SEALED, "1"), 0);
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_SEALED, "0"), -EPERM);
        ck_assert_int_eq(attributes_remove(&region, REGIONFS_ATTRIBUTE_SEALED), -EPERM);
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "5"), -EPERM);
        ck_assert_int_eq(length_of("region"), 13);
        expect(&region, REGIONFS_ATTRIBUTE_SEALED, "1");
}
END_TEST

/* Whether it could end now. */
static int try_ending(const AttributeTarget *target) {
        int result = registry_exclude(registry, target->id, REGISTRY_AFTER_USE);

        if (result == 0)
                registry_include(registry, target->id, false);
        return result;
}

static void use(const AttributeTarget *target) {
        RegistryRelease release;
        int backing_id;

        ck_assert_int_eq(registry_handle_added(registry, target->id, false, &backing_id), 0);
        registry_handle_used(registry, target->id);
        ck_assert_int_eq(registry_handle_removed(registry, target->id, false, &release), 0);
}

START_TEST(one_that_nobody_has_used_waits) {
        AttributeTarget *targets[] = { &region, &persisted };
        g_autofree char *path = g_build_filename(directory, "persisted", NULL);
        auto_descriptor file = open(path, O_RDONLY | O_CLOEXEC); /* not where its memory is */

        ck_assert_int_ge(file, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
                targets[i]->passthrough = _i;
                ck_assert_int_eq(set(targets[i], REGIONFS_ATTRIBUTE_ALLOCATION, "committed"), 0);
                ck_assert_int_eq(try_ending(targets[i]), 0);
                ck_assert_int_eq(set(targets[i], REGIONFS_ATTRIBUTE_LIFETIME, "handles"), 0);
                ck_assert_int_eq(registry_policy(registry, targets[i]->id).lifetime, REGION_HANDLES);
                ck_assert_int_eq(try_ending(targets[i]), -EBUSY);
                use(targets[i]);
                ck_assert_int_eq(try_ending(targets[i]), 0);
        }
}
END_TEST

START_TEST(one_that_has_a_handle_does_not) {
        RegistryRelease release;
        int backing_id;

        ck_assert_int_eq(registry_handle_added(registry, region.id, false, &backing_id), 0);
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_LIFETIME, "handles"), 0);
        ck_assert_int_eq(registry_handle_removed(registry, region.id, false, &release), 0);
        ck_assert_int_eq(release.policy.lifetime, REGION_HANDLES);
        ck_assert_int_eq(try_ending(&region), 0);
}
END_TEST

/* The kernel serves it where there is passthrough; elsewhere it has a handle. */
START_TEST(nor_does_one_that_has_a_view) {
        g_autofree char *path = g_build_filename(directory, "region", NULL);
        auto_descriptor file = open(path, O_RDONLY | O_CLOEXEC);
        void *view = mmap(NULL, 13, PROT_READ, MAP_SHARED, file, 0);

        ck_assert_ptr_ne(view, MAP_FAILED);
        descriptor_clear(&file);
        region.passthrough = _i;
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_LIFETIME, "handles"), 0);
        ck_assert_int_eq(try_ending(&region), region.passthrough ? 0 : -EBUSY);
        ck_assert_int_eq(munmap(view, 13), 0);
}
END_TEST

START_TEST(rules_are_words) {
        static const char *const bad[] = { "", "Kept", "handles ", "handle", "delayed", "1", "kept\n" };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_LIFETIME, bad[i]), -EINVAL);
        ck_assert_int_eq(attributes_set(&region, REGIONFS_ATTRIBUTE_LIFETIME, "handles", 8, 0), -EINVAL);
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_ALLOCATION, "kept"), -EINVAL);
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_SEALED, "2"), -EINVAL);
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_SEALED, "01"), -EINVAL);
        expect(&region, REGIONFS_ATTRIBUTE_LIFETIME, "kept");
        expect(&region, REGIONFS_ATTRIBUTE_ALLOCATION, "delayed");
        expect(&region, REGIONFS_ATTRIBUTE_SEALED, "0");
}
END_TEST

START_TEST(directories_have_those_that_are_inherited) {
        ck_assert_int_eq(set(&root, REGIONFS_ATTRIBUTE_LIFETIME, "handles"), 0);
        ck_assert_int_eq(set(&root, REGIONFS_ATTRIBUTE_ALLOCATION, "committed"), 0);
        expect(&root, REGIONFS_ATTRIBUTE_LIFETIME, "handles");
        expect(&root, REGIONFS_ATTRIBUTE_ALLOCATION, "committed");
        ck_assert_int_eq(attributes_remove(&root, REGIONFS_ATTRIBUTE_LIFETIME), 0);
        expect(&root, REGIONFS_ATTRIBUTE_LIFETIME, "kept");
        expect(&root, REGIONFS_ATTRIBUTE_ALLOCATION, "committed");
        ck_assert_int_eq(get(&root, REGIONFS_ATTRIBUTE_SEALED), -ENODATA);
        ck_assert_int_eq(set(&root, REGIONFS_ATTRIBUTE_SEALED, "1"), -EINVAL);
}
END_TEST

START_TEST(rules_are_the_owners) {
        struct stat st;

        ck_assert_int_eq(fstatat(region.fd, "", &st, AT_EMPTY_PATH), 0);
        region.caller.uid = st.st_uid + 1;
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_LIFETIME, "handles"), -EPERM);
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_ALLOCATION, "committed"), -EPERM);
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_SEALED, "1"), -EPERM);
        /* What it is already is no change. */
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_LIFETIME, "kept"), 0);
        region.caller.uid = 0;
        ck_assert_int_eq(set(&region, REGIONFS_ATTRIBUTE_LIFETIME, "handles"), 0);
        region.caller.uid = st.st_uid;
        ck_assert_int_eq(attributes_remove(&region, REGIONFS_ATTRIBUTE_LIFETIME), 0);
        expect(&region, REGIONFS_ATTRIBUTE_LIFETIME, "kept");
}
END_TEST

int main(void) {
        Suite *suite;
        TCase *tcase;

        if (!unit_keeps_attributes()) {
                printf("1..0 # SKIP the file system of temporary files keeps no user attributes\n");
                return EXIT_SUCCESS;
        }
        suite = suite_create("attributes-rules");
        tcase = unit_case(suite, "persisted");
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, source_is_the_path_of_the_file);
        tcase_add_test(tcase, source_is_read_only);
        tcase_add_test(tcase, lengths_are_the_sources);
        tcase_add_test(tcase, persisted_regions_are_not_sealed);
        tcase_add_test(tcase, persisted_regions_have_the_other_rules);

        tcase = unit_case(suite, "rules");
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, committed_regions_have_their_memory);
        tcase_add_test(tcase, a_sealed_region_is_final);
        tcase_add_loop_test(tcase, one_that_nobody_has_used_waits, 0, 2);
        tcase_add_test(tcase, one_that_has_a_handle_does_not);
        tcase_add_loop_test(tcase, nor_does_one_that_has_a_view, 0, 2);
        tcase_add_test(tcase, rules_are_words);
        tcase_add_test(tcase, directories_have_those_that_are_inherited);
        tcase_add_test(tcase, rules_are_the_owners);
        return unit_main(suite);
}
