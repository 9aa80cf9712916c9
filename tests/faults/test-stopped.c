/* Clients, the server and the keeper that are stopped or killed in the middle of something: nobody else waits. */
#include "faults.h"

#include "holder.h"

#include <regionfs/regionfs.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define PAGE 4096
#define MIB (1024 * 1024)
#define PAGES 256

/*
 * While the server is stopped at least one out of so many calls is done that are done while it runs: others use the
 * machine too.
 */
#define FEWER 20

static uint64_t handles_of(const char *name) {
        return number_of(in_mount(name), REGIONFS_ATTRIBUTE_HANDLES);
}

static void change_names(void *data) {
        must(mkdirat(AT_FDCWD, in_mount("made"), 0700));
        must(rename(in_mount("made"), in_mount("moved")));
}

/* What uses the data, and how many calls that makes: in memory that processes share. */
typedef struct Use {
        int fd;
        char *view;
        unsigned calls;
} Use;

/* For a second. */
static void use_data(void *data) {
        gint64 end = g_get_monotonic_time() + G_USEC_PER_SEC;
        Use *use = data;
        char *view = use->view;
        unsigned calls;
        int fd = use->fd;

        for (calls = 0; g_get_monotonic_time() < end; calls += 4) {
                off_t at = calls / 4 % PAGES * PAGE;
                char byte = calls / 4, *fresh;

                ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
                ck_assert_int_eq(view[at], byte);
                view[at]++;
                ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
                ck_assert_int_eq(byte, view[at]);
                fresh = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);
                ck_assert_ptr_ne(fresh, MAP_FAILED);
                ck_assert_int_eq(*fresh, byte);
                must(munmap(fresh, PAGE));
        }
        use->calls = calls;
}

/* By a process of its own, as it may wait for good. */
static unsigned count_calls(Use *use) {
        pid_t process = start_process(use_data, use);
        int status;

        eventually(waitpid(process, &status, WNOHANG) == process);
        ck_assert_int_eq(status, 0);
        return use->calls;
}

/* killed: while it is stopped; another one goes on. */
static void stop_under_data(bool killed) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600), status;
        pid_t server = fixture_server(), client;
        unsigned calls, usual;
        char *view;
        Use *use;

        must(ftruncate(fd, PAGES * PAGE));
        view = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(view, MAP_FAILED);
        ck_assert_int_eq(pwrite(fd, "x", 1, 0), 1);
        use = mmap(NULL, sizeof(*use), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(use, MAP_FAILED);
        *use = (Use){ fd, view };
        usual = count_calls(use);
        stop_process(server);
        client = start_process(change_names, NULL);
        eventually(waits_in(client, SYS_mkdirat));
        calls = count_calls(use);
        ck_assert_msg(calls > usual / FEWER, "%u calls while the server was stopped, %u while it ran", calls, usual);
        /* What needs the server waits, and is answered when there is one. */
        ck_assert_int_eq(waitpid(client, &status, WNOHANG), 0);
        must(kill(server, killed ? SIGKILL : SIGCONT));
        end_process(client);
        must(access(in_mount("moved"), F_OK));
        must_fail(access(in_mount("made"), F_OK), ENOENT);
        must(munmap(view, PAGES * PAGE));
        must(munmap(use, sizeof(*use)));
        must(close(fd));
        eventually(handles_of("a") == 0);
}

START_TEST(the_data_path_does_not_wait_for_a_stopped_server) {
        stop_under_data(false);
}
END_TEST

START_TEST(a_stopped_server_may_be_killed) {
        stop_under_data(true);
}
END_TEST

START_TEST(a_server_dies_while_the_keeper_is_stopped) {
        pid_t server, client;
        int fd;

        must_write(in_mount("a"), "text");
        fd = must_open(in_mount("a"), O_RDWR, 0);
        server = fixture_server();
        stop_process(fixture_daemon());
        must(kill(server, SIGKILL));
        client = start_process(change_names, NULL);
        eventually(waits_in(client, SYS_mkdirat));
        if (fixture_mode() == MODE_PASSTHROUGH)
                ck_assert_int_eq(pwrite(fd, "next", 4, 0), 4);
        must(kill(fixture_daemon(), SIGCONT));
        end_process(client);
        must(access(in_mount("moved"), F_OK));
        ck_assert_int_ne(fixture_server(), server);
        ck_assert_int_eq(pwrite(fd, "more", 4, 0), 4);
        must_read(in_mount("a"), "more");
        must(close(fd));
}
END_TEST

