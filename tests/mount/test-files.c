/* Names: creating, finding, moving and removing them, and the errors that users meet. */
#include "fixture.h"

#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static nlink_t links_of(const char *path) {
        struct stat st;

        must(lstat(path, &st));
        return st.st_nlink;
}

START_TEST(create_new_takes_a_free_name_only) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT | O_EXCL, 0600);

        must(close(fd));
        must_fail(open(in_mount("a"), O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
}
END_TEST

START_TEST(open_existing_wants_a_name_that_is_there) {
        must_fail(open(in_mount("missing"), O_RDONLY), ENOENT);
        must_fail(open(in_mount("missing"), O_RDONLY), ENOENT); /* the kernel remembers that it is missing */
        must_write(in_mount("missing"), "not any more");
        must_read(in_mount("missing"), "not any more");
        must(unlink(in_mount("missing")));
        must_fail(open(in_mount("missing"), O_RDONLY), ENOENT);
}
END_TEST

START_TEST(create_or_open_keeps_what_is_there) {
        must_write(in_mount("a"), "kept");
        must(close(must_open(in_mount("a"), O_RDWR | O_CREAT, 0600)));
        must_read(in_mount("a"), "kept");
        must(close(must_open(in_mount("a"), O_RDWR | O_CREAT | O_TRUNC, 0600)));
        must_read(in_mount("a"), "");
}
END_TEST

START_TEST(names_are_bytes) {
        static const char *const names[] = {
                " ", "a b", "\t", "new\nline", ".hidden", "...", "gr\xc3\xbc\xc3\x9f", "\xff\xfe", "\\", "a,b=c", "*",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                must_write(in_mount(names[i]), names[i]);
                must_read(in_mount(names[i]), names[i]);
                must(unlink(in_mount(names[i])));
        }
}
END_TEST

START_TEST(names_have_255_bytes_at_most) {
        char name[NAME_MAX + 2];

        memset(name, 'n', sizeof(name) - 1);
        name[NAME_MAX + 1] = '\0';
        must_fail(open(in_mount(name), O_RDWR | O_CREAT, 0600), ENAMETOOLONG);
        must_fail(mkdir(in_mount(name), 0700), ENAMETOOLONG);
        name[NAME_MAX] = '\0';
        must_write(in_mount(name), "longest");
        must_read(in_mount(name), "longest");
}
END_TEST

START_TEST(directories_hold_names) {
        must(mkdir(in_mount("d"), 0755));
        must_fail(mkdir(in_mount("d"), 0755), EEXIST);
        must_write(in_mount("d/a"), "inside");
        must_fail(rmdir(in_mount("d")), ENOTEMPTY);
        must_fail(unlink(in_mount("d")), EISDIR);
        must_fail(rmdir(in_mount("d/a")), ENOTDIR);
        ck_assert_uint_eq(links_of(in_mount("d")), 2);
        must(mkdir(in_mount("d/e"), 0755));
        ck_assert_uint_eq(links_of(in_mount("d")), 3);
        must(rmdir(in_mount("d/e")));
        must(unlink(in_mount("d/a")));
        must(rmdir(in_mount("d")));
        must_fail(rmdir(in_mount("d")), ENOENT);
}
END_TEST

START_TEST(symbolic_links_lead_on) {
        char target[PATH_MAX + 1] = "";

        must_write(in_mount("a"), "found");
        must(symlink("a", in_mount("l")));
        ck_assert_int_eq(readlink(in_mount("l"), target, sizeof(target)), 1);
        ck_assert_str_eq(target, "a");
        must_read(in_mount("l"), "found");
        must_fail(open(in_mount("l"), O_RDONLY | O_NOFOLLOW), ELOOP);
        must(symlink("nowhere", in_mount("n")));
        must_fail(open(in_mount("n"), O_RDONLY), ENOENT);
        memset(target, 't', PATH_MAX - 1);
        target[PATH_MAX - 1] = '\0';
        must(symlink(target, in_mount("long")));
        ck_assert_int_eq(readlink(in_mount("long"), target, sizeof(target)), PATH_MAX - 1);
}
END_TEST

START_TEST(links_are_names_of_one_region) {
        struct stat a, b;

        must_write(in_mount("a"), "one");
        must(link(in_mount("a"), in_mount("b")));
        must(stat(in_mount("a"), &a));
        must(stat(in_mount("b"), &b));
        ck_assert_uint_eq(a.st_ino, b.st_ino);
        ck_assert_uint_eq(b.st_nlink, 2);
        must_fail(link(in_mount("a"), in_mount("b")), EEXIST);
        must_write(in_mount("b"), "two");
        must_read(in_mount("a"), "two");
        must(unlink(in_mount("a")));
        must_read(in_mount("b"), "two");
        ck_assert_uint_eq(links_of(in_mount("b")), 1);
}
END_TEST

START_TEST(rename_replaces_unless_told_not_to) {
        must_write(in_mount("a"), "a");
        must_write(in_mount("b"), "b");
        must_fail(renameat2(AT_FDCWD, in_mount("a"), AT_FDCWD, in_mount("b"), RENAME_NOREPLACE), EEXIST);
        must(renameat2(AT_FDCWD, in_mount("a"), AT_FDCWD, in_mount("b"), RENAME_EXCHANGE));
        must_read(in_mount("a"), "b");
        must_read(in_mount("b"), "a");
        must(rename(in_mount("a"), in_mount("b")));
        must_read(in_mount("b"), "b");
        must_fail(access(in_mount("a"), F_OK), ENOENT);
        must(renameat2(AT_FDCWD, in_mount("b"), AT_FDCWD, in_mount("c"), RENAME_NOREPLACE));
        must_read(in_mount("c"), "b");
        must_fail(renameat2(AT_FDCWD, in_mount("c"), AT_FDCWD, in_mount("gone"), RENAME_EXCHANGE), ENOENT);
}
END_TEST

START_TEST(rename_moves_between_directories) {
        must(mkdir(in_mount("d"), 0755));
        must(mkdir(in_mount("d/sub"), 0755));
        must_write(in_mount("a"), "moved");
        must(rename(in_mount("a"), in_mount("d/sub/a")));
        must_read(in_mount("d/sub/a"), "moved");
        must_fail(rename(in_mount("d"), in_mount("d/sub/d")), EINVAL);
        must(rename(in_mount("d/sub"), in_mount("sub")));
        must_read(in_mount("sub/a"), "moved");
        must(mkdir(in_mount("full"), 0755));
        must_write(in_mount("full/x"), "x");
        must_fail(rename(in_mount("sub"), in_mount("full")), ENOTEMPTY);
}
END_TEST

START_TEST(an_unlinked_region_lives_while_it_is_open) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);
        char found[5] = "";
        struct stat st;

        must(unlink(in_mount("a")));
        ck_assert_int_eq(pwrite(fd, "alive", 5, 0), 5);
        ck_assert_int_eq(pread(fd, found, 5, 0), 5);
        ck_assert_mem_eq(found, "alive", 5);
        must(fstat(fd, &st));
        ck_assert_uint_eq(st.st_nlink, 0);
        ck_assert_int_eq(st.st_size, 5);
        must(ftruncate(fd, 3));
        must(fchmod(fd, 0640));
        must(fallocate(fd, 0, 0, 8192));
        must(fstat(fd, &st));
        ck_assert_int_eq(st.st_size, 8192);
        /* A new one under the name is another. */
        must_write(in_mount("a"), "new");
        ck_assert_int_eq(pread(fd, found, 3, 0), 3);
        ck_assert_mem_eq(found, "ali", 3);
        must(close(fd));
        must_read(in_mount("a"), "new");
}
END_TEST

