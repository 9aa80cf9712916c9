/* regionctl create. */
#include "regionctl.h"

#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define MIB (1024 * 1024)

START_TEST(it_is_as_it_was_ordered) {
        struct stat st;

        expect(0, NULL, "umask 027; $ctl create a --size 3k");
        st = must_stat("a");
        ck_assert_int_eq(st.st_size, 3072);
        ck_assert_uint_eq(st.st_mode, S_IFREG | 0640);
        check_attribute("a", REGIONFS_ATTRIBUTE_RESIDENT, "0");
        must_become_unused(in_mount("a"));
        check_attribute("a", REGIONFS_ATTRIBUTE_LIFETIME, "kept");

        expect(0, NULL, "umask 077; $ctl create b --size 1m --committed --lifetime kept --mode 4751");
        st = must_stat("b");
        ck_assert_int_eq(st.st_size, MIB);
        ck_assert_int_ge(st.st_blocks * 512, MIB);
        ck_assert_uint_eq(st.st_mode, S_IFREG | 04751);
        check_attribute("b", REGIONFS_ATTRIBUTE_ALLOCATION, "committed");

        expect(0, NULL, "umask 077; $ctl create --size=0 --mode 400 c");
        st = must_stat("c");
        ck_assert_int_eq(st.st_size, 0);
        ck_assert_uint_eq(st.st_mode, S_IFREG | 0400);
}
END_TEST

START_TEST(a_taken_name_is_left_alone) {
        must_write(in_mount("a"), "before");
        expect(4, "create a: File exists", "$ctl create a --size 1m");
        expect(4, "create a: File exists", "echo after | $ctl create a --sealed-from -");
        expect(4, "create a: File exists", "echo after >../after; $ctl create a --from-file ../after --size 1");
        must_read(in_mount("a"), "before");
        expect(0, "after\n", "cat ../after; rm ../after");
        ck_assert_uint_eq(names(), 1);
}
END_TEST

static const struct {
        int status;
        const char *arguments, *part;
} bad[] = {
        { 2, "", "needs the NAME" },
        { 2, "x", "needs --size, --sealed-from or --from-file" },
        { 2, "x/ --size 1", "\"x/\" is not allowed" },
        { 2, "'' --size 1", "\"\" is not allowed" },
        { 2, "x y --size 1", "y is too much" },
        { 2, "x --size", "size" },
        { 2, "x --size ''", "number of bytes" },
        { 2, "x --size -1", "number of bytes" },
        { 2, "x --size 1q", "--size=1q is not allowed: it takes a number of bytes" },
        { 2, "x --size 50%", "k, m, g or t" },
        { 2, "x --size 1 --mode 8", "--mode=8 is not allowed: mode takes octal permissions from 0 to 7777" },
        { 2, "x --size 1 --mode 10000", "from 0 to 7777" },
        { 2, "x --size 1 --mode u+w", "octal" },
        { 2, "x --size 1 --lifetime long", "--lifetime=long is not allowed: lifetime takes kept or handles" },
        { 2, "x --size 1 --sealed-from /dev/null", "--size is not allowed with --sealed-from" },
        { 2, "x --from-file /dev/null --sealed-from /dev/null", "cannot go together" },
        { 2, "x --from-file /dev/null", "a regular file" },
        { 2, "x --from-file ''", "--from-file= is not allowed: it takes the path of a regular file" },
        { 2, "x --sealed-from ''", "--sealed-from= is not allowed: it takes the path of a file, or - for" },
        { 2, "x --size 8388608t", "--size=8388608t is not allowed: it takes a number of bytes from 0 to 2^63-1" },
        { 2, "x --size 1 --frobnicate", "--frobnicate" },
        { 2, "x --size 1 --", "COMMAND behind \"--\" is missing" },
        { 2, "../x --size 1", "is not in a regionfs mount" },
        { 2, "/x --size 1", "is not in a regionfs mount" },
        { 3, "no/x --size 1", "No such file or directory" },
        { 3, "x --sealed-from no", "cannot open no: No such file or directory" },
        { 1, "x --sealed-from /", "cannot read /: Is a directory" },
        { 3, "x --from-file no", "cannot open no: No such file or directory" },
        { 127, "x --size 1 -- no-such-program", "no program no-such-program" },
        { 127, "x --size 1 -- ./no-such-program", "no program ./no-such-program" },
        { 127, "x --size 1 -- ''", "no program " },
        { 126, "x --size 1 -- /", "cannot run /: Permission denied" },
        { 126, "x --size 1 -- /etc/passwd", "cannot run /etc/passwd: Permission denied" },
};

