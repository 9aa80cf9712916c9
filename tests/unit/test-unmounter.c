#include "mount/unmounter.h"

#include "unit.h"

#include <signal.h>
#include <sys/wait.h>

static char *directory; /* of the test's own */
static char *trace;     /* a file that the work makes */

static void setup(void) {
        directory = unit_directory(UNIT_TMPFS);
        trace = g_build_filename(directory, "trace", NULL);
}

static void teardown(void) {
        g_clear_pointer(&directory, g_free);
        g_clear_pointer(&trace, g_free);
}

/* Leaves whether it was asked, and the numbers of the descriptors that are open. */
static char *leave_trace(const void *data, bool asked) {
        g_autoptr(GString) text = g_string_new(NULL);
        g_autofree char *path = g_strconcat(trace, "~", NULL);

        g_string_printf(text, "%d", asked);
        for (int fd = 0; fd < 1000; fd++)
                if (fcntl(fd, F_GETFD) >= 0)
                        g_string_append_printf(text, " %d", fd);
        if (!g_file_set_contents(path, text->str, -1, NULL) || rename(path, trace) < 0)
                return g_strdup("no trace");
        return g_strdup(data);
}

/* What it has left, to be freed; NULL if there is nothing after ten seconds. */
static char *wait_for_trace(void) {
        char *text = NULL;

        for (int tries = 0; tries < 1000 && !g_file_get_contents(trace, &text, NULL, NULL); tries++)
                g_usleep(10000);
        return text;
}

static int start(const char *complaint) {
        int unmounter = unmounter_start(leave_trace, complaint);

        ck_assert_msg(unmounter >= 0, "%s", g_strerror(-unmounter));
        return unmounter;
}

START_TEST(it_works_when_asked) {
        auto_descriptor unmounter = start(NULL);
        g_autofree char *text = NULL;

        ck_assert(access(trace, F_OK) < 0);
        ck_assert_ptr_null(unmounter_ask(unmounter));
        text = wait_for_trace();
        ck_assert(g_str_has_prefix(text, "1"));
}
END_TEST

START_TEST(it_says_what_went_wrong) {
        auto_descriptor unmounter = start("no way");
        g_autofree char *complaint = unmounter_ask(unmounter);

        ck_assert_str_eq(complaint, "no way");
}
END_TEST

START_TEST(it_works_when_the_last_one_has_gone) {
        int unmounter = start(NULL), copy = fcntl(unmounter, F_DUPFD_CLOEXEC, 0);
        g_autofree char *text = NULL;

        descriptor_clear(&unmounter);
        g_usleep(50000);
        ck_assert(access(trace, F_OK) < 0);
        descriptor_clear(&copy);
        text = wait_for_trace();
        ck_assert_ptr_nonnull(text);
        ck_assert(g_str_has_prefix(text, "0"));
}
END_TEST

START_TEST(it_has_no_descriptor_but_its_own) {
        auto_descriptor other = unit_any_descriptor(), unmounter = start(NULL);
        g_autofree char *text = NULL;
        g_auto(GStrv) words = NULL;

        ck_assert_int_ge(other, 0);
        ck_assert_ptr_null(unmounter_ask(unmounter));
        text = wait_for_trace();
        words = g_strsplit(text, " ", -1);
        /* Whether it was asked, the standard streams, and what it is asked by. */
        ck_assert_msg(g_strv_length(words) == 5, "%s", text);
}
END_TEST

START_TEST(dismissed_it_does_nothing) {
        int unmounter = start(NULL);
        char byte;

        unmounter_dismiss(unmounter);
        /* It has ended. */
        ck_assert_int_eq(read(unmounter, &byte, 1), 0);
        ck_assert(access(trace, F_OK) < 0);
        descriptor_clear(&unmounter);
}
END_TEST

/* Sends itself what may come from a terminal or a service manager, and goes on. */
static char *be_signalled(const void *data, bool asked) {
        static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };

        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
                kill(getpid(), signals[i]);
        return g_strdup_printf("%d", getsid(0) == getpid() || getsid(0) != *(const pid_t *)data);
}

START_TEST(signals_that_end_the_daemon_do_not_end_it) {
        const pid_t session = getsid(0);
        auto_descriptor unmounter = unmounter_start(be_signalled, &session);
        g_autofree char *apart = unmounter_ask(unmounter);

        ck_assert_str_eq(apart, "1");
}
END_TEST

START_TEST(one_that_has_gone_is_told) {
        auto_descriptor unmounter = start(NULL);
        g_autofree char *complaint = NULL;

        unmounter_dismiss(unmounter);
        complaint = unmounter_ask(unmounter);
        ck_assert_ptr_nonnull(complaint);
        ck_assert_ptr_nonnull(strstr(complaint, "has gone"));
}
END_TEST

START_TEST(it_is_nobodys_child) {
        auto_descriptor unmounter = start(NULL);

        ck_assert_int_ge(unmounter, 0);
        errno = 0;
        ck_assert_int_lt(waitpid(-1, NULL, WNOHANG), 0);
        ck_assert_int_eq(errno, ECHILD);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("unmounter");
        TCase *tests = unit_case(suite, "unmounter");

        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_add_test(tests, it_works_when_asked);
        tcase_add_test(tests, it_says_what_went_wrong);
        tcase_add_test(tests, it_works_when_the_last_one_has_gone);
        tcase_add_test(tests, it_has_no_descriptor_but_its_own);
        tcase_add_test(tests, dismissed_it_does_nothing);
        tcase_add_test(tests, signals_that_end_the_daemon_do_not_end_it);
        tcase_add_test(tests, one_that_has_gone_is_told);
        tcase_add_test(tests, it_is_nobodys_child);
        return unit_main(suite);
}
