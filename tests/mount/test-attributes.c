/* Extended attributes. */
#include "fixture.h"

#include <regionfs/regionfs.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static void check_attribute(const char *path, const char *name, const char *expected) {
        g_autofree char *value = must_get(path, name);

        ck_assert_msg(g_str_equal(value, expected), "%s of %s is %s, not %s", name, path, value, expected);
}

static int set(const char *path, const char *name, const char *value) {
        return setxattr(path, name, value, strlen(value), 0);
}

static void check_lengths(const char *path, const char *logical, const char *padded) {
        g_autofree char *page = g_strdup_printf("%ld", sysconf(_SC_PAGESIZE));
        struct stat st;

        must(stat(path, &st));
        ck_assert_int_eq(st.st_size, atoll(logical));
        check_attribute(path, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, logical);
        check_attribute(path, REGIONFS_ATTRIBUTE_PADDED_LENGTH, padded);
        check_attribute(path, REGIONFS_ATTRIBUTE_PAGE_SIZE, page);
}

START_TEST(lengths_are_told_exact_and_padded) {
        must_write(in_mount("a"), "");
        check_lengths(in_mount("a"), "0", "0");
        must_write(in_mount("a"), "111\r\n222\r\n333");
        check_lengths(in_mount("a"), "13", "4096");
        must(truncate(in_mount("a"), 4096));
        check_lengths(in_mount("a"), "4096", "4096");
        must(truncate(in_mount("a"), 4097));
        check_lengths(in_mount("a"), "4097", "8192");
}
END_TEST

START_TEST(the_logical_length_can_be_set) {
        const char *name = REGIONFS_ATTRIBUTE_LOGICAL_LENGTH;
        const char *path = in_mount("a");
        int fd = must_open(path, O_RDWR | O_CREAT, 0600);
        char *view, found[32];

        ck_assert_int_eq(write(fd, "0123456789", 10), 10);
        must(set(path, name, "4"));
        check_lengths(path, "4", "4096");
        ck_assert_int_eq(pread(fd, found, sizeof(found), 0), 4);
        must(fsetxattr(fd, name, "8192", 4, 0));
        check_lengths(path, "8192", "8192");
        ck_assert_int_eq(lseek(fd, 0, SEEK_END), 8192);
        ck_assert_int_eq(pread(fd, found, sizeof(found), 0), sizeof(found));
        ck_assert_mem_eq(found, "0123\0\0\0\0", 8);
        view = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        view[8191] = 'x';
        ck_assert_int_eq(pread(fd, found, 1, 8191), 1);
        ck_assert_int_eq(found[0], 'x');
        must(munmap(view, 8192));

        must_fail(set(path, name, ""), EINVAL);
        must_fail(set(path, name, "-1"), EINVAL);
        must_fail(set(path, name, "1 "), EINVAL);
        must_fail(set(path, name, "0x10"), EINVAL);
        must_fail(set(path, name, "many"), EINVAL);
        must_fail(set(path, name, "9223372036854775808"), EFBIG);
        must_fail(set(path, name, "99999999999999999999999999"), EFBIG);
        check_lengths(path, "8192", "8192");
        must(close(fd));
}
END_TEST

START_TEST(a_new_length_is_known_at_once) {
        const char *name = REGIONFS_ATTRIBUTE_LOGICAL_LENGTH;
        const char *path = in_mount("a");
        int fd = must_open(path, O_RDWR | O_CREAT, 0600), appender = must_open(path, O_WRONLY | O_APPEND, 0);
        g_autofree char *data = g_malloc0(8192);
        char *view;

        /* Nobody looks in between: the kernel has to know by itself. */
        ck_assert_int_eq(write(fd, data, 8192), 8192);
        ck_assert_int_eq(pread(fd, data, 8192, 0), 8192);
        must(set(path, name, "4"));
        ck_assert_int_eq(pread(fd, data, 100, 0), 4);
        must(set(path, name, "8192"));
        must(set(path, name, "4"));
        ck_assert_int_eq(write(appender, "more", 4), 4);
        check_lengths(path, "8", "4096");
        must(set(path, name, "0"));
        view = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(view, MAP_FAILED);
        must(set(path, name, "8192"));
        view[0] = 'x'; /* no SIGBUS */
        view[8191] = 'y';
        ck_assert_int_eq(pread(fd, data, 8192, 0), 8192);
        ck_assert_int_eq(data[8191], 'y');
        must(munmap(view, 8192));
        must(close(appender));
        must(close(fd));
}
END_TEST