START_TEST(a_replaced_region_lives_while_it_is_open) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);
        char found[3] = "";
        struct stat st;

        ck_assert_int_eq(pwrite(fd, "old", 3, 0), 3);
        must_write(in_mount("b"), "new");
        must(rename(in_mount("b"), in_mount("a")));
        ck_assert_int_eq(pread(fd, found, 3, 0), 3);
        ck_assert_mem_eq(found, "old", 3);
        must(fstat(fd, &st));
        ck_assert_uint_eq(st.st_nlink, 0);
        must(close(fd));
        must_read(in_mount("a"), "new");
}
END_TEST

START_TEST(a_removed_directory_can_be_stood_in) {
        struct stat st;
        int fd;

        must(mkdir(in_mount("d"), 0755));
        fd = must_open(in_mount("d"), O_RDONLY | O_DIRECTORY, 0);
        must(rmdir(in_mount("d")));
        must(fstat(fd, &st));
        must_fail(openat(fd, "a", O_RDWR | O_CREAT, 0600), ENOENT);
        must(close(fd));
}
END_TEST

START_TEST(a_region_without_a_name_gets_one) {
        int fd = must_open(fixture_mountpoint(), O_TMPFILE | O_RDWR, 0600);
        g_autofree char *self = g_strdup_printf("/proc/self/fd/%d", fd);
        struct stat st;

        ck_assert_int_eq(write(fd, "complete", 8), 8);
        must(fstat(fd, &st));
        ck_assert_uint_eq(st.st_nlink, 0);
        must(linkat(AT_FDCWD, self, AT_FDCWD, in_mount("a"), AT_SYMLINK_FOLLOW));
        must(close(fd));
        must_read(in_mount("a"), "complete");
        ck_assert_uint_eq(links_of(in_mount("a")), 1);

        fd = must_open(fixture_mountpoint(), O_TMPFILE | O_RDWR | O_EXCL, 0600);
        g_free(self);
        self = g_strdup_printf("/proc/self/fd/%d", fd);
        must_fail(linkat(AT_FDCWD, self, AT_FDCWD, in_mount("b"), AT_SYMLINK_FOLLOW), ENOENT);
        must(close(fd));
}
END_TEST

