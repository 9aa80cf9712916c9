/* regionctl set, seal, rm and wait. */
#include "regionctl.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

START_TEST(regions_are_set) {
        struct stat st;

        must_write(in_mount("a"), "text");
        must_write(in_mount("b"), "text");
        expect(0, NULL, "$ctl set a b lifetime=handles allocation=committed length=10k mode=0640");
        for (const char *name = "a"; name; name = *name == 'a' ? "b" : NULL) {
                st = must_stat(name);
                ck_assert_int_eq(st.st_size, 10240);
                ck_assert_int_ge(st.st_blocks * 512, 10240);
                ck_assert_uint_eq(st.st_mode, S_IFREG | 0640);
                check_attribute(name, REGIONFS_ATTRIBUTE_LIFETIME, "handles");
                check_attribute(name, REGIONFS_ATTRIBUTE_ALLOCATION, "committed");
        }
        expect(0, NULL, "$ctl set --reset lifetime a --reset allocation length=0");
        check_attribute("a", REGIONFS_ATTRIBUTE_LIFETIME, "kept");
        check_attribute("a", REGIONFS_ATTRIBUTE_ALLOCATION, "delayed");
        ck_assert_int_eq(must_stat("a").st_size, 0);
        expect(0, NULL, "$ctl set a mode=400 && $ctl set a mode=4777");
        ck_assert_uint_eq(must_stat("a").st_mode, S_IFREG | 04777);
        expect(0, NULL, "$ctl set a sealed=1");
        check_attribute("a", REGIONFS_ATTRIBUTE_SEALED, "1");
        expect(6, "cannot set length of a: Operation not permitted", "$ctl set a length=1");
        /* Changes come in the order given. */
        expect(0, NULL, "echo >c; $ctl set c length=7 sealed=1 mode=0");
        ck_assert_int_eq(must_stat("c").st_size, 7);
        expect(0, NULL, "echo >d=e; $ctl set ./d=e length=3");
        ck_assert_int_eq(must_stat("d=e").st_size, 3);
}
END_TEST

START_TEST(directories_are_set) {
        expect(0, NULL, "mkdir d; $ctl set d allocation=committed lifetime=handles mode=750\n"
                        "$ctl create d/a --size 5000");
        ck_assert_uint_eq(must_stat("d").st_mode, S_IFDIR | 0750);
        check_attribute("d/a", REGIONFS_ATTRIBUTE_ALLOCATION, "committed");
        check_attribute("d/a", REGIONFS_ATTRIBUTE_LIFETIME, "handles");
        ck_assert_int_eq(must_stat("d/a").st_blocks * 512, 8192);
        expect(0, NULL, "$ctl set d --reset allocation --reset lifetime; echo >d/b");
        check_attribute("d/b", REGIONFS_ATTRIBUTE_ALLOCATION, "delayed");
        check_attribute("d/b", REGIONFS_ATTRIBUTE_LIFETIME, "kept");
}
END_TEST

