/* Owners, modes, groups and ACLs, with a second user. */
#include "fixture.h"

#include <grp.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define OTHER 64201
#define OTHER_GROUP 64202
#define TEAM 64203 /* a supplementary group */

static void become_other(void) {
        const gid_t team = TEAM;

        must(setgroups(1, &team));
        must(setgid(OTHER_GROUP));
        must(setuid(OTHER));
}

static void check_node(const char *name, uid_t uid, gid_t gid, mode_t mode) {
        struct stat st;

        must(lstat(in_mount(name), &st));
        ck_assert_uint_eq(st.st_uid, uid);
        ck_assert_uint_eq(st.st_gid, gid);
        ck_assert_msg((st.st_mode & 07777) == mode, "mode of %s is %o, not %o", name, st.st_mode & 07777, mode);
}

static void create_all_kinds(void *data) {
        become_other();
        umask(027);
        must(close(must_open(in_mount("file"), O_RDWR | O_CREAT, 0666)));
        must(mkdir(in_mount("directory"), 0777));
        must(symlink("x", in_mount("link")));
        must(mknod(in_mount("node"), S_IFREG | 0666, 0));
        must(mkfifo(in_mount("pipe"), 0666));
        umask(0);
        must(close(must_open(in_mount("open"), O_RDWR | O_CREAT, 0666)));
        {
                int fd = must_open(fixture_mountpoint(), O_TMPFILE | O_RDWR, 0666);
                g_autofree char *self = g_strdup_printf("/proc/self/fd/%d", fd);

                must(linkat(AT_FDCWD, self, AT_FDCWD, in_mount("tmpfile"), AT_SYMLINK_FOLLOW));
        }
}

START_TEST(new_nodes_belong_to_their_maker) {
        check_node(".", 0, 0, 01777);
        run_process(create_all_kinds, NULL);
        check_node("file", OTHER, OTHER_GROUP, 0640);
        check_node("directory", OTHER, OTHER_GROUP, 0750);
        check_node("link", OTHER, OTHER_GROUP, 0777);
        check_node("node", OTHER, OTHER_GROUP, 0640);
        check_node("pipe", OTHER, OTHER_GROUP, 0640);
        check_node("open", OTHER, OTHER_GROUP, 0666);
        check_node("tmpfile", OTHER, OTHER_GROUP, 0666);
        /* Afterwards the daemon acts as itself again. */
        must_write(in_mount("root"), "root");
        check_node("root", 0, 0, 0644);
}
END_TEST

static void try_rights(void *data) {
        become_other();
        must_fail(open(in_mount("secret"), O_RDONLY), EACCES);
        must_fail(open(in_mount("secret"), O_WRONLY), EACCES);
        must_fail(truncate(in_mount("secret"), 0), EACCES);
        must_fail(setxattr(in_mount("secret"), "user.regionfs.logical_length", "0", 1, 0), EACCES);
        must_fail(getxattr(in_mount("secret"), "user.regionfs.logical_length", NULL, 0), EACCES);
        must_fail(unlink(in_mount("secret")), EPERM); /* the root directory is sticky */
        must_fail(rename(in_mount("secret"), in_mount("mine")), EPERM);
        must_fail(chmod(in_mount("secret"), 0666), EPERM);
        must_fail(chown(in_mount("secret"), OTHER, -1), EPERM);
        must_fail(open(in_mount("closed/inside"), O_RDONLY), EACCES);
        must_fail(open(in_mount("closed"), O_RDONLY | O_DIRECTORY), EACCES);
        must_fail(setxattr(in_mount("readable"), "user.regionfs.logical_length", "0", 1, 0), EACCES);

        /* To read alone. */
        must_read(in_mount("readable"), "read");
        must_fail(open(in_mount("readable"), O_RDWR), EACCES);
        must_fail(utimensat(AT_FDCWD, in_mount("readable"), NULL, 0), EACCES);
        {
                int fd = must_open(in_mount("readable"), O_RDONLY, 0);
                char *view = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

                must_fail((intptr_t)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EACCES);
                view[0] = 'X';
                must_read(in_mount("readable"), "read");
        }

        /* To write alone. */
        {
                int fd = must_open(in_mount("writable"), O_WRONLY, 0);
                char byte;

                must_fail(open(in_mount("writable"), O_RDONLY), EACCES);
                ck_assert_int_eq(write(fd, "WRITE", 5), 5);
                must_fail(read(fd, &byte, 1), EBADF);
                must_fail((intptr_t)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), EACCES);
        }
}

