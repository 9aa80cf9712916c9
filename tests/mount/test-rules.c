/* user.regionfs.allocation and user.regionfs.sealed. */
#include "fixture.h"

#include <regionfs/regionfs.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define MIB (1024 * 1024)

static int set(const char *path, const char *name, const char *value) {
        return setxattr(path, name, value, strlen(value), 0);
}

static void check_attribute(const char *path, const char *name, const char *expected) {
        g_autofree char *value = must_get(path, name);

        ck_assert_msg(g_str_equal(value, expected), "%s of %s is %s, not %s", name, path, value, expected);
}

static fsblkcnt_t free_blocks(void) {
        struct statvfs st;

        must(statvfs(fixture_mountpoint(), &st));
        return st.f_bfree;
}

/* Memory for the whole padded length. */
static void check_committed(int fd) {
        struct stat st;

        must(fstat(fd, &st));
        ck_assert_int_ge(st.st_blocks * 512, (st.st_size + 4095) / 4096 * 4096);
}

static int new_committed(const char *name) {
        int fd = must_open(in_mount(name), O_RDWR | O_CREAT | O_EXCL, 0600);

        check_attribute(in_mount(name), REGIONFS_ATTRIBUTE_ALLOCATION, "delayed");
        must(fsetxattr(fd, REGIONFS_ATTRIBUTE_ALLOCATION, "committed", 9, 0));
        check_attribute(in_mount(name), REGIONFS_ATTRIBUTE_ALLOCATION, "committed");
        return fd;
}

START_TEST(committed_regions_have_their_memory) {
        int fd = new_committed("a");
        struct stat st;
        char *view;

        must(ftruncate(fd, 3 * MIB + 5));
        check_committed(fd);
        must(fstat(fd, &st));
        ck_assert_int_eq(st.st_size, 3 * MIB + 5);
        must(ftruncate(fd, 100));
        must(set(in_mount("a"), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "2000000"));
        check_committed(fd);
        must(truncate(in_mount("a"), 4 * MIB));
        check_committed(fd);
        must(fallocate(fd, 0, 5 * MIB, 100));
        check_committed(fd);
        must_fail(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, MIB), EOPNOTSUPP);
        check_committed(fd);
        view = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        memset(view, 'x', 4 * MIB);
        must(munmap(view, 4 * MIB));
        must(close(fd));
        /* Cut to nothing by O_TRUNC, and grown again. */
        fd = must_open(in_mount("a"), O_RDWR | O_TRUNC, 0);
        must(ftruncate(fd, MIB));
        check_committed(fd);
        must(close(fd));
}
END_TEST

START_TEST(a_gap_is_filled_at_the_next_request) {
        int fd = new_committed("a");

        ck_assert_int_eq(pwrite(fd, "x", 1, 2 * MIB), 1);
        check_committed(fd); /* stat(2) is a request: this one, or the one before it */
        g_usleep(1100000);
        check_committed(fd);
        must(close(fd));
}
END_TEST