/* There is a region a, a directory d, a link to it and one out of the mount. */
static const struct {
        int status;
        const char *command, *part;
} bad[] = {
        { 2, "set", "needs the NAME" },
        { 2, "set a", "needs an ATTRIBUTE=VALUE" },
        { 2, "set mode=600", "needs the NAME" },
        { 2, "set a mode=600 colour=blue", "colour=blue is not allowed: what can be set is allocation, length" },
        { 2, "set a mode=600 =blue", "what can be set is" },
        { 2, "set a mode=600 lifetime=", "lifetime takes kept or handles" },
        { 2, "set a mode=600 allocation=some", "allocation takes delayed or committed" },
        { 2, "set a mode=600 length=1.5k", "length takes a number of bytes" },
        { 2, "set a mode=600 length=-1", "length takes a number of bytes" },
        { 2, "set a mode=600 sealed=0", "nothing unseals a region" },
        { 2, "set a mode=rw", "mode takes octal permissions from 0 to 7777" },
        { 2, "set a mode=600 --reset mode", "--reset mode is not allowed: it takes allocation or lifetime" },
        { 2, "set a mode=600 --set x", "--set" },
        { 2, "set a d mode=600 length=1", "d is not a region: length can be set for regions alone" },
        { 2, "set a pipe mode=600", "pipe is not a region: mode can be set for regions and directories alone" },
        { 2, "set a out mode=600", "out leads out of the regionfs mount" },
        { 2, "set a / mode=600", "/ is not in a regionfs mount" },
        { 3, "set a no mode=600", "cannot find no: No such file or directory" },
        { 2, "seal", "needs the NAME" },
        { 2, "seal d", "d is not a region" },
        { 3, "seal no", "cannot find no" },
        { 2, "seal --hard a", "--hard" },
        { 2, "rm", "needs the NAME" },
        { 3, "rm no", "cannot remove no" },
        { 1, "rm .", "it is a directory (rmdir removes those)" },
        { 2, "rm /etc/hostname", "not in a regionfs mount" },
        { 2, "wait", "needs the NAME" },
        { 2, "wait a b", "b is too much" },
        { 2, "wait d/", "\"d/\" is not allowed" },
        { 2, "wait a --timeout soon", "--timeout=soon is not allowed: it takes a number of seconds" },
        { 2, "wait a --timeout -1", "number of seconds" },
        { 2, "wait a --timeout 3155760001", "from 0 to 3155760000" },
        { 2, "wait a --timeout 1s", "number of seconds" },
        { 2, "wait /x", "not in a regionfs mount" },
        { 3, "wait no/x", "cannot find the directory of no/x" },
        { 2, "polish a", "there is no verb polish" },
        { 2, "rm ''", "\"\" is not allowed: it takes a path" },
        { 2, "seal ''", "\"\" is not allowed" },
        { 2, "set '' mode=600", "\"\" is not allowed" },
};

START_TEST(bad_input_changes_nothing) {
        g_autofree char *script = g_strdup_printf("echo >a; chmod 644 a; mkdir d; mkfifo pipe\n"
                                                  "ln -s /etc/passwd out; $ctl %s", bad[_i].command);

        expect(bad[_i].status, bad[_i].part, script);
        ck_assert_uint_eq(must_stat("a").st_mode, S_IFREG | 0644);
        ck_assert_int_eq(must_stat("a").st_size, 1);
        check_attribute("a", REGIONFS_ATTRIBUTE_SEALED, "0");
        ck_assert_uint_eq(must_stat("d").st_mode, S_IFDIR | 0755);
}
END_TEST

START_TEST(every_verb_has_help) {
        static const char *const verbs[] = { "create", "rm", "seal", "set", "wait" };

        for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
                g_autofree char *script = g_strdup_printf("$ctl %s --help", verbs[i]);

                expect(0, "Examples:\n  regionctl ", script);
                expect(0, verbs[i], "$ctl --help");
        }
}
END_TEST

START_TEST(seal_waits_a_moment_only) {
        expect(7, "cannot seal a: Device or resource busy (regionctl stat shows who uses it)",
               "exec 9>a; echo text >&9; $ctl seal a");
        check_attribute("a", REGIONFS_ATTRIBUTE_SEALED, "0");
        /* One that has just been closed is not in the way, though the daemon may hear of it later. */
        for (int i = 0; i < 20; i++)
                expect(0, NULL, "echo text >b; $ctl seal b && rm b");
        /* The others are sealed, and the first failure counts. */
        expect(7, "cannot seal a", "exec 9>>a; echo >b; $ctl seal a no b");
        check_attribute("b", REGIONFS_ATTRIBUTE_SEALED, "1");
        expect(0, NULL, "$ctl seal a b");
        check_attribute("a", REGIONFS_ATTRIBUTE_SEALED, "1");
}
END_TEST

START_TEST(rm_removes_what_it_can) {
        expect(3, "cannot remove no", "echo >a; echo >b; $ctl rm a no b");
        ck_assert_uint_eq(names(), 0);
        expect(0, NULL, "echo >a; $ctl rm --force no a; $ctl rm -f a no/x");
        ck_assert_uint_eq(names(), 0);
}
END_TEST

START_TEST(rm_says_who_may) {
        if (fixture_mode() == MODE_USER)
                return;
        /* By a copy, as the original may be out of that user's reach. */
        expect(6, "cannot remove a: Operation not permitted (where the directory is sticky,",
               "echo >a; $ctl seal a; cp \"$ctl\" ../ctl; chmod 755 ..\n"
               "setpriv --reuid 65534 --regid 65534 --clear-groups ../ctl rm a; status=$?; rm ../ctl; exit $status");
        expect(0, NULL, "$ctl rm a");
}
END_TEST

