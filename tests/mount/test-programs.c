/* Programs that know nothing of regionfs. */
#include "fixture.h"

/* Runs a command in a directory of the test's own beside the mount, called mount; it must end well and say that. */
static void check_command(const char *command, const char *expected) {
        g_autofree char *said = NULL;
        int status = run_command(&said, "cd %s && { %s\n}", fixture_directory(), command);

        ck_assert_msg(status == 0, "%s: status %d: %s", command, status, said);
        if (expected)
                ck_assert_str_eq(said, expected);
}

START_TEST(cp_and_mv_keep_everything) {
        check_command("printf 'some text' >a && touch -d 2001-02-03T04:05:06.123456789 a && chmod 640 a", NULL);
        check_command("cp -a a mount/a", "");
        check_command("cp -a mount/a mount/b && cmp a mount/b && stat -c '%a %y' mount/b | cut -c1-33",
                      "640 2001-02-03 04:05:06.123456789\n");
        check_command("cp -a mount/b b && cmp a b && mv mount/b mount/c && cmp a mount/c", "");
        check_command("mv mount/c c && cmp a c && mv c mount/d && cmp a mount/d && rm a b", "");
}
END_TEST

START_TEST(getfattr_shows_a_useful_look) {
        check_command("printf 'thirteen char' >mount/a && getfattr -d mount/a",
                      "# file: mount/a\n"
                      "user.regionfs.logical_length=\"13\"\n"
                      "user.regionfs.padded_length=\"4096\"\n"
                      "user.regionfs.page_size=\"4096\"\n\n");
}
END_TEST

START_TEST(rsync_copies_with_attributes) {
        check_command("mkdir from && head -c 100000 /dev/urandom >from/a && printf x >from/b && mkdir from/d && "
                      "ln -s a from/l && printf y >from/d/c",
                      NULL);
        check_command("rsync -aX from/ mount/one/", "");
        check_command("rsync -aX mount/one/ mount/two/", "");
        check_command("rsync -aX mount/two/ mount/two-again/ && rsync -aX mount/two/ mount/two-again/", "");
        check_command("diff -r from mount/two-again && rm -r from mount/*", "");
}
END_TEST

START_TEST(tar_and_find_and_du_work) {
        check_command("mkdir -p mount/x/y && for i in 1 2 3; do printf $i >mount/x/y/$i; done", NULL);
        check_command("tar -C mount -cf mount/archive.tar x && mkdir mount/out && tar -C mount/out -xf mount/archive.tar "
                      "&& diff -r mount/x mount/out/x && find mount/out -type f | wc -l",
                      "3\n");
        check_command("du -s --apparent-size -B1 mount/x/y/1 | cut -f1; rm -r mount/*", "1\n");
}
END_TEST

START_TEST(shells_share_text) {
        check_command("echo one >mount/log && echo two >>mount/log && cat mount/log && sort -r mount/log | head -n 1 && "
                      "sed -i s/one/uno/ mount/log && grep -c uno mount/log",
                      "one\ntwo\ntwo\n1\n");
}
END_TEST

START_TEST(python_maps_a_region) {
        check_command("python3 - <<'PYTHON'\n"
                      "import mmap, os, subprocess, sys\n"
                      "fd = os.open('mount/shared', os.O_RDWR | os.O_CREAT | os.O_EXCL)\n"
                      "os.ftruncate(fd, 4096)\n"
                      "view = mmap.mmap(fd, 4096)\n"
                      "view[0:5] = b'hello'\n"
                      "print(subprocess.check_output(['head', '-c5', 'mount/shared']).decode())\n"
                      "subprocess.check_call('printf HELLO | dd of=mount/shared conv=notrunc status=none', shell=True)\n"
                      "print(view[0:5].decode())\n"
                      "PYTHON",
                      "hello\nHELLO\n");
}
END_TEST

START_TEST(programs_run_from_a_region) {
        check_command("cp /bin/true mount/true && chmod 755 mount/true && mount/true", "");
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "programs");

        tcase_add_test(tests, cp_and_mv_keep_everything);
        tcase_add_test(tests, getfattr_shows_a_useful_look);
        add_test_if(tests, rsync_copies_with_attributes, succeeds("command -v rsync"), "needs rsync");
        tcase_add_test(tests, tar_and_find_and_du_work);
        tcase_add_test(tests, shells_share_text);
        add_test_if(tests, python_maps_a_region, succeeds("command -v python3"), "needs python3");
        tcase_add_test(tests, programs_run_from_a_region);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "programs", add);
}
