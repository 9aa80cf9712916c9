/* A service manager keeps the mount while no process of the service runs. The test is the manager. */
#include "held.h"

#include <linux/close_range.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <regionfs/regionfs.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

typedef struct Kept {
        char *name;
        int fd;
} Kept;

static struct {
        int socket;
        char *path;
        GArray *store; /* Kept */
        bool ready, stopping, deaf;
} manager;

static void drop(guint number) {
        Kept *kept = &g_array_index(manager.store, Kept, number);

        must(close(kept->fd));
        g_free(kept->name);
        g_array_remove_index(manager.store, number);
}

static bool is_same(int a, int b) {
        return syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b) == 0;
}

static void store(const char *name, int fd) {
        Kept kept = { g_strdup(name), fd };

        ck_assert_int_ge(fd, 0);
        for (guint i = 0; i < manager.store->len; i++) {
                if (!is_same(g_array_index(manager.store, Kept, i).fd, fd))
                        continue;
                /* The first name stays, as of systemd. */
                must(close(fd));
                g_free(kept.name);
                return;
        }
        g_array_append_val(manager.store, kept);
}

static void take_out(const char *name) {
        for (guint i = manager.store->len; i > 0; i--)
                if (g_str_equal(g_array_index(manager.store, Kept, i - 1).name, name))
                        drop(i - 1);
}

static void take_message(const char *text, int fd) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        const char *const *all = (const char *const *)lines;
        const char *name = "stored";

        for (unsigned i = 0; lines[i]; i++)
                if (g_str_has_prefix(lines[i], "FDNAME="))
                        name = lines[i] + strlen("FDNAME=");
        manager.ready |= g_strv_contains(all, "READY=1");
        manager.stopping |= g_strv_contains(all, "STOPPING=1");
        if (g_strv_contains(all, "FDSTOREREMOVE=1"))
                take_out(name);
        if (g_strv_contains(all, "FDSTORE=1"))
                store(name, fd);
        else if (fd >= 0 && !manager.deaf)
                must(close(fd)); /* a barrier */
}

/* Takes what it has been told. */
static bool listen_to_it(void) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        char text[4096];
        struct iovec data = { text, sizeof(text) - 1 };
        struct msghdr message;
        const struct cmsghdr *found;
        ssize_t size;
        int fd;

        for (;;) {
                message = (struct msghdr){ .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
                                           .msg_controllen = sizeof(control) };
                size = recvmsg(manager.socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
                if (size < 0)
                        return true;
                text[size] = '\0';
                found = CMSG_FIRSTHDR(&message);
                fd = -1;
                if (found)
                        memcpy(&fd, CMSG_DATA(found), sizeof(fd));
                take_message(text, fd);
        }
}

static void begin(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        fixture_prepare();
        manager.store = g_array_new(FALSE, FALSE, sizeof(Kept));
        manager.path = g_build_filename(fixture_directory(), "notify", NULL);
        manager.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        strcpy(address.sun_path, manager.path);
        must(bind(manager.socket, (struct sockaddr *)&address, sizeof(address)));
}

static void empty_store(void) {
        while (manager.store->len)
                drop(0);
}

static void end(void) {
        empty_store();
        must(close(manager.socket));
        must(unlink(manager.path));
        fixture_remove();
}

/* The store's descriptors become 3 and so on. */
static void pass_store(void) {
        g_autofree char *process = g_strdup_printf("%d", getpid()), *count = g_strdup_printf("%u", manager.store->len);
        GString *names = g_string_new(NULL);

        for (guint i = 0; i < manager.store->len; i++) {
                Kept *kept = &g_array_index(manager.store, Kept, i);

                kept->fd = fcntl(kept->fd, F_DUPFD_CLOEXEC, 1000);
        }
        /* None of the clients': a daemon that has its own mount open would wait for itself. */
        close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
        /* The last one first, as systemd has them. */
        for (guint i = manager.store->len; i > 0; i--) {
                const Kept *kept = &g_array_index(manager.store, Kept, i - 1);

                dup2(kept->fd, 3 + manager.store->len - i);
                g_string_append_printf(names, "%s%s", names->len ? ":" : "", kept->name);
        }
        if (!manager.store->len)
                return;
        g_setenv("LISTEN_PID", process, TRUE);
        g_setenv("LISTEN_FDS", count, TRUE);
        g_setenv("LISTEN_FDNAMES", names->str, TRUE);
}

