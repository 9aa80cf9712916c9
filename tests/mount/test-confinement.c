/* What the processes of a mount have given up, and what becomes of the mount when both are killed. */
#include "fixture.h"

#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define BIT(capability) (UINT64_C(1) << (capability))

/* As in the manual. */
#define KEPT                                                                                                           \
        (BIT(CAP_SYS_ADMIN) | BIT(CAP_SYS_PTRACE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_DAC_OVERRIDE) |                 \
         BIT(CAP_CHOWN) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_SETFCAP) | BIT(CAP_MKNOD) | BIT(CAP_LEASE) |     \
         BIT(CAP_SETUID) | BIT(CAP_SETGID))
#define OF_THE_KEEPER (BIT(CAP_SYS_ADMIN) | BIT(CAP_DAC_READ_SEARCH))


/* A line of /proc/PID[/task/TID]/status as a number. */
static uint64_t status(const char *directory, const char *name, int base) {
        g_autofree char *path = g_build_filename(directory, "status", NULL);
        g_autofree char *label = g_strdup_printf("\n%s:\t", name);
        g_autofree char *text = NULL;
        const char *line;

        ck_assert(g_file_get_contents(path, &text, NULL, NULL));
        line = strstr(text, label);
        ck_assert_msg(line != NULL, "%s has no %s", path, name);
        return g_ascii_strtoull(line + strlen(label), NULL, base);
}

static void check_process(const char *directory, uint64_t kept, uint64_t in_force, unsigned filters) {
        /* What a user's bounding set has is nobody's to take away, and without effect. */
        const bool root = fixture_mode() != MODE_USER;
        const uint64_t had = root ? status("/proc/self", "CapPrm", 16) : 0;

        ck_assert_uint_eq(status(directory, "CapPrm", 16), had & kept);
        ck_assert_uint_eq(status(directory, "CapEff", 16), had & in_force);
        ck_assert_uint_eq(status(directory, "CapInh", 16), 0);
        ck_assert_uint_eq(status(directory, "CapAmb", 16), 0);
        if (root)
                ck_assert_uint_eq(status(directory, "CapBnd", 16), had & KEPT);
        ck_assert_uint_eq(status(directory, "NoNewPrivs", 10), 1);
        ck_assert_uint_eq(status(directory, "Seccomp", 10), 2);
        ck_assert_uint_eq(status(directory, "Seccomp_filters", 10), filters);
}

/* The keeper's child that is not the server. */
static char *find_notifier(void) {
        g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", fixture_daemon(), fixture_daemon());
        g_autofree char *text = NULL;
        g_auto(GStrv) children = NULL;

        ck_assert(g_file_get_contents(path, &text, NULL, NULL));
        children = g_strsplit(g_strchomp(text), " ", -1);
        ck_assert_msg(g_strv_length(children) == 2, "%s", text);
        return g_strconcat("/proc/", children[atoi(children[0]) == fixture_server() ? 1 : 0], NULL);
}

/* All threads of the server, the keeper, and the notifier. */
static void check_all(void) {
        g_autofree char *notifier = find_notifier();
        g_autofree char *keeper = g_strdup_printf("/proc/%d", fixture_daemon());
        g_autofree char *tasks = g_strdup_printf("/proc/%d/task", fixture_server());
        g_autoptr(GDir) directory = g_dir_open(tasks, 0, NULL);
        unsigned threads = 0;
        const char *name;

        check_process(keeper, KEPT, OF_THE_KEEPER, status("/proc/self", "Seccomp_filters", 10) + 1);
        /* It may have just been started. */
        eventually(status(notifier, "Seccomp_filters", 10) == status("/proc/self", "Seccomp_filters", 10) + 2);
        check_process(notifier, 0, 0, status("/proc/self", "Seccomp_filters", 10) + 2);
        ck_assert_ptr_nonnull(directory);
        while ((name = g_dir_read_name(directory))) {
                g_autofree char *task = g_build_filename(tasks, name, NULL);

                check_process(task, KEPT, KEPT, status("/proc/self", "Seccomp_filters", 10) + 2);
                threads++;
        }
        ck_assert_uint_ge(threads, 4);
}

START_TEST(keeper_and_server_have_no_more_than_they_need) {
        check_all();
}
END_TEST

START_TEST(nor_has_the_next_server) {
        pid_t server = fixture_server();

        must_write(in_mount("a"), "kept");
        must(kill(server, SIGKILL));
        eventually(fixture_server() != server);
        must_read(in_mount("a"), "kept");
        check_all();
}
END_TEST

