/* Servers that die before they take a request, one after the other. */
#include "crash.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* As of regionfs(8), in microseconds. */
#define AT_MOST (20 * G_USEC_PER_SEC)

/* Beyond that time: for a machine that does other work. */
#define SLACK (30 * G_USEC_PER_SEC)

static void look_in_vain(void *data) {
        ck_assert_int_lt(access(in_mount("new"), F_OK), 0);
        ck_assert_msg(errno == ENOTCONN || errno == ECONNABORTED, "%s", g_strerror(errno));
}

/* No client waits for good. */
START_TEST(those_that_cannot_live_are_given_up) {
        const struct rlimit none = { 3, 3 };
        gint64 begun;
        pid_t client;
        int status;

        fixture_begin();
        must_write(in_mount("a"), "text");
        /* Until the keeper knows, too, that the mount has answered: before that it gives up at once. */
        g_usleep(G_USEC_PER_SEC / 2);
        must(prlimit(fixture_daemon(), RLIMIT_NOFILE, &none, NULL));
        begun = g_get_monotonic_time();
        must(kill(fixture_server(), SIGKILL));
        client = start_process(look_in_vain, NULL);
        must(waitpid(fixture_daemon(), &status, 0));
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
        ck_assert_int_ge(g_get_monotonic_time() - begun, AT_MOST);
        ck_assert_int_le(g_get_monotonic_time() - begun, AT_MOST + SLACK);
        end_process(client);
        eventually(has_logged("warning: servers die of what they find, one after the other"));
        ck_assert(!is_mounted());
        fixture_remove();
}
END_TEST

/* All of the keeper's children but one. */
static void kill_others(pid_t spared) {
        g_autofree char *path = g_strdup_printf("/proc/%1$d/task/%1$d/children", fixture_daemon()), *text = NULL;
        g_auto(GStrv) children = NULL;

        ck_assert(g_file_get_contents(path, &text, NULL, NULL));
        children = g_strsplit(g_strchomp(text), " ", -1);
        for (char **child = children; *child; child++)
                if (**child && atoi(*child) != spared)
                        kill(atoi(*child), SIGKILL);
}

static pid_t notifier(void) {
        g_autofree char *path = g_strdup_printf("/proc/%1$d/task/%1$d/children", fixture_daemon()), *text = NULL;
        pid_t server = fixture_server(), children[2] = { 0 };

        ck_assert(g_file_get_contents(path, &text, NULL, NULL));
        ck_assert_int_eq(sscanf(text, "%d %d", &children[0], &children[1]), 2);
        return children[children[0] == server];
}

START_TEST(those_that_are_killed_are_not) {
        pid_t spared = notifier();
        gint64 until;

        must_write(in_mount("a"), "text");
        for (until = g_get_monotonic_time() + AT_MOST + 5 * G_USEC_PER_SEC; g_get_monotonic_time() < until;) {
                kill_others(spared);
                g_usleep(20000);
        }
        must_read(in_mount("a"), "text");
        ck_assert_int_gt(restarts(), 50);
}
END_TEST

static void add(Suite *suite) {
        TCase *alone = tcase_create("given up");

        tcase_add_test(alone, those_that_cannot_live_are_given_up);
        suite_add_tcase(suite, alone);
        tcase_add_test(add_case(suite, "killed"), those_that_are_killed_are_not);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "vain", add);
}