START_TEST(bad_input_makes_nothing) {
        g_autofree char *script = g_strdup_printf("$ctl create %s", bad[_i].arguments);

        expect(bad[_i].status, bad[_i].part, script);
        ck_assert_uint_eq(names(), 0);
}
END_TEST

START_TEST(or_open_takes_what_is_there) {
        must_write(in_mount("a"), "before");
        expect(0, NULL, "$ctl create a --size 1m --committed --or-open");
        expect(0, NULL, "echo after | $ctl create a --sealed-from - --or-open");
        must_read(in_mount("a"), "before");
        expect(0, "before", "$ctl create a --size 1 --or-open -- sh -c 'cat <&$REGIONFS_FD; echo ! >&$REGIONFS_FD'");
        expect(0, "final", "printf final | $ctl create b --sealed-from - --or-open; "
                           "$ctl create b --size 1 --or-open -- sh -c 'cat <&$REGIONFS_FD'");
        expect(0, NULL, "$ctl create c --size 5 --or-open");
        ck_assert_int_eq(must_stat("c").st_size, 5);
        expect(4, "not a region", "mkdir d; $ctl create d --size 1 --or-open");
        expect(4, "leads nowhere", "ln -s nowhere l; $ctl create l --size 1 --or-open");
}
END_TEST

START_TEST(or_open_stays_in_the_mount) {
        expect(2, "l leads out of the regionfs mount", "echo before >../out; ln -s ../out l\n"
                                                       "$ctl create l --size 1 --or-open -- sh -c 'echo >&$REGIONFS_FD'");
        expect(2, "l leads out of the regionfs mount", "$ctl create l --size 1 --or-open");
        expect(0, "before\n", "cat ../out; rm ../out l");
        /* One that stays inside is followed. */
        expect(0, "inside", "printf inside >a; ln -s a l\n"
                            "$ctl create l --size 1 --or-open -- sh -c 'cat <&$REGIONFS_FD'");
}
END_TEST

START_TEST(or_open_takes_what_rights_there_are) {
        /* Root has all of them. */
        expect(0, NULL, "$ctl create a --size 2 --mode 200\n"
                        "$ctl create a --size 1 --or-open -- sh -c 'echo x >&$REGIONFS_FD' && chmod 600 a");
        expect(0, "x\n", "cat a; chmod 0 a; $ctl create a --size 1 --or-open");
        expect(6, "cannot open a: Permission denied", "$ctl create a --size 1 --or-open -- true");
}
END_TEST

/* What can be looked for only by running it. */
START_TEST(a_command_that_cannot_run_leaves_nothing) {
        expect(126, "cannot run ../bad: the interpreter that it names is missing",
               "echo '#!/no/interpreter' >../bad; chmod 755 ../bad; $ctl create a --size 1 -- ../bad");
        expect(126, NULL, "$ctl create a --size 1 --lifetime handles -- ../bad 2>/dev/null");
        expect(126, NULL, "echo >../file; $ctl create a --from-file ../file -- ../bad 2>/dev/null");
        ck_assert_uint_eq(names(), 0);
        expect(126, NULL, "echo >a; $ctl create a --size 1 --or-open -- ../bad 2>/dev/null");
        expect(0, "a\n", "ls; rm ../bad ../file");
}
END_TEST

/* What names hold is not to work the terminal. */
START_TEST(sentences_can_be_shown) {
        expect(3, "cannot open a\\033[31m\\\\b\\nc: No such file",
               "$ctl create x --sealed-from \"$(printf 'a\\033[31m\\\\b\\nc')\"");
        expect(3, "cannot open \\303\\274: No", "LC_ALL=C $ctl create x --sealed-from ü");
        expect(3, "cannot open ü: No", "LC_ALL=C.UTF-8 $ctl create x --sealed-from ü");
}
END_TEST

