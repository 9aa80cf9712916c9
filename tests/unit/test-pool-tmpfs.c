#include "pool/pool.h"

#include "unit-pool.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>

#define HUGE_PAGES "/sys/kernel/mm/transparent_hugepage"

static int create(const Pool *pool, const char *name) {
        int fd = openat(pool->fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

        return fd < 0 ? -errno : fd;
}

START_TEST(defaults) {
        unsigned before = unit_descriptors();
        PoolSettings settings = POOL_SETTINGS_INIT;
        Pool *pool = unit_pool(&settings);
        struct statvfs fs;
        struct sysinfo machine;
        struct stat st;

        ck_assert_int_eq(pool->kind, POOL_TMPFS);
        ck_assert(pool->by_handle);
        ck_assert_ptr_null(pool->path);
        ck_assert_int_eq(fcntl(pool->fd, F_GETFD), FD_CLOEXEC);
        ck_assert_int_eq(fcntl(pool->mount_fd, F_GETFD), FD_CLOEXEC);
        ck_assert_int_eq(fstat(pool->fd, &st), 0);
        ck_assert(S_ISDIR(st.st_mode));
        ck_assert_uint_eq(st.st_mode & 07777, 01777);
        ck_assert_uint_eq(st.st_uid, 0);
        ck_assert_uint_eq(st.st_gid, 0);
        ck_assert_uint_eq(st.st_dev, pool->device);

        ck_assert_int_eq(fstatvfs(pool->fd, &fs), 0);
        ck_assert_int_eq(sysinfo(&machine), 0);
        ck_assert_uint_eq(fs.f_blocks, machine.totalram / fs.f_bsize / 2 + machine.totalram / fs.f_bsize % 2);
        ck_assert(fs.f_flag & ST_NOSUID);
        ck_assert(fs.f_flag & ST_NODEV);
        ck_assert(!(fs.f_flag & ST_NOEXEC));
        pool_free(pool);
        ck_assert_uint_eq(unit_descriptors(), before);
}
END_TEST

START_TEST(size_is_a_limit) {
        PoolSettings settings = POOL_SETTINGS_INIT;
        g_autoptr(Pool) pool = NULL;
        auto_descriptor one = -1;
        auto_descriptor two = -1;
        char page[4096];
        unsigned pages = sysconf(_SC_PAGESIZE) / sizeof(page) * 16;

        memset(page, 'x', sizeof(page));
        settings.size = pages * sizeof(page);
        pool = unit_pool(&settings);
        one = create(pool, "one");
        two = create(pool, "two");
        for (unsigned i = 0; i < pages; i++)
                ck_assert_int_eq(pwrite(i % 2 ? one : two, page, sizeof(page), i / 2 * sizeof(page)), sizeof(page));
        ck_assert_int_eq(pwrite(one, page, sizeof(page), settings.size), -1);
        ck_assert_int_eq(errno, ENOSPC);
        ck_assert_int_eq(posix_fallocate(one, 0, 2 * settings.size), ENOSPC);
        /* A length is not memory. */
        ck_assert_int_eq(ftruncate(one, 1000 * settings.size), 0);

        ck_assert_int_eq(unlinkat(pool->fd, "two", 0), 0);
        descriptor_clear(&two);
        ck_assert_int_eq(pwrite(one, page, sizeof(page), settings.size), sizeof(page));
}
END_TEST

START_TEST(percentage_is_of_the_machines_memory) {
        PoolSettings settings = POOL_SETTINGS_INIT;
        g_autoptr(Pool) pool = NULL;
        struct statvfs fs;
        struct sysinfo machine;

        settings.size_percent = 10;
        pool = unit_pool(&settings);
        ck_assert_int_eq(fstatvfs(pool->fd, &fs), 0);
        ck_assert_int_eq(sysinfo(&machine), 0);
        ck_assert_uint_ge(fs.f_blocks * fs.f_bsize, machine.totalram / 10);
        ck_assert_uint_le(fs.f_blocks * fs.f_bsize, machine.totalram / 10 + 2 * fs.f_bsize);
}
END_TEST

START_TEST(nr_regions_is_a_limit) {
        PoolSettings settings = POOL_SETTINGS_INIT;
        g_autoptr(Pool) pool = NULL;
        auto_descriptor fd = -1;

        settings.nr_regions = 3;
        pool = unit_pool(&settings);
        fd = create(pool, "region");
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(mkdirat(pool->fd, "directory", 0755), 0);
        ck_assert_int_eq(symlinkat("region", pool->fd, "link"), 0);
        ck_assert_int_eq(create(pool, "too-many"), -ENOSPC);
        ck_assert_int_eq(mkdirat(pool->fd, "too-many", 0755), -1);
        ck_assert_int_eq(errno, ENOSPC);
        ck_assert_int_eq(unlinkat(pool->fd, "link", 0), 0);
        descriptor_clear(&fd);
        fd = create(pool, "one-more");
        ck_assert_int_ge(fd, 0);
}
END_TEST

START_TEST(root_has_mode_and_owner) {
        PoolSettings settings = POOL_SETTINGS_INIT;
        g_autoptr(Pool) pool = NULL;
        struct stat st;

        settings.mode = 02750;
        settings.uid = 64123;
        settings.gid = 64124;
        pool = unit_pool(&settings);
        ck_assert_int_eq(fstat(pool->fd, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 02750);
        ck_assert_uint_eq(st.st_uid, 64123);
        ck_assert_uint_eq(st.st_gid, 64124);
}
END_TEST

/* Whether a line of this process's mounts has the text in it: that line, or NULL. */
static char *find_mount(const char *text) {
        g_autofree char *all = NULL;
        g_auto(GStrv) lines = NULL;

        ck_assert(g_file_get_contents("/proc/self/mountinfo", &all, NULL, NULL));
        lines = g_strsplit(all, "\n", -1);
        for (char **line = lines; *line; line++)
                if (strstr(*line, text))
                        return g_strdup(*line);
        return NULL;
}

START_TEST(pool_is_mounted_nowhere) {
        PoolSettings settings = POOL_SETTINGS_INIT;
        g_autoptr(Pool) pool = unit_pool(&settings);
        g_autofree char *device = g_strdup_printf(" %u:%u ", major(pool->device), minor(pool->device));
        g_autofree char *line = find_mount(device);
        g_autofree char *root = find_mount(" / ");

        ck_assert_ptr_nonnull(root);
        ck_assert_msg(!line, "found: %s", line);
}
END_TEST

/* What the kernel says of the pool's settings once it is mounted, in a mount namespace of this test's own. */
static char *mounted(const Pool *pool) {
        g_autofree char *device = g_strdup_printf(" %u:%u ", major(pool->device), minor(pool->device));
        g_autofree char *directory = unit_directory(UNIT_TMPFS);
        char *line;

        ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
        ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
        ck_assert_int_eq(move_mount(pool->mount_fd, "", AT_FDCWD, directory, MOVE_MOUNT_F_EMPTY_PATH), 0);
        line = find_mount(device);
        ck_assert_ptr_nonnull(line);
        return line;
}

static void expect(const char *line, const char *option) {
        ck_assert_msg(strstr(line, option), "%s is not in: %s", option, line);
}

START_TEST(kernel_knows_the_settings) {
        PoolSettings settings = POOL_SETTINGS_INIT;
        g_autoptr(Pool) pool = NULL;
        g_autofree char *line = NULL;

        settings.size = 1 << 20;
        settings.nr_regions = 41;
        settings.noswap = true;
        if (g_file_test(HUGE_PAGES, G_FILE_TEST_EXISTS))
                settings.huge = (char *)"advise";
        pool = unit_pool(&settings);
        line = mounted(pool);
        expect(line, ",size=1024k");
        expect(line, ",nr_inodes=42");
        expect(line, ",noswap");
        expect(line, ",inode64");
        if (settings.huge)
                expect(line, ",huge=advise");
}
END_TEST

START_TEST(kernel_knows_the_defaults) {
        PoolSettings settings = POOL_SETTINGS_INIT;
        g_autoptr(Pool) pool = unit_pool(&settings);
        g_autofree char *line = mounted(pool);

        expect(line, ",inode64");
        ck_assert_ptr_null(strstr(line, "noswap"));
        if (g_file_test(HUGE_PAGES, G_FILE_TEST_EXISTS))
                expect(line, ",huge=within_size");
}
END_TEST

/* Ends with its last descriptor: what is open holds it, and nothing else does. */
START_TEST(pool_ends_with_its_last_descriptor) {
        PoolSettings settings = POOL_SETTINGS_INIT;
        Pool *pool = unit_pool(&settings);
        auto_descriptor fd = create(pool, "region");
        char text[5];

        ck_assert_int_eq(pwrite(fd, "hello", 5, 0), 5);
        pool_free(pool);
        ck_assert_int_eq(pread(fd, text, 5, 0), 5);
        ck_assert_mem_eq(text, "hello", 5);
}
END_TEST

START_TEST(kernel_refuses_by_name) {
        PoolSettings settings = POOL_SETTINGS_INIT;

        settings.huge = (char *)"sometimes";
        unit_pool_refused(&settings, "huge=sometimes");
        settings.huge = NULL;
        settings.mpol = (char *)"bind:1048575";
        unit_pool_refused(&settings, "mpol=bind:1048575");
        settings.mpol = (char *)"nonsense";
        unit_pool_refused(&settings, "mpol=nonsense");
}
END_TEST

/* Root in name alone, as in some containers. */
START_TEST(root_without_rights_is_told) {
        PoolSettings settings = POOL_SETTINGS_INIT;
        cap_t none = cap_init();

        ck_assert_int_eq(cap_set_proc(none), 0);
        cap_free(none);
        unit_pool_refused(&settings, "CAP_SYS_ADMIN");
}
END_TEST

int main(void) {
        Suite *suite;
        TCase *tcase;

        if (!unit_is_root()) {
                printf("1..0 # SKIP the private tmpfs needs root\n");
                return EXIT_SUCCESS;
        }
        suite = suite_create("pool-tmpfs");
        tcase = unit_case(suite, "all");
        tcase_add_test(tcase, defaults);
        tcase_add_test(tcase, size_is_a_limit);
        tcase_add_test(tcase, percentage_is_of_the_machines_memory);
        tcase_add_test(tcase, nr_regions_is_a_limit);
        tcase_add_test(tcase, root_has_mode_and_owner);
        tcase_add_test(tcase, pool_is_mounted_nowhere);
        tcase_add_test(tcase, kernel_knows_the_settings);
        tcase_add_test(tcase, kernel_knows_the_defaults);
        tcase_add_test(tcase, pool_ends_with_its_last_descriptor);
        tcase_add_test(tcase, kernel_refuses_by_name);
        tcase_add_test(tcase, root_without_rights_is_told);
        return unit_main(suite);
}