START_TEST(pipes_and_sockets_have_names) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char found[4];
        struct stat st;
        int fd, listener;

        must(mkfifo(in_mount("pipe"), 0600));
        fd = must_open(in_mount("pipe"), O_RDWR, 0);
        ck_assert_int_eq(write(fd, "flow", 4), 4);
        ck_assert_int_eq(read(fd, found, 4), 4);
        must(close(fd));

        g_snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", fixture_mountpoint());
        listener = socket(AF_UNIX, SOCK_STREAM, 0);
        must(bind(listener, (struct sockaddr *)&address, sizeof(address)));
        must(listen(listener, 1));
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        must(connect(fd, (struct sockaddr *)&address, sizeof(address)));
        must(stat(in_mount("socket"), &st));
        ck_assert(S_ISSOCK(st.st_mode));
        must(close(fd));
        must(close(listener));

        must(mknod(in_mount("regular"), S_IFREG | 0640, 0));
        must(stat(in_mount("regular"), &st));
        ck_assert_uint_eq(st.st_mode, S_IFREG | 0640);
}
END_TEST

START_TEST(modes_and_times_are_kept) {
        static const struct timespec times[2] = { { 1000000000, 123456789 }, { 1500000000, 987654321 } };
        struct stat st;

        must_write(in_mount("a"), "a");
        must(chmod(in_mount("a"), 0604));
        must(utimensat(AT_FDCWD, in_mount("a"), times, 0));
        must(stat(in_mount("a"), &st));
        ck_assert_uint_eq(st.st_mode, S_IFREG | 0604);
        ck_assert_int_eq(st.st_atim.tv_sec, times[0].tv_sec);
        ck_assert_int_eq(st.st_atim.tv_nsec, times[0].tv_nsec);
        ck_assert_int_eq(st.st_mtim.tv_sec, times[1].tv_sec);
        ck_assert_int_eq(st.st_mtim.tv_nsec, times[1].tv_nsec);
        must(symlink("a", in_mount("l")));
        must(utimensat(AT_FDCWD, in_mount("l"), times, AT_SYMLINK_NOFOLLOW));
        must(lstat(in_mount("l"), &st));
        ck_assert_int_eq(st.st_mtim.tv_nsec, times[1].tv_nsec);
}
END_TEST

START_TEST(inode_numbers_tell_regions_apart) {
        struct stat first, second;

        must_write(in_mount("a"), "a");
        must(stat(in_mount("a"), &first));
        must(unlink(in_mount("a")));
        must_write(in_mount("a"), "a");
        must(stat(in_mount("a"), &second));
        if (fixture_mode() != MODE_USER) /* the pool's own: never used again */
                ck_assert_uint_gt(second.st_ino, first.st_ino);
        must_write(in_mount("b"), "b");
        must(stat(in_mount("b"), &first));
        ck_assert_uint_ne(second.st_ino, first.st_ino);
}
END_TEST

