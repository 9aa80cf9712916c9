/* Contents: reading, writing, lengths, holes and copies. */
#include "fixture.h"

#include <limits.h>
#include <sys/mman.h>

#define KIB 1024
#define MIB (1024 * KIB)

static struct stat stat_of(int fd) {
        struct stat st;

        must(fstat(fd, &st));
        return st;
}

static int new_region(const char *name, off_t length) {
        int fd = must_open(in_mount(name), O_RDWR | O_CREAT | O_EXCL, 0600);

        must(ftruncate(fd, length));
        return fd;
}

/* Every byte tells where it is. */
static void fill(char *data, size_t size, size_t offset) {
        for (size_t i = 0; i < size; i++)
                data[i] = (char)((offset + i) * 2654435761u >> 13);
}

START_TEST(what_is_written_is_read) {
        static const size_t sizes[] = { 1, 13, 4095, 4096, 4097, 128 * KIB + 1, 3 * MIB + 7 };
        g_autofree char *in = g_malloc(4 * MIB), *out = g_malloc(4 * MIB);
        int fd = new_region("a", 0);
        off_t end = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                fill(in, sizes[i], end);
                ck_assert_int_eq(pwrite(fd, in, sizes[i], end), sizes[i]);
                ck_assert_int_eq(pread(fd, out, sizes[i], end), sizes[i]);
                ck_assert_mem_eq(in, out, sizes[i]);
                end += sizes[i];
                ck_assert_int_eq(stat_of(fd).st_size, end);
        }
        ck_assert_int_eq(pread(fd, out, 10, end), 0);
        ck_assert_int_eq(pread(fd, out, 10, end - 4), 4);
        must(close(fd));
}
END_TEST

START_TEST(lengths_are_cut_and_grown) {
        int fd = new_region("a", 0);
        char found[8];

        ck_assert_int_eq(pwrite(fd, "12345678", 8, 0), 8);
        must(ftruncate(fd, 3));
        must(ftruncate(fd, 8));
        ck_assert_int_eq(pread(fd, found, 8, 0), 8);
        ck_assert_mem_eq(found, "123\0\0\0\0\0", 8);
        must(truncate(in_mount("a"), 1LL << 40));
        ck_assert_int_eq(stat_of(fd).st_size, 1LL << 40);
        ck_assert_int_lt(stat_of(fd).st_blocks, 64);
        must_fail(ftruncate(fd, -1), EINVAL);
        must_fail(truncate(in_mount("a"), -1), EINVAL);
        must_fail(pwrite(fd, "x", 1, LLONG_MAX), EINVAL);
        must_fail(pwrite(fd, "x", 1, -1), EINVAL);
        ck_assert_int_eq(stat_of(fd).st_size, 1LL << 40);
        must(close(fd));
        fd = must_open(in_mount("a"), O_RDONLY, 0);
        must_fail(ftruncate(fd, 0), EINVAL);
        must_fail(write(fd, "x", 1), EBADF);
        must(close(fd));
}
END_TEST

START_TEST(appending_handles_do_not_overwrite) {
        int first = must_open(in_mount("a"), O_WRONLY | O_CREAT | O_APPEND, 0600);
        int second = must_open(in_mount("a"), O_WRONLY | O_APPEND, 0600);

        for (int i = 0; i < 3; i++) {
                ck_assert_int_eq(write(first, "1", 1), 1);
                ck_assert_int_eq(write(second, "2", 1), 1);
        }
        must(close(first));
        must(close(second));
        must_read(in_mount("a"), "121212");
}
END_TEST

static void append_lines(void *data) {
        int fd = must_open(in_mount("log"), O_WRONLY | O_APPEND, 0);

        for (int i = 0; i < 500; i++)
                ck_assert_int_eq(write(fd, data, 8), 8);
        must(close(fd));
}

START_TEST(appending_processes_lose_nothing) {
        static const char *const lines[] = { "aaaaaaa\n", "bbbbbbb\n", "ccccccc\n", "ddddddd\n" };
        int counts['e'] = { 0 };
        pid_t processes[4];
        char line[8];
        int fd;

        must_write(in_mount("log"), "");
        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
                processes[i] = start_process(append_lines, (void *)lines[i]);
        for (int i = 0; i < 4; i++)
                end_process(processes[i]);
        fd = must_open(in_mount("log"), O_RDONLY, 0);
        while (read(fd, line, 8) == 8) {
                for (int i = 1; i < 7; i++)
                        ck_assert_int_eq(line[i], line[0]);
                ck_assert_int_eq(line[7], '\n');
                counts[(int)line[0]]++;
        }
        for (char c = 'a'; c <= 'd'; c++)
                ck_assert_int_eq(counts[(int)c], 500);
        must(close(fd));
}
END_TEST

START_TEST(space_is_allocated_and_given_back) {
        int fd = new_region("a", 0);
        char found[KIB];
        blkcnt_t blocks;

        must(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, MIB));
        ck_assert_int_eq(stat_of(fd).st_size, 0);
        ck_assert_int_ge(stat_of(fd).st_blocks, MIB / 512);
        must(fallocate(fd, 0, 0, 8 * MIB));
        ck_assert_int_eq(stat_of(fd).st_size, 8 * MIB);
        blocks = stat_of(fd).st_blocks;
        ck_assert_int_ge(blocks, 8 * MIB / 512);
        ck_assert_int_eq(pwrite(fd, "data", 4, 5 * MIB), 4);
        must(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 4 * MIB, 2 * MIB));
        ck_assert_int_le(stat_of(fd).st_blocks, blocks - 2 * MIB / 512);
        ck_assert_int_eq(stat_of(fd).st_size, 8 * MIB);
        ck_assert_int_eq(pread(fd, found, 4, 5 * MIB), 4);
        ck_assert_mem_eq(found, "\0\0\0\0", 4);
        must_fail(fallocate(fd, 0, -1, 10), EINVAL);
        must_fail(fallocate(fd, 0, 0, 0), EINVAL);
        must_fail(fallocate(fd, 0, LLONG_MAX - 10, 100), EFBIG);
        must(close(fd));
}
END_TEST