static void set_lengths(void *data) {
        char length[8];

        for (int i = 0; i < 20; i++) {
                g_snprintf(length, sizeof(length), "%d", 1 + i * 450);
                must(set(in_mount(data), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, length));
        }
}

static void check_copied(int from, off_t offset, int to, ssize_t length) {
        ck_assert_int_eq(copy_file_range(from, &offset, to, &(off_t){ 0 }, length, 0), length);
}

START_TEST(what_is_copied_goes_by_the_new_length) {
        int from, to = must_open(in_mount("to"), O_RDWR | O_CREAT, 0600);
        char length[16];

        must_write(in_mount("from"), "four");
        from = must_open(in_mount("from"), O_RDWR, 0);
        must(set(in_mount("from"), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "9000"));
        check_copied(from, 5000, to, 4000);
        /* To the first byte of a page, to the last one, and between. */
        for (off_t at = 12287; at < 12287 + 50 * 1365; at += 1365) {
                g_snprintf(length, sizeof(length), "%ld", (long)at + 1);
                must(fsetxattr(from, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, length, strlen(length), 0));
                check_copied(from, at, to, 1);
        }
        ck_assert_int_eq(pread(from, length, 5, 0), 5);
        ck_assert_mem_eq(length, "four", 5);
        must(set(in_mount("from"), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "2"));
        ck_assert_int_eq(copy_file_range(from, &(off_t){ 0 }, to, &(off_t){ 0 }, 4000, 0), 2);
        must(close(from));
        must(close(to));
}
END_TEST

/* One that is known to the pool by another name, or none, than it has now. */
START_TEST(the_length_is_known_whatever_the_name_was) {
        g_autofree char *link_of_it = NULL;
        int fd = must_open(fixture_mountpoint(), O_TMPFILE | O_RDWR, 0600);
        struct stat st;

        link_of_it = g_strdup_printf("/proc/self/fd/%d", fd);
        must(linkat(AT_FDCWD, link_of_it, AT_FDCWD, in_mount("a"), AT_SYMLINK_FOLLOW));
        must(link(in_mount("a"), in_mount("b")));
        must(unlink(in_mount("a")));
        ck_assert_int_eq(write(fd, "1234567890", 10), 10);
        must(fsetxattr(fd, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "4", 1, 0));
        ck_assert_int_eq(lseek(fd, 0, SEEK_END), 4);
        must(fcntl(fd, F_SETFL, O_APPEND));
        ck_assert_int_eq(write(fd, "x", 1), 1);
        must(fstat(fd, &st));
        ck_assert_int_eq(st.st_size, 5);
        must_read(in_mount("b"), "1234x");
        must(close(fd));
}
END_TEST

/* Without passthrough nobody can look at one. */
START_TEST(a_new_length_is_known_without_a_name) {
        int fd = must_open(fixture_mountpoint(), O_TMPFILE | O_RDWR, 0600);
        int to = must_open(in_mount("to"), O_RDWR | O_CREAT, 0600);

        must(fsetxattr(fd, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "5000", 4, 0));
        check_copied(fd, 0, to, 5000);
        must(close(fd));
        must(close(to));
}
END_TEST

static void read_ahead(void *data) {
        int fd = must_open(in_mount("a"), O_RDWR, 0);

        for (;;) {
                posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
                posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
        }
}

/* What is read ahead is of no use with passthrough, but the kernel asks the server for it all the same. */
START_TEST(nobody_waits_for_what_reads_ahead) {
        pid_t readers[4];
        char length[16];

        must_write(in_mount("a"), "text");
        for (size_t i = 0; i < G_N_ELEMENTS(readers); i++)
                readers[i] = start_process(read_ahead, NULL);
        for (int i = 1; i <= 200; i++) {
                g_snprintf(length, sizeof(length), "%d", i * 3000);
                must(set(in_mount("a"), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, length));
        }
        for (size_t i = 0; i < G_N_ELEMENTS(readers); i++) {
                must(kill(readers[i], SIGKILL));
                must(waitpid(readers[i], NULL, 0));
        }
        check_lengths(in_mount("a"), "600000", "602112");
}
END_TEST

