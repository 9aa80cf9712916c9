/* How mount(8) and its relatives know a mount: the name it goes by, and what can be changed of it afterwards. */
#include "fixture.h"

#include <linux/capability.h>
#include <regionfs/regionfs.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#define MIB (1024 * 1024)

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
        must_remount("noatime");
        ck_assert_uint_eq(flags() & (ST_NOEXEC | ST_NOATIME | ST_RDONLY), ST_NOEXEC | ST_NOATIME);
        must_remount("exec,suid,dev");
        ck_assert_uint_eq(flags() & (ST_NOEXEC | ST_NOSUID | ST_NODEV | ST_NOATIME), ST_NOSUID | ST_NODEV | ST_NOATIME);
        must_remount("ro");
        must_remount("exec");
        ck_assert_uint_eq(flags() & (ST_NOEXEC | ST_RDONLY), ST_RDONLY);
        /* As mount(8) says that it is to be neither noexec nor noatime. */
        must_remount("rw,noexec");
        must_remount("rw,relatime");
        ck_assert_uint_eq(flags() & (ST_NOEXEC | ST_NOATIME | ST_RDONLY), 0);
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
        g_autofree char *said = NULL;

        ck_assert_int_eq(remount("huge=never,ro,lifetime=handles", &said), 0);
        ck_assert_msg(strstr(said, "stay as they were") && strstr(said, "huge, lifetime"), "%s", said);
        ck_assert_uint_ne(flags() & ST_RDONLY, 0);
        g_clear_pointer(&said, g_free);
        ck_assert_int_eq(remount("ro,unlisted,attr_timeout=7,max_threads=3,watchdog=77", &said), 0);
        ck_assert_msg(strstr(said, ": unlisted, attr_timeout, max_threads, watchdog\n"), "%s", said);
        /* Not what it was made with. */
        must_remount(fixture_mode() == MODE_CACHED ? "rw,passthrough=off" : "rw,passthrough=auto");
}
END_TEST

static void check_limits(uint64_t size, uint64_t regions) {
        struct statvfs fs;

        must(statvfs(fixture_mountpoint(), &fs));
        ck_assert_uint_eq(fs.f_blocks * fs.f_frsize, size);
        ck_assert_uint_eq(number_of(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SIZE), size);
        ck_assert_uint_eq(number_of(fixture_mountpoint(), REGIONFS_ATTRIBUTE_NR_REGIONS), regions);
}

START_TEST(limits_can_be_changed) {
        uint64_t half = (uint64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / 2;
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);

        must_remount("size=1m,nr_regions=3");
        check_limits(MIB, 3);
        must(posix_fallocate(fd, 0, MIB));
        ck_assert_int_eq(posix_fallocate(fd, 0, MIB + 1), ENOSPC);
        must_remount("size=3m");
        check_limits(3 * MIB, 3);
        must(posix_fallocate(fd, 0, 3 * MIB));
        must_write(in_mount("b"), "");
        must_write(in_mount("c"), "");
        must_fail(open(in_mount("d"), O_RDWR | O_CREAT, 0600), ENOSPC);
        must(close(fd));
        must_remount("nr_regions=4,ro");
        must_remount("rw,size=5000000");
        check_limits((5000000 + 4095) / 4096 * 4096, 4);
        must_write(in_mount("d"), "");
        must_remount("size=50%");
        check_limits((half + 4095) / 4096 * 4096, 4);
}
END_TEST

START_TEST(a_new_server_has_what_the_last_one_was_told) {
        must_remount("size=5m,nr_regions=4");
        must(kill(fixture_server(), SIGKILL));
        check_limits(5 * MIB, 4);
        must_remount("size=6m");
        check_limits(6 * MIB, 4);
}
END_TEST

static void must_refuse(const char *options, const char *why) {
        g_autofree char *said = NULL;

        ck_assert_int_eq(remount(options, &said), 1);
        ck_assert_msg(strstr(said, why), "%s: %s", options, said);
}