START_TEST(a_second_user_gets_what_the_modes_say) {
        must_write(in_mount("secret"), "secret");
        must(chmod(in_mount("secret"), 0600));
        must_write(in_mount("readable"), "read");
        must_write(in_mount("writable"), "write");
        must(chmod(in_mount("writable"), 0602));
        must(mkdir(in_mount("closed"), 0700));
        must_write(in_mount("closed/inside"), "inside");
        run_process(try_rights, NULL);
        must_read(in_mount("secret"), "secret");
        must_read(in_mount("writable"), "WRITE");
}
END_TEST

static void use_team(void *data) {
        become_other();
        umask(022);
        /* Rights through a supplementary group, which requests do not carry. */
        must_write(in_mount("team/file"), "of the team");
        must(mkdir(in_mount("team/directory"), 0755));
        must(chmod(in_mount("team/file"), 02755));
        must_read(in_mount("teamfile"), "for the team");
        must(chown(in_mount("team/file"), -1, TEAM));
        must_fail(chown(in_mount("team/file"), -1, 0), EPERM);
}

START_TEST(supplementary_groups_and_setgid_directories_count) {
        must(mkdir(in_mount("team"), 0770));
        must(chown(in_mount("team"), 0, TEAM));
        must(chmod(in_mount("team"), 02770));
        must_write(in_mount("teamfile"), "for the team");
        must(chown(in_mount("teamfile"), 0, TEAM));
        must(chmod(in_mount("teamfile"), 0640));
        run_process(use_team, NULL);
        check_node("team/file", OTHER, TEAM, 0755); /* changing the group took the bit off */
        check_node("team/directory", OTHER, TEAM, 02755);
}
END_TEST

static void use_acl(void *data) {
        become_other();
        umask(0);
        must_read(in_mount("shared"), "shared");
        must_fail(open(in_mount("shared"), O_WRONLY), EACCES);
        must_fail(open(in_mount("private"), O_RDONLY), EACCES);
        must(close(must_open(in_mount("d/file"), O_RDWR | O_CREAT, 0666)));
}

START_TEST(acls_give_and_take_rights) {
        g_autofree char *said = NULL;

        must_write(in_mount("shared"), "shared");
        must(chmod(in_mount("shared"), 0600));
        must_write(in_mount("private"), "private");
        must(mkdir(in_mount("d"), 0777));
        must(chmod(in_mount("d"), 0777));
        ck_assert_int_eq(run_command(&said,
                                     "cd %s && setfacl -m u:%d:r shared && setfacl -m u:%d:--- private && "
                                     "setfacl -d -m u:%d:rw,g::-,o::- d && getfacl -cpE d",
                                     fixture_mountpoint(), OTHER, OTHER, OTHER),
                         0);
        ck_assert_msg(strstr(said, "default:user:64201:rw-"), "%s", said);
        run_process(use_acl, NULL);
        /* The umask of 0 did not count: the default ACL of the directory did. */
        check_node("d/file", OTHER, OTHER_GROUP, 0660);
        g_free(said);
        ck_assert_int_eq(run_command(&said, "getfacl -cpE %s", in_mount("d/file")), 0);
        ck_assert_str_eq(said, "user::rw-\nuser:64201:rw-\ngroup::---\nmask::rw-\nother::---\n\n");
}
END_TEST

static void change_setid(void *data) {
        int fd;

        become_other();
        fd = must_open(in_mount("setid"), O_RDWR, 0);
        switch (*(const char *)data) {
        case 'w':
                ck_assert_int_eq(write(fd, "x", 1), 1);
                break;
        case 't':
                must(ftruncate(fd, 1));
                break;
        case 'o':
                must(close(must_open(in_mount("setid"), O_WRONLY | O_TRUNC, 0)));
                break;
        case 'a':
                must(fallocate(fd, 0, 0, 100));
                break;
        case 's':
                must(fsetxattr(fd, "user.regionfs.logical_length", "3", 1, 0));
                break;
        }
}

START_TEST(a_change_by_another_takes_setid_bits_off) {
        static const char *const changes[] = { "write", "truncate", "open", "allocate", "set" };

        for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
                must_write(in_mount("setid"), "program");
                must(chmod(in_mount("setid"), 06777));
                check_node("setid", 0, 0, 06777);
                run_process(change_setid, (void *)changes[i]);
                check_node("setid", 0, 0, 0777);
        }
}
END_TEST