START_TEST(many_can_set_lengths_at_once) {
        pid_t processes[80];
        char names[80][4];

        /* More than there are threads. */
        for (int i = 0; i < 80; i++) {
                g_snprintf(names[i], sizeof(names[i]), "%d", i);
                must_write(in_mount(names[i]), "");
        }
        for (int i = 0; i < 80; i++)
                processes[i] = start_process(set_lengths, names[i]);
        for (int i = 0; i < 80; i++)
                end_process(processes[i]);
}
END_TEST

START_TEST(read_only_ones_take_their_present_value_alone) {
        const char *path = in_mount("a");

        must_write(path, "thirteen char");
        must(set(path, REGIONFS_ATTRIBUTE_PAGE_SIZE, "4096"));
        must(set(path, REGIONFS_ATTRIBUTE_PADDED_LENGTH, "4096"));
        must(set(path, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "13"));
        must_fail(set(path, REGIONFS_ATTRIBUTE_PAGE_SIZE, "8192"), EPERM);
        must_fail(set(path, REGIONFS_ATTRIBUTE_PADDED_LENGTH, "0"), EPERM);
        must_fail(set(path, REGIONFS_ATTRIBUTE_HANDLES, "7"), EPERM);
        must_fail(set(path, REGIONFS_ATTRIBUTE_ID, "7"), EPERM);
        must_fail(set(path, REGIONFS_ATTRIBUTE_CREATED, "7"), EPERM);
        must_fail(set(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS, "7"), EPERM);
        must_fail(removexattr(path, REGIONFS_ATTRIBUTE_ID), EPERM);
        /* Copying programs remove what they see listed and the original has not: it is there as before. */
        must(removexattr(path, REGIONFS_ATTRIBUTE_PAGE_SIZE));
        must(removexattr(path, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH));
        check_lengths(path, "13", "4096");
}
END_TEST

START_TEST(unknown_names_are_refused) {
        const char *path = in_mount("a");

        must_write(path, "a");
        must_fail(getxattr(path, REGIONFS_ATTRIBUTE_PREFIX "colour", NULL, 0), ENODATA);
        must_fail(set(path, REGIONFS_ATTRIBUTE_PREFIX "colour", "red"), EINVAL);
        must_fail(removexattr(path, REGIONFS_ATTRIBUTE_PREFIX "colour"), ENODATA);
        must_fail(getxattr(path, REGIONFS_ATTRIBUTE_VERSION, NULL, 0), ENODATA);
        must_fail(getxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, NULL, 0), ENODATA);
        must(mkdir(in_mount("d"), 0700));
        must_fail(getxattr(in_mount("d"), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, NULL, 0), ENODATA);
        must_fail(getxattr(in_mount("d"), REGIONFS_ATTRIBUTE_VERSION, NULL, 0), ENODATA);
}
END_TEST

START_TEST(stable_ones_are_listed) {
        const char *path = in_mount("a");
        char names[1024];
        ssize_t size;
        int count = 0;

        must_write(path, "a");
        must(set(path, "user.mine", "1"));
        size = listxattr(path, names, sizeof(names));
        must(size);
        for (char *name = names; name < names + size; name += strlen(name) + 1) {
                ck_assert_msg(g_str_equal(name, REGIONFS_ATTRIBUTE_PAGE_SIZE) ||
                                      g_str_equal(name, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH) ||
                                      g_str_equal(name, REGIONFS_ATTRIBUTE_PADDED_LENGTH) ||
                                      g_str_equal(name, "user.mine") || !g_str_has_prefix(name, "user."),
                              "%s is listed", name);
                count += g_str_has_prefix(name, "user.");
        }
        ck_assert_int_eq(count, 4);
        ck_assert_int_eq(listxattr(path, NULL, 0), size);
        must_fail(listxattr(path, names, size - 1), ERANGE);
}
END_TEST