START_TEST(switching_commits_what_there_is) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);

        must(ftruncate(fd, 2 * MIB));
        ck_assert_int_eq(pwrite(fd, "kept", 4, MIB), 4);
        must(set(in_mount("a"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed"));
        check_committed(fd);
        must(set(in_mount("a"), REGIONFS_ATTRIBUTE_ALLOCATION, "delayed"));
        must(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, MIB));
        must_fail(set(in_mount("a"), REGIONFS_ATTRIBUTE_ALLOCATION, "sometimes"), EINVAL);
        must(close(fd));
}
END_TEST

START_TEST(no_room_is_said_at_once_and_changes_nothing) {
        fsblkcnt_t before;
        struct stat st;
        int fd, other;

        fixture_unmount();
        fixture_mount("size=64m");
        fd = new_committed("a");
        must(ftruncate(fd, MIB));
        before = free_blocks();
        must_fail(ftruncate(fd, 256 * MIB), ENOSPC);
        ck_assert_uint_eq(free_blocks(), before);
        must_fail(set(in_mount("a"), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "268435456"), ENOSPC);
        ck_assert_uint_eq(free_blocks(), before);
        /* Nor is a gap filled as far as there is room, if there is not enough. */
        ck_assert_int_eq(pwrite(fd, "x", 1, 256 * MIB), 1);
        must(stat(in_mount("a"), &st));
        ck_assert_uint_ge(free_blocks() + 4 * MIB / 4096, before);
        must(ftruncate(fd, MIB));
        ck_assert_uint_eq(free_blocks(), before);
        must_fail(fallocate(fd, 0, 0, 256 * MIB), ENOSPC);
        ck_assert_uint_eq(free_blocks(), before);
        must(fstat(fd, &st));
        ck_assert_int_eq(st.st_size, MIB);

        other = must_open(in_mount("b"), O_RDWR | O_CREAT, 0600);
        must(ftruncate(other, 256 * MIB));
        before = free_blocks();
        must_fail(set(in_mount("b"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed"), ENOSPC);
        check_attribute(in_mount("b"), REGIONFS_ATTRIBUTE_ALLOCATION, "delayed");
        ck_assert_uint_eq(free_blocks(), before);
        must(close(fd));
        must(close(other));
}
END_TEST

START_TEST(directories_and_the_mount_commit_by_default) {
        int fd;

        must(mkdir(in_mount("d"), 0700));
        must(set(in_mount("d"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed"));
        fd = must_open(in_mount("d/a"), O_RDWR | O_CREAT, 0600);
        must(ftruncate(fd, MIB));
        check_committed(fd);
        must(close(fd));
        fd = must_open(in_mount("d"), O_TMPFILE | O_RDWR, 0600);
        must(ftruncate(fd, MIB));
        check_committed(fd);
        must(close(fd));
        fixture_unmount();
        fixture_mount("allocation=committed");
        fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);
        must(ftruncate(fd, MIB));
        check_committed(fd);
        must(close(fd));
}
END_TEST

START_TEST(a_sealed_region_is_final) {
        const char *path = in_mount("a");
        int reader, writer = must_open(path, O_RDWR | O_CREAT, 0666);
        char found[6], *view, *writable;

        must(fchmod(writer, 0666));
        ck_assert_int_eq(write(writer, "final\n", 6), 6);
        check_attribute(path, REGIONFS_ATTRIBUTE_SEALED, "0");
        must_fail(set(path, REGIONFS_ATTRIBUTE_SEALED, "1"), EBUSY);
        writable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, writer, 0);
        must(close(writer));
        must_fail(set(path, REGIONFS_ATTRIBUTE_SEALED, "1"), EBUSY);
        must(munmap(writable, 4096));
        reader = must_open(path, O_RDONLY, 0);
        view = mmap(NULL, 4096, PROT_READ, MAP_SHARED, reader, 0);
        /* The last release comes in its own time. */
        for (int i = 0; set(path, REGIONFS_ATTRIBUTE_SEALED, "1") < 0; i++) {
                ck_assert_msg(errno == EBUSY && i < 10000, "seal: %s", g_strerror(errno));
                g_usleep(1000);
        }
        check_attribute(path, REGIONFS_ATTRIBUTE_SEALED, "1");
        must(set(path, REGIONFS_ATTRIBUTE_SEALED, "1"));

        must_fail(open(path, O_RDWR), EPERM);
        must_fail(open(path, O_WRONLY), EPERM);
        must_fail(open(path, O_RDONLY | O_TRUNC), EPERM);
        must_fail(open(path, O_WRONLY | O_APPEND), EPERM);
        must_fail(truncate(path, 0), EPERM);
        must_fail(truncate(path, 100), EPERM);
        must_fail(set(path, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "0"), EPERM);
        must_fail(set(path, REGIONFS_ATTRIBUTE_SEALED, "0"), EPERM);
        must_fail(removexattr(path, REGIONFS_ATTRIBUTE_SEALED), EPERM);
        must(chmod(path, 0777));
        must_fail(open(path, O_RDWR), EPERM);

        ck_assert_int_eq(pread(reader, found, 6, 0), 6);
        ck_assert_mem_eq(found, "final\n", 6);
        ck_assert_mem_eq(view, "final\n", 6);
        ck_assert_ptr_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0), MAP_FAILED);
        must(link(path, in_mount("b")));
        must_fail(open(in_mount("b"), O_RDWR), EPERM);
        must(rename(in_mount("b"), in_mount("c")));
        must(unlink(in_mount("c")));
        must(unlink(path));
        ck_assert_mem_eq(view, "final\n", 6);
        must(munmap(view, 4096));
        must(close(reader));
}
END_TEST

/* Its maker may have gone on reading it all the time. */
START_TEST(the_maker_of_a_region_keeps_no_writer) {
        static const int flags[] = { O_CREAT | O_EXCL, O_TMPFILE };

        for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
                int fd =
                        must_open(flags[i] & O_EXCL ? in_mount("made") : fixture_mountpoint(), O_RDWR | flags[i], 0600);
                g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
                int reader = must_open(path, O_RDONLY, 0);

                must_fail(fsetxattr(reader, REGIONFS_ATTRIBUTE_SEALED, "1", 1, 0), EBUSY);
                must(close(fd));
                while (fsetxattr(reader, REGIONFS_ATTRIBUTE_SEALED, "1", 1, 0) < 0)
                        ck_assert_int_eq(errno, EBUSY);
                must(close(reader));
        }
}
END_TEST

START_TEST(a_view_in_another_process_keeps_it_open) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600), ready[2];
        char byte;
        pid_t process;

        must(ftruncate(fd, 4096));
        must(pipe2(ready, O_CLOEXEC));
        process = fork();
        if (process == 0) {
                int own = open(in_mount("a"), O_RDWR);

                mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
                close(own);
                close(fd);
                if (write(ready[1], "", 1) == 1)
                        pause();
                _exit(1);
        }
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        must(close(fd));
        g_usleep(50000);
        must_fail(set(in_mount("a"), REGIONFS_ATTRIBUTE_SEALED, "1"), EBUSY);
        must(kill(process, SIGKILL));
        must(waitpid(process, NULL, 0));
        for (int i = 0; set(in_mount("a"), REGIONFS_ATTRIBUTE_SEALED, "1") < 0; i++) {
                ck_assert_msg(errno == EBUSY && i < 10000, "seal: %s", g_strerror(errno));
                g_usleep(1000);
        }
        must_fail(set(in_mount("a"), REGIONFS_ATTRIBUTE_SEALED, "2"), EINVAL);
}
END_TEST

