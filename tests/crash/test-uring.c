/* Over io_uring, a server that dies takes the connection with it: the mount is made afresh, and nobody hangs. */
#include "fixture.h"

#include <dirent.h>
#include <regionfs/regionfs.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define PAGE 4096

/*
 * What a request gets that the dead server had, or that comes to the dead mount. EINTR: the kernel was just handing it
 * out. EIO: the server had answered that a region is open, and what it had registered was given up before the kernel
 * looked for it.
 */
static bool is_dead(int error) {
        return error == ENOTCONN || error == ECONNABORTED || error == ECANCELED || error == EINTR || error == EIO;
}

/* The server of another mount than before, or -1: there is none yet. */
static pid_t server_now(void) {
        char value[32] = "";
        ssize_t size = getxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SERVER_PID, value, sizeof(value) - 1);

        if (size < 0 && !is_dead(errno) && errno != ENODATA && errno != EOPNOTSUPP)
                ck_abort_msg("no answer: %s", g_strerror(errno));
        return size > 0 ? atoi(value) : -1;
}

static bool serves_anew(pid_t before) {
        pid_t now = server_now();

        return now > 0 && now != before;
}

/* The server dies; returns when another one answers. */
static void crash(void) {
        pid_t server = fixture_server();

        must(kill(server, SIGKILL));
        eventually(serves_anew(server));
}

static bool has_value(const char *path, const char *name, const char *wanted) {
        g_autofree char *value = must_get(path, name);

        return g_str_equal(value, wanted);
}

static bool exists(const char *path) {
        struct stat st;

        return stat(path, &st) == 0;
}

START_TEST(names_and_contents_are_there) {
        must(mkdir(in_mount("d"), 0700));
        must_write(in_mount("d/a"), "text");
        must(symlink("d/a", in_mount("link")));
        must(link(in_mount("d/a"), in_mount("b")));
        must(setxattr(in_mount("d/a"), "user.own", "value", 5, 0));
        for (int i = 1; i <= 3; i++) {
                g_autofree char *restarts = g_strdup_printf("%d", i);

                crash();
                must_read(in_mount("link"), "text");
                ck_assert(has_value(in_mount("b"), "user.own", "value"));
                ck_assert(has_value(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS, "1"));
                ck_assert(has_value(fixture_mountpoint(), REGIONFS_ATTRIBUTE_RESTARTS, restarts));
                must_write(in_mount("new"), "more");
                must_read(in_mount("new"), "more");
                must(unlink(in_mount("new")));
        }
}
END_TEST

/* Each in a process of its own, with a request that is not answered any more. */
static void look(void *data) {
        g_autofree char *name = g_strdup_printf("old-%d", getpid());
        struct stat st;

        ck_assert_msg(stat(in_mount(name), &st) < 0 && is_dead(errno), "%s", g_strerror(errno));
}

static void create(void *data) {
        g_autofree char *name = g_strdup_printf("new-%d", getpid());

        ck_assert_msg(open(in_mount(name), O_RDWR | O_CREAT, 0600) < 0 && is_dead(errno), "%s", g_strerror(errno));
}

START_TEST(a_client_that_waits_gets_an_error) {
        pid_t server = fixture_server(), clients[16];
        gint64 begin;

        must_write(in_mount("a"), "text");
        stop_process(server);
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                clients[i] = start_process(i % 2 ? create : look, NULL);
        g_usleep(300000);
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                ck_assert_int_eq(waitpid(clients[i], NULL, WNOHANG), 0);
        begin = g_get_monotonic_time();
        must(kill(server, SIGKILL));
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                end_process(clients[i]);
        ck_assert_int_lt(g_get_monotonic_time() - begin, 10 * G_USEC_PER_SEC);
        eventually(serves_anew(server));
        must_read(in_mount("a"), "text");
}
END_TEST