/* Many that come and go; a while longer than a stopped one waits. */
static void use_others(void *data) {
        for (int i = 0; i < 50; i++) {
                must_write(in_mount("other"), "other");
                must_read(in_mount("other"), "other");
                must(rename(in_mount("other"), in_mount("another")));
                must(unlink(in_mount("another")));
        }
}

static void allocate(void *data) {
        must(fallocate(*(int *)data, 0, 0, 256 * MIB));
}

/*
 * A client whose request the server has in hand is stopped, or killed: the request is carried out, others do not wait.
 */
START_TEST(a_client_stops_in_the_middle_of_a_request) {
        static const int signals[] = { SIGSTOP, SIGKILL };
        struct stat st;

        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
                int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);
                Holder *holder = holder_new(HOLDER_FALLOCATE, 1);
                pid_t client = start_process(allocate, &fd);

                holder_wait(holder, 1);
                must(kill(client, signals[i]));
                run_process(use_others, NULL);
                must(fstat(fd, &st));
                ck_assert_int_eq(st.st_size, 0);
                holder_free(holder);
                eventually(fstat(fd, &st) == 0 && st.st_size == 256 * MIB);
                must(kill(client, SIGCONT));
                if (signals[i] == SIGSTOP)
                        end_process(client);
                else
                        must(waitpid(client, NULL, 0));
                must(close(fd));
                eventually(handles_of("a") == 0);
                must(unlink(in_mount("a")));
        }
}
END_TEST

static void hold(void *data) {
        int fd = must_open(in_mount("a"), O_RDWR, 0);
        char *view = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        ck_assert_ptr_ne(view, MAP_FAILED);
        must(close(fd));
        raise(SIGSTOP);
        must(munmap(view, PAGE));
}

/* What a stopped client has open is in use; others open, seal and end what they have. */
START_TEST(a_client_stops_with_a_view) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600), status;
        pid_t client;

        must(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        must(ftruncate(fd, PAGE));
        client = start_process(hold, NULL);
        must(waitpid(client, &status, WUNTRACED));
        ck_assert(WIFSTOPPED(status));
        must(close(fd));
        run_process(use_others, NULL);
        must(access(in_mount("a"), F_OK));
        /* It has a writable view. */
        must_fail(setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_SEALED, "1", 1, 0), EBUSY);
        must(kill(client, SIGKILL));
        must(waitpid(client, NULL, 0));
        eventually(access(in_mount("a"), F_OK) < 0 && errno == ENOENT);
}
END_TEST

static void open_and_make(void *data) {
        must_open(in_mount("a"), O_RDWR, 0);
        /* One of them at most makes it. */
        mkdir(in_mount("late"), 0700);
}

/* Clients are killed while they wait: what they had is given up, whether or not the server had taken their request. */
START_TEST(clients_are_killed_while_the_server_is_stopped) {
        pid_t server, clients[8];

        must_write(in_mount("a"), "text");
        for (int round = 0; round < 5; round++) {
                server = fixture_server();
                stop_process(server);
                for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                        clients[i] = start_process(open_and_make, NULL);
                for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                        eventually(waits_in(clients[i], SYS_openat));
                for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                        must(kill(clients[i], SIGKILL));
                must(kill(server, round % 2 ? SIGKILL : SIGCONT));
                for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                        must(waitpid(clients[i], NULL, 0));
                eventually(handles_of("a") == 0);
                run_process(use_others, NULL);
                if (access(in_mount("late"), F_OK) == 0)
                        must(rmdir(in_mount("late")));
        }
        must_read(in_mount("a"), "text");
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "stopped");

        add_test_if(tests, the_data_path_does_not_wait_for_a_stopped_server, fixture_mode() == MODE_PASSTHROUGH,
                    "is about passthrough mode");
        add_test_if(tests, a_stopped_server_may_be_killed, fixture_mode() == MODE_PASSTHROUGH,
                    "is about passthrough mode");
        tcase_add_test(tests, a_server_dies_while_the_keeper_is_stopped);
        add_test_if(tests, a_client_stops_in_the_middle_of_a_request, holder_works(), "needs ptrace(2)");
        tcase_add_test(tests, a_client_stops_with_a_view);
        tcase_add_test(tests, clients_are_killed_while_the_server_is_stopped);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "stopped", add);
}
