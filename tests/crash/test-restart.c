/* The server dies, and nobody notices. */
#include "crash.h"
#include "ledger/ledger.h"

#include <dirent.h>
#include <regionfs/regionfs.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define PAGE 4096

static void check_value(const char *path, const char *name, const char *wanted) {
        g_autofree char *value = must_get(path, name);

        ck_assert_str_eq(value, wanted);
}

static bool has_value(const char *path, const char *name, const char *wanted) {
        g_autofree char *value = must_get(path, name);

        return g_str_equal(value, wanted);
}

static void check_contents(int fd, const char *text) {
        char found[64] = "";

        ck_assert_int_eq(pread(fd, found, sizeof(found) - 1, 0), strlen(text));
        ck_assert_str_eq(found, text);
}

static ino_t inode_of(const char *path) {
        struct stat st;

        must(stat(path, &st));
        return st.st_ino;
}

START_TEST(names_and_contents_are_there) {
        static const int signals[] = { SIGKILL, SIGABRT, SIGQUIT, SIGALRM };
        ino_t inode;

        must(mkdir(in_mount("d"), 0700));
        must_write(in_mount("d/a"), "text");
        must(symlink("d/a", in_mount("link")));
        must(setxattr(in_mount("d/a"), "user.own", "value", 5, 0));
        inode = inode_of(in_mount("d/a"));
        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
                pid_t before = fixture_server();

                crash(signals[i]);
                must_read(in_mount("link"), "text");
                ck_assert_int_ne(fixture_server(), before);
                ck_assert_uint_eq(inode_of(in_mount("d/a")), inode);
                check_value(in_mount("d/a"), "user.own", "value");
                check_value(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS, "1");
                must_fail(open(in_mount("b"), O_RDONLY), ENOENT);
                must_write(in_mount("b"), "more");
                must_read(in_mount("b"), "more");
                must(unlink(in_mount("b")));
                {
                        g_autofree char *restarts = g_strdup_printf("%zu", i + 1);

                        check_value(fixture_mountpoint(), REGIONFS_ATTRIBUTE_RESTARTS, restarts);
                }
        }
}
END_TEST

START_TEST(handles_go_on) {
        int reader, writer, directory;
        struct stat st;

        must_write(in_mount("a"), "before");
        reader = must_open(in_mount("a"), O_RDONLY, 0);
        writer = must_open(in_mount("a"), O_RDWR, 0);
        directory = must_open(fixture_mountpoint(), O_RDONLY | O_DIRECTORY, 0);
        crash(SIGKILL);
        check_contents(reader, "before");
        ck_assert_int_eq(pwrite(writer, "behind", 6, 0), 6);
        check_contents(reader, "behind");
        must(ftruncate(writer, 2));
        must(fstat(reader, &st));
        ck_assert_int_eq(st.st_size, 2);
        must(fsync(writer));
        must(fchmod(writer, 0600));
        must(posix_fallocate(writer, 0, 100) == 0 ? 0 : -1);
        eventually(has_value(in_mount("a"), REGIONFS_ATTRIBUTE_HANDLES, "2"));
        must(faccessat(directory, "a", R_OK, 0));
        must(fsync(directory));
        must(close(reader));
        eventually(has_value(in_mount("a"), REGIONFS_ATTRIBUTE_HANDLES, "1"));
        must(close(writer));
        eventually(has_value(in_mount("a"), REGIONFS_ATTRIBUTE_HANDLES, "0"));
        must(close(directory));
}
END_TEST

START_TEST(views_go_on) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);
        char *shared, *second;

        must(ftruncate(fd, 4 * PAGE));
        shared = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(shared, MAP_FAILED);
        strcpy(shared, "first");
        must(close(fd));
        crash(SIGKILL);
        ck_assert_str_eq(shared, "first");
        strcpy(shared + 3 * PAGE, "fresh page");
        fd = must_open(in_mount("a"), O_RDWR, 0);
        second = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(second, MAP_FAILED);
        ck_assert_str_eq(second + 3 * PAGE, "fresh page");
        strcpy(second, "second");
        ck_assert_str_eq(shared, "second");
        must(msync(shared, 4 * PAGE, MS_SYNC));
        must(munmap(shared, 4 * PAGE));
        must(munmap(second, 4 * PAGE));
        must(close(fd));
}
END_TEST