/* A descriptor of the region must not become a standard stream. */
START_TEST(standard_streams_may_be_closed) {
        expect(126, NULL, "echo '#!/no/interpreter' >../bad; chmod 755 ../bad; printf before >a\n"
                          "$ctl create a --size 1 --or-open -- ../bad <&- >&- 2>&-");
        must_read(in_mount("a"), "before");
        expect(0, NULL, "$ctl create b --size 1 -- sh -c 'test $REGIONFS_FD -gt 2' <&- >&- 2>&-");
        expect(1, "cannot read -: Bad file descriptor", "$ctl create c --sealed-from - <&-");
        expect(0, NULL, "rm ../bad");
}
END_TEST

START_TEST(sealed_from_a_file) {
        expect(0, NULL, "head -c 3000000 /dev/urandom >../source; umask 077\n"
                        "$ctl create a --sealed-from ../source --mode 444 --committed && cmp a ../source");
        check_attribute("a", REGIONFS_ATTRIBUTE_SEALED, "1");
        check_attribute("a", REGIONFS_ATTRIBUTE_ALLOCATION, "committed");
        ck_assert_uint_eq(must_stat("a").st_mode, S_IFREG | 0444);
        must_fail(truncate(in_mount("a"), 0), fixture_mode() == MODE_USER ? EACCES : EPERM);
        expect(0, NULL, "(cat ../source; sleep 0.1; cat ../source) | $ctl create b --sealed-from -\n"
                        "cat ../source ../source | cmp - b; rm ../source");
        expect(0, NULL, "$ctl create c --sealed-from /dev/null && test -f c -a ! -s c");
        ck_assert_uint_eq(names(), 3);
}
END_TEST

START_TEST(a_command_has_a_handle) {
        expect(0, NULL, "$ctl create a --size 8 -- sh -c 'echo handed >&$REGIONFS_FD; test -f a'");
        expect(0, "handed", "head -n 1 a");
        expect(7, NULL, "$ctl create b --size 8 -- sh -c 'exit 7'");
        expect(137, NULL, "$ctl create c --size 8 -- sh -c 'kill -9 $$' 2>/dev/null");
        expect(0, "--size", "$ctl create d --size 8 -- echo --size");
        expect(0, "final", "printf final | $ctl create e --sealed-from - -- sh -c 'cat <&$REGIONFS_FD'");
        expect(0, NULL, "! echo final | $ctl create f --sealed-from - -- sh -c 'echo >&$REGIONFS_FD' 2>/dev/null");
}
END_TEST

START_TEST(a_region_ends_with_its_command) {
        expect(0, NULL, "$ctl create a --size 8 --lifetime handles -- sh -c 'sleep 0.2; test -f a'");
        await_gone("a");
        expect(0, NULL, "echo x | $ctl create a --sealed-from - --lifetime handles -- sh -c 'sleep 0.2; test -f a'");
        await_gone("a");
        expect(0, NULL, "echo x >../source\n"
                        "$ctl create a --from-file ../source --lifetime handles -- sh -c 'sleep 0.2; test -f a'");
        await_gone("a");
        expect(0, "x", "cat ../source; rm ../source");
        ck_assert_uint_eq(names(), 0);
}
END_TEST

START_TEST(without_a_command_it_waits_for_its_first_user) {
        static const char *const ways[] = {
                "$ctl create a --size 5 --lifetime handles --mode 400 && ls a",
                "printf final | $ctl create a --sealed-from - --lifetime handles --mode 400 && ls a",
                "mkdir d; $ctl set d lifetime=handles; $ctl create d/a --size 5 && ls d/a && mv d/a . && rmdir d",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
                expect(0, "a\n", ways[i]);
                g_usleep(20000);
                check_attribute("a", REGIONFS_ATTRIBUTE_LIFETIME, "handles");
                ck_assert_int_eq(must_stat("a").st_size, 5);
                must(close(must_open(in_mount("a"), O_RDONLY, 0)));
                await_gone("a");
        }
}
END_TEST

