/* regionctl ls and stat: what people and scripts see of regions, and of who has them. */
#include "regionctl-says.h"

#include <regionfs/regionfs.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define PAGE 4096

/* What regionctl says to the arguments must be this. */
static void check_command(int status, const char *expected, const char *arguments) {
        g_autofree char *said = NULL;
        int got = run_command(&said, "cd %s && $REGIONCTL %s", fixture_mountpoint(), arguments);

        ck_assert_msg(got == status, "regionctl %s: status %d: %s", arguments, got, said);
        ck_assert_str_eq(said, expected);
}

START_TEST(ls_of_an_empty_directory) {
        check_command(0, "", "ls");
        check_command(0, "MODE OWNER HANDLES LOGICAL PADDED RESIDENT LIFETIME ALLOCATION SEALED AGE NAME\n", "ls -l");
        check_command(0, "[]\n", "ls --json");
}
END_TEST

START_TEST(ls_prints_names_in_an_order) {
        must_write(in_mount("b"), "four");
        must_write(in_mount("a"), "");
        must_write(in_mount("c"), "longest");
        must(mkdir(in_mount("d"), 0755));
        must_write(in_mount("d/in"), "x");
        check_command(0, "a\nb\nc\nd/\n", "ls");
        check_command(0, "a\nb\nc\nd/\nd/in\n", "ls -R");
        check_command(0, "c\nb\na\nd/\n", "ls --sort logical");
        check_command(0, "d/\na\nb\nc\n", "ls --sort logical --reverse");
        check_command(0, "d/\nb\na\nc\n", "ls --sort age");
        check_command(0, "in\n", "ls d");
        check_command(0, "b\nd/in\n", "ls b d");
        check_command(0, "b\n", "ls -- b");
}
END_TEST

