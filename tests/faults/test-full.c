/*
 * The pool is full in the middle of everything: ENOSPC, and nothing is half made, half counted or lost. Each test runs
 * with a private pool, and with pool=DIR on a small tmpfs (an ordinary user's private pool lies on that too).
 */
#include "faults.h"

#include <dirent.h>
#include <regionfs/regionfs.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define PAGE 4096
#define MIB (1024 * 1024)

/* What a pool holds, however it is made. */
#define MEMORY "size=4m"
#define FILES 40

enum { PRIVATE, DIRECTORY, KINDS };

/* The small tmpfs, in the environment; and where in it a pool is. */
#define SMALL "REGIONFS_SMALL"

static char *pool_directory(void) {
        return g_build_filename(g_getenv(SMALL), "pool", NULL);
}

static void mount_small(int kind, const char *more) {
        g_autofree char *directory = pool_directory();
        g_autoptr(GString) options = g_string_new(more);

        if (kind == DIRECTORY) {
                must(mkdir(directory, 0755));
                g_string_append_printf(options, "%spool=%s", options->len ? "," : "", directory);
        } else if (fixture_mode() == MODE_USER) {
                g_setenv("XDG_RUNTIME_DIR", g_getenv(SMALL), true);
        } else {
                g_string_append_printf(options, "%s" MEMORY ",nr_regions=%d,huge=never", options->len ? "," : "",
                                       FILES);
        }
        fixture_mount(options->len ? options->str : NULL);
}

static void unmount_small(int kind) {
        g_autofree char *directory = pool_directory();

        fixture_unmount();
        if (kind == DIRECTORY)
                ck_assert_int_eq(run_command(NULL, "rm -r %s", directory), 0);
}

/* Makes files until there is no room for one more; how many. */
static int fill_names(void) {
        char name[16];

        for (int i = 0;; i++) {
                g_snprintf(name, sizeof(name), "filler%d", i);
                if (mknod(in_mount(name), S_IFREG | 0600, 0) == 0)
                        continue;
                ck_assert_int_eq(errno, ENOSPC);
                ck_assert_int_gt(i, 5);
                return i;
        }
}

/* Attributes are small files to a tmpfs: takes what whole ones have left. */
static void fill_attributes(const char *of) {
        char name[16];

        for (int i = 0;; i++) {
                g_snprintf(name, sizeof(name), "user.%d", i);
                if (setxattr(in_mount(of), name, "", 0, 0) == 0)
                        continue;
                ck_assert_int_eq(errno, ENOSPC);
                ck_assert_int_lt(i, 100);
                return;
        }
}

static void remove_filler(int number) {
        char name[16];

        g_snprintf(name, sizeof(name), "filler%d", number);
        must(unlink(in_mount(name)));
}

static void remove_fillers(int count) {
        for (int i = 0; i < count; i++)
                remove_filler(i);
}

/* Takes all memory. A descriptor whose truncation gives it back. */
static int fill_memory(void) {
        g_autofree char *data = g_malloc0(PAGE);
        int fd = must_open(in_mount("filler"), O_RDWR | O_CREAT, 0600);

        while (write(fd, data, PAGE) > 0)
                ;
        ck_assert_int_eq(errno, ENOSPC);
        return fd;
}

static int count_names(const char *path) {
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        int count = 0;

        ck_assert_ptr_nonnull(directory);
        while (g_dir_read_name(directory))
                count++;
        return count;
}

static uint64_t regions(void) {
        return number_of(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS);
}

static void check_value(const char *path, const char *name, const char *wanted) {
        g_autofree char *value = must_get(path, name);

        ck_assert_str_eq(value, wanted);
}

static bool make(const char *name) {
        int fd = open(in_mount(name), O_RDWR | O_CREAT | O_EXCL, 0600);

        if (fd >= 0)
                must(close(fd));
        else
                ck_assert_int_eq(errno, ENOSPC);
        return fd >= 0;
}