START_TEST(handles_of_before_are_void_and_views_go_on) {
        int fd, other, directory;
        struct dirent *entry;
        char *view, text[5] = "";
        DIR *stream;

        must_write(in_mount("a"), "before");
        fd = must_open(in_mount("a"), O_RDWR, 0);
        directory = must_open(fixture_mountpoint(), O_RDONLY | O_DIRECTORY, 0);
        view = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(view, MAP_FAILED);
        crash();
        must_fail(fchmod(fd, 0600), ENOTCONN);
        must_fail(fsetxattr(fd, "user.own", "", 0, 0), ENOTCONN);
        must_fail(ftruncate(fd, 1), ENOTCONN);
        must_fail(faccessat(directory, "new", R_OK, 0), ENOTCONN);

        memcpy(view, "behind", 6);
        other = must_open(in_mount("a"), O_RDWR, 0);
        ck_assert_int_eq(pread(other, text, 4, 0), 4);
        ck_assert_str_eq(text, "behi");
        ck_assert_int_eq(pwrite(other, "again", 5, 0), 5);
        ck_assert_int_eq(memcmp(view, "againd", 6), 0);
        /* Contents are the kernel's affair. */
        ck_assert_int_eq(pwrite(fd, "A", 1, 0), 1);
        ck_assert_int_eq(view[0], 'A');
        ck_assert(has_value(in_mount("a"), REGIONFS_ATTRIBUTE_HANDLES, "1"));

        stream = opendir(fixture_mountpoint());
        ck_assert_ptr_nonnull(stream);
        while ((entry = readdir(stream)))
                ck_assert(entry->d_name[0] == '.' || g_str_equal(entry->d_name, "a"));
        closedir(stream);
        munmap(view, PAGE);
        close(fd);
        close(directory);
        must(close(other));
}
END_TEST

static void make_ending(const char *path) {
        must_write(path, "text");
        must(setxattr(path, REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
}

START_TEST(lifetimes_end_with_handles_and_views_of_before) {
        static const char *const names[] = { "handle", "view", "seen", "both" };
        int handle, both;
        char *view, *seen;

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                make_ending(in_mount(names[i]));
        make_ending(in_mount("unused"));
        handle = must_open(in_mount("handle"), O_RDONLY, 0);
        both = must_open(in_mount("both"), O_RDONLY, 0);
        /* One whose handle is gone already, and one that has its handle as the server dies. */
        for (int i = 1; i <= 2; i++) {
                int fd = must_open(in_mount(names[i]), O_RDONLY, 0);

                *(i == 1 ? &view : &seen) = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
                must(i == 1 ? close(fd) : dup2(fd, 200));
                if (i == 2)
                        close(fd);
        }
        crash();
        close(200);
        g_usleep(200000);
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                ck_assert_msg(exists(in_mount(names[i])), "%s has gone", names[i]);
        ck_assert_str_eq(view, "text");
        ck_assert_str_eq(seen, "text");

        close(handle);
        eventually(!exists(in_mount("handle")));
        munmap(view, PAGE);
        eventually(!exists(in_mount("view")));
        munmap(seen, PAGE);
        eventually(!exists(in_mount("seen")));
        /* The new server counts its own handles. */
        handle = must_open(in_mount("both"), O_RDONLY, 0);
        must(close(handle));
        g_usleep(100000);
        ck_assert(exists(in_mount("both")));
        close(both);
        eventually(!exists(in_mount("both")));
        eventually(has_value(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS, "1"));
        /* Nobody has used it yet. */
        must_read(in_mount("unused"), "text");
        eventually(!exists(in_mount("unused")));
}
END_TEST

/* Leaves its handles to the end of the process, while no server runs. */
static void use(void *data) {
        must_open(in_mount("left"), O_RDONLY, 0);
        pause();
}

START_TEST(a_lifetime_ends_whose_client_has_died_with_the_server) {
        pid_t client, server;

        make_ending(in_mount("left"));
        client = start_process(use, NULL);
        eventually(has_value(in_mount("left"), REGIONFS_ATTRIBUTE_HANDLES, "1"));
        server = fixture_server();
        stop_process(server);
        must(kill(client, SIGKILL));
        must(waitpid(client, NULL, 0));
        must(kill(server, SIGKILL));
        eventually(serves_anew(server));
        eventually(!exists(in_mount("left")));
}
END_TEST

static bool is_free(uint64_t blocks) {
        struct statvfs st;

        must(statvfs(fixture_mountpoint(), &st));
        return st.f_bfree >= blocks;
}

START_TEST(memory_of_before_comes_back) {
        const off_t size = 4 << 20;
        int nameless = must_open(fixture_mountpoint(), O_TMPFILE | O_RDWR, 0600), removed, named;
        struct statvfs before;

        must(statvfs(fixture_mountpoint(), &before));
        removed = must_open(in_mount("removed"), O_RDWR | O_CREAT, 0600);
        named = must_open(in_mount("named"), O_RDWR | O_CREAT, 0600);
        ck_assert_int_eq(posix_fallocate(nameless, 0, size), 0);
        ck_assert_int_eq(posix_fallocate(removed, 0, size), 0);
        ck_assert_int_eq(posix_fallocate(named, 0, size), 0);
        must(unlink(in_mount("removed")));
        crash();
        close(nameless);
        close(removed);
        /* What has a name is there; and ends although the old mount is not given up, as a handle of it is left. */
        eventually(is_free(before.f_bfree - size / before.f_frsize - 16));
        close(named);
        named = must_open(fixture_mountpoint(), O_RDONLY | O_DIRECTORY, 0);
        must(unlink(in_mount("named")));
        eventually(is_free(before.f_bfree - 16));
        close(named);
}
END_TEST

/* Uses the mount until it is told to stop; errors of the moments between two mounts do not count. */
static void use_on(void *data) {
        g_autofree char *name = g_strdup_printf("own-%d", getpid());
        int fd, done = 0;

        while (!exists(in_mount("stop")) || done == 0) {
                fd = open(in_mount(name), O_RDWR | O_CREAT, 0600);
                ck_assert_msg(fd >= 0 || is_dead(errno), "open: %s", g_strerror(errno));
                if (fd >= 0) {
                        struct stat st;

                        ck_assert_msg(fstat(fd, &st) == 0 || is_dead(errno), "fstat: %s", g_strerror(errno));
                        close(fd);
                        ck_assert_msg(unlink(in_mount(name)) == 0 || is_dead(errno) || errno == ENOENT, "unlink: %s",
                                      g_strerror(errno));
                        done++;
                }
        }
        /* One may be left that was being removed. */
        unlink(in_mount(name));
}

static size_t count_descriptors(void) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd", fixture_daemon());
        DIR *directory = opendir(path);
        size_t count = 0;

        ck_assert_ptr_nonnull(directory);
        while (readdir(directory))
                count++;
        closedir(directory);
        return count;
}

START_TEST(limits_that_were_changed_stay) {
        must(setxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SIZE, "40960", 5, 0));
        must(setxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_NR_REGIONS, "30", 2, 0));
        crash();
        ck_assert(has_value(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SIZE, "40960"));
        ck_assert(has_value(fixture_mountpoint(), REGIONFS_ATTRIBUTE_NR_REGIONS, "30"));
}
END_TEST