START_TEST(ls_prints_columns) {
        g_autofree char *said = NULL;
        int fd = must_open(in_mount("long-name"), O_RDWR | O_CREAT, 0640);

        must(ftruncate(fd, 3 << 20));
        must(setxattr(in_mount("long-name"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        ck_assert_int_eq(run_command(&said, "$REGIONCTL ls -l --human %s | tail -n 1 | sed -E 's/[0-9]+s /AGE /'",
                                     fixture_mountpoint()),
                         0);
        check_says(said, fixture_mode() == MODE_USER ? "-rw-r----- nobody       1 " : "-rw-r----- root        1 ");
        check_says(said, "   3.0M   3.0M        0 handles  delayed    no      AGE long-name\n");
        must(close(fd));
}
END_TEST

START_TEST(ls_prints_json) {
        must_write(in_mount("a"), "thirteen char");
        must(mkdir(in_mount("d"), 0755));
        must_become_unused(in_mount("a"));
        /* Whoever looks through all processes' descriptors may hold one open for a moment longer. */
        eventually(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_SEALED, "1", 1, 0) == 0);
        check_json("ls",
                   "len(x) == 2 and x[0][\"logical_length\"] == 13 and x[0][\"padded_length\"] == 4096 and "
                   "x[0][\"page_size\"] == 4096 and x[0][\"resident\"] > 0 and x[0][\"handles\"] == 0 and "
                   "x[0][\"sealed\"] is True and x[0][\"lifetime\"] == \"kept\" and x[0][\"allocation\"] == \"delayed\" and "
                   "x[0][\"id\"] == os.stat(\"a\").st_ino and x[0][\"uid\"] == os.getuid() and x[0][\"mode\"] == \"0644\" and "
                   "x[0][\"name\"] == \"a\" and x[0][\"path\"] == os.path.realpath(\"a\") and "
                   "abs(float(x[0][\"created\"]) - time.time()) < 100 and x[0][\"type\"] == \"region\" and "
                   "x[1][\"type\"] == \"directory\" and x[1][\"logical_length\"] is None and \"source\" not in x[0]");
}
END_TEST

START_TEST(names_that_are_no_text) {
        must_write(in_mount("bad\xff"), "");
        must_write(in_mount("new\nline"), "");
        check_json("ls",
                   "x[0][\"name\"] == \"bad\\ufffd\" and base64.b64decode(x[0][\"name_base64\"]) == b\"bad\\xff\" and "
                   "base64.b64decode(x[0][\"path_base64\"]) == os.fsencode(os.path.realpath(b\"bad\\xff\")) and "
                   "x[1][\"name\"] == \"new\\nline\" and \"name_base64\" not in x[1]");
        check_command(0, "bad\xff\nnew\nline\n", "ls");
        check_command(0, "bad\\377\nnew\\nline\n", "ls -l | tail -n +2 | sed \"s/.* //\"");
}
END_TEST

/* A region that ends when it is closed would end by being opened. */
START_TEST(looking_ends_nothing) {
        g_autofree char *said = NULL;
        int fd;

        must_write(in_mount("a"), "data");
        must(truncate(in_mount("a"), 4 << 20));
        must_become_unused(in_mount("a"));
        must(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        check_json("ls", "x[0][\"lifetime\"] == \"handles\"");
        check_json("stat a", "x[0][\"extents\"] is None and x[0][\"users\"] == []");
        ck_assert_int_eq(run_command(&said, "$REGIONCTL stat %s", in_mount("a")), 0);
        check_says(said, "not drawn: looking would end the region");
        g_usleep(50000);
        check_command(0, "a\n", "ls");
        /* While someone has it, it is drawn. */
        fd = must_open(in_mount("a"), O_RDWR, 0);
        check_json("stat a", "x[0][\"extents\"][0][\"offset\"] == 0");
        check_command(0, "a\n", "ls");
        must(close(fd));
}
END_TEST

/* A view alone keeps such a region too. */
START_TEST(a_view_is_enough_to_draw) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0644);
        char *view;

        ck_assert_int_eq(write(fd, "data", 4), 4);
        must(ftruncate(fd, 4 << 20));
        must(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        view = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
        ck_assert(view != MAP_FAILED);
        must(close(fd));
        check_json("stat a", "x[0][\"extents\"][0][\"offset\"] == 0");
        check_command(0, "a\n", "ls");
        must(munmap(view, PAGE));
}
END_TEST

/* Without the right to read: what stat(2) tells. */
START_TEST(what_may_not_be_read) {
        g_autofree char *said = NULL;
        int status;

        must_write(in_mount("a"), "secret");
        must(chmod(in_mount("a"), 0200));
        if (fixture_mode() == MODE_USER) {
                check_json("ls", "x[0][\"logical_length\"] == 6 and x[0][\"handles\"] is None and x[0][\"lifetime\"] is None and "
                                 "x[0][\"sealed\"] is None and x[0][\"created\"] is None");
                check_json("stat a", "x[0][\"extents\"] is None");
                return;
        }
        /* By a copy, as the original may be out of that user's reach. */
        status = run_command(&said, "cp $REGIONCTL %s/regionctl && cd / && chmod 755 %s/regionctl && "
                                    "setpriv --reuid 65534 --regid 65534 --clear-groups %s/regionctl ls -l %s; "
                                    "status=$?; rm %s/regionctl; exit $status",
                             fixture_directory(), fixture_directory(), fixture_directory(), fixture_mountpoint(),
                             fixture_directory());
        ck_assert_msg(status == 0, "%s", said);
        check_says(said, "root        -       6   4096");
}
END_TEST

START_TEST(what_is_not_there) {
        static const char *const delays[] = { "", "x", "0", "0.09", "-1", "1s", "86401", "nan" };
        const char *outside = "regionctl: /tmp is not in a regionfs mount "
                              "(mount -t fuse.regionfs shows where there are any)\n";

        check_command(3, "regionctl: cannot list none: No such file or directory (regionctl ls shows what is there)\n",
                      "ls none");
        check_command(3,
                      "regionctl: cannot look at none: No such file or directory (regionctl ls shows what is there)\n",
                      "stat none");
        check_command(2, outside, "ls /tmp");
        check_command(2, outside, "status /tmp");
        check_command(2, "regionctl: stat needs the NAME of a region: see regionctl stat --help\n", "stat");
        check_command(2, "regionctl: --sort takes name, logical, padded, resident, handles or age, and not x\n", "ls --sort x");
        check_command(2, "regionctl: top needs a terminal; regionctl ls -l prints the same once\n", "top");
        for (size_t i = 0; i < G_N_ELEMENTS(delays); i++) {
                g_autofree char *command = g_strdup_printf("top --delay=%s", delays[i]);
                g_autofree char *sentence = g_strdup_printf(
                        "regionctl: --delay=%s is not allowed: it takes a number of seconds from 0.1 to 86400\n", delays[i]);

                check_command(2, sentence, command);
        }
        /* What is there is listed all the same. */
        must_write(in_mount("a"), "");
        check_command(3, "a\n", "ls none a 2>/dev/null");
        must(symlink("/etc/passwd", in_mount("link")));
        check_command(0, "a\nlink\n", "ls");
        ck_assert_int_eq(run_command(NULL, "$REGIONCTL stat %s", in_mount("link")), 2);
}
END_TEST

/* A directory that can be read and not searched tells names; titles stand over nothing that failed. */
START_TEST(what_may_only_be_named) {
        must(mkdir(in_mount("d"), 0755));
        must_write(in_mount("d/a"), "text");
        must(chmod(in_mount("d"), 0444));
        check_command(0, "a\n", "ls d");
        check_command(0, "-????????? - - - - - - - - - a\n", "ls -l d | tail -n 1 | tr -s ' '");
        check_json("ls d", "x[0][\"name\"] == \"a\" and x[0][\"uid\"] is None and x[0][\"mode\"] is None and "
                           "x[0][\"logical_length\"] is None");
        check_command(3, "", "ls -l none 2>/dev/null");
        must(chmod(in_mount("d"), 0755));
}
END_TEST

START_TEST(the_longest_region) {
        check_command(0, "", "create a --size 9223372036854775807");
        check_json("ls", "x[0][\"logical_length\"] == 2**63 - 1 and x[0][\"padded_length\"] == 2**63");
        check_command(0, "9223372036854775807 9223372036854775808\n", "ls -l | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4,5");
}
END_TEST

/* With few descriptors, what lies deep is told and missed, and nothing else is. */
START_TEST(deep_trees_are_listed) {
        g_autofree char *said = NULL;

        ck_assert_int_eq(run_command(&said, "cd %s && python3 -c 'import os\n"
                                            "for i in range(100): os.mkdir(\"d\"); os.chdir(\"d\")' && "
                                            "touch z && $REGIONCTL ls -R | wc -l",
                                     fixture_mountpoint()),
                         0);
        ck_assert_str_eq(said, "101\n");
        g_clear_pointer(&said, g_free);
        ck_assert_int_eq(run_command(&said, "cd %s && ulimit -n 40 && $REGIONCTL ls -R 2>/dev/null", fixture_mountpoint()),
                         1);
        check_says(said, "d/d/d/d/\n");
        ck_assert_msg(g_str_has_suffix(said, "\nz\n"), "%s", said);
        ck_assert_int_eq(run_command(NULL, "rm -r %s/d", fixture_mountpoint()), 0);
}
END_TEST

/* Not even root may use a mount that a user has for himself alone. */
START_TEST(someone_elses_mount) {
        g_autofree char *said = NULL;
        int status;

        status = run_command(&said, "d=$(mktemp -d); chmod 755 $d; cp %s $d/regionfs; mkdir $d/m; chown 65534:65534 $d/m\n"
                                    "cd /; as='setpriv --reuid 65534 --regid 65534 --clear-groups'\n"
                                    "$as $d/regionfs $d/m >/dev/null 2>&1 || echo cannot mount\n"
                                    "$REGIONCTL ls $d/m; echo $?; $REGIONCTL stat $d/m/a; echo $?\n"
                                    "$REGIONCTL status\n"
                                    "$as fusermount3 -u $d/m; rm -r $d",
                             fixture_program());
        ck_assert_msg(status == 0, "%s", said);
        check_says(said, "/m: only the user who mounted the regionfs there may do so\n6\n");
        check_says(said, "/m/a: only the user who mounted the regionfs there may do so\n6\n");
        check_says(said, "/m is left out: only the user who mounted it may use it\n");
}
END_TEST

/* Regions come and go while they are listed: that is no failure. */
static void come_and_go(void *data) {
        for (;;)
                for (int i = 0; i < 40; i++) {
                        g_autofree char *name = g_strdup_printf("%s/fleeting-%d", fixture_mountpoint(), i);

                        close(open(name, O_RDWR | O_CREAT, 0600));
                        unlink(name);
                }
}

START_TEST(regions_that_go_away_are_skipped) {
        pid_t process;

        must_write(in_mount("a"), "");
        process = start_process(come_and_go, NULL);
        for (int i = 0; i < 20; i++) {
                g_autofree char *said = NULL;
                int status = run_command(&said, "$REGIONCTL ls -l %s", fixture_mountpoint());

                ck_assert_msg(status == 0 && !strstr(said, "regionctl:"), "%d: %s", status, said);
                check_says(said, " a\n");
        }
        must(kill(process, SIGKILL));
        must(waitpid(process, NULL, 0));
}
END_TEST

/* Without them memory comes as it is touched: page by page. An ordinary user's pool has none as a rule. */
static void begin_without_huge_pages(void) {
        fixture_mount(fixture_mode() == MODE_USER ? NULL : "huge=never");
}

START_TEST(stat_draws_what_has_memory) {
        g_autofree char *said = NULL;
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0644);

        must(ftruncate(fd, 4 * PAGE));
        ck_assert_int_eq(pwrite(fd, "x", 1, 0), 1);
        ck_assert_int_eq(pwrite(fd, "x", 1, 2 * PAGE), 1);
        must(close(fd));
        ck_assert_int_eq(run_command(&said, "LC_ALL=C $REGIONCTL stat %s", in_mount("a")), 0);
        check_says(said, "\n  #.#.\n");
        check_json("stat a", "x[0][\"extents\"] == [{\"offset\": 0, \"length\": 4096}, "
                             "{\"offset\": 8192, \"length\": 4096}]");
        g_clear_pointer(&said, g_free);
        ck_assert_int_eq(run_command(&said, "LC_ALL=C.UTF-8 $REGIONCTL stat %s", in_mount("a")), 0);
        check_says(said, "\n  █░█░\n");
        /* More pages than cells. */
        must(truncate(in_mount("a"), 0));
        must(truncate(in_mount("a"), 128 * PAGE));
        fd = must_open(in_mount("a"), O_RDWR, 0);
        ck_assert_int_eq(pwrite(fd, "x", 1, 3 * PAGE), 1);
        must(close(fd));
        g_clear_pointer(&said, g_free);
        ck_assert_int_eq(run_command(&said, "LC_ALL=C $REGIONCTL stat %s", in_mount("a")), 0);
        check_says(said, "\n  .+..............................................................\n");
}
END_TEST

/* Who has a region: processes that hold it in all ways. They wait for their parent's end of the pipe to go. */
typedef struct Keeper {
        int flags;
        int map; /* MAP_SHARED, MAP_PRIVATE or 0 */
        bool close;
        bool forks; /* has the handle from its parent */
        int ready[2], go[2];
        pid_t process;
} Keeper;

static void wait_for_end(Keeper *keeper) {
        char byte = 0;

        ck_assert_int_eq(write(keeper->ready[1], &byte, 1), 1);
        must(close(keeper->go[1]));
        ck_assert_int_eq(read(keeper->go[0], &byte, 1), 0);
}

static void keep(void *data) {
        Keeper *keeper = data;
        int fd = must_open(in_mount("a"), keeper->flags, 0);

        /* Who was root may not be looked into, until it executes another program. */
        prctl(PR_SET_DUMPABLE, 1);
        if (keeper->map) {
                int protection = keeper->flags == O_RDONLY ? PROT_READ : PROT_READ | PROT_WRITE;

                ck_assert(mmap(NULL, PAGE, protection, keeper->map, fd, PAGE) != MAP_FAILED);
        }
        if (keeper->close)
                must(close(fd));
        if (keeper->forks) {
                pid_t child = fork();

                if (child == 0) {
                        wait_for_end(keeper);
                        _exit(0);
                }
                must(close(keeper->go[1]));
                end_process(child);
                return;
        }
        wait_for_end(keeper);
}

static void start_keeper(Keeper *keeper) {
        char byte;

        must(pipe2(keeper->ready, O_CLOEXEC));
        must(pipe2(keeper->go, O_CLOEXEC));
        keeper->process = start_process(keep, keeper);
        ck_assert_int_eq(read(keeper->ready[0], &byte, 1), 1);
}

static void end_keeper(Keeper *keeper) {
        must(close(keeper->go[1]));
        end_process(keeper->process);
        for (int i = 0; i < 2; i++)
                must(close(keeper->ready[i]));
        must(close(keeper->go[0]));
}

static void check_keeper(Keeper *keeper, const char *expression) {
        start_keeper(keeper);
        {
                g_autofree char *all = g_strdup_printf("[u for u in x[0][\"users\"] if u[\"pid\"] != %d] == [] and %s",
                                                       keeper->process, expression);

                check_json("stat a", keeper->forks ? expression : all);
        }
        end_keeper(keeper);
        check_json("stat a", "x[0][\"users\"] == []");
}

static void make_two_pages(void) {
        must_write(in_mount("a"), "data");
        must(truncate(in_mount("a"), 2 * PAGE));
        /* Another region, so that nothing is taken for this one. */
        must_write(in_mount("b"), "data");
}

START_TEST(stat_finds_handles) {
        Keeper reader = { .flags = O_RDONLY }, both = { .flags = O_RDWR }, writer = { .flags = O_WRONLY };
        Keeper forked = { .flags = O_RDWR, .forks = true };

        make_two_pages();
        check_keeper(&reader, "len(x[0][\"users\"]) == 1 and x[0][\"users\"][0][\"kind\"] == \"handle\" and "
                              "x[0][\"users\"][0][\"read\"] and not x[0][\"users\"][0][\"write\"] and "
                              "x[0][\"users\"][0][\"uid\"] == os.getuid() and x[0][\"users\"][0][\"descriptor\"] > 2 and "
                              "x[0][\"users\"][0][\"command\"].startswith(\"mount-regionctl\") and x[0][\"handles\"] == 1");
        check_keeper(&both, "x[0][\"users\"][0][\"read\"] and x[0][\"users\"][0][\"write\"]");
        check_keeper(&writer, "not x[0][\"users\"][0][\"read\"] and x[0][\"users\"][0][\"write\"]");
        check_keeper(&forked, "len(x[0][\"users\"]) == 2 and x[0][\"handles\"] == 1 and "
                              "x[0][\"users\"][0][\"descriptor\"] == x[0][\"users\"][1][\"descriptor\"] and "
                              "x[0][\"users\"][0][\"pid\"] != x[0][\"users\"][1][\"pid\"]");
}
END_TEST

START_TEST(stat_finds_views) {
        Keeper shared = { .flags = O_RDWR, .map = MAP_SHARED, .close = true };
        Keeper private = { .flags = O_RDWR, .map = MAP_PRIVATE, .close = true };
        Keeper reader = { .flags = O_RDONLY, .map = MAP_SHARED, .close = true };
        Keeper forked = { .flags = O_RDWR, .map = MAP_SHARED, .close = true, .forks = true };

        make_two_pages();
        check_keeper(&shared, "len(x[0][\"users\"]) == 1 and x[0][\"users\"][0][\"kind\"] == \"view\" and "
                              "x[0][\"users\"][0][\"shared\"] is True and x[0][\"users\"][0][\"write\"] is True and "
                              "x[0][\"users\"][0][\"offset\"] == 4096 and x[0][\"users\"][0][\"length\"] == 4096 and "
                              "x[0][\"users\"][0][\"address\"].startswith(\"0x\") and \"descriptor\" not in x[0][\"users\"][0]");
        check_keeper(&private, "x[0][\"users\"][0][\"kind\"] == \"view\" and x[0][\"users\"][0][\"shared\"] is False");
        check_keeper(&reader, "x[0][\"users\"][0][\"kind\"] == \"view\" and not x[0][\"users\"][0][\"write\"]");
        check_keeper(&forked, "len(x[0][\"users\"]) == 2");
}
END_TEST

START_TEST(stat_tells_people) {
        Keeper keeper = { .flags = O_RDWR, .map = MAP_SHARED };
        g_autofree char *said = NULL, *pid = NULL;

        make_two_pages();
        start_keeper(&keeper);
        ck_assert_int_eq(run_command(&said, "$REGIONCTL stat %s", in_mount("a")), 0);
        pid = g_strdup_printf(" %d mount-regionctl", keeper.process);
        check_says(said, "/a (region)\n");
        check_says(said, "\n  logical length 8192\n");
        check_says(said, "\n  sealed         no\n");
        check_says(said, pid);
        check_says(said, " handle ");
        check_says(said, " shared view ");
        end_keeper(&keeper);
        g_clear_pointer(&said, g_free);
        ck_assert_int_eq(run_command(&said, "$REGIONCTL stat %s", in_mount("a")), 0);
        check_says(said, "has it open or mapped.\n");
}
END_TEST

static void add(Suite *suite) {
        TCase *ls = add_case(suite, "ls"), *stat_case = add_case(suite, "stat");
        TCase *picture = tcase_create("picture");

        tcase_add_test(ls, ls_of_an_empty_directory);
        tcase_add_test(ls, ls_prints_names_in_an_order);
        tcase_add_test(ls, ls_prints_columns);
        tcase_add_test(ls, ls_prints_json);
        tcase_add_test(ls, names_that_are_no_text);
        tcase_add_test(ls, what_may_not_be_read);
        tcase_add_test(ls, what_is_not_there);
        tcase_add_test(ls, regions_that_go_away_are_skipped);
        add_test_if(ls, what_may_only_be_named, fixture_mode() == MODE_USER, "is about users");
        tcase_add_test(ls, the_longest_region);
        tcase_add_test(ls, deep_trees_are_listed);
        add_test_if(ls, someone_elses_mount, fixture_mode() != MODE_USER, "needs root");
        tcase_add_test(stat_case, looking_ends_nothing);
        tcase_add_test(stat_case, a_view_is_enough_to_draw);
        tcase_add_test(stat_case, stat_finds_handles);
        tcase_add_test(stat_case, stat_finds_views);
        tcase_add_test(stat_case, stat_tells_people);
        tcase_add_checked_fixture(picture, begin_without_huge_pages, fixture_unmount);
        tcase_add_test(picture, stat_draws_what_has_memory);
        suite_add_tcase(suite, picture);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "regionctl-looking", add);
}