/* Of the ordinary user's daemons that the test has started, the processes that unmount. */
static unsigned unmounters(void) {
        g_autofree char *said = NULL;
        g_auto(GStrv) lines = NULL;

        run_command(&said,
                    "for p in /proc/[0-9]*; do  (grep -q '^regionfs-umount$' $p/comm && tr '\\0' ' ' <$p/cmdline |"
                    " grep -q ' %s $' && echo $p) 2>/dev/null; done",
                    fixture_mountpoint());
        lines = g_strsplit(g_strchomp(said), "\n", -1);
        return g_strv_length(lines);
}

/* A daemon that the test ends by itself. */
static void begin_to_kill(void) {
        fixture_mount(NULL);
        must_write(in_mount("a"), "lost");
        ck_assert_uint_eq(unmounters(), fixture_mode() == MODE_USER ? 1 : 0);
}

static void reap_daemon(void) {
        int ended;

        must(waitpid(fixture_daemon(), &ended, 0));
}

START_TEST(killed_with_all_its_processes_a_users_daemon_leaves_no_mount) {
        pid_t server;

        begin_to_kill();
        server = fixture_server();
        /* Stopped, it cannot go on, nor put another in the place of the server. */
        stop_process(fixture_daemon());
        must(kill(server, SIGKILL));
        must(kill(fixture_daemon(), SIGKILL));
        reap_daemon();
        eventually(!is_mounted());
        eventually(unmounters() == 0);
        fixture_remove();
}
END_TEST

START_TEST(nothing_is_taken_away_while_one_of_them_lives) {
        pid_t server;

        begin_to_kill();
        server = fixture_server();
        must(kill(fixture_daemon(), SIGKILL));
        reap_daemon();
        g_usleep(100000);
        must_read(in_mount("a"), "lost");
        must(kill(server, SIGTERM));
        eventually(!is_mounted());
        eventually(unmounters() == 0);
        fixture_remove();
}
END_TEST

/* A descriptor of the connection that the server has, as of another one that goes on with it. */
static int share_channel(pid_t server) {
        int process = syscall(SYS_pidfd_open, server, 0), channel = -1;

        must(process);
        for (int fd = 0; channel < 0 && fd < 1000; fd++) {
                g_autofree char *link = g_strdup_printf("/proc/%d/fd/%d", server, fd);
                g_autofree char *target = g_file_read_link(link, NULL);

                if (target && g_str_has_prefix(target, "/dev/fuse"))
                        channel = syscall(SYS_pidfd_getfd, process, fd, 0);
        }
        close(process);
        must(channel);
        return channel;
}

START_TEST(a_mount_that_somebody_goes_on_with_stays) {
        pid_t server;
        int channel;

        begin_to_kill();
        server = fixture_server();
        channel = share_channel(server);
        stop_process(fixture_daemon());
        must(kill(server, SIGKILL));
        must(kill(fixture_daemon(), SIGKILL));
        reap_daemon();
        g_usleep(300000);
        ck_assert(is_mounted());
        must(close(channel));
        eventually(!is_mounted());
        eventually(unmounters() == 0);
        fixture_remove();
}
END_TEST

START_TEST(a_mount_that_is_not_the_daemons_stays) {
        g_autofree char *said = NULL;
        pid_t first, server;

        begin_to_kill();
        first = fixture_daemon();
        server = fixture_server();
        stop_process(first);
        stop_process(server);
        ck_assert_int_eq(run_command(&said, "fusermount3 -u -z %s && %s %s", fixture_mountpoint(), fixture_program(),
                                     fixture_mountpoint()), 0);
        must_write(in_mount("b"), "another");
        must(kill(server, SIGKILL));
        must(kill(first, SIGKILL));
        reap_daemon();
        eventually(unmounters() == 1);
        g_usleep(100000);
        must_read(in_mount("b"), "another");
        ck_assert_int_eq(run_command(NULL, "fusermount3 -u %s", fixture_mountpoint()), 0);
        eventually(unmounters() == 0);
        fixture_remove();
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "confinement"), *killed = tcase_create("killed");
        const bool user = fixture_mode() == MODE_USER;

        tcase_add_test(tests, keeper_and_server_have_no_more_than_they_need);
        tcase_add_test(tests, nor_has_the_next_server);
        tcase_add_test(killed, nothing_is_taken_away_while_one_of_them_lives);
        add_test_if(killed, killed_with_all_its_processes_a_users_daemon_leaves_no_mount, user, "is about users");
        add_test_if(killed, a_mount_that_somebody_goes_on_with_stays, user, "is about users");
        add_test_if(killed, a_mount_that_is_not_the_daemons_stays, user, "is about users");
        suite_add_tcase(suite, killed);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "confinement", add);
}
