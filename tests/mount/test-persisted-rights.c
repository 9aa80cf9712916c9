/* A persisted region gives no more than its maker has: descriptors, groups, leases, seals, set-id bits. */
#include "persisted.h"

#include <sys/mman.h>

static char *make_file(const char *name, uid_t uid, gid_t gid, mode_t mode) {
        char *path = beside(name);

        must_write(path, "team");
        must(chown(path, uid, gid));
        must(chmod(path, mode));
        return path;
}

START_TEST(what_was_opened_to_read_is_only_read) {
        g_autofree char *path = beside("file");
        int file, region;

        must_write(path, "text");
        file = must_open(path, O_RDONLY, 0);
        make_persisted(in_mount("r"), file);
        must(chmod(in_mount("r"), 0666));
        region = must_open(in_mount("r"), O_RDONLY, 0);
        must_read(in_mount("r"), "text");
        must_fail(open(in_mount("r"), O_RDWR), EACCES);
        must_fail(open(in_mount("r"), O_WRONLY | O_TRUNC), EACCES);
        must_fail(open(in_mount("r"), O_RDONLY | O_TRUNC), EACCES);
        must_fail(truncate(in_mount("r"), 0), EACCES);
        must_fail(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "0", 1, 0), EACCES);
        must_fail(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed", 9, 0), EACCES);
        must_fail((intptr_t)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0), EACCES);
        must_read(path, "text");
        must(close(region));
        must(close(file));
        must(unlink(path));
}
END_TEST

/* *data is a descriptor that root has opened for reading and writing. */
static void try_rights(void *data) {
        g_autofree char *own = beside("own"), *of_team = beside("of-team"), *link = beside("link");
        int given = *(int *)data, fd;

        become_other();
        must(mknod(in_mount("r"), S_IFREG | 0666, 0));
        /* Handed over, but not his to open. */
        must_fail(set_source(in_mount("r"), given), EACCES);
        must_fail(set_source(in_mount("roots"), given), EACCES);
        /* Root's region, which everyone may write to. */
        fd = must_open(own, O_RDWR, 0);
        must_fail(set_source(in_mount("open"), fd), EPERM);
        /* His groups count. */
        must(close(fd));
        fd = must_open(of_team, O_RDWR, 0);
        must(set_source(in_mount("r"), fd));
        must_read(in_mount("r"), "team");
        must(unlink(in_mount("r")));
        must(close(fd));
        /* A link is followed when it is opened, by the one who opens it. */
        fd = must_open(link, O_RDONLY, 0);
        must(mknod(in_mount("r"), S_IFREG | 0666, 0));
        must(set_source(in_mount("r"), fd));
        must_fail(open(in_mount("r"), O_RDWR), EACCES);
        must(unlink(in_mount("r")));
        must(close(fd));
}

START_TEST(the_callers_rights_decide) {
        g_autofree char *secret = make_file("secret", 0, 0, 0600), *own = make_file("own", OTHER, OTHER, 0600);
        g_autofree char *of_team = make_file("of-team", 0, TEAM, 0660), *readable = make_file("readable", 0, 0, 0644);
        g_autofree char *link = beside("link");
        int fd = must_open(secret, O_RDWR, 0);

        must(symlink(readable, link));
        must(mknod(in_mount("roots"), S_IFREG | 0600, 0));
        must(mknod(in_mount("open"), S_IFREG | 0666, 0));
        must(chmod(in_mount("open"), 0666));
        run_process(try_rights, &fd);
        must(close(fd));
        must(unlink(secret));
        must(unlink(own));
        must(unlink(of_team));
        must(unlink(readable));
        must(unlink(link));
}
END_TEST

START_TEST(what_the_daemon_keeps_is_not_for_clients) {
        g_autofree char *path = beside("file");
        char list[1024];
        ssize_t size;
        int file;

        must_write(path, "text");
        file = must_open(path, O_RDWR, 0);
        make_persisted(in_mount("r"), file);
        must_fail(getxattr(in_mount("r"), "user.regionfs.origin", NULL, 0), ENODATA);
        must_fail(setxattr(in_mount("r"), "user.regionfs.origin", "x", 1, 0), EINVAL);
        if (geteuid() == 0) {
                must_fail(getxattr(in_mount("r"), "trusted.regionfs.origin", NULL, 0), ENODATA);
                must_fail(setxattr(in_mount("r"), "trusted.regionfs.origin", "x", 1, 0), EPERM);
                must_fail(removexattr(in_mount("r"), "trusted.regionfs.origin"), ENODATA);
        }
        size = listxattr(in_mount("r"), list, sizeof(list));
        must(size);
        for (ssize_t at = 0; at < size; at += strlen(list + at) + 1)
                ck_assert_msg(!strstr(list + at, "origin") && !strstr(list + at, "policy"), "%s", list + at);
        must(close(file));
        must(unlink(path));
}
END_TEST

START_TEST(a_lease_holds_nobody_up) {
        g_autofree char *path = beside("file");
        int file, leased;
        gint64 begin;

        must_write(path, "text");
        must(mknod(in_mount("r"), S_IFREG | 0644, 0));
        leased = must_open(path, O_RDWR, 0);
        must(fcntl(leased, F_SETSIG, SIGURG)); /* which nobody minds */
        must(fcntl(leased, F_SETLEASE, F_WRLCK));
        begin = g_get_monotonic_time();
        must_fail(set_source(in_mount("r"), leased), EBUSY);
        ck_assert_int_lt(g_get_monotonic_time() - begin, 5 * G_USEC_PER_SEC);
        must(fcntl(leased, F_SETLEASE, F_UNLCK));
        must(set_source(in_mount("r"), leased));
        file = must_open(in_mount("r"), O_RDWR, 0);
        must_read(in_mount("r"), "text");
        must(close(file));
        must(close(leased));
        must(unlink(path));
}
END_TEST

START_TEST(a_seal_is_not_got_round) {
        int sealed = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING), region;
        char *view;

        ck_assert_int_eq(write(sealed, "sealed", 6), 6);
        must(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL));
        must(mknod(in_mount("r"), S_IFREG | 0666, 0));
        if (set_source(in_mount("r"), sealed) == 0) {
                region = open(in_mount("r"), O_RDWR);
                view = region < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
                ck_assert_msg(view == MAP_FAILED, "a sealed file can be written to");
        }
        must(close(sealed));
}
END_TEST

/* The length is a change of contents: the file's set-id bits go, as of truncate(2). */
static void set_length_as_other(void *data) {
        become_other();
        must(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "2", 1, 0));
}

START_TEST(set_id_bits_of_the_file_go) {
        g_autofree char *path = make_file("file", 0, 0, 04777);
        int file = must_open(path, O_RDWR, 0);
        struct stat st;

        must(chmod(path, 04777));
        make_persisted(in_mount("r"), file);
        must(chmod(in_mount("r"), 0666));
        run_process(set_length_as_other, NULL);
        must(stat(path, &st));
        ck_assert_int_eq(st.st_size, 2);
        ck_assert_uint_eq(st.st_mode & 07777, 0777);
        must(close(file));
        must(unlink(path));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "persisted-rights");

        tcase_add_test(tests, what_was_opened_to_read_is_only_read);
        tcase_add_test(tests, what_the_daemon_keeps_is_not_for_clients);
        tcase_add_test(tests, a_lease_holds_nobody_up);
        tcase_add_test(tests, a_seal_is_not_got_round);
        add_test_if(tests, the_callers_rights_decide, geteuid() == 0, "needs root");
        add_test_if(tests, set_id_bits_of_the_file_go, geteuid() == 0, "needs root");
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "persisted-rights", add);
}