START_TEST(sizes_are_as_of_getxattr) {
        const char *path = in_mount("a");
        char value[4];

        must_write(path, "thirteen char");
        ck_assert_int_eq(getxattr(path, REGIONFS_ATTRIBUTE_PADDED_LENGTH, NULL, 0), 4);
        ck_assert_int_eq(getxattr(path, REGIONFS_ATTRIBUTE_PADDED_LENGTH, value, 4), 4);
        must_fail(getxattr(path, REGIONFS_ATTRIBUTE_PADDED_LENGTH, value, 3), ERANGE);
}
END_TEST

START_TEST(others_are_stored) {
        const char *path = in_mount("a");
        char big[8192], found[8192];

        must_write(path, "a");
        must(set(path, "user.colour", "red"));
        check_attribute(path, "user.colour", "red");
        must_fail(setxattr(path, "user.colour", "blue", 4, XATTR_CREATE), EEXIST);
        must_fail(setxattr(path, "user.shape", "round", 5, XATTR_REPLACE), ENODATA);
        must(setxattr(path, "user.colour", "blue", 4, XATTR_REPLACE));
        check_attribute(path, "user.colour", "blue");
        memset(big, 'b', sizeof(big));
        must(setxattr(path, "user.big", big, sizeof(big), 0));
        ck_assert_int_eq(getxattr(path, "user.big", found, sizeof(found)), sizeof(found));
        ck_assert_mem_eq(big, found, sizeof(big));
        must(rename(path, in_mount("b")));
        check_attribute(in_mount("b"), "user.colour", "blue");
        must(removexattr(in_mount("b"), "user.colour"));
        must_fail(getxattr(in_mount("b"), "user.colour", NULL, 0), ENODATA);
        must_fail(removexattr(in_mount("b"), "user.colour"), ENODATA);
        must(mkdir(in_mount("d"), 0700));
        must(set(in_mount("d"), "user.colour", "green"));
        check_attribute(in_mount("d"), "user.colour", "green");
}
END_TEST

/* Releases come after close(2) has returned. */
static void wait_for_handles(const char *path, const char *expected) {
        for (int i = 0;; i++) {
                g_autofree char *value = must_get(path, REGIONFS_ATTRIBUTE_HANDLES);

                if (g_str_equal(value, expected))
                        return;
                ck_assert_msg(i < 10000, "%s handles, not %s", value, expected);
                g_usleep(1000);
        }
}

START_TEST(handles_are_counted) {
        const char *path = in_mount("a");
        int first, second, copy;

        must_write(path, "a");
        wait_for_handles(path, "0");
        first = must_open(path, O_RDONLY, 0);
        check_attribute(path, REGIONFS_ATTRIBUTE_HANDLES, "1");
        second = must_open(path, O_RDWR, 0);
        copy = dup(second);
        check_attribute(path, REGIONFS_ATTRIBUTE_HANDLES, "2");
        must(close(second));
        check_attribute(path, REGIONFS_ATTRIBUTE_HANDLES, "2");
        must(close(copy));
        wait_for_handles(path, "1");
        must(close(first));
        wait_for_handles(path, "0");
}
END_TEST

START_TEST(held_bytes_are_told) {
        const char *path = in_mount("a");
        int fd = must_open(path, O_RDWR | O_CREAT, 0600);
        g_autofree char *held = NULL;
        struct stat st;

        must(ftruncate(fd, 1 << 20));
        check_attribute(path, REGIONFS_ATTRIBUTE_RESIDENT, "0");
        ck_assert_int_eq(pwrite(fd, "x", 1, 4096), 1);
        must(close(fd));
        must(stat(path, &st));
        /* One page, or more where the pool has huge ones. */
        ck_assert_int_ge(st.st_blocks, 8);
        held = g_strdup_printf("%lld", (long long)st.st_blocks * 512);
        check_attribute(path, REGIONFS_ATTRIBUTE_RESIDENT, held);
}
END_TEST

