/* The commands of the unit for systemd. The test is systemd, which queues a job and runs them. */
#include "manager.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define NAME "regionfs@test.service"

/* Less than it takes the kernel, or a command, to give up. */
#define AT_ONCE (10 * G_USEC_PER_SEC)

/* The value of a key of the unit, its lines joined; to be freed. */
static char *value_of(const char *key) {
        g_autofree char *text = NULL, *begin = g_strdup_printf("\n%s=", key);
        const char *found, *end;
        g_auto(GStrv) lines = NULL;

        ck_assert_msg(g_getenv("UNIT"), "the environment does not say where UNIT is");
        ck_assert(g_file_get_contents(g_getenv("UNIT"), &text, NULL, NULL));
        found = strstr(text, begin);
        ck_assert_msg(found, "the unit has no %s=", key);
        found += strlen(begin);
        for (end = strchr(found, '\n'); end[-1] == '\\'; end = strchr(end + 1, '\n'))
                ;
        text[end - text] = '\0';
        lines = g_strsplit(found, "\\\n", -1);
        return g_strjoinv(" ", lines);
}

static void put(GString *command, const char *what, const char *value) {
        g_string_replace(command, what, value, 0);
}

/*
 * Runs a command of the unit while a job for it is queued ("restart", "stop"; NULL: none). The process, which is to be
 * waited for.
 */
static pid_t begin_command(const char *key, const char *job) {
        g_autofree char *value = value_of(key), *process = g_strdup_printf("%d", fixture_daemon());
        g_autofree char *tools = g_build_filename(fixture_directory(), "tools", NULL);
        g_autofree char *systemctl = g_build_filename(tools, "systemctl", NULL);
        g_autofree char *ours = job ? g_strdup_printf("echo ' 123 " NAME " %s running'\n", job) : g_strdup("");
        g_autofree char *script = g_strdup_printf("#!/bin/sh\necho ' 12 other.service restart running'\n%s", ours);
        g_autofree char *path = g_strdup_printf("%s:%s", tools, g_getenv("PATH"));
        GString *command = g_string_new(*value == '-' ? value + 1 : value);
        g_auto(GStrv) arguments = NULL;
        pid_t runs;

        mkdir(tools, 0755);
        must_write(systemctl, script);
        must(chmod(systemctl, 0755));
        put(command, "$MAINPID", process);
        put(command, "%n", NAME);
        put(command, "%f", fixture_mountpoint());
        put(command, "$$", "$");
        ck_assert_msg(g_shell_parse_argv(command->str, NULL, &arguments, NULL), "%s", command->str);
        g_string_free(command, TRUE);
        runs = fork();
        if (runs == 0) {
                g_setenv("PATH", path, TRUE);
                execv(arguments[0], arguments);
                _exit(127);
        }
        return runs;
}

/* Its exit status. */
static int end_command(pid_t runs, gint64 begun) {
        int status;

        while (waitpid(runs, &status, WNOHANG) != runs) {
                if (g_get_monotonic_time() - begun > AT_ONCE) {
                        kill(runs, SIGKILL);
                        ck_abort_msg("a command of the unit takes too long");
                }
                g_usleep(1000);
        }
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run(const char *key, const char *job) {
        gint64 begun = g_get_monotonic_time();

        return end_command(begin_command(key, job), begun);
}

static void end(void) {
        ck_assert_int_eq(run_command(NULL, "rm -r %s/tools", fixture_directory()), 0);
        manager_end();
}

/* The daemon and all of its processes but an unmounter, as with a unit whose control group is killed. */
static void kill_all(void) {
        int status;

        stop_process(fixture_server());
        must(kill(-fixture_daemon(), SIGKILL));
        eventually(manager_has_ended(&status));
}

START_TEST(a_restart_keeps_the_mount) {
        gint64 begun;
        pid_t stops;
        int status = -1;

        manager_start();
        for (int i = 0; i < 3; i++) {
                must_write(in_mount("a"), "text");
                /* From here on the kernel remembers nothing of the root directory, and would have to ask for it. */
                must_write(in_mount("b"), "");
                must(unlink(in_mount("b")));
                begun = g_get_monotonic_time();
                stops = begin_command("ExecStop", "restart");
                eventually(manager_has_ended(&status));
                ck_assert_int_eq(status, 0);
                ck_assert_int_eq(end_command(stops, begun), 0);
                run("ExecStopPost", "restart");
                ck_assert(is_mounted());
                ck_assert_int_eq(run("ExecStartPre", "restart"), 0);
                manager_start();
                must_read(in_mount("a"), "text");
        }
        manager_stop();
}
END_TEST

/* Not the unit's: systemd sends SIGTERM after it. */
START_TEST(a_stop_is_left_to_systemd) {
        int status;

        manager_start();
        must_write(in_mount("a"), "text");
        ck_assert_int_eq(run("ExecStop", "stop"), 0);
        ck_assert_int_eq(run("ExecStop", NULL), 0);
        ck_assert(!manager_has_ended(&status));
        must_read(in_mount("a"), "text");
        manager_stop();
}
END_TEST

START_TEST(a_stop_takes_a_dead_mount_away) {
        manager_start();
        must_write(in_mount("a"), "text");
        kill_all();
        /* Another start is to follow. */
        run("ExecStopPost", NULL);
        if (geteuid() == 0)
                ck_assert(is_mounted());
        run("ExecStopPost", "stop");
        manager_keep_nothing();
        eventually(!is_mounted());
}
END_TEST

START_TEST(a_start_makes_the_directory) {
        struct stat st;

        must(rmdir(fixture_mountpoint()));
        ck_assert_int_eq(run("ExecStartPre", NULL), 0);
        must(stat(fixture_mountpoint(), &st));
        ck_assert(S_ISDIR(st.st_mode));
        ck_assert_int_eq(run("ExecStartPre", NULL), 0);
        manager_start();
        ck_assert_int_eq(run("ExecStartPre", NULL), 0);
        manager_stop();
}
END_TEST

/* What has no other effect than on systemd. */
START_TEST(the_unit_says_what_the_daemon_needs) {
        g_autofree char *store = value_of("FileDescriptorStoreMax"), *said = value_of("Environment=FDSTORE");
        g_autofree char *policy = value_of("OOMPolicy"), *limit = value_of("StartLimitIntervalSec");
        g_autofree char *tasks = value_of("TasksMax");

        ck_assert_str_eq(store, said);
        /* A server that is killed for want of memory is replaced. */
        ck_assert_str_eq(policy, "continue");
        /* What systemd keeps is gone once it gives up, and a dead mount left. */
        ck_assert_str_eq(limit, "0");
        /* max_threads=1024, and as many rings as there may be processors. */
        ck_assert_int_ge(atoi(tasks), 2048);
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("service");

        tcase_add_checked_fixture(tests, manager_begin, end);
        tcase_add_test(tests, a_restart_keeps_the_mount);
        tcase_add_test(tests, a_stop_is_left_to_systemd);
        tcase_add_test(tests, a_stop_takes_a_dead_mount_away);
        tcase_add_test(tests, a_start_makes_the_directory);
        suite_add_tcase(suite, tests);
        tests = tcase_create("unit");
        tcase_add_test(tests, the_unit_says_what_the_daemon_needs);
        suite_add_tcase(suite, tests);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "service", add);
}
