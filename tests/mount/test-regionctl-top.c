/* regionctl top, in a terminal of its own: what it shows, which keys it takes, and how it leaves the terminal. */
#include "fixture.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <utmp.h>

/* How long something may take to be shown, on a busy machine. */
#define PATIENCE_US 30000000

/* What the terminal (xterm) is told. */
#define CLEAR "\x1b[H\x1b[2J"
#define ALTERNATE_SCREEN "\x1b[?1049h"
#define FORMER_SCREEN "\x1b[?1049l"
#define KEY_DOWN "\x1bOB"
#define KEY_PAGE_DOWN "\x1b[6~"
#define KEY_PAGE_UP "\x1b[5~"
#define KEY_END "\x1bOF"

/* A terminal with a session, whose leader runs regionctl as a shell would, and tells what becomes of it. */
typedef struct Session {
        int terminal, line;    /* both ends */
        int reports;           /* what waitpid(2) says of regionctl */
        pid_t leader, regionctl;
        struct termios before;
        struct winsize size;
        GString *output; /* all of it */
} Session;

static G_NORETURN void run_regionctl(const char *delay) {
        g_autofree char *path = g_strdup(fixture_mountpoint());

        g_setenv("TERM", "xterm", true);
        g_setenv("LC_ALL", "C.UTF-8", true);
        signal(SIGTTOU, SIG_IGN);
        setpgid(0, 0);
        tcsetpgrp(STDIN_FILENO, getpid());
        signal(SIGTTOU, SIG_DFL);
        execl(fixture_regionctl(), "regionctl", "top", "--delay", delay, path, NULL);
        _exit(127);
}

static G_NORETURN void lead(int line, int reports, const char *delay) {
        pid_t process;
        int status;

        login_tty(line);
        process = fork();
        if (process == 0)
                run_regionctl(delay);
        if (write(reports, &process, sizeof(process)) != sizeof(process))
                _exit(1);
        do {
                if (waitpid(process, &status, WUNTRACED | WCONTINUED) != process)
                        _exit(1);
                if (write(reports, &status, sizeof(status)) != sizeof(status))
                        _exit(1);
        } while (!WIFEXITED(status) && !WIFSIGNALED(status));
        /* The leader's end hangs the terminal up: the test ends it when it has seen all. */
        pause();
        _exit(0);
}

static void begin(Session *session, const char *delay) {
        int reports[2];

        *session = (Session){ .size = { .ws_row = 12, .ws_col = 100 }, .output = g_string_new(NULL) };
        must(openpty(&session->terminal, &session->line, NULL, NULL, &session->size));
        must(tcgetattr(session->line, &session->before));
        must(pipe2(reports, O_CLOEXEC));
        session->leader = fork();
        if (session->leader == 0) {
                close(session->terminal);
                close(reports[0]);
                lead(session->line, reports[1], delay);
        }
        must(close(reports[1]));
        session->reports = reports[0];
        ck_assert_int_eq(read(session->reports, &session->regionctl, sizeof(pid_t)), sizeof(pid_t));
}

/* The leader is ours, and ends for nothing else. */
static void end(Session *session) {
        must(kill(session->leader, SIGKILL));
        must(waitpid(session->leader, NULL, 0));
        must(close(session->reports));
        must(close(session->terminal));
        must(close(session->line));
        g_string_free(session->output, TRUE);
}

/* Takes in what was written, for at most so long. */
static void take_output(Session *session, int milliseconds) {
        struct pollfd polled = { .fd = session->terminal, .events = POLLIN };
        char buffer[4096];

        while (poll(&polled, 1, milliseconds) == 1 && (polled.revents & POLLIN)) {
                ssize_t size = read(session->terminal, buffer, sizeof(buffer));

                if (size <= 0)
                        return;
                g_string_append_len(session->output, buffer, size);
                milliseconds = 0;
        }
}

/* What was written since the screen was last cleared. */
static const char *screen(const Session *session) {
        const char *clear = g_strrstr(session->output->str, CLEAR);

        return clear ? clear : "";
}

/* Has all of it drawn anew, by a size that is another. */
static void resize(Session *session, int lines, int columns) {
        session->size.ws_row = lines;
        session->size.ws_col = columns;
        must(ioctl(session->terminal, TIOCSWINSZ, &session->size));
}

/* Whether the texts are on the screen, in this order (NULL-terminated). */
static bool shows(const Session *session, const char *const *texts) {
        const char *at = screen(session);

        for (; at && *texts; texts++) {
                at = strstr(at, *texts);
                if (at)
                        at += strlen(*texts);
        }
        return at != NULL;
}

#define expect(session, ...) expect_texts(session, (const char *const[]){ __VA_ARGS__, NULL })

static void expect_texts(Session *session, const char *const *texts) {
        gint64 end_of_patience = g_get_monotonic_time() + PATIENCE_US;

        /* What changed alone is drawn as a rule. */
        while (!shows(session, texts)) {
                ck_assert_msg(g_get_monotonic_time() < end_of_patience, "\"%s\"... is not shown: %s", texts[0],
                              screen(session));
                resize(session, session->size.ws_row, session->size.ws_col ^ 1);
                take_output(session, 300);
        }
}