START_TEST(one_of_many_wins) {
        for (int i = 0; i < 5; i++)
                expect(0, "0\n4\n4\n4\n4\n4\n",
                       "for i in 1 2 3 4 5 6; do ($ctl create a --size ${i}k 2>/dev/null; echo $?) & done | sort\n"
                       "wait; rm a");
        ck_assert_uint_eq(names(), 0);
}
END_TEST

START_TEST(or_open_races_with_others) {
        expect(0, NULL, "for i in 1 2 3; do\n"
                        "  for j in 1 2 3 4 5 6 7 8; do\n"
                        "    $ctl create a --size 4k --or-open -- "
                        "sh -c 'test $(stat -Lc %s /dev/fd/$REGIONFS_FD) = 4096' || echo bad\n"
                        "  done &\n"
                        "done\n"
                        "for j in 1 2 3 4 5 6 7 8 9 10 11 12; do $ctl rm --force a || echo bad; sleep 0.01; done\n"
                        "wait; $ctl rm --force a");
        ck_assert_uint_eq(names(), 0);
}
END_TEST

/* What regionctl writes to a terminal of 40 columns; fails the test unless it ends well. To be freed. */
static char *on_terminal(const char *script) {
        g_autofree char *all = g_strdup_printf("cd '%s'; ctl='%s'; %s", fixture_mountpoint(), fixture_regionctl(),
                                               script);
        struct winsize size = { .ws_row = 25, .ws_col = 40 };
        GString *said = g_string_new(NULL);
        char buffer[4096];
        ssize_t count;
        int terminal, status;
        pid_t process = forkpty(&terminal, NULL, NULL, &size);

        if (process == 0) {
                execl("/bin/sh", "sh", "-c", all, NULL);
                _exit(127);
        }
        while ((count = read(terminal, buffer, sizeof(buffer))) > 0)
                g_string_append_len(said, buffer, count);
        must(waitpid(process, &status, 0));
        must(close(terminal));
        ck_assert_msg(status == 0, "%s: status %#x; %s", script, status, said->str);
        return g_string_free(said, FALSE);
}

static void check_bar(const char *said, const char *what) {
        g_auto(GStrv) lines = g_strsplit(said, "\r", -1);
        guint count = g_strv_length(lines);

        ck_assert_msg(strstr(said, what) && strchr(said, '%') && strchr(said, '#'), "%s", said);
        ck_assert_ptr_null(strchr(said, '\n'));
        for (guint i = 0; i < count; i++)
                ck_assert_uint_le(strlen(lines[i]), 39);
        /* In the end there is nothing on the line, and the cursor at its beginning. */
        ck_assert_uint_ge(count, 3);
        ck_assert_str_eq(lines[count - 1], "");
        ck_assert_uint_eq(strspn(lines[count - 2], " "), strlen(lines[count - 2]));
}

START_TEST(long_work_shows_how_far_it_is) {
        g_autofree char *copying = on_terminal("truncate -s 3m ../s; $ctl create a --sealed-from ../s; rm ../s");
        g_autofree char *committing = on_terminal("$ctl create b --size 150m --committed");
        g_autofree char *piped = on_terminal("(echo 1; sleep 0.2; echo 2) | $ctl create c --sealed-from -");
        g_autofree char *short_work = on_terminal("$ctl create d --size 1t; $ctl create e --size 4k --committed");

        check_bar(copying, "copying [");
        check_bar(committing, "committing [");
        ck_assert_msg(strstr(piped, "copying 0 MiB") != NULL, "%s", piped);
        ck_assert_str_eq(short_work, "");
        ck_assert_int_eq(must_stat("b").st_size, 150 * MIB);
        expect(0, NULL, "$ctl rm b; $ctl create b --size 150m --committed");
}
END_TEST