static void link_nameless(const char *name) {
        int fd = must_open(fixture_mountpoint(), O_RDWR | O_TMPFILE, 0600);
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);

        must(linkat(AT_FDCWD, path, AT_FDCWD, in_mount(name), AT_SYMLINK_FOLLOW));
        must(close(fd));
}

START_TEST(no_room_for_names) {
        int fillers, names, fd;
        uint64_t before;

        mount_small(_i, NULL);
        must_write(in_mount("kept"), "kept");
        must(mkdir(in_mount("d"), 0700));
        fillers = fill_names();
        names = count_names(fixture_mountpoint());
        before = regions();
        ck_assert_uint_eq(before, fillers + 1);

        must_fail(open(in_mount("x"), O_RDWR | O_CREAT, 0600), ENOSPC);
        must_fail(open(in_mount("x"), O_RDWR | O_CREAT | O_EXCL, 0600), ENOSPC);
        must_fail(mknod(in_mount("x"), S_IFREG | 0600, 0), ENOSPC);
        must_fail(mknod(in_mount("x"), S_IFIFO | 0600, 0), ENOSPC);
        must_fail(mkdir(in_mount("x"), 0700), ENOSPC);
        must_fail(symlink("kept", in_mount("x")), ENOSPC);
        must_fail(link(in_mount("kept"), in_mount("x")), ENOSPC);
        must_fail(open(fixture_mountpoint(), O_RDWR | O_TMPFILE, 0600), ENOSPC);
        if (geteuid() == 0)
                must_fail(renameat2(AT_FDCWD, in_mount("kept"), AT_FDCWD, in_mount("x"), RENAME_WHITEOUT), ENOSPC);
        must_fail(access(in_mount("x"), F_OK), ENOENT);
        ck_assert_int_eq(count_names(fixture_mountpoint()), names);
        ck_assert_uint_eq(regions(), before);

        /* What needs no room goes on. */
        must_read(in_mount("kept"), "kept");
        must(rename(in_mount("kept"), in_mount("d/moved")));
        must(renameat2(AT_FDCWD, in_mount("d/moved"), AT_FDCWD, in_mount("filler0"), RENAME_EXCHANGE));
        must_read(in_mount("filler0"), "kept");
        must(rename(in_mount("filler0"), in_mount("d/moved")));
        must_read(in_mount("d/moved"), "kept");
        fd = must_open(in_mount("d/moved"), O_RDWR, 0);
        must(ftruncate(fd, 2));
        must(close(fd));
        eventually(regions() == before - 1);

        for (int i = 1; i < fillers; i++)
                remove_filler(i);
        eventually(make("x"));
        must(link(in_mount("x"), in_mount("y")));
        must(mkdir(in_mount("e"), 0700));
        must(symlink("x", in_mount("z")));
        link_nameless("nameless");
        ck_assert_uint_eq(regions(), 3);
        unmount_small(_i);
}
END_TEST