static void type(Session *session, const char *keys) {
        ck_assert_int_eq(write(session->terminal, keys, strlen(keys)), strlen(keys));
}

static int next_status(Session *session) {
        gint64 end_of_patience = g_get_monotonic_time() + PATIENCE_US;
        struct pollfd polled = { .fd = session->reports, .events = POLLIN };
        int status;

        /* It may be waiting for its output to be read. */
        while (poll(&polled, 1, 10) == 0) {
                ck_assert_msg(g_get_monotonic_time() < end_of_patience, "it goes on");
                take_output(session, 0);
        }
        ck_assert_int_eq(read(session->reports, &status, sizeof(status)), sizeof(status));
        take_output(session, 0);
        return status;
}

static void check_terminal(Session *session) {
        struct termios now;
        const char *former = g_strrstr(session->output->str, FORMER_SCREEN);

        must(tcgetattr(session->line, &now));
        ck_assert_uint_eq(now.c_lflag, session->before.c_lflag);
        ck_assert_uint_eq(now.c_iflag, session->before.c_iflag);
        ck_assert_uint_eq(now.c_oflag, session->before.c_oflag);
        ck_assert_mem_eq(now.c_cc, session->before.c_cc, sizeof(now.c_cc));
        ck_assert_msg(former && !strstr(former, ALTERNATE_SCREEN), "the screen is not left: %s", session->output->str);
}

static bool is_changed(const Session *session) {
        struct termios now;

        must(tcgetattr(session->line, &now));
        return now.c_lflag != session->before.c_lflag;
}

static void make_three(void) {
        must_write(in_mount("aaa"), "1");
        must_write(in_mount("bbb"), "");
        must(truncate(in_mount("bbb"), 50000));
        must(mkdir(in_mount("dir"), 0755));
        must_write(in_mount("dir/ccc"), "longer than aaa");
}

START_TEST(says_that_there_is_nothing) {
        Session session;

        begin(&session, "0.1");
        expect(&session, "pool [", "regions 0", "There are no regions here.");
        must_write(in_mount("new"), "");
        expect(&session, "regions 1", "new");
        type(&session, "q");
        ck_assert_int_eq(next_status(&session), 0);
        check_terminal(&session);
        end(&session);
}
END_TEST

START_TEST(sorts_by_keys) {
        Session session;
        int fd;

        make_three();
        fd = must_open(in_mount("bbb"), O_RDONLY, 0);
        begin(&session, "1");
        expect(&session, fixture_mountpoint(), "by name", "HANDLES", "aaa", "bbb", "dir/ccc");
        ck_assert(is_changed(&session));
        type(&session, "l");
        expect(&session, "by logical", "bbb", "dir/ccc", "aaa");
        type(&session, "R");
        expect(&session, "by logical reversed", "aaa", "dir/ccc", "bbb");
        type(&session, "Rh");
        expect(&session, "by handles,", "bbb", "aaa", "dir/ccc");
        type(&session, "r");
        expect(&session, "by resident", "aaa", "dir/ccc", "bbb");
        type(&session, "aR");
        expect(&session, "by age reversed", "dir/ccc", "bbb", "aaa");
        type(&session, "nR");
        expect(&session, "by name,", "aaa", "bbb", "dir/ccc");
        type(&session, "q");
        ck_assert_int_eq(next_status(&session), 0);
        check_terminal(&session);
        end(&session);
        must(close(fd));
}
END_TEST

START_TEST(scrolls_and_takes_sizes) {
        Session session;

        for (int i = 10; i < 70; i++) {
                g_autofree char *name = g_strdup_printf("region-%d", i);

                must_write(in_mount(name), "");
        }
        begin(&session, "1");
        /* Nine rows fit below the head. */
        expect(&session, "1-9 of 60", "region-10", "region-18");
        ck_assert_ptr_null(strstr(screen(&session), "region-19"));
        type(&session, KEY_DOWN KEY_DOWN);
        expect(&session, "3-11 of 60", "region-12", "region-20");
        type(&session, KEY_PAGE_DOWN);
        expect(&session, "12-20 of 60", "region-21", "region-29");
        type(&session, KEY_END);
        expect(&session, "52-60 of 60", "region-61", "region-69");
        type(&session, KEY_PAGE_DOWN KEY_PAGE_UP);
        expect(&session, "43-51 of 60", "region-52", "region-60");
        resize(&session, 30, 100);
        expect(&session, "34-60 of 60", "region-43", "region-69");
        /* Too small for anything is no reason to fail. */
        resize(&session, 1, 100);
        expect(&session, "pool [");
        resize(&session, 12, 100);
        expect(&session, "34-42 of 60");
        type(&session, "\x03");
        ck_assert_int_eq(next_status(&session), 0);
        check_terminal(&session);
        end(&session);
}
END_TEST

