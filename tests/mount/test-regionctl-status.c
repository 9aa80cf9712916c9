/* regionctl status: what people and scripts see of mounts. */
#include "regionctl-says.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <sys/xattr.h>

START_TEST(status_tells_of_mounts) {
        g_autofree char *said = NULL, *expression = NULL;

        must_write(in_mount("a"), "data");
        must(mkdir(in_mount("d"), 0755));
        expression = g_strdup_printf("len(x) == 1 and x[0][\"mount\"] == os.path.realpath(\".\") and x[0][\"regions\"] == 1 and "
                                     "x[0][\"server_pid\"] == %d and x[0][\"passthrough\"] is %s and "
                                     "x[0][\"version\"] == \"%s\" and x[0][\"pool_size\"] > x[0][\"pool_used\"] and "
                                     "x[0][\"files_limit\"] > 0 and x[0][\"channel\"] == os.minor(os.stat(\".\").st_dev)",
                                     fixture_server(), fixture_mode() == MODE_PASSTHROUGH ? "True" : "False", REGIONFS_VERSION);
        check_json("status .", expression);
        check_json("status d", expression);
        ck_assert_int_eq(run_command(&said, "$REGIONCTL status %s/d/", fixture_mountpoint()), 0);
        check_says(said, fixture_mountpoint());
        check_says(said, "\n  regions    1; ");
        g_clear_pointer(&said, g_free);
        run_command(&said, "$REGIONCTL status");
        check_says(said, fixture_mountpoint());
}
END_TEST

/* A mount that nobody serves is said, and the others are told. */
START_TEST(status_of_a_dead_mount) {
        g_autofree char *said = NULL;
        g_autofree char *dead = g_build_filename(fixture_directory(), "dead", NULL);
        g_autofree char *server = NULL;
        pid_t daemon;

        must(mkdir(dead, 0755));
        daemon = fork();
        if (daemon == 0) {
                execl(fixture_program(), fixture_program(), "-f", dead, NULL);
                _exit(127);
        }
        for (int i = 0; i < 2000 && run_command(NULL, "$REGIONCTL status %s", dead) != 0; i++)
                g_usleep(5000);
        server = must_get(dead, "user.regionfs.server_pid");
        /* What takes a user's dead mount away, before all. */
        run_command(NULL, "for p in /proc/[0-9]*; do (grep -q '^regionfs-umount$' $p/comm && grep -q '%s' $p/cmdline &&"
                    " kill -KILL ${p#/proc/}) 2>/dev/null; done", dead);
        /* The keeper first, which would put another server in the place of the dead one. */
        must(kill(daemon, SIGKILL));
        must(waitpid(daemon, NULL, 0));
        must(kill(atoi(server), SIGKILL));
        for (int i = 0; i < 2000 && access(dead, F_OK) == 0; i++)
                g_usleep(5000);
        ck_assert_int_eq(run_command(&said, "$REGIONCTL status %s %s", dead, fixture_mountpoint()), 1);
        check_says(said, "no regionfs serves the mount any more: umount it");
        check_says(said, "\n  server     regionfs");
        g_clear_pointer(&said, g_free);
        ck_assert_int_eq(run_command(&said, "$REGIONCTL ls %s/a", dead), 1);
        check_says(said, "no regionfs serves the mount any more: umount it");
        ck_assert_int_eq(run_command(NULL, "umount -l %s || fusermount3 -u -z %s", dead, dead), 0);
        must(rmdir(dead));
}
END_TEST

/* What is said of one that hangs: within seconds. */
START_TEST(a_mount_that_hangs_is_named) {
        g_autofree char *hangs = g_build_filename(fixture_directory(), "hangs", NULL), *said = NULL, *server = NULL;
        g_autofree char *named = g_strdup_printf("%s does not answer within 5 seconds: its regionfs may hang", hangs);

        must(mkdir(hangs, 0755));
        ck_assert_int_eq(run_command(NULL, "%s %s", fixture_program(), hangs), 0);
        server = must_get(hangs, "user.regionfs.server_pid");
        stop_process(atoi(server));
        ck_assert_int_eq(run_command(&said, "timeout 30 $REGIONCTL status 2>&1"), 1);
        check_says(said, named);
        check_says(said, fixture_mountpoint());
        g_clear_pointer(&said, g_free);
        ck_assert_int_eq(run_command(&said, "timeout 30 $REGIONCTL status %s %s", hangs, fixture_mountpoint()), 1);
        check_says(said, named);
        check_says(said, "\n  server     regionfs");
        must(kill(atoi(server), SIGCONT));
        ck_assert_int_eq(run_command(NULL, "umount %s || fusermount3 -u %s", hangs, hangs), 0);
        eventually(process_is_gone(atoi(server)));
        must(rmdir(hangs));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "status");

        tcase_add_test(tests, status_tells_of_mounts);
        tcase_add_test(tests, status_of_a_dead_mount);
        tcase_add_test(tests, a_mount_that_hangs_is_named);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "regionctl-status", add);
}
