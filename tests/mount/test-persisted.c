/* Regions whose memory is a file's. */
#include "persisted.h"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

START_TEST(memory_is_the_files) {
        g_autofree char *path = beside("file");
        int file, region;
        struct stat st;
        char *view, *files;

        must_write(path, "hello world");
        file = must_open(path, O_RDWR, 0);
        make_persisted(in_mount("r"), file);
        {
                g_autofree char *source = must_get(in_mount("r"), REGIONFS_ATTRIBUTE_SOURCE);
                g_autofree char *padded = must_get(in_mount("r"), REGIONFS_ATTRIBUTE_PADDED_LENGTH);

                ck_assert_str_eq(source, path);
                ck_assert_str_eq(padded, "4096");
        }
        must_read(in_mount("r"), "hello world");
        region = must_open(in_mount("r"), O_RDWR, 0);
        ck_assert_int_eq(pwrite(region, "HELLO", 5, 0), 5);
        must_read(path, "HELLO world");

        /*
         * At once in both directions with passthrough; without, through the mount alone, and in the file with msync(2).
         */
        view = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
        files = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        ck_assert(view != MAP_FAILED && files != MAP_FAILED);
        memcpy(view + 6, "WORLD", 5);
        if (fixture_mode() == MODE_PASSTHROUGH) {
                ck_assert_mem_eq(files, "HELLO WORLD", 11);
                memcpy(files, "_____", 5);
                ck_assert_mem_eq(view, "_____ WORLD", 11);
        } else {
                must(msync(view, 4096, MS_SYNC));
                must_read(path, "HELLO WORLD");
        }

        /* Grown by either. */
        must(ftruncate(region, 20000));
        must(fstat(file, &st));
        ck_assert_int_eq(st.st_size, 20000);
        must(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "30000", 5, 0));
        must(fstat(file, &st));
        ck_assert_int_eq(st.st_size, 30000);
        must(stat(in_mount("r"), &st));
        ck_assert_int_eq(st.st_size, 30000);

        /* The end of the region is not the file's. */
        must(close(region));
        must(unlink(in_mount("r")));
        must_fail(stat(in_mount("r"), &st), ENOENT);
        must(stat(path, &st));
        ck_assert_int_eq(st.st_size, 30000);
        view[0] = '!';
        must(msync(view, 4096, MS_SYNC));
        must(munmap(view, 4096));
        if (fixture_mode() == MODE_PASSTHROUGH)
                ck_assert_int_eq(files[0], '!');
        must(munmap(files, 4096));
        must(close(file));
        must(unlink(path));
}
END_TEST

static bool on_disk(const char *path) {
        struct statfs fs;

        must(statfs(path, &fs));
        return fs.f_type != TMPFS_MAGIC;
}

/* How many pages of the file are not on its disk yet; -1 where the kernel (before 6.5) does not tell. */
static int64_t dirty_pages(int fd) {
        const struct {
                uint64_t offset, length;
        } all = { 0, 0 };
        struct {
                uint64_t cached, dirty, writeback, evicted, recently_evicted;
        } counts;

        return syscall(451 /* cachestat */, fd, &all, &counts, 0) < 0 ? -1 : (int64_t)(counts.dirty + counts.writeback);
}

