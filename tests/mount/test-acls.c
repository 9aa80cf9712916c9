/* ACLs as the security of regions: what they give a second user is what handles and views the user gets. */
#include "fixture.h"

#include <grp.h>
#include <sys/mman.h>

#define OTHER 64201
#define OTHER_GROUP 64202
#define TEAM 64203 /* a supplementary group */

static void become_other(void) {
        const gid_t team = TEAM;

        must(setgroups(1, &team));
        must(setgid(OTHER_GROUP));
        must(setuid(OTHER));
}

static void set_acl(const char *options, const char *name) {
        g_autofree char *said = NULL;

        if (run_command(&said, "setfacl %s %s", options, in_mount(name)) != 0)
                ck_abort_msg("setfacl %s %s: %s", options, name, said);
}

static void check_acl(const char *name, const char *expected) {
        g_autofree char *said = NULL;

        ck_assert_int_eq(run_command(&said, "getfacl -cpnE %s", in_mount(name)), 0);
        ck_assert_str_eq(said, expected);
}

/* A view of a handle: the errno of mmap(2), or 0. */
static int map(int fd, int protection, int flags) {
        void *view = mmap(NULL, 4096, protection, flags, fd, 0);

        if (view == MAP_FAILED)
                return errno;
        must(munmap(view, 4096));
        return 0;
}

static void check_reader(const char *path) {
        int fd = must_open(path, O_RDONLY, 0);
        char *view = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), byte;

        ck_assert(view != MAP_FAILED);
        must_fail(mprotect(view, 4096, PROT_READ | PROT_WRITE), EACCES);
        ck_assert_int_eq(map(fd, PROT_READ | PROT_WRITE, MAP_SHARED), EACCES);
        ck_assert_int_eq(map(fd, PROT_WRITE, MAP_SHARED), EACCES);
        ck_assert_int_eq(map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE), 0);
        ck_assert_int_eq(pread(fd, &byte, 1, 0), 1);
        must_fail(pwrite(fd, "X", 1, 0), EBADF);
        must(close(fd));
}

static void check_writer(const char *path) {
        int fd = must_open(path, O_WRONLY, 0);
        char byte;

        ck_assert_int_eq(map(fd, PROT_READ, MAP_SHARED), EACCES);
        ck_assert_int_eq(map(fd, PROT_WRITE, MAP_SHARED), EACCES);
        ck_assert_int_eq(map(fd, PROT_READ, MAP_PRIVATE), EACCES);
        must_fail(pread(fd, &byte, 1, 0), EBADF);
        ck_assert_int_eq(pwrite(fd, "W", 1, 0), 1);
        must(close(fd));
}

static void check_both(const char *path) {
        int fd = must_open(path, O_RDWR, 0);
        char *view = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

        ck_assert(view != MAP_FAILED);
        must(mprotect(view, 4096, PROT_READ | PROT_WRITE));
        view[0] = 'V';
        must(close(fd));
}

/* As the other user: exactly these rights, "r", "w", "rw" or "", to the region "a". */
static void use_rights(void *data) {
        const char *path = in_mount("a");
        const bool reads = strchr(data, 'r'), writes = strchr(data, 'w');

        become_other();
        if (reads)
                check_reader(path);
        else
                must_fail(open(path, O_RDONLY), EACCES);
        if (writes)
                check_writer(path);
        else
                must_fail(open(path, O_WRONLY), EACCES);
        if (reads && writes)
                check_both(path);
        else
                must_fail(open(path, O_RDWR), EACCES);
        if (!writes)
                must_fail(truncate(path, 0), EACCES);
}

static void check_rights(const char *rights) {
        run_process(use_rights, (void *)rights);
}

START_TEST(a_named_user_gets_the_handles_and_views_of_the_entry) {
        must_write(in_mount("a"), "region");
        must(chmod(in_mount("a"), 0600));
        check_rights("");
        set_acl("-m u:64201:r--", "a");
        check_rights("r");
        set_acl("-m u:64201:-w-", "a");
        check_rights("w");
        set_acl("-m u:64201:rw-", "a");
        check_rights("rw");
        set_acl("-m u:64201:---", "a");
        check_rights("");
        set_acl("-b", "a");
        check_rights("");
}
END_TEST

START_TEST(an_entry_without_rights_takes_what_others_have) {
        must_write(in_mount("a"), "region");
        must(chmod(in_mount("a"), 0666));
        check_rights("rw");
        set_acl("-m u:64201:---", "a");
        check_rights("");
        set_acl("-x u:64201", "a");
        check_rights("rw");
}
END_TEST