/* Opens for writing again and again: what it opened it may write, until it is sealed. */
static void write_until_sealed(void *data) {
        for (;;) {
                int fd = open(in_mount("a"), O_WRONLY);

                if (fd < 0) {
                        ck_assert_msg(errno == EPERM, "open: %s", g_strerror(errno));
                        return;
                }
                ck_assert_int_eq(pwrite(fd, data, 1, 0), 1);
                must(close(fd));
        }
}

START_TEST(sealing_races_with_writers) {
        pid_t processes[3];
        char before, after;
        int fd;

        must_write(in_mount("a"), "?");
        for (size_t i = 0; i < G_N_ELEMENTS(processes); i++)
                processes[i] = start_process(write_until_sealed, (void *)"abc" + i);
        while (set(in_mount("a"), REGIONFS_ATTRIBUTE_SEALED, "1") < 0)
                ck_assert_int_eq(errno, EBUSY);
        fd = must_open(in_mount("a"), O_RDONLY, 0);
        ck_assert_int_eq(pread(fd, &before, 1, 0), 1);
        for (size_t i = 0; i < G_N_ELEMENTS(processes); i++)
                end_process(processes[i]);
        ck_assert_int_eq(pread(fd, &after, 1, 0), 1);
        ck_assert_int_eq(before, after);
        must(close(fd));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "rules");

        tcase_add_test(tests, committed_regions_have_their_memory);
        tcase_add_test(tests, a_gap_is_filled_at_the_next_request);
        tcase_add_test(tests, switching_commits_what_there_is);
        add_test_if(tests, no_room_is_said_at_once_and_changes_nothing, fixture_mode() != MODE_USER, "needs root");
        tcase_add_test(tests, directories_and_the_mount_commit_by_default);
        tcase_add_test(tests, a_sealed_region_is_final);
        tcase_add_test(tests, the_maker_of_a_region_keeps_no_writer);
        tcase_add_test(tests, a_view_in_another_process_keeps_it_open);
        tcase_add_test(tests, sealing_races_with_writers);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "rules", add);
}