START_TEST(holes_are_found) {
        int fd = new_region("a", 16 * MIB);

        must_fail(lseek(fd, 0, SEEK_DATA), ENXIO);
        ck_assert_int_eq(lseek(fd, 0, SEEK_HOLE), 0);
        ck_assert_int_eq(pwrite(fd, "data", 4, 8 * MIB), 4);
        must(fsync(fd));
        ck_assert_int_eq(lseek(fd, 0, SEEK_DATA), 8 * MIB);
        ck_assert_int_gt(lseek(fd, 8 * MIB, SEEK_HOLE), 8 * MIB);
        ck_assert_int_eq(lseek(fd, 0, SEEK_END), 16 * MIB);
        must_fail(lseek(fd, 16 * MIB, SEEK_DATA), ENXIO);
        must(close(fd));
}
END_TEST

START_TEST(ranges_are_copied) {
        g_autofree char *in = g_malloc(2 * MIB), *out = g_malloc(2 * MIB);
        int from = new_region("from", 0), to = new_region("to", 0);
        off_t from_offset = 5, to_offset = 11;
        size_t left = MIB;

        fill(in, 2 * MIB, 0);
        ck_assert_int_eq(pwrite(from, in, 2 * MIB, 0), 2 * MIB);
        while (left) {
                ssize_t copied = copy_file_range(from, &from_offset, to, &to_offset, left, 0);

                ck_assert_msg(copied > 0, "copy_file_range: %s", g_strerror(errno));
                left -= copied;
        }
        ck_assert_int_eq(stat_of(to).st_size, MIB + 11);
        ck_assert_int_eq(pread(to, out, MIB, 11), MIB);
        ck_assert_mem_eq(in + 5, out, MIB);
        must(close(from));
        must(close(to));
}
END_TEST

START_TEST(a_read_ends_at_the_logical_end_and_a_view_at_the_padded_one) {
        int fd = new_region("a", 0);
        char found[64];
        char *view;

        ck_assert_int_eq(write(fd, "thirteen char", 13), 13);
        ck_assert_int_eq(pread(fd, found, sizeof(found), 0), 13);
        view = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(view, MAP_FAILED);
        ck_assert_mem_eq(view, "thirteen char\0\0", 15);
        view[4095] = 'x'; /* no SIGBUS, and not in the file */
        ck_assert_int_eq(pread(fd, found, sizeof(found), 0), 13);
        ck_assert_int_eq(stat_of(fd).st_size, 13);
        must(munmap(view, 4096));
        must(close(fd));
}
END_TEST

START_TEST(a_handle_keeps_its_rights) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0400);
        char found[4];

        ck_assert_int_eq(write(fd, "data", 4), 4);
        must(ftruncate(fd, 2));
        ck_assert_int_eq(pread(fd, found, 4, 0), 2);
        must(fchmod(fd, 0));
        ck_assert_int_eq(pwrite(fd, "more", 4, 0), 4);
        must(fallocate(fd, 0, 0, 100));
        must(fsync(fd));
        must(fdatasync(fd));
        must(close(fd));
}
END_TEST

START_TEST(direct_handles_agree_with_others) {
        int direct = open(in_mount("a"), O_RDWR | O_CREAT | O_DIRECT, 0600);
        int other = must_open(in_mount("a"), O_RDWR, 0);
        g_autofree char *unaligned = g_malloc(3 * 4096);
        char *data = (char *)(((uintptr_t)unaligned + 4095) & ~(uintptr_t)4095);
        char *view;

        must(direct);
        must(ftruncate(direct, 8192));
        view = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
        ck_assert_ptr_ne(view, MAP_FAILED);
        view[1] = 'v';
        fill(data, 4096, 0);
        ck_assert_int_eq(pwrite(direct, data, 4096, 4096), 4096);
        ck_assert_mem_eq(view + 4096, data, 4096);
        ck_assert_int_eq(pread(direct, data, 4096, 0), 4096);
        ck_assert_int_eq(data[1], 'v');
        must(munmap(view, 8192));
        must(close(direct));
        must(close(other));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "contents");

        tcase_add_test(tests, what_is_written_is_read);
        tcase_add_test(tests, lengths_are_cut_and_grown);
        tcase_add_test(tests, appending_handles_do_not_overwrite);
        tcase_add_test(tests, appending_processes_lose_nothing);
        tcase_add_test(tests, space_is_allocated_and_given_back);
        tcase_add_test(tests, holes_are_found);
        tcase_add_test(tests, ranges_are_copied);
        tcase_add_test(tests, a_read_ends_at_the_logical_end_and_a_view_at_the_padded_one);
        tcase_add_test(tests, a_handle_keeps_its_rights);
        tcase_add_test(tests, direct_handles_agree_with_others);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "contents", add);
}
