/* Names that have gone, while the notifier cannot tell of them: nobody waits for it for good. */
#include "crash.h"

#include <regionfs/regionfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

/* More names than wait in its socket. */
#define REGIONS 100
#define NAMES 8

/* The keeper's child that is not the server. */
static pid_t notifier(void) {
        g_autofree char *path = g_strdup_printf("/proc/%1$d/task/%1$d/children", fixture_daemon());
        g_autofree char *text = NULL;
        pid_t server = fixture_server(), children[2] = { 0 };

        ck_assert(g_file_get_contents(path, &text, NULL, NULL));
        ck_assert_int_eq(sscanf(text, "%d %d", &children[0], &children[1]), 2);
        return children[children[0] == server];
}

/* In a directory; each ends with its last close. */
static void end_regions(void) {
        must(mkdir(in_mount("d"), 0700));
        for (int region = 0; region < REGIONS; region++) {
                g_autofree char *name = g_strdup_printf("d/%d", region);
                int fd = must_open(in_mount(name), O_RDWR | O_CREAT, 0600);

                for (int link_number = 1; link_number < NAMES; link_number++) {
                        g_autofree char *other = g_strdup_printf("d/%d-%d", region, link_number);

                        must(link(in_mount(name), in_mount(other)));
                }
                must(close(fd));
        }
}

static unsigned regions(void) {
        g_autofree char *text = must_get(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS);

        return atoi(text);
}

static void make_directory(void *data) {
        must(mkdir(in_mount("d/made"), 0700));
}

/* The directory's lock is held by a client that waits for the next server, and the notifier waits for the lock. */
START_TEST(the_next_server_does_not_wait_for_it) {
        pid_t of_names = notifier(), server = fixture_server(), client;
        struct stat st;

        stop_process(of_names);
        end_regions();
        eventually(regions() < REGIONS);
        g_usleep(100000);
        must(stat(in_mount("d"), &st));
        stop_process(server);
        client = start_process(make_directory, NULL);
        g_usleep(100000);
        must(kill(of_names, SIGCONT));
        g_usleep(100000);
        must(kill(server, SIGKILL));
        end_process(client);
        eventually(regions() == 0);
        must(rmdir(in_mount("d/made")));
        must(rmdir(in_mount("d")));
}
END_TEST

/* Neither keeper nor notifier are left, and the mount is to end. */
START_TEST(a_server_ends_without_it) {
        pid_t of_names = notifier(), server = fixture_server();

        fixture_expect("the keeper has died");
        fixture_expect("the kernel is not told of names that have gone");
        must(kill(fixture_daemon(), SIGKILL));
        must(waitpid(fixture_daemon(), NULL, 0));
        must(kill(of_names, SIGKILL));
        eventually(kill(of_names, 0) < 0);
        end_regions();
        eventually(regions() == 0);
        must(kill(server, SIGTERM));
        eventually(kill(server, 0) < 0);
        ck_assert_int_ne(run_command(NULL, "grep -q ' %s ' /proc/mounts", fixture_mountpoint()), 0);
        fixture_remove();
}
END_TEST

static void begin(void) {
        fixture_mount("lifetime=handles");
}

static void add(Suite *suite) {
        TCase *tests = tcase_create("notifier"), *alone = tcase_create("alone");

        tcase_add_checked_fixture(tests, begin, fixture_unmount);
        tcase_add_test(tests, the_next_server_does_not_wait_for_it);
        suite_add_tcase(suite, tests);
        tcase_add_checked_fixture(alone, begin, NULL);
        tcase_add_test(alone, a_server_ends_without_it);
        suite_add_tcase(suite, alone);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "notifier", add);
}