START_TEST(names_may_begin_with_a_dash) {
        expect(0, NULL, "echo >./-a; echo >b; $ctl set mode=600 b -- -a; $ctl set -- -a mode=640; $ctl wait -- -a\n"
                        "$ctl seal -- b -a && $ctl rm b -- -a");
        ck_assert_uint_eq(names(), 0);
        expect(0, NULL, "echo >./--; $ctl rm -- --");
        ck_assert_uint_eq(names(), 0);
}
END_TEST

START_TEST(persisted_regions_cannot_be_sealed) {
        static const char *const reason = "cannot seal a: a persisted region's file can be written by its path";

        expect(1, reason, "echo >../file; $ctl create a --from-file ../file; $ctl seal a");
        expect(1, "so it cannot be sealed", "$ctl set a sealed=1; status=$?; rm ../file; exit $status");
}
END_TEST

START_TEST(output_that_fails_is_told) {
        expect(1, "regionctl: cannot print all of it: No space left on device", "echo >a; $ctl ls -l >/dev/full");
        expect(1, "regionctl: cannot print all of it", "$ctl --help >/dev/full");
        expect(1, "regionctl: cannot print all of it", "$ctl ls --help >/dev/full");
        expect(1, "regionctl: cannot print all of it", "$ctl ls --json >&-");
}
END_TEST

/* Whether the process has a watch, or as many as that. */
static bool watches(pid_t process, unsigned many) {
        g_autofree char *directory = g_strdup_printf("/proc/%d/fdinfo", process);
        g_autoptr(GDir) descriptors = g_dir_open(directory, 0, NULL);
        const char *name;
        unsigned count = 0;

        while (descriptors && (name = g_dir_read_name(descriptors))) {
                g_autofree char *path = g_build_filename(directory, name, NULL);
                g_autofree char *info = NULL;

                if (!g_file_get_contents(path, &info, NULL, NULL))
                        continue;
                for (const char *at = info; (at = strstr(at, "inotify wd:")); at++)
                        count++;
        }
        return count >= many;
}

/* regionctl wait with the option or NULL, which watches when this returns. */
static pid_t start_wait(const char *name, const char *option) {
        bool gone = g_strcmp0(option, "--gone") == 0;
        pid_t process = fork();

        if (process == 0) {
                execl(fixture_regionctl(), "regionctl", "wait", in_mount(name), option, NULL);
                _exit(127);
        }
        for (int waited = 0; !watches(process, gone ? 2 : 1); waited += 1000) {
                ck_assert_msg(waited < PATIENCE_US, "it does not watch");
                g_usleep(1000);
        }
        return process;
}

/* It waits still. */
static void check_waits(pid_t process) {
        g_usleep(20000);
        ck_assert_int_eq(waitpid(process, NULL, WNOHANG), 0);
}

static int end_of_wait(pid_t process) {
        int status;

        must(waitpid(process, &status, 0));
        ck_assert_msg(WIFEXITED(status), "wait ended with status %#x", status);
        return WEXITSTATUS(status);
}

static void check_waited(pid_t process, int expected) {
        ck_assert_int_eq(end_of_wait(process), expected);
}

START_TEST(wait_until_it_is_there) {
        /* However it gets its name. */
        static const char *const ways[] = {
                "$ctl create a --size 1", ": >a", ": >b; mv b a", ": >b; ln b a", "mkdir d; : >d/b; mv d/b a",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
                pid_t process = start_wait("a", NULL);

                expect(0, NULL, "echo >other; rm other");
                check_waits(process);
                expect(0, NULL, ways[i]);
                check_waited(process, 0);
                expect(0, NULL, "$ctl wait a --timeout 0; rm -rf *");
        }
}
END_TEST

START_TEST(wait_until_it_is_gone) {
        static const char *const ways[] = { "$ctl rm a", "mv a b", "mkdir d; mv a d", "rm a; : >a", "ln a b; rm a" };

        for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
                pid_t process;

                must_write(in_mount("a"), "text");
                process = start_wait("a", "--gone");
                expect(0, NULL, "echo more >>a; $ctl set a mode=600");
                check_waits(process);
                expect(0, NULL, ways[i]);
                check_waited(process, 0);
                expect(0, NULL, "rm -rf *; $ctl wait a --gone --timeout 0");
        }
}
END_TEST