START_TEST(synchronizing_reaches_the_disk) {
        g_autofree char *path = beside("file");
        int file = must_open(path, O_RDWR | O_CREAT, 0600), region;
        char block[65536];
        char *view;

        make_persisted(in_mount("r"), file);
        region = must_open(in_mount("r"), O_RDWR, 0);
        memset(block, 'x', sizeof(block));
        ck_assert_int_eq(write(region, block, sizeof(block)), sizeof(block));
        if (on_disk(path) && dirty_pages(file) >= 0) {
                ck_assert_int_gt(dirty_pages(file), 0);
                must(fsync(region));
                ck_assert_int_eq(dirty_pages(file), 0);
                view = mmap(NULL, sizeof(block), PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
                ck_assert(view != MAP_FAILED);
                memset(view, 'y', sizeof(block));
                must(msync(view, sizeof(block), MS_SYNC));
                ck_assert_int_eq(dirty_pages(file), 0);
                must(munmap(view, sizeof(block)));
        } else {
                must(fsync(region));
        }
        must(close(region));
        must(close(file));
        must(unlink(path));
}
END_TEST

START_TEST(ends_with_its_last_handle) {
        g_autofree char *path = beside("file");
        int file, region;

        must_write(path, "stays");
        file = must_open(path, O_RDWR, 0);
        make_persisted(in_mount("r"), file);
        must(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        region = must_open(in_mount("r"), O_RDWR, 0);
        must(close(must_open(in_mount("r"), O_RDONLY, 0)));
        must(access(in_mount("r"), F_OK));
        must(close(region));
        for (int i = 0; i < 1000 && access(in_mount("r"), F_OK) == 0; i++)
                g_usleep(10000);
        must_fail(access(in_mount("r"), F_OK), ENOENT);
        must_read(path, "stays");
        make_persisted(in_mount("r"), file);
        must_read(in_mount("r"), "stays");
        must(close(file));
        must(unlink(path));
}
END_TEST

START_TEST(names_are_a_regions) {
        g_autofree char *path = beside("file"), *moved = beside("moved");
        struct stat of_file, of_region;
        int file;

        must_write(path, "text");
        must(chmod(path, 0640));
        file = must_open(path, O_RDWR, 0);
        make_persisted(in_mount("r"), file);
        must(chmod(in_mount("r"), 0604));
        must(mkdir(in_mount("d"), 0755));
        must(rename(in_mount("r"), in_mount("d/s")));
        must(link(in_mount("d/s"), in_mount("t")));
        must(unlink(in_mount("d/s")));
        must(rename(path, moved));
        must_read(in_mount("t"), "text");
        {
                g_autofree char *source = must_get(in_mount("t"), REGIONFS_ATTRIBUTE_SOURCE);

                ck_assert_str_eq(source, moved);
        }
        must(stat(moved, &of_file));
        must(stat(in_mount("t"), &of_region));
        ck_assert_uint_eq(of_file.st_mode & 07777, 0640);
        ck_assert_uint_eq(of_region.st_mode & 07777, 0604);
        ck_assert_int_eq(of_region.st_mtim.tv_nsec, of_file.st_mtim.tv_nsec);

        /* The file's last name is not the region's. */
        must(unlink(moved));
        must_read(in_mount("t"), "text");
        must(close(file));
        must_read(in_mount("t"), "text");
}
END_TEST

/* However few threads there are for the pages that the kernel writes back at once. */
START_TEST(all_of_a_view_reaches_the_file) {
        const size_t size = 64 << 20, step = 4096;
        g_autofree char *path = NULL;
        size_t lost = 0;
        char *view, *found;
        int file, fd;

        fixture_unmount();
        fixture_mount("max_threads=2");
        path = beside("file");
        file = must_open(path, O_RDWR | O_CREAT, 0600);
        must(ftruncate(file, size));
        make_persisted(in_mount("r"), file);
        fd = must_open(in_mount("r"), O_RDWR, 0);
        view = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(view, MAP_FAILED);
        memset(view, 'x', size);
        must(msync(view, size, MS_SYNC));
        must(munmap(view, size));
        must(close(fd));
        found = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);
        ck_assert_ptr_ne(found, MAP_FAILED);
        for (size_t at = 0; at < size; at += step)
                lost += found[at] != 'x';
        ck_assert_uint_eq(lost, 0);
        must(munmap(found, size));
        must(close(file));
        must(unlink(path));
}
END_TEST

START_TEST(what_cannot_be_is_refused) {
        g_autofree char *path = beside("file");
        int file, handle, other;
        char value;

        must_write(path, "text");
        file = must_open(path, O_RDWR, 0);
        must_fail(set_source(in_mount("none"), file), ENOENT);
        must_fail(set_source(fixture_mountpoint(), file), EINVAL);
        must(mknod(in_mount("r"), S_IFREG | 0644, 0));
        must_fail(getxattr(in_mount("r"), REGIONFS_ATTRIBUTE_SOURCE, &value, 1), ENODATA);
        must_fail(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_SOURCE, path, strlen(path), 0), EINVAL);
        must_fail(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_SOURCE, "", 0, 0), EINVAL);
        must_fail(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_SOURCE, "-1", 2, 0), EINVAL);
        must_fail(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_SOURCE, "99999999999", 11, 0), EINVAL);
        must_fail(set_source(in_mount("r"), 4000), EBADF);
        other = must_open(path, O_PATH, 0);
        must_fail(set_source(in_mount("r"), other), EBADF);
        must(close(other));
        other = must_open(path, O_WRONLY, 0);
        must_fail(set_source(in_mount("r"), other), EACCES);
        must(close(other));
        other = must_open("/", O_RDONLY, 0);
        must_fail(set_source(in_mount("r"), other), EINVAL);
        must(close(other));
        other = must_open("/dev/null", O_RDWR, 0);
        must_fail(set_source(in_mount("r"), other), EINVAL);
        must(close(other));
        /* Its contents depend on who has opened it. */
        other = must_open("/proc/self/stat", O_RDONLY, 0);
        must_fail(set_source(in_mount("r"), other), fixture_mode() == MODE_USER ? ENODEV : ELOOP);
        must(close(other));
        must_write(in_mount("s"), "");
        other = must_open(in_mount("s"), O_RDWR, 0);
        must_fail(set_source(in_mount("r"), other), EINVAL);
        must(close(other));

        /* One that has lost its name would never give the file up. */
        must(mknod(in_mount("gone"), S_IFREG | 0644, 0));
        other = must_open(in_mount("gone"), O_PATH, 0);
        must(unlink(in_mount("gone")));
        {
                g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", other);

                must_fail(set_source(link, file), ENOENT);
        }
        must(close(other));

        handle = must_open(in_mount("r"), O_RDWR, 0);
        must_fail(set_source(in_mount("r"), file), EBUSY);
        ck_assert_int_eq(write(handle, "x", 1), 1);
        must(close(handle));
        must_become_unused(in_mount("r"));
        must_fail(set_source(in_mount("r"), file), ENOTEMPTY);
        must_read(in_mount("r"), "x");
        must(truncate(in_mount("r"), 0));
        must_become_unused(in_mount("r"));
        must(set_source(in_mount("r"), file));
        must_fail(set_source(in_mount("r"), file), EPERM);
        must_read(in_mount("r"), "text");
        /* Who has the path can change it. */
        must_fail(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_SEALED, "1", 1, 0), EOPNOTSUPP);
        must(close(file));
        must(unlink(path));
}
END_TEST