START_TEST(a_region_has_an_identity) {
        g_autofree char *id = NULL, *created = NULL, *same = NULL, *other = NULL;
        const gint64 now = g_get_real_time() / G_USEC_PER_SEC;
        char *end;

        must_write(in_mount("a"), "a");
        id = must_get(in_mount("a"), REGIONFS_ATTRIBUTE_ID);
        created = must_get(in_mount("a"), REGIONFS_ATTRIBUTE_CREATED);
        ck_assert_int_le(llabs(strtoll(created, &end, 10) - now), 5);
        ck_assert_int_eq(*end, '.');
        ck_assert_uint_eq(strlen(end), 10);
        must(rename(in_mount("a"), in_mount("b")));
        same = must_get(in_mount("b"), REGIONFS_ATTRIBUTE_ID);
        ck_assert_str_eq(id, same);
        must_write(in_mount("a"), "a");
        other = must_get(in_mount("a"), REGIONFS_ATTRIBUTE_ID);
        ck_assert_str_ne(id, other);
}
END_TEST

START_TEST(the_root_tells_of_the_mount) {
        const char *root = fixture_mountpoint();
        g_autofree char *pid = g_strdup_printf("%d", fixture_server());
        int fd;

        check_attribute(root, REGIONFS_ATTRIBUTE_PASSTHROUGH, fixture_mode() == MODE_PASSTHROUGH ? "1" : "0");
        check_attribute(root, REGIONFS_ATTRIBUTE_IO_URING, fixture_over_uring() ? "1" : "0");
        check_attribute(root, REGIONFS_ATTRIBUTE_SERVER_PID, pid);
        g_free(must_get(root, REGIONFS_ATTRIBUTE_VERSION));

        check_attribute(root, REGIONFS_ATTRIBUTE_RESTARTS, "0");
        check_attribute(root, REGIONFS_ATTRIBUTE_REGIONS, "0");
        must_write(in_mount("a"), "a");
        must(mkdir(in_mount("d"), 0700));
        must(link(in_mount("a"), in_mount("d/a")));
        must(mknod(in_mount("b"), S_IFREG | 0600, 0));
        must(mkfifo(in_mount("pipe"), 0600));
        check_attribute(root, REGIONFS_ATTRIBUTE_REGIONS, "2");
        fd = must_open(root, O_TMPFILE | O_RDWR, 0600);
        check_attribute(root, REGIONFS_ATTRIBUTE_REGIONS, "2");
        {
                g_autofree char *self = g_strdup_printf("/proc/self/fd/%d", fd);

                must(linkat(AT_FDCWD, self, AT_FDCWD, in_mount("c"), AT_SYMLINK_FOLLOW));
        }
        must(close(fd));
        check_attribute(root, REGIONFS_ATTRIBUTE_REGIONS, "3");
        must(unlink(in_mount("a")));
        check_attribute(root, REGIONFS_ATTRIBUTE_REGIONS, "3");
        must(rename(in_mount("b"), in_mount("c")));
        check_attribute(root, REGIONFS_ATTRIBUTE_REGIONS, "2");
        must(unlink(in_mount("c")));
        must(unlink(in_mount("d/a")));
        check_attribute(root, REGIONFS_ATTRIBUTE_REGIONS, "0");
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "attributes");

        tcase_add_test(tests, lengths_are_told_exact_and_padded);
        tcase_add_test(tests, the_logical_length_can_be_set);
        tcase_add_test(tests, a_new_length_is_known_at_once);
        tcase_add_test(tests, what_is_copied_goes_by_the_new_length);
        tcase_add_test(tests, the_length_is_known_whatever_the_name_was);
        add_test_if(tests, a_new_length_is_known_without_a_name, fixture_mode() == MODE_PASSTHROUGH,
                    "is about passthrough mode");
        tcase_add_test(tests, nobody_waits_for_what_reads_ahead);
        tcase_add_test(tests, many_can_set_lengths_at_once);
        tcase_add_test(tests, read_only_ones_take_their_present_value_alone);
        tcase_add_test(tests, unknown_names_are_refused);
        tcase_add_test(tests, stable_ones_are_listed);
        tcase_add_test(tests, sizes_are_as_of_getxattr);
        tcase_add_test(tests, others_are_stored);
        tcase_add_test(tests, handles_are_counted);
        tcase_add_test(tests, held_bytes_are_told);
        tcase_add_test(tests, a_region_has_an_identity);
        tcase_add_test(tests, the_root_tells_of_the_mount);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "attributes", add);
}
