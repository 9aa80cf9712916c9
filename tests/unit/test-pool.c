#include "pool/pool.h"

#include "unit-pool.h"


#define TEXT "what the region holds"

static Pool *make_of_directory(char *directory) {
        PoolSettings settings = POOL_SETTINGS_INIT;

        settings.directory = directory;
        return unit_pool(&settings);
}

/* Creates a region with TEXT in it. */
static void create(const Pool *pool, const char *name) {
        auto_descriptor fd = openat(pool->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

        ck_assert_msg(fd >= 0, "%s: %s", name, g_strerror(errno));
        ck_assert_int_eq(write(fd, TEXT, strlen(TEXT)), (ssize_t)strlen(TEXT));
}

static void look_up(const Pool *pool, const char *name, PoolRef *ref) {
        struct stat st;

        ck_assert_int_eq(pool_lookup(pool, pool->fd, 1, name, ref, &st), 0);
        ck_assert_uint_eq(st.st_ino, ref->inode);
        ck_assert_uint_eq(st.st_dev, pool->device);
}

static void expect_text(const Pool *pool, const PoolRef *ref) {
        auto_descriptor fd = pool_open(pool, ref, O_RDWR);
        char text[100] = "";

        ck_assert_msg(fd >= 0, "%s", g_strerror(-fd));
        ck_assert_int_eq(read(fd, text, sizeof(text)), (ssize_t)strlen(TEXT));
        ck_assert_str_eq(text, TEXT);
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

/* The tests of references are run with each kind of pool. */
static char *directory;
static Pool *pool;

static void setup_tmpfs(void) {
        PoolSettings settings = POOL_SETTINGS_INIT;

        pool = unit_pool(&settings);
        ck_assert_int_eq(pool->kind, POOL_TMPFS);
}

static void setup_directory(UnitBase base) {
        directory = unit_directory(base);
        pool = make_of_directory(directory);
        ck_assert_int_eq(pool->kind, POOL_DIRECTORY);
}

static void setup_directory_on_tmpfs(void) {
        setup_directory(UNIT_TMPFS);
}

static void setup_directory_on_temporary(void) {
        setup_directory(UNIT_TEMPORARY);
}

/* Without rights there may be no handles: then references have descriptors. */
static void setup_user(void) {
        directory = unit_directory(UNIT_TMPFS);
        if (geteuid() == 0)
                ck_assert_int_eq(chown(directory, UNIT_USER, UNIT_USER), 0);
        unit_become_user();
        pool = make_of_directory(directory);
}

static void teardown(void) {
        pool_free(pool);
        g_clear_pointer(&directory, g_free);
}

START_TEST(references_reach_their_node) {
        unsigned before = unit_descriptors();
        PoolRef ref;
        auto_descriptor path = -1;
        struct stat st;

        create(pool, "region");
        look_up(pool, "region", &ref);
        ck_assert_int_eq(ref.fd, -1);
        ck_assert((ref.handle_size > 0) == pool->by_handle);
        ck_assert((ref.name != NULL) == !pool->by_handle);
        ck_assert(pool_ref_reaches(&ref));
        expect_text(pool, &ref);
        path = pool_open(pool, &ref, O_PATH);
        ck_assert_int_ge(path, 0);
        ck_assert_int_eq(fstat(path, &st), 0);
        ck_assert_uint_eq(st.st_ino, ref.inode);
        ck_assert_int_eq(fcntl(path, F_GETFL) & O_PATH, O_PATH);

        ck_assert_int_eq(pool_open(pool, &ref, O_RDONLY | O_DIRECTORY), -ENOTDIR);
        ck_assert_int_eq(renameat(pool->fd, "region", pool->fd, "elsewhere"), 0);
        if (pool->by_handle) {
                expect_text(pool, &ref); /* wherever its name goes */
        } else {
                ck_assert_int_eq(pool_open(pool, &ref, O_PATH), -ESTALE);
                /* Another node under the name is not mistaken for it. */
                create(pool, "region");
                ck_assert_int_eq(pool_open(pool, &ref, O_PATH), -ESTALE);
        }
        descriptor_clear(&path);
        pool_ref_clear(&ref);
        ck_assert_int_eq(ref.fd, -1);
        ck_assert_uint_eq(unit_descriptors(), before);
}
END_TEST

START_TEST(lookup_in_a_subdirectory) {
        g_auto(PoolRef) sub = POOL_REF_INIT;
        g_auto(PoolRef) region = POOL_REF_INIT;
        auto_descriptor fd = -1;
        struct stat st;

        ck_assert_int_eq(mkdirat(pool->fd, "sub", 0755), 0);
        create(pool, "sub/region");
        look_up(pool, "sub", &sub);
        fd = pool_open(pool, &sub, O_PATH);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(pool_lookup(pool, fd, 1, "region", &region, &st), 0);
        ck_assert_int_eq(st.st_size, strlen(TEXT));
        expect_text(pool, &region);
}
END_TEST

START_TEST(lookup_errors) {
        unsigned before = unit_descriptors();
        g_autofree char *long_name = g_strnfill(300, 'x');
        PoolRef ref = POOL_REF_INIT;
        struct stat st;

        ck_assert_int_eq(pool_lookup(pool, pool->fd, 1, "missing", &ref, &st), -ENOENT);
        ck_assert_int_eq(pool_lookup(pool, pool->fd, 1, "", &ref, &st), -ENOENT);
        ck_assert_int_eq(pool_lookup(pool, pool->fd, 1, long_name, &ref, &st), -ENAMETOOLONG);
        ck_assert_int_eq(pool_lookup(pool, -1, 1, "missing", &ref, &st), -EBADF);
        ck_assert_int_eq(pool_identify(pool, -1, &ref, &st), -EBADF);
        ck_assert_uint_eq(unit_descriptors(), before);
}
END_TEST

START_TEST(other_file_systems_are_not_entered) {
        auto_descriptor fd = open("/proc", O_PATH | O_CLOEXEC);
        PoolRef ref;
        struct stat st;

        ck_assert_int_eq(pool_identify(pool, fd, &ref, &st), -EXDEV);
        ck_assert_int_eq(ref.fd, -1);
        ck_assert_int_eq(pool_lookup(pool, pool->fd, 1, "/proc", &ref, &st), -EXDEV);
}
END_TEST

START_TEST(links_are_not_followed) {
        g_auto(PoolRef) link = POOL_REF_INIT;
        g_auto(PoolRef) region = POOL_REF_INIT;
        auto_descriptor fd = -1;
        char text[20];
        struct stat st;

        create(pool, "region");
        ck_assert_int_eq(symlinkat("region", pool->fd, "link"), 0);
        ck_assert_int_eq(pool_lookup(pool, pool->fd, 1, "link", &link, &st), 0);
        ck_assert(S_ISLNK(st.st_mode));
        look_up(pool, "region", &region);
        ck_assert(!pool_ref_equal(&link, &region));
        fd = pool_open(pool, &link, O_PATH);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(readlinkat(fd, "", text, sizeof(text)), strlen("region"));
        ck_assert_int_lt(pool_open(pool, &link, O_RDONLY), 0);
}
END_TEST

START_TEST(equal_means_the_same_node) {
        g_auto(PoolRef) one = POOL_REF_INIT;
        g_auto(PoolRef) again = POOL_REF_INIT;
        g_auto(PoolRef) linked = POOL_REF_INIT;
        g_auto(PoolRef) other = POOL_REF_INIT;
        g_auto(PoolRef) pinned = POOL_REF_INIT;
        g_auto(PoolRef) next = POOL_REF_INIT;
        auto_descriptor fd = -1;
        struct stat st;

        create(pool, "one");
        create(pool, "other");
        ck_assert_int_eq(linkat(pool->fd, "one", pool->fd, "linked", 0), 0);
        look_up(pool, "one", &one);
        look_up(pool, "one", &again);
        look_up(pool, "linked", &linked);
        look_up(pool, "other", &other);
        ck_assert(pool_ref_equal(&one, &one));
        ck_assert(pool_ref_equal(&one, &again));
        ck_assert(pool_ref_equal(&one, &linked));
        ck_assert(!pool_ref_equal(&one, &other));

        /* By an open descriptor, and pinned, it is the same too. */
        fd = pool_open(pool, &one, O_RDWR);
        ck_assert_int_eq(pool_identify(pool, fd, &pinned, &st), 0);
        ck_assert_int_eq(st.st_nlink, 2);
        if (pool->by_handle)
                ck_assert_int_eq(pool_pin(&pinned, fd), 0);
        ck_assert(pool_ref_equal(&one, &pinned));

        /* A new one of the old name is another one, although the old one lives on without. */
        ck_assert_int_eq(unlinkat(pool->fd, "one", 0), 0);
        ck_assert_int_eq(unlinkat(pool->fd, "linked", 0), 0);
        create(pool, "one");
        look_up(pool, "one", &next);
        ck_assert(!pool_ref_equal(&one, &next));
}
END_TEST

START_TEST(handles_are_never_used_again) {
        g_auto(PoolRef) old = POOL_REF_INIT;

        /* By descriptor a node that is known is never gone. */
        if (!pool->by_handle)
                return;
        create(pool, "region");
        look_up(pool, "region", &old);
        ck_assert_int_eq(unlinkat(pool->fd, "region", 0), 0);
        for (int i = 0; i < 100; i++) {
                g_auto(PoolRef) next = POOL_REF_INIT;

                create(pool, "region");
                look_up(pool, "region", &next);
                ck_assert(!pool_ref_equal(&old, &next));
                ck_assert_int_eq(pool_open(pool, &old, O_PATH), -ESTALE);
                ck_assert_int_eq(unlinkat(pool->fd, "region", 0), 0);
        }
}
END_TEST

START_TEST(pinned_nodes_need_no_name) {
        g_auto(PoolRef) ref = POOL_REF_INIT;
        auto_descriptor fd = -1;
        auto_descriptor path = -1;

        create(pool, "region");
        look_up(pool, "region", &ref);
        fd = openat(pool->fd, "region", O_PATH | O_CLOEXEC);
        ck_assert_int_eq(pool_pin(&ref, fd), 0);
        ck_assert_int_ne(ref.fd, fd);
        descriptor_clear(&fd);
        /* Only pins the node: it is no user of the region. */
        ck_assert_int_eq(fcntl(ref.fd, F_GETFL) & O_PATH, O_PATH);
        ck_assert_int_eq(fcntl(ref.fd, F_GETFD), FD_CLOEXEC);
        ck_assert_int_eq(unlinkat(pool->fd, "region", 0), 0);
        expect_text(pool, &ref);
        path = pool_open(pool, &ref, O_PATH);
        ck_assert_int_ge(path, 0);
        ck_assert_int_ne(path, ref.fd);
        ck_assert_int_eq(fcntl(path, F_GETFD), FD_CLOEXEC);
}
END_TEST

START_TEST(pinning_needs_a_descriptor) {
        PoolRef ref = POOL_REF_INIT;

        ck_assert_int_lt(pool_pin(&ref, -1), 0);
        ck_assert_int_eq(ref.fd, -1);
}
END_TEST

static uint64_t count(void) {
        uint64_t regions = 4711;

        ck_assert_int_eq(pool_count_regions(pool, &regions), 0);
        return regions;
}

START_TEST(regions_are_counted_once) {
        unsigned before = unit_descriptors();

        ck_assert_uint_eq(count(), 0);
        create(pool, "one");
        create(pool, ".hidden");
        ck_assert_int_eq(mkdirat(pool->fd, "sub", 0755), 0);
        ck_assert_int_eq(mkdirat(pool->fd, "sub/sub", 0755), 0);
        create(pool, "sub/sub/deep");
        ck_assert_uint_eq(count(), 3);

        /* Further names are no further regions, nor are other kinds of node. */
        ck_assert_int_eq(linkat(pool->fd, "one", pool->fd, "two", 0), 0);
        ck_assert_int_eq(linkat(pool->fd, "one", pool->fd, "sub/three", 0), 0);
        ck_assert_int_eq(linkat(pool->fd, "sub/sub/deep", pool->fd, "deep", 0), 0);
        ck_assert_int_eq(symlinkat("one", pool->fd, "link"), 0);
        ck_assert_int_eq(symlinkat("/", pool->fd, "sub/up"), 0);
        ck_assert_int_eq(mkfifoat(pool->fd, "fifo", 0644), 0);
        ck_assert_uint_eq(count(), 3);
        ck_assert_int_eq(unlinkat(pool->fd, "one", 0), 0);
        ck_assert_uint_eq(count(), 3);
        ck_assert_int_eq(unlinkat(pool->fd, "deep", 0), 0);
        ck_assert_int_eq(unlinkat(pool->fd, "sub/sub/deep", 0), 0);
        ck_assert_uint_eq(count(), 2);
        ck_assert_uint_eq(unit_descriptors(), before);
}
END_TEST

START_TEST(directory_is_left_as_it_is) {
        unsigned before = unit_descriptors();
        g_autofree char *path = unit_directory(UNIT_TMPFS);
        Pool *of = make_of_directory(path);
        auto_descriptor fd = -1;
        struct stat st;

        ck_assert_int_eq(of->mount_fd, -1);
        ck_assert_ptr_null(of->path);
        create(of, "region");
        ck_assert_int_eq(fstat(of->fd, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0755);
        ck_assert_uint_eq(st.st_dev, of->device);
        pool_free(of);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_eq(faccessat(fd, "region", F_OK, 0), 0);
        descriptor_clear(&fd);
        ck_assert_uint_eq(unit_descriptors(), before);
        pool_free(NULL);
}
END_TEST

START_TEST(directory_takes_mode_and_owner) {
        g_autofree char *path = unit_directory(UNIT_TMPFS);
        PoolSettings settings = POOL_SETTINGS_INIT;
        Pool *of;
        struct stat st;

        settings.directory = path;
        settings.mode = 01750;
        settings.gid = getegid();
        if (unit_is_root()) {
                settings.uid = UNIT_USER;
                settings.gid = UNIT_USER + 1;
        }
        of = unit_pool(&settings);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 01750);
        ck_assert_uint_eq(st.st_uid, unit_is_root() ? UNIT_USER : geteuid());
        ck_assert_uint_eq(st.st_gid, settings.gid);
        pool_free(of);
}
END_TEST

START_TEST(directory_takes_no_limits) {
        g_autofree char *path = unit_directory(UNIT_TMPFS);
        const PoolSettings none = POOL_SETTINGS_INIT;
        PoolSettings settings = none;

        (settings = none, settings.directory = path, settings.size = 4096);
        unit_pool_refused(&settings, "option size ");
        (settings = none, settings.directory = path, settings.size_percent = 10);
        unit_pool_refused(&settings, "option size ");
        (settings = none, settings.directory = path, settings.nr_regions = 10);
        unit_pool_refused(&settings, "option nr_regions ");
        (settings = none, settings.directory = path, settings.huge = (char *)"never");
        unit_pool_refused(&settings, "option huge ");
        (settings = none, settings.directory = path, settings.mpol = (char *)"local");
        unit_pool_refused(&settings, "option mpol ");
        (settings = none, settings.directory = path, settings.noswap = true);
        unit_pool_refused(&settings, "option noswap ");
        unit_pool_refused(&settings, "with pool=");
}
END_TEST

START_TEST(bad_directories_are_refused) {
        g_autofree char *path = unit_directory(UNIT_TMPFS);
        g_autofree char *file = g_strconcat(path, "/file", NULL);
        g_autofree char *missing = g_strconcat(path, "/missing", NULL);
        auto_descriptor fd = unit_create(path, "file", 0);
        PoolSettings settings = POOL_SETTINGS_INIT;

        settings.directory = file;
        unit_pool_refused(&settings, file);
        settings.directory = missing;
        unit_pool_refused(&settings, missing);

        /* Not the user's, so that only root may change it. */
        unit_become_user();
        settings.directory = (char *)"/proc";
        settings.mode = 0700;
        unit_pool_refused(&settings, "option mode");
        settings.mode = (mode_t)-1;
        settings.uid = 0;
        unit_pool_refused(&settings, "options uid, gid");
}
END_TEST

static void add_reference_tests(Suite *suite, const char *name, void (*setup)(void)) {
        TCase *tcase = unit_case(suite, name);

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, references_reach_their_node);
        tcase_add_test(tcase, lookup_in_a_subdirectory);
        tcase_add_test(tcase, lookup_errors);
        tcase_add_test(tcase, other_file_systems_are_not_entered);
        tcase_add_test(tcase, links_are_not_followed);
        tcase_add_test(tcase, equal_means_the_same_node);
        tcase_add_test(tcase, handles_are_never_used_again);
        tcase_add_test(tcase, pinned_nodes_need_no_name);
        tcase_add_test(tcase, pinning_needs_a_descriptor);
        tcase_add_test(tcase, regions_are_counted_once);
}

int main(void) {
        Suite *suite = suite_create("pool");
        TCase *tcase;

        if (unit_is_root())
                add_reference_tests(suite, "tmpfs", setup_tmpfs);
        else
                printf("# left out, as it needs root: the pool of root\n");
        add_reference_tests(suite, "directory-on-tmpfs", setup_directory_on_tmpfs);
        add_reference_tests(suite, "directory-on-temporary", setup_directory_on_temporary);
        add_reference_tests(suite, "directory-of-user", setup_user);

        tcase = unit_case(suite, "directory");
        tcase_add_test(tcase, directory_is_left_as_it_is);
        tcase_add_test(tcase, directory_takes_mode_and_owner);
        tcase_add_test(tcase, directory_takes_no_limits);
        tcase_add_test(tcase, bad_directories_are_refused);
        return unit_main(suite);
}