START_TEST(the_data_path_needs_no_server) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);
        pid_t server = fixture_server();
        char *view;

        must(ftruncate(fd, 1024 * PAGE));
        view = mmap(NULL, 1024 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(view, MAP_FAILED);
        ck_assert_int_eq(pwrite(fd, "x", 1, 0), 1);
        stop_process(server);
        for (int i = 0; i < 1024; i++) {
                char byte = i;

                ck_assert_int_eq(pwrite(fd, &byte, 1, i * PAGE), 1);
                ck_assert_int_eq(view[i * PAGE], byte);
                view[i * PAGE] = byte + 1;
                ck_assert_int_eq(pread(fd, &byte, 1, i * PAGE), 1);
                ck_assert_int_eq(byte, view[i * PAGE]);
        }
        ck_assert(is_stopped(server));
        must(kill(server, SIGCONT));
        must(munmap(view, 1024 * PAGE));
        must(close(fd));
}
END_TEST

static fsblkcnt_t free_blocks(void) {
        struct statvfs st;

        must(statvfs(fixture_mountpoint(), &st));
        return st.f_bfree;
}

START_TEST(regions_without_names_go_on) {
        fsblkcnt_t before = free_blocks();
        int unlinked = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600), nameless, again, directory;
        struct stat st;

        ck_assert_int_eq(write(unlinked, "unlinked", 8), 8);
        must(unlink(in_mount("a")));
        nameless = must_open(fixture_mountpoint(), O_RDWR | O_TMPFILE, 0600);
        ck_assert_int_eq(write(nameless, "nameless", 8), 8);
        must(mkdir(in_mount("d"), 0700));
        directory = must_open(in_mount("d"), O_RDONLY | O_DIRECTORY, 0);
        must(rmdir(in_mount("d")));
        crash(SIGKILL);
        must(fstat(unlinked, &st));
        ck_assert_int_eq(st.st_nlink, 0);
        check_contents(unlinked, "unlinked");
        must(ftruncate(unlinked, 5));
        check_contents(unlinked, "unlin");
        {
                g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", nameless);

                again = must_open(path, O_RDONLY, 0);
                check_contents(again, "nameless");
                must(close(again));
                crash(SIGKILL);
                must(linkat(AT_FDCWD, path, AT_FDCWD, in_mount("b"), AT_SYMLINK_FOLLOW));
        }
        must_read(in_mount("b"), "nameless");
        must(fstat(directory, &st));
        must_fail(openat(directory, "x", O_RDWR | O_CREAT, 0600), ENOENT);
        must(close(directory));
        must(close(unlinked));
        must(close(nameless));
        must(unlink(in_mount("b")));
        /* Other users of a tmpfs that is not ours may take and give memory meanwhile. */
        if (fixture_mode() != MODE_USER)
                eventually(free_blocks() == before);
}
END_TEST

static void stand_in_directory(void *data) {
        pid_t server = fixture_server();
        char *where;

        must(chdir(in_mount("d")));
        must(kill(server, SIGKILL));
        must_read("a", "text");
        must_write("b", "b");
        where = getcwd(NULL, 0);
        ck_assert_str_eq(where, in_mount("d"));
        free(where);
}

START_TEST(working_directories_go_on) {
        must(mkdir(in_mount("d"), 0700));
        must_write(in_mount("d/a"), "text");
        run_process(stand_in_directory, NULL);
        must_read(in_mount("d/b"), "b");
}
END_TEST

#define ENTRIES 1000

START_TEST(directory_streams_go_on) {
        g_autofree char *seen = g_new0(char, ENTRIES);
        const struct dirent *entry;
        char name[16];
        int count = 0;
        DIR *stream;

        for (int i = 0; i < ENTRIES; i++) {
                g_snprintf(name, sizeof(name), "%d", i);
                must(mknod(in_mount(name), S_IFREG | 0600, 0));
        }
        stream = opendir(fixture_mountpoint());
        ck_assert_ptr_nonnull(stream);
        while ((entry = readdir(stream))) {
                if (*entry->d_name == '.')
                        continue;
                ck_assert_int_eq(seen[atoi(entry->d_name)]++, 0);
                if (++count % 200 == 0)
                        crash(SIGKILL);
        }
        ck_assert_int_eq(count, ENTRIES);
        crash(SIGKILL);
        rewinddir(stream);
        for (count = 0; readdir(stream);)
                count++;
        ck_assert_int_eq(count, ENTRIES + 2);
        must(closedir(stream));
}
END_TEST

static void find_locked(void *data) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
        int fd = must_open(in_mount("a"), O_RDWR, 0);

        must_fail(flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
        must_fail(fcntl(fd, F_SETLK, &lock), EAGAIN);
}

