/* Which of the processes may die, and what goes on then. */
#include "crash.h"

#include <regionfs/regionfs.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>

START_TEST(the_server_goes_on_without_its_keeper) {
        pid_t server = fixture_server();

        must_write(in_mount("a"), "text");
        must(kill(fixture_daemon(), SIGKILL));
        must(waitpid(fixture_daemon(), NULL, 0));
        must_read(in_mount("a"), "text");
        must_write(in_mount("b"), "more");
        eventually(has_logged("the keeper has died"));
        must(kill(server, SIGTERM));
        eventually(process_is_gone(server));
        ck_assert(!is_mounted());
        fixture_remove();
}
END_TEST

/* The keeper's child that is not the server; 0: there is none just now. */
static pid_t notifier(void) {
        g_autofree char *path = g_strdup_printf("/proc/%1$d/task/%1$d/children", fixture_daemon());
        g_autofree char *text = NULL;
        pid_t server = fixture_server(), children[2] = { 0 };

        ck_assert(g_file_get_contents(path, &text, NULL, NULL));
        if (sscanf(text, "%d %d", &children[0], &children[1]) != 2)
                return 0;
        return children[children[0] == server];
}

/* Whether the kernel knows that the name is free: it answers by itself that one is taken. */
static bool is_free(const char *name) {
        return mknod(in_mount(name), S_IFREG | 0600, 0) == 0;
}

/* Names that have gone are told to the kernel, whoever was killed. */
START_TEST(the_notifier_is_replaced) {
        for (int round = 0; round < 5; round++) {
                g_autofree char *name = g_strdup_printf("%d", round);
                int fd = must_open(in_mount(name), O_RDWR | O_CREAT | O_EXCL, 0600);
                pid_t last = 0;

                eventually((last = notifier()) > 0);
                must(setxattr(in_mount(name), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
                must(access(in_mount(name), F_OK));
                must(kill(last, SIGKILL));
                if (round % 2)
                        must(close(fd));
                eventually(notifier() && notifier() != last);
                if (round % 2 == 0)
                        must(close(fd));
                eventually(is_free(name));
        }
}
END_TEST

START_TEST(without_keeper_and_server_the_mount_is_dead) {
        pid_t server = fixture_server(), last = notifier();

        must_write(in_mount("a"), "text");
        must(kill(fixture_daemon(), SIGKILL));
        must(waitpid(fixture_daemon(), NULL, 0));
        must(kill(server, SIGKILL));
        /* An ordinary user's is taken away. */
        eventually(access(in_mount("a"), F_OK) < 0 && errno == (fixture_mode() == MODE_USER ? ENOENT : ENOTCONN));
        eventually(process_is_gone(last));
        if (fixture_mode() != MODE_USER)
                must(umount2(fixture_mountpoint(), 0));
        fixture_remove();
        /* An ordinary user's next daemon removes the pool of the one before. */
        fixture_mount(NULL);
        fixture_unmount();
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "processes"), *alone = tcase_create("alone");

        tcase_add_test(tests, the_notifier_is_replaced);
        tcase_add_checked_fixture(alone, fixture_begin, NULL);
        tcase_add_test(alone, the_server_goes_on_without_its_keeper);
        tcase_add_test(alone, without_keeper_and_server_the_mount_is_dead);
        suite_add_tcase(suite, alone);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "processes", add);
}