/* There is room for the file, and not for the rules that it starts with. */
START_TEST(no_room_for_rules_of_what_is_made) {
        int fillers;

        mount_small(_i, NULL);
        must(mkdir(in_mount("d"), 0700));
        must(setxattr(in_mount("d"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        fillers = fill_names();
        fill_attributes("d");
        remove_filler(--fillers);
        eventually(make("probe"));
        must(unlink(in_mount("probe")));
        g_usleep(100000);

        must_fail(mknod(in_mount("d/x"), S_IFREG | 0600, 0), ENOSPC);
        must_fail(open(in_mount("d/x"), O_RDWR | O_CREAT, 0600), ENOSPC);
        must_fail(open(in_mount("d"), O_RDWR | O_TMPFILE, 0600), ENOSPC);
        must_fail(mkdir(in_mount("d/x"), 0700), ENOSPC);
        must_fail(access(in_mount("d/x"), F_OK), ENOENT);
        ck_assert_int_eq(count_names(in_mount("d")), 0);
        ck_assert_uint_eq(regions(), fillers);

        remove_fillers(fillers);
        eventually(regions() == 0 && make("d/x"));
        eventually(access(in_mount("d/x"), F_OK) < 0);
        unmount_small(_i);
}
END_TEST

START_TEST(no_room_for_attributes) {
        g_autofree char *large = g_strnfill(30000, 'x');
        char found[16];
        int fillers;

        mount_small(_i, NULL);
        must_write(in_mount("a"), "text");
        must(setxattr(in_mount("a"), "user.own", "old", 3, 0));
        fillers = fill_names();
        must_fail(setxattr(in_mount("a"), "user.own", large, 30000, 0), ENOSPC);
        ck_assert_int_eq(getxattr(in_mount("a"), "user.own", found, sizeof(found)), 3);
        fill_attributes("a");
        must_fail(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0), ENOSPC);
        must_fail(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed", 9, 0), ENOSPC);
        must_fail(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_SEALED, "1", 1, 0), ENOSPC);
        check_value(in_mount("a"), REGIONFS_ATTRIBUTE_LIFETIME, "kept");
        check_value(in_mount("a"), REGIONFS_ATTRIBUTE_ALLOCATION, "delayed");
        check_value(in_mount("a"), REGIONFS_ATTRIBUTE_SEALED, "0");
        /* None of the rules is in force. */
        must(close(must_open(in_mount("a"), O_RDWR, 0)));
        must_read(in_mount("a"), "text");

        remove_fillers(fillers);
        eventually(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed", 9, 0) == 0);
        must(setxattr(in_mount("a"), "user.own", "new", 3, 0));
        unmount_small(_i);
}
END_TEST

START_TEST(no_room_for_a_namespace) {
        char link[64];
        int fillers;

        mount_small(_i, "namespaces");
        fillers = fill_names();
        must_fail(readlink(in_mount("Local"), link, sizeof(link)), ENOSPC);
        must_fail(open(in_mount("Local/x"), O_RDWR | O_CREAT, 0600), ENOSPC);
        ck_assert_int_eq(count_names(in_mount("Sessions")), 0);
        remove_fillers(fillers);
        eventually(make("Local/x"));
        unmount_small(_i);
}
END_TEST

/* Its process ends by SIGBUS, or well if it is told of it by msync(2). */
static void store(void *data) {
        char *view = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, *(int *)data, 0);

        ck_assert_ptr_ne(view, MAP_FAILED);
        signal(SIGBUS, SIG_DFL);
        view[0] = 1;
        must_fail(msync(view, PAGE, MS_SYNC), ENOSPC);
}

static void check_store(int fd) {
        pid_t process = start_process(store, &fd);
        int status;

        must(waitpid(process, &status, 0));
        /* What a view has lost the log tells too, at the end. */
        fixture_expect("cannot write back what views hold: No space left on device");
        if (fixture_mode() == MODE_PASSTHROUGH)
                ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "status %#x", status);
        else
                ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
}

static void check_unchanged(int fd, const struct stat *before) {
        struct stat now;

        must(fstat(fd, &now));
        ck_assert_int_eq(now.st_size, before->st_size);
        ck_assert_int_eq(now.st_blocks, before->st_blocks);
}

START_TEST(no_room_for_memory) {
        int kept, sparse, committed, filler;
        struct stat of_sparse, of_committed;
        loff_t from = 0, to = 0;

        mount_small(_i, NULL);
        kept = must_open(in_mount("kept"), O_RDWR | O_CREAT, 0600);
        ck_assert_int_eq(write(kept, "kept", 4), 4);
        sparse = must_open(in_mount("sparse"), O_RDWR | O_CREAT, 0600);
        must(ftruncate(sparse, MIB));
        committed = must_open(in_mount("committed"), O_RDWR | O_CREAT, 0600);
        must(setxattr(in_mount("committed"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed", 9, 0));
        must(ftruncate(committed, 2 * PAGE));
        filler = fill_memory();
        must(fstat(sparse, &of_sparse));
        must(fstat(committed, &of_committed));

        must_fail(pwrite(sparse, "x", 1, 0), ENOSPC);
        must_fail(fallocate(sparse, 0, 0, MIB), ENOSPC);
        must_fail(fallocate(sparse, FALLOC_FL_KEEP_SIZE, 0, 8 * MIB), ENOSPC);
        must_fail(setxattr(in_mount("sparse"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed", 9, 0), ENOSPC);
        check_value(in_mount("sparse"), REGIONFS_ATTRIBUTE_ALLOCATION, "delayed");
        must_fail(copy_file_range(kept, &from, sparse, &to, 4, 0), ENOSPC);
        ck_assert_int_eq(from, 0);
        check_store(sparse);
        check_unchanged(sparse, &of_sparse);

        must_fail(ftruncate(committed, MIB), ENOSPC);
        must_fail(truncate(in_mount("committed"), MIB), ENOSPC);
        must_fail(setxattr(in_mount("committed"), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "1048576", 7, 0), ENOSPC);
        must_fail(fallocate(committed, 0, 0, MIB), ENOSPC);
        check_unchanged(committed, &of_committed);
        /* What it has was promised to it. */
        ck_assert_int_eq(pwrite(committed, "x", 1, 2 * PAGE - 1), 1);
        check_unchanged(committed, &of_committed);

        /* Lengths, names and removal take no memory. */
        must(ftruncate(sparse, 2 * MIB));
        ck_assert(make("empty"));
        must(rename(in_mount("empty"), in_mount("other")));
        must(unlink(in_mount("other")));
        must_read(in_mount("kept"), "kept");

        must(ftruncate(filler, PAGE));
        must(fallocate(sparse, 0, 0, MIB));
        must(ftruncate(committed, MIB));
        ck_assert_int_eq(copy_file_range(kept, &from, sparse, &to, 4, 0), 4);
        must(close(kept));
        must(close(sparse));
        must(close(committed));
        must(close(filler));
        unmount_small(_i);
}
END_TEST

/* A server that dies where there is no room needs none itself. */
START_TEST(no_room_when_the_server_dies) {
        int fillers, filler;
        pid_t server;

        mount_small(_i, NULL);
        must_write(in_mount("kept"), "kept");
        filler = fill_memory();
        fillers = fill_names();
        for (int i = 0; i < 3; i++) {
                server = fixture_server();
                must(kill(server, SIGKILL));
                must_fail(mkdir(in_mount("x"), 0700), ENOSPC);
                must_fail(pwrite(filler, "x", 1, 64 * MIB), ENOSPC);
                must_read(in_mount("kept"), "kept");
                eventually(fixture_server() != server);
        }
        remove_fillers(fillers);
        must(ftruncate(filler, 0));
        must(close(filler));
        eventually(make("x"));
        unmount_small(_i);
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("full");
        int kinds = g_getenv(SMALL) ? KINDS : DIRECTORY;

        tcase_add_loop_test(tests, no_room_for_names, 0, kinds);
        tcase_add_loop_test(tests, no_room_for_rules_of_what_is_made, 0, kinds);
        tcase_add_loop_test(tests, no_room_for_attributes, 0, kinds);
        tcase_add_loop_test(tests, no_room_for_a_namespace, 0, kinds);
        tcase_add_loop_test(tests, no_room_for_memory, 0, kinds);
        tcase_add_loop_test(tests, no_room_when_the_server_dies, 0, kinds);
        suite_add_tcase(suite, tests);
}

int main(int argc, char **argv) {
        g_autofree char *small = g_dir_make_tmp("regionfs-small-XXXXXX", NULL);
        g_autofree char *options = g_strdup_printf(MEMORY ",nr_inodes=%d,mode=1777", FILES + 3);
        bool mounted = small && mount("none", small, "tmpfs", 0, options) == 0;
        int status;

        /* An ordinary user cannot make one, and has no private pool that is small. */
        if (!mounted && geteuid() != 0) {
                printf("1..0 # SKIP a small tmpfs takes root\n");
                status = 0;
        } else {
                if (mounted)
                        g_setenv(SMALL, small, true);
                status = fixture_main(argc, argv, "full", add);
        }
        if (mounted)
                umount2(small, MNT_DETACH);
        rmdir(small);
        return status;
}