/* It waits for more from a pipe that this script itself keeps open. */
START_TEST(what_was_drawn_goes_before_a_signal_ends_it) {
        g_autofree char *said = on_terminal("mkfifo ../fifo; exec 9<>../fifo; $ctl create a --sealed-from - <../fifo &\n"
                                            "echo 1 >&9; sleep 0.3; echo 2 >&9; sleep 1; kill $!; wait $!\n"
                                            "test $? = 143 && rm ../fifo");
        const char *drawn;

        drawn = g_strrstr(said, "copying 0 MiB");
        ck_assert_msg(drawn && strstr(drawn, " \r"), "%s", said);
        drawn = strstr(drawn, " \r") + 2;
        ck_assert_msg(*drawn == ' ' && drawn[strspn(drawn, " ")] == '\r', "%s", said);
        ck_assert_uint_eq(names(), 0);
}
END_TEST

/* Sends the signal to a create that has copied something and waits for more. */
static void cut_off(int signal) {
        int pipe_fds[2], status;
        fsblkcnt_t before = free_blocks();
        g_autofree char *data = g_malloc0(4 * MIB);
        pid_t process;

        must(pipe(pipe_fds));
        process = fork();
        if (process == 0) {
                dup2(pipe_fds[0], STDIN_FILENO);
                close(pipe_fds[1]);
                execl(fixture_regionctl(), "regionctl", "create", in_mount("a"), "--sealed-from", "-", NULL);
                _exit(127);
        }
        must(close(pipe_fds[0]));
        ck_assert_int_eq(write(pipe_fds[1], data, 4 * MIB), 4 * MIB);
        must(kill(process, signal));
        must(waitpid(process, &status, 0));
        must(close(pipe_fds[1]));
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == signal);
        ck_assert_uint_eq(names(), 0);
        /* An ordinary user's regions share their room with others. */
        if (fixture_mode() != MODE_USER)
                await_free_blocks(before);
}

START_TEST(nothing_is_left_of_what_was_cut_off) {
        cut_off(SIGKILL);
        cut_off(SIGINT);
}
END_TEST

/* The handlers that check has for signals end the test: signals are held back until the child has none of them. */
static pid_t start_from_file(const char *source) {
        static const int kinds[] = { SIGHUP, SIGINT, SIGTERM, SIGQUIT };
        const struct rlimit none = { 0, 0 };
        sigset_t held, before;
        pid_t process;

        sigfillset(&held);
        must(sigprocmask(SIG_BLOCK, &held, &before));
        process = fork();
        if (process == 0) {
                for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                        signal(kinds[i], SIG_DFL);
                setrlimit(RLIMIT_CORE, &none);
                sigprocmask(SIG_SETMASK, &before, NULL);
                execl(fixture_regionctl(), "regionctl", "create", in_mount("a"), "--from-file", source, NULL);
                _exit(127);
        }
        must(sigprocmask(SIG_SETMASK, &before, NULL));
        return process;
}

/* How long one takes that nothing disturbs. */
static gint64 time_of_one(const char *source) {
        gint64 begun = g_get_monotonic_time();

        end_process(start_from_file(source));
        must(unlink(in_mount("a")));
        return g_get_monotonic_time() - begun;
}

START_TEST(no_hidden_name_is_left_by_a_signal) {
        static const int kinds[] = { SIGHUP, SIGINT, SIGTERM, SIGQUIT };
        g_autofree char *source = g_build_filename(fixture_directory(), "source", NULL);
        gint64 whole;

        must_write(source, "data");
        time_of_one(source);
        whole = time_of_one(source);
        for (int i = 0; i < 200; i++) {
                int status;
                pid_t process = start_from_file(source);

                g_usleep(whole * i / 180);
                kill(process, kinds[i % G_N_ELEMENTS(kinds)]);
                must(waitpid(process, &status, 0));
                /* It is done, or nothing is left. */
                if (WIFEXITED(status)) {
                        ck_assert_int_eq(WEXITSTATUS(status), 0);
                        must(unlink(in_mount("a")));
                }
                ck_assert_msg(names() == 0, "%d: something is left", i);
        }
        must(unlink(source));
}
END_TEST

