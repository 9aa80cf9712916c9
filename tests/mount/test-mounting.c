/* How mount(8) and its relatives know a mount: the name it goes by, and what can be changed of it afterwards. */
#include "fixture.h"

#include <regionfs/regionfs.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

/* What findmnt(8) tells of the mount; to be freed. */
static char *tell(const char *column) {
        char *said = NULL;

        ck_assert_int_eq(run_command(&said, "findmnt -rn -o %s --mountpoint %s", column, fixture_mountpoint()), 0);
        return g_strchomp(said);
}

static void unmount(void) {
        ck_assert_int_eq(run_command(NULL, geteuid() == 0 ? "umount %s" : "fusermount3 -u %s", fixture_mountpoint()),
                         0);
        eventually(!is_mounted());
}

/* Mounted with these arguments before the mountpoint, it goes by that name. */
static void check_name(const char *arguments, const char *name) {
        g_autofree char *said = NULL, *source = NULL, *type = NULL;
        int status = run_command(&said, "%s %s %s", fixture_program(), arguments, fixture_mountpoint());

        ck_assert_msg(status == 0, "%s: status %d: %s", arguments, status, said);
        source = tell("SOURCE");
        type = tell("FSTYPE");
        ck_assert_str_eq(source, name);
        ck_assert_str_eq(type, "fuse.regionfs");
        unmount();
}

START_TEST(it_goes_by_the_source_that_it_was_given) {
        check_name("", "regionfs");
        check_name("NAME", "NAME");
        check_name("''", "regionfs");
        check_name("-o fsname=name", "name");
        check_name("-o fsname=name NAME", "name");
        check_name("-o fsname=first,fsname=last NAME", "last");
        check_name("-o subtype=regionfs NAME", "NAME");
}
END_TEST

static unsigned long flags(void) {
        struct statvfs fs;

        must(statvfs(fixture_mountpoint(), &fs));
        return fs.f_flag;
}

/* Its status and what it says (to be freed). */
static int remount(const char *options, char **said) {
        return run_command(said, "%s NAME %s -o remount,%s", fixture_program(), fixture_mountpoint(), options);
}

static void must_remount(const char *options) {
        g_autofree char *said = NULL;
        int status = remount(options, &said);

        ck_assert_msg(status == 0 && !*said, "%s: status %d: %s", options, status, said);
}

START_TEST(flags_of_the_mount_can_be_changed) {
        uint64_t server = number_of(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SERVER_PID);

        must_write(in_mount("a"), "before");
        must_remount("ro");
        must_fail(open(in_mount("a"), O_WRONLY), EROFS);
        must_fail(mkdir(in_mount("b"), 0700), EROFS);
        must_read(in_mount("a"), "before");
        must_remount("rw,noexec");
        must_write(in_mount("a"), "after");
        ck_assert_uint_eq(flags() & (ST_NOEXEC | ST_NOSUID | ST_NODEV), ST_NOEXEC | ST_NOSUID | ST_NODEV);
        must_remount("exec,suid,dev");
        ck_assert_uint_eq(flags() & (ST_NOEXEC | ST_NOSUID | ST_NODEV), ST_NOSUID | ST_NODEV);
        ck_assert_uint_eq(number_of(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SERVER_PID), server);
        must_read(in_mount("a"), "after");
}
END_TEST

/* As mount(8) says again what it finds in /proc/mounts. */
START_TEST(what_the_mount_was_made_with_may_be_said_again) {
        must_remount("ro,nosuid,nodev,relatime,user_id=0,group_id=0,default_permissions,allow_other,max_read=131072,fsname=x");
        ck_assert_uint_ne(flags() & ST_RDONLY, 0);
        must_remount("rw");
}
END_TEST

START_TEST(what_stays_as_it_was_is_told) {
        struct statvfs before, after;
        g_autofree char *said = NULL;

        must(statvfs(fixture_mountpoint(), &before));
        ck_assert_int_eq(remount("size=1m,ro,nr_regions=3", &said), 0);
        ck_assert_msg(strstr(said, "stay as they were") && strstr(said, "size, nr_regions"), "%s", said);
        ck_assert_uint_ne(flags() & ST_RDONLY, 0);
        must(statvfs(fixture_mountpoint(), &after));
        ck_assert_uint_eq(after.f_blocks, before.f_blocks);
        /* Not what it was made with. */
        must_remount(fixture_mode() == MODE_CACHED ? "rw,passthrough=off" : "rw,passthrough=auto");
}
END_TEST

START_TEST(what_is_no_flag_is_refused) {
        g_autofree char *said = NULL;

        ck_assert_int_eq(remount("ro,colour", &said), 1);
        ck_assert_msg(strstr(said, "option colour is not allowed with remount"), "%s", said);
        ck_assert_uint_eq(flags() & ST_RDONLY, 0);
}
END_TEST

