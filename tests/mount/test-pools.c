/* Pools in a directory: they are there again, and belong to one daemon. */
#include "persisted.h"

#include <sys/mman.h>

/* Makes the daemon's directory pool end and begin again. */
static void remount(const char *pool) {
        g_autofree char *option = g_strdup_printf("pool=%s", pool);

        fixture_unmount();
        fixture_mount(option);
}

static void remove_tree(const char *path) {
        ck_assert_int_eq(run_command(NULL, "rm -rf '%s'", path), 0);
}

START_TEST(a_directory_pool_is_there_again) {
        g_autofree char *pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        g_autofree char *option = g_strdup_printf("pool=%s", pool), *path = g_strconcat(pool, ".file", NULL);
        g_autofree char *lifetime = NULL, *note = NULL, *allocation = NULL, *source = NULL;
        uid_t owner = geteuid() == 0 ? OTHER : geteuid();
        int file, view_of;
        struct stat st;
        char *view;

        must_write(path, "on disk");
        fixture_mount(option);
        must(mkdir(in_mount("d"), 0750));
        must(setxattr(in_mount("d"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed", 9, 0));
        view_of = must_open(in_mount("d/r"), O_RDWR | O_CREAT, 0640);
        must(ftruncate(view_of, 10000));
        view = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, view_of, 0);
        ck_assert(view != MAP_FAILED);
        memcpy(view + 5000, "stored", 6);
        must(munmap(view, 10000));
        must(close(view_of));
        must(chown(in_mount("d/r"), owner, -1));
        must(setxattr(in_mount("d/r"), "user.note", "mine", 4, 0));
        must_write(in_mount("scratch"), "x");
        must_become_unused(in_mount("scratch"));
        must(setxattr(in_mount("scratch"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        file = must_open(path, O_RDWR, 0);
        make_persisted(in_mount("d/p"), file);
        must(close(file));

        remount(pool);
        must(stat(in_mount("d/r"), &st));
        ck_assert_int_eq(st.st_size, 10000);
        ck_assert_uint_eq(st.st_uid, owner);
        ck_assert_uint_eq(st.st_mode & 07777, 0640);
        note = must_get(in_mount("d/r"), "user.note");
        ck_assert_str_eq(note, "mine");
        allocation = must_get(in_mount("d/r"), REGIONFS_ATTRIBUTE_ALLOCATION);
        ck_assert_str_eq(allocation, "committed");
        lifetime = must_get(in_mount("scratch"), REGIONFS_ATTRIBUTE_LIFETIME);
        ck_assert_str_eq(lifetime, "handles");
        {
                g_autofree char *contents = NULL;

                ck_assert(g_file_get_contents(in_mount("d/r"), &contents, NULL, NULL));
                ck_assert_mem_eq(contents + 5000, "stored", 6);
        }
        must_read(in_mount("d/p"), "on disk");
        source = must_get(in_mount("d/p"), REGIONFS_ATTRIBUTE_SOURCE);
        ck_assert_str_eq(source, path);
        fixture_unmount();
        must(unlink(path));
        remove_tree(pool);
}
END_TEST

/* By the pool's own path, as whoever reaches it may. */
static void forge(void *data) {
        g_autofree char *from = g_strdup_printf("%s/mine", (const char *)data),
                        *to = g_strdup_printf("%s/forged", (const char *)data);
        char origin[5000];
        ssize_t size;
        int fd;

        become_other();
        fd = must_open(to, O_RDWR | O_CREAT | O_EXCL, 0666);
        size = getxattr(from, "user.regionfs.origin", origin, sizeof(origin));
        must_fail(getxattr(from, "trusted.regionfs.origin", origin, sizeof(origin)), ENODATA);
        if (size > 0)
                must(fsetxattr(fd, "user.regionfs.origin", origin, size, 0));
        must(fsetxattr(fd, "user.regionfs.policy", "\1\0\0", 3, 0));
        must(close(fd));
}

START_TEST(who_reaches_the_pool_does_not_get_the_daemons_rights) {
        g_autofree char *pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        g_autofree char *option = g_strdup_printf("pool=%s", pool), *path = g_strconcat(pool, ".file", NULL);
        g_autofree char *lifetime = NULL;
        int file;

        must_write(path, "secret");
        must(chmod(path, 0600));
        must(chmod(pool, 01777));
        fixture_mount(option);
        file = must_open(path, O_RDWR, 0);
        make_persisted(in_mount("mine"), file);
        must(close(file));
        run_process(forge, pool);
        must_fail(getxattr(in_mount("forged"), REGIONFS_ATTRIBUTE_SOURCE, NULL, 0), ENODATA);
        must_read(in_mount("forged"), "");
        lifetime = must_get(in_mount("forged"), REGIONFS_ATTRIBUTE_LIFETIME);
        ck_assert_str_eq(lifetime, "kept");
        fixture_unmount();
        must(unlink(path));
        remove_tree(pool);
}
END_TEST

START_TEST(a_pool_belongs_to_one_daemon) {
        g_autofree char *pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        g_autofree char *option = g_strdup_printf("pool=%s", pool), *second = NULL, *said = NULL;

        fixture_mount(option);
        must_write(in_mount("r"), "first");
        second = beside("second");
        must(mkdir(second, 0755));
        ck_assert_int_eq(run_command(&said, "%s -o %s %s", fixture_program(), option, second), 1);
        ck_assert_msg(strstr(said, "is not allowed: another regionfs uses the directory; unmount that first"), "%s",
                      said);
        must(rmdir(second));
        must_read(in_mount("r"), "first");
        remount(pool);
        must_read(in_mount("r"), "first");
        fixture_unmount();
        remove_tree(pool);
}
END_TEST

START_TEST(a_newer_pool_is_left_alone) {
        g_autofree char *pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        g_autofree char *option = g_strdup_printf("pool=%s", pool), *said = NULL, *format = NULL;
        const char *name = geteuid() == 0 ? "trusted.regionfs.format" : "user.regionfs.format";

        fixture_mount(option);
        fixture_unmount();
        format = must_get(pool, name);
        ck_assert_str_eq(format, "1");
        must(setxattr(pool, name, "2", 1, 0));
        fixture_prepare();
        ck_assert_int_eq(run_command(&said, "%s -o %s %s", fixture_program(), option, fixture_mountpoint()), 1);
        ck_assert_msg(strstr(said, "is a pool of format 2, made by a newer regionfs"), "%s", said);
        fixture_remove();
        remove_tree(pool);
}
END_TEST

START_TEST(another_file_at_the_path_is_not_taken) {
        g_autofree char *pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        g_autofree char *option = g_strdup_printf("pool=%s", pool), *path = g_strconcat(pool, ".file", NULL);
        g_autofree char *secret = g_strconcat(pool, ".secret", NULL), *log = NULL;
        int file;
        struct stat st;

        must_write(secret, "secret");
        must_write(path, "mine");
        fixture_mount(option);
        file = must_open(path, O_RDWR, 0);
        make_persisted(in_mount("p"), file);
        must(close(file));
        fixture_unmount();
        must(unlink(path));
        must(symlink(secret, path));

        fixture_prepare();
        ck_assert_int_eq(run_command(NULL, "exec %s -o %s%s %s", fixture_program(), option,
                                     fixture_mode() == MODE_CACHED ? ",passthrough=off" : "", fixture_mountpoint()), 0);
        must(stat(in_mount("p"), &st));
        must_fail(open(in_mount("p"), O_RDWR), ESTALE);
        must_fail(truncate(in_mount("p"), 0), ESTALE);
        must_read(secret, "secret");
        must(unlink(in_mount("p")));
        ck_assert_int_eq(run_command(NULL, "%s %s", geteuid() == 0 ? "umount" : "fusermount3 -u", fixture_mountpoint()),
                         0);
        fixture_remove();
        must(unlink(path));
        must(unlink(secret));
        remove_tree(pool);
}
END_TEST

/* More than it takes for one to be in time. */
#define SWAPS 5000

/* Puts another file in the place of each region, as soon as it is there. */
typedef struct Swapper {
        const char *pool;
        gint number; /* atomic: of the region that is being made; negative: the end */
} Swapper;

static gpointer swap(gpointer data) {
        Swapper *swapper = data;
        char made[PATH_MAX], other[PATH_MAX];
        int number;

        while ((number = g_atomic_int_get(&swapper->number)) >= 0) {
                g_snprintf(made, sizeof(made), "%s/made-%d", swapper->pool, number);
                g_snprintf(other, sizeof(other), "%s/other-%d", swapper->pool, number);
                while (g_atomic_int_get(&swapper->number) == number &&
                       renameat2(AT_FDCWD, made, AT_FDCWD, other, RENAME_EXCHANGE) < 0)
                        ;
                while (g_atomic_int_get(&swapper->number) == number)
                        ;
        }
        return NULL;
}

/* Nobody has checked the client's rights to what someone else has put there. */
START_TEST(who_makes_a_region_opens_that_one) {
        g_autofree char *pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL),
                        *option = g_strdup_printf("pool=%s", pool);
        Swapper swapper = { .pool = pool };
        g_autoptr(GThread) thread = NULL;
        char name[32], byte;
        int fd;

        for (int i = 0; i < SWAPS; i++) {
                g_autofree char *other = g_strdup_printf("%s/other-%d", pool, i);

                must_write(other, "secret");
        }
        fixture_mount(option);
        thread = g_thread_new("swapper", swap, &swapper);
        for (int i = 0; i < SWAPS; i++) {
                g_atomic_int_set(&swapper.number, i);
                g_snprintf(name, sizeof(name), "made-%d", i);
                fd = open(in_mount(name), O_RDWR | O_CREAT | O_EXCL, 0600);
                if (fd < 0)
                        continue;
                ck_assert_int_eq(pread(fd, &byte, 1, 0), 0);
                must(close(fd));
        }
        g_atomic_int_set(&swapper.number, -1);
        g_thread_join(g_steal_pointer(&thread));
        fixture_unmount();
        remove_tree(pool);
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("pools");

        tcase_add_test(tests, a_directory_pool_is_there_again);
        tcase_add_test(tests, a_pool_belongs_to_one_daemon);
        tcase_add_test(tests, a_newer_pool_is_left_alone);
        tcase_add_test(tests, who_makes_a_region_opens_that_one);
        tcase_add_test(tests, another_file_at_the_path_is_not_taken);
        add_test_if(tests, who_reaches_the_pool_does_not_get_the_daemons_rights, geteuid() == 0, "needs root");
        suite_add_tcase(suite, tests);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "pools", add);
}