START_TEST(crashes_under_load_leave_nothing) {
        size_t descriptors = count_descriptors();
        pid_t clients[4];

        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                clients[i] = start_process(use_on, NULL);
        for (int i = 0; i < 20; i++) {
                g_usleep(20000);
                crash();
        }
        must_write(in_mount("stop"), "");
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                end_process(clients[i]);
        must(unlink(in_mount("stop")));
        eventually(has_value(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS, "0"));
        ck_assert(has_value(fixture_mountpoint(), REGIONFS_ATTRIBUTE_RESTARTS, "20"));
        eventually(count_descriptors() <= descriptors);
}
END_TEST

/* A child of the server's that waits for an answer would keep them, and with them the connection. */
START_TEST(rings_are_not_for_children) {
        g_autofree char *path = g_strdup_printf("/proc/%d/smaps", fixture_server()), *maps = NULL;
        const char *mapping;
        unsigned count = 0;

        ck_assert(g_file_get_contents(path, &maps, NULL, NULL));
        for (mapping = maps; (mapping = strstr(mapping, "anon_inode:[io_uring]")); count++) {
                g_autofree char *flags = NULL;

                mapping = strstr(mapping, "VmFlags: ");
                ck_assert_ptr_nonnull(mapping);
                flags = g_strndup(mapping, strcspn(mapping, "\n"));
                ck_assert_msg(strstr(flags, " dc"), "%s", flags);
        }
        ck_assert_uint_gt(count, 0);
}
END_TEST

/* Nobody would serve it. */
START_TEST(a_mount_that_cannot_be_made_anew_is_taken_away) {
        const struct rlimit none = { 3, 3 };
        int status;

        fixture_mount(NULL);
        must_write(in_mount("a"), "text");
        must(prlimit(fixture_daemon(), RLIMIT_NOFILE, &none, NULL));
        must(kill(fixture_server(), SIGKILL));
        must(waitpid(fixture_daemon(), &status, 0));
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
        ck_assert(!is_mounted());
        fixture_remove();
}
END_TEST

static void add(Suite *suite) {
        TCase *alone = tcase_create("alone");

        TCase *tests = add_case(suite, "uring");

        tcase_add_test(tests, names_and_contents_are_there);
        tcase_add_test(tests, a_client_that_waits_gets_an_error);
        tcase_add_test(tests, handles_of_before_are_void_and_views_go_on);
        tcase_add_test(tests, lifetimes_end_with_handles_and_views_of_before);
        tcase_add_test(tests, a_lifetime_ends_whose_client_has_died_with_the_server);
        tcase_add_test(tests, memory_of_before_comes_back);
        tcase_add_test(tests, limits_that_were_changed_stay);
        tcase_add_test(tests, crashes_under_load_leave_nothing);
        tcase_add_test(tests, rings_are_not_for_children);
        tcase_add_test(alone, a_mount_that_cannot_be_made_anew_is_taken_away);
        suite_add_tcase(suite, alone);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "uring", add);
}
