/*
 * A program that takes the keeper's place and does not get as far as to answer: what it was before goes on, and never
 * two at once.
 */
#include "crash.h"
#include "held.h"
#include "holder.h"

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define OPTIONS (PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD)

typedef struct Scene {
        Held *held;
        pid_t keeper, guard;
        pid_t server; /* the new one: its first thread is held just before it says that it answers; all others go on */
} Scene;

static void resume(int how, pid_t process) {
        must(ptrace(how, process, NULL, NULL));
}

/* Until the keeper, as another image, has started its server. */
static void await_server(Scene *scene) {
        bool become = false;

        while (!scene->server) {
                int status;
                unsigned long message;

                must(waitpid(scene->keeper, &status, __WALL));
                ck_assert_msg(WIFSTOPPED(status), "the keeper has ended: %#x", status);
                switch (status >> 16) {
                case PTRACE_EVENT_EXEC:
                        become = true;
                        break;
                case PTRACE_EVENT_FORK:
                case PTRACE_EVENT_VFORK:
                case PTRACE_EVENT_CLONE:
                        must(ptrace(PTRACE_GETEVENTMSG, scene->keeper, NULL, &message));
                        if (become) {
                                scene->server = message;
                                resume(PTRACE_DETACH, scene->keeper);
                                continue;
                        }
                        scene->guard = message;
                        must(waitpid(message, &status, __WALL));
                        resume(PTRACE_DETACH, message);
                        break;
                }
                /* What stops it besides is a signal, which it asks for. */
                must(ptrace(PTRACE_CONT, scene->keeper, NULL,
                            (void *)(uintptr_t)(status >> 16 ? 0 : WSTOPSIG(status))));
        }
}

/* The second change of the signal of its parent's death, or the word to its keeper. */
static bool is_about_to_tell(pid_t server, unsigned *changes) {
        struct __ptrace_syscall_info call;

        must(ptrace(PTRACE_GET_SYSCALL_INFO, server, sizeof(call), &call));
        if (call.op != PTRACE_SYSCALL_INFO_ENTRY)
                return false;
        if (call.entry.nr == SYS_prctl && call.entry.args[0] == PR_SET_PDEATHSIG)
                return ++*changes == 2;
        return call.entry.nr == SYS_kill && call.entry.args[1] == SIGUSR1;
}

static void upgrade_to_a_held_server(Scene *scene) {
        unsigned changes = 0;
        int status;

        scene->keeper = fixture_daemon();
        scene->held = fixture_over_uring() ? NULL : held_take();
        must_write(in_mount("before"), "text");
        must(ptrace(PTRACE_SEIZE, scene->keeper, NULL, OPTIONS));
        must(kill(scene->keeper, SIGHUP));
        await_server(scene);
        must(waitpid(scene->server, &status, __WALL));
        /* Its threads are left alone. */
        must(ptrace(PTRACE_SETOPTIONS, scene->server, NULL, PTRACE_O_TRACESYSGOOD));
        do {
                resume(PTRACE_SYSCALL, scene->server);
                must(waitpid(scene->server, &status, __WALL));
                ck_assert_msg(WIFSTOPPED(status), "the new server has ended: %#x", status);
        } while (WSTOPSIG(status) != (SIGTRAP | 0x80) || !is_about_to_tell(scene->server, &changes));
}

static pid_t server_now(void) {
        g_autofree char *number = must_get(fixture_mountpoint(), REGIONFS_ATTRIBUTE_SERVER_PID);

        return atoi(number);
}

static void check(const Scene *scene) {
        must_read(in_mount("before"), "text");
        if (scene->held)
                held_check(scene->held);
}

/* Whoever goes on keeps as the first one did, until it is asked to end. */
static void end(Scene *scene, int times) {
        pid_t server = server_now();

        must(kill(server, SIGKILL));
        eventually(has_restarted(times + 1));
        check(scene);
        if (scene->held)
                held_end(scene->held);
        server = server_now();
        must(kill(server, SIGTERM));
        eventually(process_is_gone(server));
        eventually(!is_mounted());
        ck_assert(!has_logged("]: error:") && !has_logged("Sanitizer") && !has_logged("runtime error:"));
        fixture_remove();
}

static void must_be_killed(pid_t process) {
        int status;

        must(waitpid(process, &status, __WALL));
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%#x", status);
}

START_TEST(a_server_dies_with_the_keeper_that_is_killed) {
        Scene scene = { 0 };

        fixture_mount(NULL);
        upgrade_to_a_held_server(&scene);
        must(kill(scene.keeper, SIGKILL));
        must_be_killed(scene.server);
        must_be_killed(scene.keeper);
        /* That one is counted, too. */
        eventually(has_restarted(2));
        check(&scene);
        ck_assert(has_logged("has died before it could go on"));
        end(&scene, 2);
}
END_TEST