START_TEST(groups_and_masks_count) {
        must_write(in_mount("a"), "region");
        must(chmod(in_mount("a"), 0600));
        set_acl("-m g:64203:rw", "a");
        check_rights("rw");
        set_acl("-m m::r", "a");
        check_rights("r");
        /* The mode's group bits are the mask. */
        must(chmod(in_mount("a"), 0620));
        check_rights("w");
        /* A user's entry counts before a group's. */
        must(chmod(in_mount("a"), 0660));
        set_acl("-m u:64201:r", "a");
        check_rights("r");
}
END_TEST

static void use_inherited(void *data) {
        const char *name = data;

        become_other();
        check_reader(in_mount(name));
        must_fail(open(in_mount(name), O_RDWR), EACCES);
        must_fail(open(in_mount(name), O_WRONLY), EACCES);
}

START_TEST(regions_inherit_the_acl_of_their_directory) {
        static const char *const directories[] = { "d", "d/e", "d/e/f" };

        umask(077);
        must(mkdir(in_mount("d"), 0700));
        set_acl("-m u:64201:x -d -m u:64201:rx,g::-,o::-", "d");
        must(mkdir(in_mount("d/e"), 0777));
        must(mkdir(in_mount("d/e/f"), 0777));
        for (size_t i = 0; i < G_N_ELEMENTS(directories); i++) {
                g_autofree char *name = g_strconcat(directories[i], "/a", NULL);
                int fd = must_open(in_mount(name), O_RDWR | O_CREAT | O_EXCL, 0666);

                ck_assert_int_eq(write(fd, "region", 6), 6);
                must(close(fd));
                check_acl(name, "user::rw-\nuser:64201:r-x\ngroup::---\nmask::r--\nother::---\n\n");
                run_process(use_inherited, name);
        }
        /* The umask does not count where there is a default ACL, and directories hand it on. */
        check_acl("d/e/f",
                  "user::rwx\nuser:64201:r-x\ngroup::---\nmask::r-x\nother::---\n"
                  "default:user::rwx\ndefault:user:64201:r-x\ndefault:group::---\ndefault:mask::r-x\n"
                  "default:other::---\n\n");
        /* What is there keeps its own. */
        set_acl("-k", "d/e/f");
        run_process(use_inherited, (void *)"d/e/f/a");
        must_write(in_mount("d/e/f/b"), "region");
        check_acl("d/e/f/b", "user::rw-\ngroup::---\nother::---\n\n");
}
END_TEST

/* Two processes take turns: each waits for the other's byte. */
typedef struct Turns {
        int to_other[2], to_us[2];
} Turns;

static void give(const int *pipe_ends) {
        ck_assert_int_eq(write(pipe_ends[1], "", 1), 1);
}

static void wait_for(const int *pipe_ends) {
        char byte;

        ck_assert_int_eq(read(pipe_ends[0], &byte, 1), 1);
}

static void use_private_view(void *data) {
        const Turns *turns = data;
        char *view, read_now[7] = "";
        int fd;

        /* The test's own end of it: if the test ends, reading ends. */
        must(close(turns->to_other[1]));
        become_other();
        fd = must_open(in_mount("a"), O_RDONLY, 0);
        view = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        ck_assert(view != MAP_FAILED);
        ck_assert_mem_eq(view, "region", 6);
        memcpy(view, "MINE", 4);
        give(turns->to_us);
        wait_for(turns->to_other);
        ck_assert_mem_eq(view, "MINEon", 6);
        ck_assert_int_eq(pread(fd, read_now, 6, 0), 6);
        ck_assert_str_eq(read_now, "OTHERS");
}

START_TEST(a_private_view_is_seen_by_nobody_and_sees_nobody) {
        Turns turns;
        pid_t process;
        char *view;
        int fd;

        must_write(in_mount("a"), "region");
        must(chmod(in_mount("a"), 0600));
        set_acl("-m u:64201:r", "a");
        must(pipe2(turns.to_other, O_CLOEXEC));
        must(pipe2(turns.to_us, O_CLOEXEC));
        fd = must_open(in_mount("a"), O_RDWR, 0);
        view = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert(view != MAP_FAILED);
        process = start_process(use_private_view, &turns);
        must(close(turns.to_us[1]));
        wait_for(turns.to_us);
        ck_assert_mem_eq(view, "region", 6);
        must_read(in_mount("a"), "region");
        memcpy(view, "OTHERS", 6);
        give(turns.to_other);
        end_process(process);
        must_read(in_mount("a"), "OTHERS");
        must(munmap(view, 4096));
        must(close(fd));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "acls");

        tcase_add_test(tests, a_named_user_gets_the_handles_and_views_of_the_entry);
        tcase_add_test(tests, an_entry_without_rights_takes_what_others_have);
        tcase_add_test(tests, groups_and_masks_count);
        tcase_add_test(tests, regions_inherit_the_acl_of_their_directory);
        tcase_add_test(tests, a_private_view_is_seen_by_nobody_and_sees_nobody);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "acls", add);
}
