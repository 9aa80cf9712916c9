/* Limits of the private pool: what is set holds, and going over it loses nothing. */
#include "fixture.h"

#include <sys/mman.h>
#include <sys/statvfs.h>

#define MIB (1024 * 1024)

static struct statvfs statvfs_of_mount(void) {
        struct statvfs st;

        must(statvfs(fixture_mountpoint(), &st));
        return st;
}

START_TEST(a_full_pool_says_so) {
        g_autofree char *data = g_malloc0(MIB);
        struct statvfs st;
        struct stat before, after;
        ssize_t written;
        int fd, other;

        fixture_mount("size=8m");
        st = statvfs_of_mount();
        ck_assert_uint_eq(st.f_blocks * st.f_frsize, 8 * MIB);
        ck_assert_uint_eq(st.f_bfree, st.f_blocks);
        must_write(in_mount("kept"), "kept");
        fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);
        while ((written = write(fd, data, MIB)) > 0)
                ;
        ck_assert_int_eq(errno, ENOSPC);
        st = statvfs_of_mount();
        ck_assert_uint_eq(st.f_bfree, 0);
        must_read(in_mount("kept"), "kept");

        other = must_open(in_mount("b"), O_RDWR | O_CREAT, 0600);
        must_fail(write(other, "x", 1), ENOSPC);
        must(fstat(other, &before));
        must_fail(fallocate(other, 0, 0, MIB), ENOSPC);
        must(fstat(other, &after));
        ck_assert_int_eq(after.st_size, before.st_size);
        ck_assert_int_eq(after.st_blocks, 0);
        must(ftruncate(fd, 0));
        st = statvfs_of_mount();
        ck_assert_uint_ge(st.f_bfree * st.f_frsize, 7 * MIB);
        must(fallocate(other, 0, 0, 4 * MIB));
        must_fail(fallocate(fd, 0, 0, 64 * MIB), ENOSPC);
        must(close(fd));
        must(close(other));
        fixture_unmount();
}
END_TEST

START_TEST(regions_are_counted_against_their_limit) {
        char name[16];
        int fd;

        fixture_mount("nr_regions=10,size=1m");
        for (int i = 0; i < 10; i++) {
                g_snprintf(name, sizeof(name), "%d", i);
                must_write(in_mount(name), "");
        }
        must_fail(open(in_mount("one too many"), O_RDWR | O_CREAT, 0600), ENOSPC);
        must_fail(mkdir(in_mount("one too many"), 0700), ENOSPC);
        must_fail(symlink("x", in_mount("one too many")), ENOSPC);
        must(unlink(in_mount("3")));
        /* The kernel tells the daemon in its own time that nobody needs it any more. */
        for (int i = 0; (fd = open(in_mount("one more"), O_RDWR | O_CREAT, 0600)) < 0; i++) {
                ck_assert_msg(errno == ENOSPC && i < 5000, "%s", g_strerror(errno));
                g_usleep(1000);
        }
        must(close(fd));
        fixture_unmount();
}
END_TEST

START_TEST(root_options_hold) {
        struct statvfs fs;
        struct stat st;

        fixture_mount("mode=2750,uid=64301,gid=64302,size=1g,huge=never");
        must(stat(fixture_mountpoint(), &st));
        ck_assert_uint_eq(st.st_mode, S_IFDIR | 02750);
        ck_assert_uint_eq(st.st_uid, 64301);
        ck_assert_uint_eq(st.st_gid, 64302);
        fs = statvfs_of_mount();
        ck_assert_uint_eq(fs.f_blocks * fs.f_frsize, 1024 * MIB);
        fixture_unmount();
}
END_TEST

START_TEST(the_default_size_is_half_of_the_memory) {
        const double memory = (double)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
        struct statvfs st;

        fixture_mount(NULL);
        st = statvfs_of_mount();
        ck_assert(st.f_blocks * (double)st.f_frsize > memory * 0.49 &&
                  st.f_blocks * (double)st.f_frsize < memory * 0.51);
        fixture_unmount();
}
END_TEST

START_TEST(every_option_of_the_pool_is_taken) {
        static const char *const options[] = {
                "huge=never", "huge=advise", "huge=within_size", "huge=always",
                "size=10%",   "noswap",      "noatime",          "noexec",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
                fixture_mount(options[i]);
                must_write(in_mount("a"), options[i]);
                must_read(in_mount("a"), options[i]);
                fixture_unmount();
        }
}
END_TEST

START_TEST(memory_comes_back_with_the_last_handle) {
        struct statvfs st;
        char *view;
        int fd;

        fixture_mount("size=64m,huge=never");
        fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);
        must(fallocate(fd, 0, 0, 32 * MIB));
        must(unlink(in_mount("a")));
        st = statvfs_of_mount();
        ck_assert_uint_eq(st.f_bfree * st.f_frsize, 32 * MIB);
        view = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(view, MAP_FAILED);
        must(close(fd));
        must(munmap(view, 4096));
        /* The kernel tells the daemon of the last release in its own time. */
        for (int i = 0; i < 5000 && st.f_bfree != st.f_blocks; i++) {
                g_usleep(1000);
                st = statvfs_of_mount();
        }
        ck_assert_uint_eq(st.f_bfree, st.f_blocks);
        fixture_unmount();
}
END_TEST

START_TEST(a_directory_can_be_the_pool) {
        g_autofree char *directory = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        g_autofree char *option = g_strdup_printf("pool=%s", directory);
        g_autofree char *regions = NULL;

        fixture_mount(option);
        must_write(in_mount("a"), "persists");
        must(mkdir(in_mount("d"), 0750));
        must_write(in_mount("d/b"), "too");
        fixture_unmount();
        fixture_mount(option);
        must_read(in_mount("a"), "persists");
        must_read(in_mount("d/b"), "too");
        regions = must_get(fixture_mountpoint(), "user.regionfs.regions");
        ck_assert_str_eq(regions, "2");
        fixture_unmount();
        ck_assert_int_eq(run_command(NULL, "rm -r %s", directory), 0);
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("limits");

        tcase_add_test(tests, a_full_pool_says_so);
        tcase_add_test(tests, regions_are_counted_against_their_limit);
        tcase_add_test(tests, root_options_hold);
        tcase_add_test(tests, the_default_size_is_half_of_the_memory);
        tcase_add_test(tests, every_option_of_the_pool_is_taken);
        tcase_add_test(tests, memory_comes_back_with_the_last_handle);
        tcase_add_test(tests, a_directory_can_be_the_pool);
        suite_add_tcase(suite, tests);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "limits", add);
}