/* By the signals that ask programs to end. */
START_TEST(leaves_the_terminal_as_it_was) {
        static const int signals[] = { SIGTERM, SIGHUP, SIGQUIT };
        Session session;
        int status;

        make_three();
        begin(&session, "1");
        expect(&session, "NAME", "aaa");
        ck_assert(is_changed(&session));
        must(kill(session.regionctl, signals[_i]));
        status = next_status(&session);
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == signals[_i], "status %#x", status);
        check_terminal(&session);
        end(&session);
}
END_TEST

/* The usual size shows what a region is ordered by, and of a long name its beginning. */
START_TEST(fits_a_usual_terminal) {
        g_autofree char *name = g_strnfill(100, 'x'), *cut = g_strnfill(39, 'x'), *shown = g_strconcat(cut, "~", NULL);
        Session session;

        make_three();
        must_write(in_mount(name), "");
        begin(&session, "1");
        resize(&session, 24, 80);
        expect(&session, "NAME", "LOGICAL", "PADDED", "RESIDENT", "HANDLES", "AGE", "aaa", "bbb", "dir/ccc", shown);
        type(&session, "q");
        ck_assert_int_eq(next_status(&session), 0);
        end(&session);
}
END_TEST

/* Whether its process that reads the mount waits for an answer: it sleeps in a call about files. */
static bool waits_for_server(const Session *session) {
        static const long calls[] = {
                SYS_openat, SYS_getdents64, SYS_newfstatat, SYS_statx,
                SYS_fstat,  SYS_fstatfs,    SYS_fgetxattr,  SYS_getxattr,
        };
        g_autofree char *path = g_strdup_printf("/proc/%1$d/task/%1$d/children", session->regionctl), *reader = NULL;

        ck_assert(g_file_get_contents(path, &reader, NULL, NULL));
        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
                if (*reader && waits_in(atoi(reader), calls[i]))
                        return true;
        return false;
}

/* Whatever the server does: it can be asked to end while it waits for one. */
START_TEST(ends_while_it_reads) {
        pid_t server = fixture_server();
        Session session;
        gint64 begun;
        int status;

        make_three();
        begin(&session, "0.1");
        expect(&session, "NAME", "aaa");
        stop_process(server);
        eventually(waits_for_server(&session));
        begun = g_get_monotonic_time();
        if (_i == 0)
                type(&session, "q");
        else if (_i == 1)
                type(&session, "\x03");
        else
                must(kill(session.regionctl, SIGTERM));
        status = next_status(&session);
        must(kill(server, SIGCONT));
        ck_assert_int_lt(g_get_monotonic_time() - begun, 10000000);
        if (_i == 2)
                ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "status %#x", status);
        else
                ck_assert_int_eq(status, 0);
        check_terminal(&session);
        end(&session);
}
END_TEST

START_TEST(stops_and_goes_on) {
        Session session;

        make_three();
        begin(&session, "1");
        expect(&session, "NAME", "aaa");
        type(&session, "\x1a");
        ck_assert(WIFSTOPPED(next_status(&session)));
        check_terminal(&session);
        g_string_truncate(session.output, 0);
        must(kill(session.regionctl, SIGCONT));
        ck_assert(WIFCONTINUED(next_status(&session)));
        expect(&session, "NAME", "aaa", "bbb");
        ck_assert(is_changed(&session));
        ck_assert_ptr_nonnull(strstr(session.output->str, ALTERNATE_SCREEN));
        type(&session, "q");
        ck_assert_int_eq(next_status(&session), 0);
        check_terminal(&session);
        end(&session);
}
END_TEST

/* What it shows goes away while it is shown. */
START_TEST(ends_with_its_directory) {
        g_autofree char *directory = g_strdup(fixture_mountpoint());
        Session session;
        int status;

        make_three();
        begin(&session, "0.1");
        expect(&session, "NAME", "aaa");
        ck_assert_int_eq(run_command(NULL, "umount -l %s || fusermount3 -u -z %s", directory, directory), 0);
        status = next_status(&session);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) != 0, "status %#x", status);
        check_terminal(&session);
        ck_assert_ptr_nonnull(strstr(session.output->str, "regionctl: "));
        end(&session);
}
END_TEST

static void end_without_mount(void) {
        int status;

        must(waitpid(fixture_daemon(), &status, 0));
        ck_assert_int_eq(status, 0);
        fixture_remove();
}

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "top"), *gone = tcase_create("gone");

        tcase_add_test(tests, says_that_there_is_nothing);
        tcase_add_test(tests, sorts_by_keys);
        tcase_add_test(tests, scrolls_and_takes_sizes);
        tcase_add_loop_test(tests, leaves_the_terminal_as_it_was, 0, 3);
        tcase_add_test(tests, fits_a_usual_terminal);
        tcase_add_loop_test(tests, ends_while_it_reads, 0, 3);
        tcase_add_test(tests, stops_and_goes_on);
        tcase_add_checked_fixture(gone, fixture_begin, end_without_mount);
        tcase_add_test(gone, ends_with_its_directory);
        suite_add_tcase(suite, gone);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "regionctl-top", add);
}