START_TEST(limits_below_what_is_in_use_are_refused) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);

        must(posix_fallocate(fd, 0, 2 * MIB));
        must_write(in_mount("b"), "");
        must_remount("size=4m,nr_regions=5");
        must_refuse("size=1m", "option size=1048576: more than that is in use");
        must_refuse("size=3m,nr_regions=1", "option nr_regions=1: more than that is in use");
        check_limits(4 * MIB, 5);
        /* Someone can write. */
        must_refuse("size=8m,ro", "someone has a region open for writing");
        check_limits(4 * MIB, 5);
        must(close(fd));
        must_remount("ro");
        must_refuse("size=8m,ro,noexec", "no limit can be set while the mount is read-only");
        must_refuse("size=1m,rw,noexec", "option size=1048576: more than that is in use");
        ck_assert_uint_eq(flags() & (ST_RDONLY | ST_NOEXEC), ST_RDONLY);
        must_remount("size=4m,ro");
        check_limits(4 * MIB, 5);
        must_remount("rw");
        must_fail(setxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SIZE, "0", 1, 0), EINVAL);
        must_fail(setxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SIZE, "1m", 2, 0), EINVAL);
        must_fail(setxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_NR_REGIONS, "99999999999999999999", 20, 0), EINVAL);
        must_fail(removexattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SIZE), EPERM);
        check_limits(4 * MIB, 5);
}
END_TEST

static void drop_capabilities(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

        must(syscall(SYS_capset, &header, none));
}

static void must_not_administer(void) {
        must_fail(setxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SIZE, "4096", 4, 0), EPERM);
        must_fail(setxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_NR_REGIONS, "7", 1, 0), EPERM);
        must_fail(setxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_ACCESS_TIMES, "noatime", 7, 0), EPERM);
}

static void try_without_capabilities(void *data) {
        drop_capabilities();
        must_not_administer();
}

static void try_from_a_user_namespace(void *data) {
        must(unshare(CLONE_NEWUSER));
        must_not_administer();
}

/* As in a container: root by number alone. */
START_TEST(root_that_could_not_remount_sets_nothing) {
        uint64_t size = number_of(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SIZE);
        uint64_t regions = number_of(fixture_mountpoint(), REGIONFS_ATTRIBUTE_NR_REGIONS);

        run_process(try_without_capabilities, NULL);
        run_process(try_from_a_user_namespace, NULL);
        check_limits(size, regions);
        must(setxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SIZE, "4096", 4, 0));
        check_limits(4096, regions);
}
END_TEST

START_TEST(a_directory_has_no_limits_of_its_own) {
        must_fail(getxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SIZE, NULL, 0), ENODATA);
        must_fail(setxattr(fixture_mountpoint(), REGIONFS_ATTRIBUTE_NR_REGIONS, "9", 1, 0), ENODATA);
        must_fail(getxattr(in_mount("nothing"), REGIONFS_ATTRIBUTE_SIZE, NULL, 0), ENOENT);
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
                             "if echo other 2>/dev/null >mount/a; then exit 1; fi\n"
                             "test $(cat mount/a) = text\n"
                             "mount -o remount,rw,size=5m $PWD/mount\n"
                             "test $(df --output=size mount | tail -n 1) = 5120\n"
                             "echo other >mount/a\n"
                             "umount NAME\n"
                             "if findmnt --mountpoint mount; then exit 1; fi\n"
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
        add_test_if(changes, limits_can_be_changed, geteuid() == 0, "needs root");
        add_test_if(changes, a_new_server_has_what_the_last_one_was_told, geteuid() == 0 && !fixture_over_uring(),
                    "is about a mount of root's that survives");
        add_test_if(changes, limits_below_what_is_in_use_are_refused, geteuid() == 0, "needs root");
        add_test_if(changes, root_that_could_not_remount_sets_nothing, geteuid() == 0, "needs root");
        add_test_if(changes, a_directory_has_no_limits_of_its_own, geteuid() != 0, "is about users");
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