START_TEST(locks_go_on) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);

        must(flock(fd, LOCK_EX));
        must(fcntl(fd, F_SETLK, &lock));
        crash(SIGKILL);
        run_process(find_locked, NULL);
        must(close(fd));
}
END_TEST

static int new_ending(const char *name) {
        int fd = must_open(in_mount(name), O_RDWR | O_CREAT | O_EXCL, 0600);

        must(setxattr(in_mount(name), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        must(ftruncate(fd, PAGE));
        return fd;
}

static bool is_gone(const char *name) {
        return access(in_mount(name), F_OK) < 0 && errno == ENOENT;
}

START_TEST(lifetimes_go_on) {
        int by_handle = new_ending("handle"), by_view = new_ending("view"), last = new_ending("last");
        char *view = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, by_view, 0);

        ck_assert_ptr_ne(view, MAP_FAILED);
        must(close(by_view));
        crash(SIGKILL);
        must(access(in_mount("handle"), F_OK));
        must(access(in_mount("view"), F_OK));
        must(close(by_handle));
        eventually(is_gone("handle"));
        crash(SIGKILL);
        must(access(in_mount("view"), F_OK));
        must(munmap(view, PAGE));
        eventually(is_gone("view"));
        must(access(in_mount("last"), F_OK));
        must(kill(fixture_server(), SIGKILL));
        must(close(last));
        eventually(is_gone("last"));
        eventually(has_value(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS, "0"));
}
END_TEST

/* Whatever the server was doing about it when it died, the region ends. */
START_TEST(ends_are_not_lost) {
        for (int round = 0; round < 30; round++) {
                int fd = new_ending("a");
                char *view = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
                pid_t server = fixture_server();

                must(close(fd));
                must(munmap(view, PAGE));
                g_usleep(g_random_int_range(0, 1000));
                must(kill(server, SIGKILL));
                eventually(is_gone("a"));
        }
        eventually(has_value(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS, "0"));
}
END_TEST

/* Neither that it was made, nor that its opening was refused, is a use that a region could end with. */
START_TEST(what_nobody_has_used_stays) {
        must(mkdir(in_mount("d"), 0700));
        must(setxattr(in_mount("d"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        must(mknod(in_mount("d/made"), S_IFREG | 0600, 0));
        must(mknod(in_mount("d/refused"), S_IFREG | 0600, 0));
        must(setxattr(in_mount("d/refused"), REGIONFS_ATTRIBUTE_SEALED, "1", 1, 0));
        must_fail(open(in_mount("d/refused"), O_RDWR), EPERM);
        crash(SIGKILL);
        must(access(in_mount("d/refused"), F_OK));
        g_usleep(50000);
        must(access(in_mount("d/refused"), F_OK));
        must(access(in_mount("d/made"), F_OK));
        must(close(must_open(in_mount("d/refused"), O_RDONLY, 0)));
        must(close(must_open(in_mount("d/made"), O_RDWR, 0)));
        eventually(is_gone("d/refused") && is_gone("d/made"));
}
END_TEST

START_TEST(seals_and_rules_go_on) {
        must_write(in_mount("a"), "final");
        /* The writer's handle is released behind its back. */
        eventually(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_SEALED, "1", 1, 0) == 0);
        must_write(in_mount("c"), "");
        must(setxattr(in_mount("c"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed", 9, 0));
        crash(SIGKILL);
        must_fail(open(in_mount("a"), O_RDWR), EPERM);
        must_fail(truncate(in_mount("a"), 1), EPERM);
        must_read(in_mount("a"), "final");
        must(truncate(in_mount("c"), PAGE));
        check_value(in_mount("c"), REGIONFS_ATTRIBUTE_RESIDENT, "4096");
}
END_TEST

START_TEST(names_may_change_around_it) {
        int fd;

        must(mkdir(in_mount("d"), 0700));
        must(mkdir(in_mount("d/e"), 0700));
        must_write(in_mount("d/e/a"), "text");
        fd = must_open(in_mount("d/e/a"), O_RDWR, 0);
        must(rename(in_mount("d/e/a"), in_mount("d/b")));
        crash(SIGKILL);
        must(fchmod(fd, 0640));
        must(rename(in_mount("d"), in_mount("f")));
        must(link(in_mount("f/b"), in_mount("f/e/c")));
        must(unlink(in_mount("f/b")));
        crash(SIGKILL);
        must(fchmod(fd, 0600));
        must_read(in_mount("f/e/c"), "text");
        must(unlink(in_mount("f/e/c")));
        crash(SIGKILL);
        must(ftruncate(fd, 2));
        check_contents(fd, "te");
        must(close(fd));
}
END_TEST

START_TEST(persisted_regions_go_on) {
        g_autofree char *path = g_build_filename(fixture_directory(), "source", NULL);
        g_autofree char *moved = g_build_filename(fixture_directory(), "moved", NULL);
        g_autofree char *number = NULL;
        int source, fd;

        must_write(path, "on disk");
        source = must_open(path, O_RDWR, 0);
        number = g_strdup_printf("%d", source);
        must(mknod(in_mount("p"), S_IFREG | 0600, 0));
        must(setxattr(in_mount("p"), REGIONFS_ATTRIBUTE_SOURCE, number, strlen(number), 0));
        must(rename(path, moved));
        crash(SIGKILL);
        must_read(in_mount("p"), "on disk");
        fd = must_open(in_mount("p"), O_RDWR, 0);
        ck_assert_int_eq(pwrite(fd, "in", 2, 0), 2);
        crash(SIGKILL);
        must(fsync(fd));
        must(close(fd));
        must_read(moved, "in disk");
        must(unlink(in_mount("p")));
        must(close(source));
        must(unlink(moved));
}
END_TEST

static guint count_descriptors(void) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd", fixture_daemon());
        GDir *directory = g_dir_open(path, 0, NULL);
        guint count = 0;

        while (directory && g_dir_read_name(directory))
                count++;
        if (directory)
                g_dir_close(directory);
        return count;
}

START_TEST(nothing_is_left_over) {
        guint before;

        must_write(in_mount("a"), "text");
        crash(SIGKILL);
        must_read(in_mount("a"), "text");
        before = count_descriptors();
        for (int i = 0; i < 20; i++) {
                int fd = must_open(in_mount("b"), O_RDWR | O_CREAT, 0600);

                must(unlink(in_mount("b")));
                crash(SIGKILL);
                must_read(in_mount("a"), "text");
                must(close(fd));
        }
        /* Handles are released, and nodes forgotten, behind the client's back. */
        eventually(count_descriptors() <= before);
        check_value(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS, "1");
}
END_TEST

/* The kernel's first request, without which no server can go on. */
static void damage_ledger(void) {
        g_autofree char *said = NULL, *garbage = g_malloc0(LEDGER_INIT_MAX);
        int fd;

        run_command(&said, "find /proc/%d/fd -lname '*regionfs-ledger*' | head -n 1", fixture_daemon());
        fd = must_open(g_strchomp(said), O_RDWR, 0);
        ck_assert_int_eq(pwrite(fd, garbage, LEDGER_INIT_MAX, offsetof(LedgerHeader, init)), LEDGER_INIT_MAX);
        must(close(fd));
}

START_TEST(an_end_by_damage_is_a_failure) {
        int status;

        fixture_mount(NULL);
        must_write(in_mount("a"), "text");
        damage_ledger();
        must(kill(fixture_server(), SIGKILL));
        must(waitpid(fixture_daemon(), &status, 0));
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE, "%#x", status);
        ck_assert(has_logged("the kernel's first request is lost"));
        eventually(!is_mounted());
        fixture_remove();
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "restart"), *alone = tcase_create("alone");

        tcase_add_test(tests, names_and_contents_are_there);
        tcase_add_test(tests, handles_go_on);
        tcase_add_test(tests, views_go_on);
        add_test_if(tests, the_data_path_needs_no_server, fixture_mode() == MODE_PASSTHROUGH,
                    "is about passthrough mode");
        tcase_add_test(tests, regions_without_names_go_on);
        tcase_add_test(tests, working_directories_go_on);
        tcase_add_test(tests, directory_streams_go_on);
        tcase_add_test(tests, locks_go_on);
        tcase_add_test(tests, lifetimes_go_on);
        tcase_add_test(tests, ends_are_not_lost);
        tcase_add_test(tests, what_nobody_has_used_stays);
        tcase_add_test(tests, seals_and_rules_go_on);
        tcase_add_test(tests, names_may_change_around_it);
        tcase_add_test(tests, persisted_regions_go_on);
        tcase_add_test(tests, nothing_is_left_over);
        tcase_add_test(alone, an_end_by_damage_is_a_failure);
        suite_add_tcase(suite, alone);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "restart", add);
}