/* It could go on alone by now, but is not asked any more. */
START_TEST(a_server_whose_keeper_dies_as_it_answers_leaves_the_mount) {
        Scene scene = { 0 };
        int status;

        fixture_mount(NULL);
        upgrade_to_a_held_server(&scene);
        resume(PTRACE_SYSCALL, scene.server);
        must(waitpid(scene.server, &status, __WALL));
        must(kill(scene.keeper, SIGKILL));
        must_be_killed(scene.keeper);
        g_usleep(200000);
        ck_assert(!has_logged("has died before it could go on"));
        resume(PTRACE_CONT, scene.server);
        do {
                must(waitpid(scene.server, &status, __WALL));
                if (WIFSTOPPED(status))
                        resume(PTRACE_CONT, scene.server);
        } while (WIFSTOPPED(status));
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
        eventually(has_restarted(2));
        check(&scene);
        end(&scene, 2);
}
END_TEST

START_TEST(a_server_that_hangs_is_given_up_after_some_seconds) {
        gint64 begin = g_get_monotonic_time();
        Scene scene = { 0 };

        fixture_mount(NULL);
        upgrade_to_a_held_server(&scene);
        must_be_killed(scene.server);
        must_be_killed(scene.keeper);
        ck_assert_int_ge(g_get_monotonic_time() - begin, 4 * G_USEC_PER_SEC);
        eventually(has_restarted(2));
        check(&scene);
        end(&scene, 2);
}
END_TEST

START_TEST(a_server_that_dies_before_it_answers_is_replaced) {
        Scene scene = { 0 };

        fixture_mount(NULL);
        upgrade_to_a_held_server(&scene);
        must(kill(scene.server, SIGKILL));
        must_be_killed(scene.server);
        eventually(has_restarted(2));
        check(&scene);
        /* A connection made anew is not known to the guard, so it is for that to make one. */
        if (fixture_over_uring()) {
                int status;

                must(waitpid(scene.keeper, &status, 0));
                ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
        } else {
                eventually(process_is_gone(scene.guard));
        }
        end(&scene, 2);
}
END_TEST

START_TEST(a_guard_that_dies_is_done_without) {
        Scene scene = { 0 };

        fixture_mount(NULL);
        upgrade_to_a_held_server(&scene);
        must(kill(scene.guard, SIGKILL));
        eventually(process_is_gone(scene.guard));
        resume(PTRACE_DETACH, scene.server);
        eventually(has_restarted(1));
        ck_assert_int_eq(server_now(), scene.server);
        check(&scene);
        end(&scene, 1);
}
END_TEST

static void make_directory(void *data) {
        must(mkdir(in_mount("made"), 0700));
}

/* It finishes what it has in hand, and there is no guard yet. */
START_TEST(a_server_that_makes_way_to_nobody_serves_on) {
        pid_t client, server;
        Holder *holder;
        Held *held;

        /* The holder traces the program that is asked as well, in which no sanitizer could look for leaks then. */
        g_setenv("ASAN_OPTIONS", "detect_leaks=0", true);
        fixture_mount(NULL);
        held = held_take();
        server = server_now();
        holder = holder_new(HOLDER_MKDIR, 1);
        client = start_process(make_directory, NULL);
        holder_wait(holder, 1);
        must(kill(fixture_daemon(), SIGHUP));
        eventually(has_logged("this server makes way"));
        must(kill(fixture_daemon(), SIGKILL));
        must_be_killed(fixture_daemon());
        holder_free(holder);
        end_process(client);
        must(rmdir(in_mount("made")));
        held_check(held);
        ck_assert_int_eq(server_now(), server);
        ck_assert(has_logged("the keeper has died"));
        held_end(held);
        must(kill(server, SIGTERM));
        eventually(process_is_gone(server));
        eventually(!is_mounted());
        fixture_remove();
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("guard");

        tcase_add_test(tests, a_server_dies_with_the_keeper_that_is_killed);
        tcase_add_test(tests, a_server_whose_keeper_dies_as_it_answers_leaves_the_mount);
        tcase_add_test(tests, a_server_that_hangs_is_given_up_after_some_seconds);
        tcase_add_test(tests, a_server_that_dies_before_it_answers_is_replaced);
        tcase_add_test(tests, a_guard_that_dies_is_done_without);
        add_test_if(tests, a_server_that_makes_way_to_nobody_serves_on, !fixture_over_uring() && holder_works(),
                    "is about requests that can be held");
        suite_add_tcase(suite, tests);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "guard", add);
}