START_TEST(a_committed_one_has_its_room_on_the_disk) {
        g_autofree char *path = beside("file");
        int file = must_open(path, O_RDWR | O_CREAT, 0600);
        struct stat st;

        make_persisted(in_mount("r"), file);
        must(ftruncate(file, 100000));
        must(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed", 9, 0));
        must(fstat(file, &st));
        ck_assert_int_eq(st.st_size, 100000);
        ck_assert_int_ge(st.st_blocks * 512, 102400);
        must(truncate(in_mount("r"), 200000));
        must(fstat(file, &st));
        ck_assert_int_eq(st.st_size, 200000);
        ck_assert_int_ge(st.st_blocks * 512, 200704);
        must(close(file));
        must(unlink(path));
}
END_TEST

/* Opens the region again and again, until it has the file. */
static void open_until_persisted(void *data) {
        for (int i = 0; i < 100000; i++) {
                char text[8] = "";
                int fd = open(in_mount("r"), O_RDWR);

                if (fd < 0)
                        continue;
                if (pread(fd, text, 4, 0) == 4) {
                        ck_assert_str_eq(text, "text");
                        must(close(fd));
                        return;
                }
                must(close(fd));
                /* Whoever finds it empty finds it not persisted when it was opened: then it cannot be so yet. */
        }
        ck_abort_msg("never persisted");
}

START_TEST(openers_have_the_file_or_are_before_it) {
        g_autofree char *path = beside("file");
        int file;

        must_write(path, "text");
        file = must_open(path, O_RDWR, 0);
        for (int i = 0; i < 30; i++) {
                pid_t opener;
                struct stat st;
                int handle;

                must(mknod(in_mount("r"), S_IFREG | 0666, 0));
                opener = start_process(open_until_persisted, NULL);
                while (set_source(in_mount("r"), file) < 0)
                        ck_assert_int_eq(errno, EBUSY);
                /* From here on everyone has the file, with a handle of an earlier opener or without. */
                handle = must_open(in_mount("r"), O_RDWR, 0);
                must(fstat(handle, &st));
                ck_assert_int_eq(st.st_size, 4);
                must_read(in_mount("r"), "text");
                must(close(handle));
                end_process(opener);
                must(unlink(in_mount("r")));
        }
        must(close(file));
        must(unlink(path));
}
END_TEST

START_TEST(what_others_append_is_kept) {
        g_autofree char *path = beside("file");
        int file, region;
        struct stat st;

        must_write(path, "12345");
        file = must_open(path, O_RDWR | O_APPEND, 0);
        make_persisted(in_mount("r"), file);
        must_read(in_mount("r"), "12345");
        ck_assert_int_eq(write(file, "6789", 4), 4);
        must(stat(in_mount("r"), &st));
        ck_assert_int_eq(st.st_size, 9);
        ck_assert_int_eq(write(file, "0", 1), 1);
        region = must_open(in_mount("r"), O_RDWR | O_APPEND, 0);
        ck_assert_int_eq(write(region, "abc", 3), 3);
        must_read(path, "1234567890abc");
        must_read(in_mount("r"), "1234567890abc");
        ck_assert_int_eq(lseek(region, 0, SEEK_END), 13);
        must(close(region));
        must(close(file));
        must(unlink(path));
}
END_TEST

START_TEST(a_committed_directory_commits_it) {
        g_autofree char *path = beside("file");
        int file = must_open(path, O_RDWR | O_CREAT, 0600), readable;
        struct stat st;

        must(mkdir(in_mount("d"), 0700));
        must(setxattr(in_mount("d"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed", 9, 0));
        must(ftruncate(file, 300000));
        must(mknod(in_mount("d/r"), S_IFREG | 0600, 0));
        readable = must_open(path, O_RDONLY, 0);
        must_fail(set_source(in_mount("d/r"), readable), EACCES);
        must(close(readable));
        must(set_source(in_mount("d/r"), file));
        must(fstat(file, &st));
        ck_assert_int_ge(st.st_blocks * 512, 300000);
        must(close(file));
        must(unlink(path));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "persisted");

        tcase_add_test(tests, memory_is_the_files);
        tcase_add_test(tests, synchronizing_reaches_the_disk);
        tcase_add_test(tests, ends_with_its_last_handle);
        tcase_add_test(tests, names_are_a_regions);
        add_test_if(tests, all_of_a_view_reaches_the_file, fixture_mode() != MODE_PASSTHROUGH, "is about cached mode");
        tcase_add_test(tests, what_cannot_be_is_refused);
        tcase_add_test(tests, a_committed_one_has_its_room_on_the_disk);
        tcase_add_test(tests, openers_have_the_file_or_are_before_it);
        tcase_add_test(tests, what_others_append_is_kept);
        tcase_add_test(tests, a_committed_directory_commits_it);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "persisted", add);
}
