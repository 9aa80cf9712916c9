/* Views and programs that are executed: allowed, unless the mount says noexec. */
#include "fixture.h"

#include <sys/mman.h>
#include <sys/wait.h>

/* A copy of a program that ends well. */
static void copy_program(void) {
        ck_assert_int_eq(run_command(NULL, "cp /bin/true %s && chmod 755 %s", in_mount("true"), in_mount("true")), 0);
}

/* What executing the copy fails with, or 0 if it ended well. */
static int execute(void) {
        const char *path = in_mount("true");
        pid_t process = fork();
        int status;

        must(process);
        if (process == 0) {
                execl(path, path, NULL);
                _exit(errno);
        }
        must(waitpid(process, &status, 0));
        ck_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}

START_TEST(views_can_be_executable) {
        static const int protections[] = { PROT_EXEC, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC };
        static const int flags[] = { MAP_SHARED, MAP_PRIVATE };
        int fd;

        must_write(in_mount("a"), "code");
        /* x is for programs; a view does not ask for it. */
        must(chmod(in_mount("a"), 0600));
        fd = must_open(in_mount("a"), O_RDWR, 0);
        for (size_t p = 0; p < G_N_ELEMENTS(protections); p++) {
                for (size_t f = 0; f < G_N_ELEMENTS(flags); f++)
                        must((intptr_t)mmap(NULL, 4096, protections[p], flags[f], fd, 0));
        }
        {
                char *view = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

                must((intptr_t)view);
                must(mprotect(view, 4096, PROT_READ | PROT_EXEC));
                ck_assert_mem_eq(view, "code", 4);
        }
        must(close(fd));
}
END_TEST

START_TEST(a_handle_to_read_gives_views_to_read_and_execute) {
        int fd;

        must_write(in_mount("a"), "code");
        fd = must_open(in_mount("a"), O_RDONLY, 0);
        must((intptr_t)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0));
        must_fail((intptr_t)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, fd, 0), EACCES);
        must(close(fd));
}
END_TEST

START_TEST(programs_run_as_their_mode_says) {
        copy_program();
        ck_assert_int_eq(execute(), 0);
        must(chmod(in_mount("true"), 0644));
        ck_assert_int_eq(execute(), EACCES);
}
END_TEST

START_TEST(noexec_refuses_views_and_programs) {
        char *view;
        int fd;

        fixture_unmount();
        fixture_mount("noexec");
        copy_program();
        ck_assert_int_eq(execute(), EACCES);
        fd = must_open(in_mount("true"), O_RDWR, 0);
        must_fail((intptr_t)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0), EPERM);
        must_fail((intptr_t)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0), EPERM);
        view = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        must((intptr_t)view);
        must_fail(mprotect(view, 4096, PROT_READ | PROT_EXEC), EACCES);
        ck_assert_mem_eq(view, "\177ELF", 4);
        must(close(fd));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "execution");

        tcase_add_test(tests, views_can_be_executable);
        tcase_add_test(tests, a_handle_to_read_gives_views_to_read_and_execute);
        tcase_add_test(tests, programs_run_as_their_mode_says);
        tcase_add_test(tests, noexec_refuses_views_and_programs);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "execution", add);
}