START_TEST(a_region_from_a_file_is_the_file) {
        struct stat st;

        expect(0, "old text", "printf 'old text' >../source; chmod 755 ../source\n"
                              "$ctl create a --from-file ../source; cat a");
        ck_assert_uint_eq(must_stat("a").st_mode, S_IFREG | 0644);
        expect(0, "new text", "printf new | dd of=a conv=notrunc status=none; cat ../source");
        expect(0, NULL, "$ctl rm a; $ctl create b --from-file ../source --size 5k --committed --mode 600");
        st = must_stat("b");
        ck_assert_int_eq(st.st_size, 5120);
        ck_assert_uint_eq(st.st_mode, S_IFREG | 0600);
        check_attribute("b", REGIONFS_ATTRIBUTE_ALLOCATION, "committed");
        expect(0, "5120", "stat -c %s ../source");
        expect(0, NULL, "$ctl create c --from-file ../source -- sh -c 'printf N >&$REGIONFS_FD'");
        expect(0, "New text", "tr -d '\\0' <../source");
        expect(2, "regular file", "$ctl create d --from-file /dev/null");
        expect(0, "cannot make a region of b", "$ctl create d --from-file b || rm ../source");
        /* The hidden name is not longer than names may be. */
        expect(0, NULL, "echo >../source; n=$(printf %0255d 0)\n"
                        "$ctl create $n --from-file ../source && rm $n b c ../source");
        ck_assert_uint_eq(names(), 0);
}
END_TEST

START_TEST(a_file_that_cannot_be_written_makes_a_region_that_cannot) {
        /* Root writes to it all the same. */
        expect(0, NULL, "echo data >../source; chmod 444 ../source; $ctl create a --from-file ../source --mode 666");
        must_fail(open(in_mount("a"), O_RDWR), EACCES);
        expect(0, "data", "cat a; rm -f ../source");
}
END_TEST

static void mount_small(void) {
        fixture_mount("size=64m");
}

START_TEST(where_there_is_no_room_nothing_is_left) {
        fsblkcnt_t before = free_blocks();

        expect(5, "No space left on device", "$ctl create a --size 256m --committed");
        await_free_blocks(before);
        expect(5, "No space left on device", "head -c 100m /dev/zero | $ctl create a --sealed-from -");
        await_free_blocks(before);
        ck_assert_uint_eq(names(), 0);
        expect(0, NULL, "$ctl create a --size 60m --committed");
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "create");

        tcase_add_test(tests, it_is_as_it_was_ordered);
        tcase_add_test(tests, a_taken_name_is_left_alone);
        tcase_add_loop_test(tests, bad_input_makes_nothing, 0, G_N_ELEMENTS(bad));
        tcase_add_test(tests, or_open_takes_what_is_there);
        tcase_add_test(tests, or_open_stays_in_the_mount);
        add_test_if(tests, or_open_takes_what_rights_there_are, fixture_mode() == MODE_USER, "is about users");
        tcase_add_test(tests, a_command_that_cannot_run_leaves_nothing);
        tcase_add_test(tests, sentences_can_be_shown);
        tcase_add_test(tests, standard_streams_may_be_closed);
        tcase_add_test(tests, sealed_from_a_file);
        tcase_add_test(tests, a_command_has_a_handle);
        tcase_add_test(tests, a_region_ends_with_its_command);
        tcase_add_test(tests, without_a_command_it_waits_for_its_first_user);
        tcase_add_test(tests, one_of_many_wins);
        tcase_add_test(tests, or_open_races_with_others);
        tcase_add_test(tests, long_work_shows_how_far_it_is);
        tcase_add_test(tests, what_was_drawn_goes_before_a_signal_ends_it);
        tcase_add_test(tests, nothing_is_left_of_what_was_cut_off);
        tcase_add_test(tests, no_hidden_name_is_left_by_a_signal);
        tcase_add_test(tests, a_region_from_a_file_is_the_file);
        add_test_if(tests, a_file_that_cannot_be_written_makes_a_region_that_cannot, fixture_mode() == MODE_USER,
                    "is about users");

        tests = tcase_create("room");
        tcase_add_checked_fixture(tests, mount_small, fixture_unmount);
        /* An ordinary user's mount has no size of its own. */
        add_test_if(tests, where_there_is_no_room_nothing_is_left, fixture_mode() != MODE_USER, "needs root");
        suite_add_tcase(suite, tests);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "regionctl-create", add);
}
