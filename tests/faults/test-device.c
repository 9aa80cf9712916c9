/* /dev/fuse and fusermount3, missing or not permitted, each in a mount namespace where it is so. */
#include "faults.h"

/* Run before it is hidden: what the shell needs of /dev. */
#define EMPTY_DEV                                                                                                      \
        "mount -t tmpfs none /dev; mkdir -m 1777 /dev/shm; mount -t tmpfs none /dev/shm; mknod -m 666 /dev/null c 1 3; "

#define AS_USER "setpriv --reuid 65534 --regid 65534 --clear-groups"

static void check_says(const char *hide, const char *as, const char *words) {
        g_autofree char *said = NULL;
        int status = run_command(&said, "unshare -m sh -e <<'SCRIPT'\n%s\nexec %s %s/regionfs %s\nSCRIPT", hide, as,
                                 fixture_directory(), fixture_mountpoint());

        ck_assert_msg(status == 1, "%s: status %d: %s", hide, status, said);
        ck_assert_msg(strstr(said, words), "%s: says %s", hide, said);
        ck_assert_msg(strchr(said, '\n') == said + strlen(said) - 1, "%s: says %s", hide, said);
        ck_assert(!is_mounted());
}

START_TEST(root_is_told_of_the_device) {
        check_says(EMPTY_DEV, "", "cannot open /dev/fuse: No such file or directory (modprobe fuse)");
        /* Nobody has that number. */
        check_says(EMPTY_DEV "mknod /dev/fuse c 10 4000", "", "cannot open /dev/fuse: No such device (modprobe fuse)");
        check_says(EMPTY_DEV "touch /dev/fuse", "", "cannot open /dev/fuse: it is not a device");
}
END_TEST

START_TEST(a_user_is_told_of_the_device_and_of_the_helper) {
        static const char as[] = AS_USER;

        must(chown(fixture_mountpoint(), 65534, 65534));
        check_says(EMPTY_DEV "mknod -m 600 /dev/fuse c 10 229", as, "failed to open /dev/fuse: Permission denied");
        check_says(EMPTY_DEV, as, "fuse device not found");
        check_says("mount --bind /dev/null $(readlink -f $(command -v fusermount3))", as,
                   "there is no fusermount3 in PATH that can be run: the package fuse3 has it");
        check_says("PATH=/nowhere", "/usr/bin/setpriv --reuid 65534 --regid 65534 --clear-groups",
                   "there is no fusermount3 in PATH that can be run: the package fuse3 has it");
}
END_TEST

static void prepare(void) {
        fixture_prepare();
        ck_assert_int_eq(run_command(NULL, "cp %s %s/regionfs", fixture_program(), fixture_directory()), 0);
}

static void finish(void) {
        ck_assert_int_eq(run_command(NULL, "rm %s/regionfs", fixture_directory()), 0);
        fixture_remove();
}

static void add(Suite *suite) {
        TCase *tests = tcase_create("device");

        tcase_add_checked_fixture(tests, prepare, finish);
        tcase_add_test(tests, root_is_told_of_the_device);
        add_test_if(tests, a_user_is_told_of_the_device_and_of_the_helper,
                    succeeds(AS_USER " true && command -v fusermount3"), "needs setpriv and fusermount3");
        suite_add_tcase(suite, tests);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "device", add);
}