/* What O_PATH holds is known to the daemon, and not open. */
static void check_held(int fd, const char *text) {
        g_autofree char *self = g_strdup_printf("/proc/self/fd/%d", fd);
        struct stat st;

        must(chmod(self, 0600)); /* so that the kernel asks for the attributes afresh */
        must(fstat(fd, &st));
        ck_assert_int_eq(st.st_size, strlen(text));
        must_read(self, text);
}

START_TEST(regions_are_found_whatever_becomes_of_their_names) {
        int fd;

        must(mkdir(in_mount("d"), 0755));
        must(mkdir(in_mount("d/e"), 0755));
        must_write(in_mount("d/a"), "followed");
        fd = must_open(in_mount("d/a"), O_PATH, 0);
        check_held(fd, "followed");
        must(rename(in_mount("d/a"), in_mount("d/e/b")));
        check_held(fd, "followed");
        must(rename(in_mount("d"), in_mount("f")));
        check_held(fd, "followed");
        must_write(in_mount("x"), "other");
        must(renameat2(AT_FDCWD, in_mount("x"), AT_FDCWD, in_mount("f/e/b"), RENAME_EXCHANGE));
        check_held(fd, "followed");
        must_read(in_mount("f/e/b"), "other");
        must(link(in_mount("x"), in_mount("y")));
        must(unlink(in_mount("x")));
        check_held(fd, "followed");
        must(rename(in_mount("y"), in_mount("z")));
        check_held(fd, "followed");
        must_read(in_mount("z"), "followed");
        must(rename(in_mount("f/e/b"), in_mount("z")));
        check_held(fd, "followed");
        must_read(in_mount("z"), "other");
        must(close(fd));
        must(rmdir(in_mount("f/e")));
        must(rmdir(in_mount("f")));
}
END_TEST

START_TEST(there_can_be_more_regions_than_descriptors) {
        enum { REGIONS = 1000 };
        struct rlimit limit = { 200, 200 };
        g_autofree char *regions = NULL;
        char name[16];

        fixture_unmount();
        must(setrlimit(RLIMIT_NOFILE, &limit)); /* the daemon's too */
        fixture_mount(NULL);
        must(mkdir(in_mount("d"), 0755));
        for (int i = 0; i < REGIONS; i++) {
                g_snprintf(name, sizeof(name), "d/%d", i);
                must_write(in_mount(name), name);
        }
        ck_assert_int_eq(run_command(NULL, "test $(ls -l %s/d | wc -l) = %d", fixture_mountpoint(), REGIONS + 1), 0);
        for (int i = 0; i < REGIONS; i++) {
                g_snprintf(name, sizeof(name), "d/%d", i);
                must_read(in_mount(name), name);
                must(rename(in_mount(name), in_mount("d/renamed")));
                must(unlink(in_mount("d/renamed")));
        }
        must(rmdir(in_mount("d")));
        regions = must_get(fixture_mountpoint(), "user.regionfs.regions");
        ck_assert_str_eq(regions, "0");
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "files");

        tcase_add_test(tests, create_new_takes_a_free_name_only);
        tcase_add_test(tests, open_existing_wants_a_name_that_is_there);
        tcase_add_test(tests, create_or_open_keeps_what_is_there);
        tcase_add_test(tests, names_are_bytes);
        tcase_add_test(tests, names_have_255_bytes_at_most);
        tcase_add_test(tests, directories_hold_names);
        tcase_add_test(tests, symbolic_links_lead_on);
        tcase_add_test(tests, links_are_names_of_one_region);
        tcase_add_test(tests, rename_replaces_unless_told_not_to);
        tcase_add_test(tests, rename_moves_between_directories);
        tcase_add_test(tests, an_unlinked_region_lives_while_it_is_open);
        tcase_add_test(tests, a_replaced_region_lives_while_it_is_open);
        tcase_add_test(tests, a_removed_directory_can_be_stood_in);
        tcase_add_test(tests, a_region_without_a_name_gets_one);
        tcase_add_test(tests, regions_are_found_whatever_becomes_of_their_names);
        tcase_add_test(tests, there_can_be_more_regions_than_descriptors);
        tcase_add_test(tests, pipes_and_sockets_have_names);
        tcase_add_test(tests, modes_and_times_are_kept);
        tcase_add_test(tests, inode_numbers_tell_regions_apart);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "files", add);
}