static void start(void) {
        const char *options = fixture_mode() == MODE_CACHED ? "passthrough=off" : "passthrough=auto";
        pid_t daemon = fork();

        if (daemon == 0) {
                int log = open(fixture_log_path(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

                setpgid(0, 0);
                prctl(PR_SET_PDEATHSIG, SIGTERM);
                dup2(log, STDERR_FILENO);
                g_setenv("NOTIFY_SOCKET", manager.path, TRUE);
                pass_store();
                execl(fixture_program(), fixture_program(), "-f", "-o", options, fixture_mountpoint(), NULL);
                _exit(127);
        }
        fixture_adopt(daemon);
        manager.ready = false;
        eventually(listen_to_it() && (manager.ready || waitpid(daemon, NULL, WNOHANG) == daemon));
        ck_assert_msg(manager.ready, "%s", fixture_log());
}

static bool has_ended(int *status) {
        listen_to_it();
        return waitpid(fixture_daemon(), status, WNOHANG) == fixture_daemon();
}

/* Asks it to, and returns when it has ended well. */
static void end_by(int signal) {
        int status = -1;

        must(kill(fixture_daemon(), signal));
        eventually(has_ended(&status));
        ck_assert_msg(status == 0, "it ended with status %#x: %s", status, fixture_log());
        listen_to_it();
}

static void stop(void) {
        end_by(SIGTERM);
        ck_assert(manager.stopping);
        ck_assert(!is_mounted());
}

static bool log_is_clean(void) {
        return !has_logged("]: warning:") && !has_logged("]: error:") && !has_logged("Sanitizer") &&
               !has_logged("runtime error:");
}

START_TEST(a_restart_loses_nothing) {
        Held *held;
        guint lasting;

        start();
        lasting = manager.store->len;
        ck_assert_uint_ge(lasting, 3);
        held = held_take();
        for (int i = 1; i <= 4; i++) {
                held_check(held);
                end_by(SIGUSR2);
                ck_assert(is_mounted());
                ck_assert_uint_gt(manager.store->len, lasting);
                start();
                held_check(held);
                ck_assert_int_eq(restarts(), i);
                /* What was handed over is not kept any longer than it has to be. */
                ck_assert_uint_eq(manager.store->len, lasting);
        }
        held_end(held);
        stop();
        ck_assert_msg(log_is_clean(), "%s", fixture_log());
}
END_TEST

START_TEST(clients_wait_for_the_next_run) {
        Hammer *hammer;

        start();
        hammer = hammer_start(3);
        for (int i = 0; i < 10; i++) {
                g_usleep(20000);
                end_by(SIGUSR2);
                g_usleep(20000);
                start();
        }
        ck_assert_uint_ge(hammer_stop(hammer), 10);
        ck_assert(root_has(REGIONFS_ATTRIBUTE_REGIONS, "0"));
        stop();
        ck_assert_msg(log_is_clean(), "%s", fixture_log());
}
END_TEST

START_TEST(restarts_and_upgrades_take_turns) {
        Held *held;

        start();
        held = held_take();
        for (int i = 0; i < 3; i++) {
                manager.ready = false;
                must(kill(fixture_daemon(), SIGHUP));
                eventually(listen_to_it() && manager.ready);
                ck_assert_int_eq(restarts(), 2 * i + 1);
                held_check(held);
                end_by(SIGUSR2);
                start();
                held_check(held);
        }
        held_end(held);
        stop();
        ck_assert_msg(log_is_clean(), "%s", fixture_log());
}
END_TEST

/* Nobody could hand over anything: what is in the store from the start has to do. */
START_TEST(killed_with_its_server_it_is_taken_up_again) {
        int opened, unlinked, status;
        char byte;

        start();
        must(mkdir(in_mount("d"), 0700));
        must_write(in_mount("d/a"), "text");
        opened = must_open(in_mount("d/a"), O_RDWR, 0);
        unlinked = must_open(in_mount("d/b"), O_RDWR | O_CREAT, 0600);
        ck_assert_int_eq(write(unlinked, "x", 1), 1);
        must(unlink(in_mount("d/b")));
        stop_process(fixture_server());
        must(kill(-fixture_daemon(), SIGKILL));
        eventually(has_ended(&status));
        start();
        must_read(in_mount("d/a"), "text");
        must_write(in_mount("d/c"), "more");
        ck_assert_int_eq(restarts(), 1);
        if (fixture_mode() == MODE_PASSTHROUGH) {
                /* Reached by its handle, also without a name. */
                must(ftruncate(opened, 2));
                must_read(in_mount("d/a"), "te");
                must(fchmod(unlinked, 0640));
                ck_assert_int_eq(pread(unlinked, &byte, 1, 0), 1);
        } else {
                /* What the daemon had open for it is lost, and that is told. */
                ck_assert(has_logged("descriptors of the mount's are lost"));
                ck_assert_int_lt(pread(unlinked, &byte, 1, 0), 0);
        }
        close(opened);
        close(unlinked);
        must_read(in_mount("d/c"), "more");
        stop();
        ck_assert_msg(!has_logged("names that have gone"), "%s", fixture_log());
}
END_TEST

START_TEST(a_dead_mount_of_the_service_is_in_nobodys_way) {
        int status;

        start();
        must_write(in_mount("a"), "text");
        stop_process(fixture_server());
        must(kill(-fixture_daemon(), SIGKILL));
        eventually(has_ended(&status));
        empty_store();
        /* An ordinary user's may be taken away. */
        eventually(open(in_mount("a"), O_RDONLY) < 0 &&
                   (errno == ENOTCONN || (fixture_mode() == MODE_USER && errno == ENOENT)));
        start();
        must_fail(access(in_mount("a"), F_OK), ENOENT);
        stop();
}
END_TEST

/* Written by a program that is not understood, as by one from the future. */
START_TEST(what_cannot_be_read_is_given_up) {
        const uint64_t other = 1234;

        start();
        must_write(in_mount("a"), "text");
        end_by(SIGUSR2);
        for (guint i = 0; i < manager.store->len; i++) {
                const Kept *kept = &g_array_index(manager.store, Kept, i);

                if (strstr(kept->name, "ledger"))
                        ck_assert_int_eq(pwrite(kept->fd, &other, sizeof(other), 0), sizeof(other));
        }
        start();
        ck_assert(has_logged("cannot read what another one has left"));
        must_fail(access(in_mount("a"), F_OK), ENOENT);
        must_write(in_mount("a"), "new");
        ck_assert_int_eq(restarts(), 0);
        stop();
        ck_assert(!is_mounted());
}
END_TEST

/* It ends as if it had been stopped: the next run mounts anew. */
START_TEST(what_the_next_run_cannot_take_is_not_left_behind) {
        g_autofree char *directory = g_dir_make_tmp("regionfs-store-XXXXXX", NULL);
        g_autofree char *program = g_build_filename(directory, "regionfs", NULL);

        ck_assert_int_eq(run_command(NULL, "cp '%s' '%s' && chmod 755 '%s'", fixture_program(), program, program), 0);
        fixture_use_program(program);
        start();
        must_write(in_mount("a"), "text");
        must(unlink(program));
        end_by(SIGUSR2);
        ck_assert(!is_mounted());
        ck_assert(has_logged("this regionfs ends, and its mount with it"));
        must(rmdir(directory));
}
END_TEST

START_TEST(a_manager_that_does_not_answer_leaves_no_mount) {
        start();
        must_write(in_mount("a"), "text");
        manager.deaf = true;
        end_by(SIGUSR2);
        ck_assert(!is_mounted());
        ck_assert(has_logged("the service manager does not keep the mount"));
}
END_TEST

START_TEST(without_a_manager_nothing_is_given_up) {
        int before;

        before = restarts();
        must_write(in_mount("a"), "text");
        must(kill(fixture_daemon(), SIGUSR2));
        g_usleep(100000);
        must_read(in_mount("a"), "text");
        ck_assert_int_eq(restarts(), before);
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("store");

        tcase_add_checked_fixture(tests, begin, end);
        tcase_add_test(tests, a_restart_loses_nothing);
        tcase_add_test(tests, clients_wait_for_the_next_run);
        tcase_add_test(tests, restarts_and_upgrades_take_turns);
        tcase_add_test(tests, killed_with_its_server_it_is_taken_up_again);
        tcase_add_test(tests, a_dead_mount_of_the_service_is_in_nobodys_way);
        tcase_add_test(tests, what_cannot_be_read_is_given_up);
        tcase_add_test(tests, what_the_next_run_cannot_take_is_not_left_behind);
        tcase_add_test(tests, a_manager_that_does_not_answer_leaves_no_mount);
        suite_add_tcase(suite, tests);
        tcase_add_test(add_case(suite, "alone"), without_a_manager_nothing_is_given_up);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "store", add);
}