START_TEST(only_root_remounts) {
        g_autofree char *said = NULL;

        ck_assert_int_eq(remount("ro", &said), 1);
        ck_assert_msg(strstr(said, "cannot remount") && strstr(said, "it takes root"), "%s", said);
        ck_assert_uint_eq(flags() & ST_RDONLY, 0);
}
END_TEST

START_TEST(where_none_is_mounted_none_is_remounted) {
        g_autofree char *said = NULL;

        ck_assert_int_eq(remount("ro", &said), 1);
        ck_assert_msg(strstr(said, "no regionfs is mounted there"), "%s", said);
        ck_assert(!is_mounted());
}
END_TEST

/* mount(8) finds the program in a standard place: in a mount namespace of its own it stands in one. */
START_TEST(mount_knows_it_and_remounts_it) {
        g_autofree char *said = NULL;
        int status;

        status = run_command(&said,
                             "unshare -m sh -e <<'SCRIPT'\n"
                             "mount -t tmpfs none /usr/local/sbin\n"
                             "cp %s /usr/local/sbin/regionfs\n"
                             "cd %s\n"
                             "mount -t fuse.regionfs NAME mount -o size=3m\n"
                             "test \"$(df --output=source mount | tail -n 1)\" = NAME\n"
                             "echo text >mount/a\n"
                             "mount -o remount,ro $PWD/mount\n"
                             "! echo other 2>/dev/null >mount/a\n"
                             "test $(cat mount/a) = text\n"
                             "mount -o remount,rw $PWD/mount\n"
                             "echo other >mount/a\n"
                             "umount NAME\n"
                             "! findmnt --mountpoint mount\n"
                             "mount.fuse3 regionfs#OTHER $PWD/mount\n"
                             "test \"$(df --output=source mount | tail -n 1)\" = OTHER\n"
                             "umount mount\n"
                             "SCRIPT",
                             fixture_program(), fixture_directory());
        ck_assert_msg(status == 0, "status %d: %s", status, said);
}
END_TEST

START_TEST(what_is_unlisted_is_there_all_the_same) {
        char names[256];

        fixture_mount("unlisted");
        must_write(in_mount("a"), "text");
        ck_assert_int_eq(listxattr(in_mount("a"), names, sizeof(names)), 0);
        ck_assert_uint_eq(number_of(in_mount("a"), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH), 4);
        must(setxattr(in_mount("a"), "user.other", "1", 1, 0));
        ck_assert_int_eq(listxattr(in_mount("a"), names, sizeof(names)), strlen("user.other") + 1);
        ck_assert_str_eq(names, "user.other");
        fixture_unmount();
}
END_TEST

/* As on tmpfs, a page that is touched for the first time sets times; and that is told to whoever looks then. */
START_TEST(attributes_are_asked_for_each_time) {
        struct statx before, after;
        char *view;
        int fd;

        fixture_mount("attr_timeout=0");
        fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);
        must(ftruncate(fd, 4096));
        view = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(view, MAP_FAILED);
        must(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &before));
        ck_assert_uint_eq(before.stx_blocks, 0);
        g_usleep(20000);
        view[0] = 1;
        must(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &after));
        ck_assert_uint_eq(after.stx_blocks, 8);
        ck_assert_int_gt(after.stx_mtime.tv_sec * G_GINT64_CONSTANT(1000000000) + after.stx_mtime.tv_nsec,
                         before.stx_mtime.tv_sec * G_GINT64_CONSTANT(1000000000) + before.stx_mtime.tv_nsec);
        must(munmap(view, 4096));
        must(close(fd));
        fixture_unmount();
}
END_TEST

static void add(Suite *suite) {
        TCase *names = tcase_create("names"), *changes = add_case(suite, "changes"), *options = tcase_create("options");

        tcase_add_checked_fixture(names, fixture_prepare, fixture_remove);
        tcase_add_test(names, it_goes_by_the_source_that_it_was_given);
        tcase_add_test(names, where_none_is_mounted_none_is_remounted);
        add_test_if(names, mount_knows_it_and_remounts_it, geteuid() == 0, "needs root");
        suite_add_tcase(suite, names);

        add_test_if(changes, flags_of_the_mount_can_be_changed, geteuid() == 0, "needs root");
        add_test_if(changes, what_the_mount_was_made_with_may_be_said_again, geteuid() == 0, "needs root");
        add_test_if(changes, what_stays_as_it_was_is_told, geteuid() == 0, "needs root");
        tcase_add_test(changes, what_is_no_flag_is_refused);
        add_test_if(changes, only_root_remounts, geteuid() != 0, "is about users");

        tcase_add_test(options, what_is_unlisted_is_there_all_the_same);
        add_test_if(options, attributes_are_asked_for_each_time, fixture_mode() == MODE_PASSTHROUGH,
                    "needs passthrough");
        suite_add_tcase(suite, options);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "mounting", add);
}