START_TEST(wait_for_one_that_ends_by_itself) {
        for (int i = 0; i < 5; i++) {
                int fd = must_open(in_mount("a"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                pid_t process;

                must(fsetxattr(fd, REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
                process = start_wait("a", "--gone");
                check_waits(process);
                must(close(fd));
                check_waited(process, 0);
                ck_assert_uint_eq(names(), 0);
        }
}
END_TEST

START_TEST(wait_has_a_time_limit) {
        gint64 begun = g_get_monotonic_time();

        expect(8, "a is not there: the time is up", "$ctl wait a --timeout 0.3");
        ck_assert_int_ge(g_get_monotonic_time() - begun, 300000);
        expect(8, "a is still there: the time is up", ": >a; $ctl wait a --gone --timeout 0");
        expect(0, NULL, "$ctl wait a --timeout 1e3");
}
END_TEST

START_TEST(wait_needs_its_directory) {
        pid_t process;

        must(mkdir(in_mount("d"), 0755));
        process = start_wait("d/a", NULL);
        expect(0, NULL, "mv d e");
        check_waited(process, 3);
        process = start_wait("e/a", NULL);
        expect(0, NULL, "rmdir e");
        check_waited(process, 3);

        expect(0, NULL, "mkdir d; : >d/a");
        process = start_wait("d/a", "--gone");
        expect(0, NULL, "rm -r d");
        check_waited(process, 0);
}
END_TEST

START_TEST(wait_misses_nothing) {
        expect(0, NULL, "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do\n"
                        "  $ctl wait a --timeout 60 & one=$!\n"
                        "  $ctl create a --size 1\n"
                        "  wait $one || echo bad\n"
                        "  $ctl wait a --gone --timeout 60 & one=$!\n"
                        "  $ctl rm a\n"
                        "  wait $one || echo bad\n"
                        "done");
}
END_TEST

/* Nothing more can come of the mount. */
START_TEST(wait_ends_with_the_server) {
        pid_t server = fixture_server(), one, other;
        int status;

        must_write(in_mount("b"), "");
        one = start_wait("a", NULL);
        other = start_wait("b", "--gone");
        must(kill(fixture_daemon(), SIGKILL));
        must(waitpid(fixture_daemon(), NULL, 0));
        /* Last, as the keeper would put another one in its place. */
        must(kill(server, SIGKILL));
        check_waited(one, 1);
        status = end_of_wait(other);
        /* A user's mount is taken away then, and all that it shows with it, which may be what is seen first. */
        ck_assert(status == 1 || (status == 0 && fixture_mode() == MODE_USER));
}
END_TEST

static void end_dead(void) {
        run_command(NULL, "umount -l %s || fusermount3 -u -z %s", fixture_mountpoint(), fixture_mountpoint());
        fixture_remove();
}

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "change");

        tcase_add_test(tests, regions_are_set);
        tcase_add_test(tests, directories_are_set);
        tcase_add_loop_test(tests, bad_input_changes_nothing, 0, G_N_ELEMENTS(bad));
        tcase_add_test(tests, every_verb_has_help);
        tcase_add_test(tests, seal_waits_a_moment_only);
        tcase_add_test(tests, rm_removes_what_it_can);
        tcase_add_test(tests, rm_says_who_may);
        tcase_add_test(tests, names_may_begin_with_a_dash);
        tcase_add_test(tests, persisted_regions_cannot_be_sealed);
        tcase_add_test(tests, output_that_fails_is_told);

        tests = add_case(suite, "wait");
        tcase_add_test(tests, wait_until_it_is_there);
        tcase_add_test(tests, wait_until_it_is_gone);
        tcase_add_test(tests, wait_for_one_that_ends_by_itself);
        tcase_add_test(tests, wait_has_a_time_limit);
        tcase_add_test(tests, wait_needs_its_directory);
        tcase_add_test(tests, wait_misses_nothing);

        tests = tcase_create("dead");
        tcase_add_checked_fixture(tests, fixture_begin, end_dead);
        tcase_add_test(tests, wait_ends_with_the_server);
        suite_add_tcase(suite, tests);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "regionctl-change", add);
}