/* With passthrough a write is the pool's to settle, by its owner's rights. */
START_TEST(without_execution_the_group_bit_goes_by_who_is_in_the_group) {
        static const char *const changes[] = { "truncate", "open", "allocate", "set" };

        for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
                must_write(in_mount("setid"), "program");
                must(chmod(in_mount("setid"), 06767));
                run_process(change_setid, (void *)changes[i]);
                check_node("setid", 0, 0, 0767);
                must(chown(in_mount("setid"), 0, TEAM));
                must_write(in_mount("setid"), "program");
                must(chmod(in_mount("setid"), 06767));
                run_process(change_setid, (void *)changes[i]);
                check_node("setid", 0, TEAM, 02767);
                must(unlink(in_mount("setid")));
        }
}
END_TEST

START_TEST(owners_can_be_changed_by_root) {
        must_write(in_mount("a"), "a");
        must(chown(in_mount("a"), OTHER, OTHER_GROUP));
        check_node("a", OTHER, OTHER_GROUP, 0644);
        must(symlink("a", in_mount("l")));
        must(lchown(in_mount("l"), OTHER, TEAM));
        check_node("l", OTHER, TEAM, 0777);
        check_node("a", OTHER, OTHER_GROUP, 0644);
}
END_TEST

START_TEST(devices_and_setid_programs_have_no_power) {
        must(mknod(in_mount("null"), S_IFCHR | 0666, makedev(1, 3)));
        must_fail(open(in_mount("null"), O_RDONLY), EACCES);
        ck_assert_int_eq(run_command(NULL, "grep -q ' %s fuse.regionfs .*nosuid,nodev' /proc/mounts", fixture_mountpoint()),
                         0);
}
END_TEST

static void list_names(void *data) {
        char names[1024];
        ssize_t size;

        become_other();
        size = listxattr(in_mount("a"), names, sizeof(names));
        must(size);
        for (char *name = names; name < names + size; name += strlen(name) + 1)
                ck_assert_msg(!g_str_has_prefix(name, "trusted."), "%s is listed", name);
}

START_TEST(trusted_names_are_for_root_alone) {
        char names[1024];

        must_write(in_mount("a"), "a");
        must(setxattr(in_mount("a"), "trusted.secret", "1", 1, 0));
        run_process(list_names, NULL);
        ck_assert_ptr_nonnull(memmem(names, listxattr(in_mount("a"), names, sizeof(names)), "trusted.secret", 14));
}
END_TEST

static void create_or_open_secret(void *data) {
        become_other();
        must_fail(open(data, O_RDWR | O_CREAT, 0600), EACCES);
        must_fail(open(data, O_WRONLY | O_CREAT | O_TRUNC, 0600), EACCES);
}

START_TEST(a_name_that_someone_else_took_is_checked) {
        g_autofree char *pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        g_autofree char *option = g_strdup_printf("pool=%s,mode=1777", pool);
        g_autofree char *secret = g_build_filename(pool, "secret", NULL);

        fixture_unmount();
        fixture_mount(option);
        must_fail(access(in_mount("secret"), F_OK), ENOENT);
        must_write(secret, "made by another daemon of the same directory");
        must(chmod(secret, 0600));
        run_process(create_or_open_secret, (void *)in_mount("secret"));
        must_read(secret, "made by another daemon of the same directory");
        must(unlink(secret));
        fixture_unmount();
        must(rmdir(pool));
        fixture_mount(NULL);
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "rights");

        tcase_add_test(tests, new_nodes_belong_to_their_maker);
        tcase_add_test(tests, a_second_user_gets_what_the_modes_say);
        tcase_add_test(tests, supplementary_groups_and_setgid_directories_count);
        tcase_add_test(tests, acls_give_and_take_rights);
        tcase_add_test(tests, a_change_by_another_takes_setid_bits_off);
        tcase_add_test(tests, without_execution_the_group_bit_goes_by_who_is_in_the_group);
        tcase_add_test(tests, trusted_names_are_for_root_alone);
        tcase_add_test(tests, a_name_that_someone_else_took_is_checked);
        tcase_add_test(tests, owners_can_be_changed_by_root);
        tcase_add_test(tests, devices_and_setid_programs_have_no_power);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "rights", add);
}
