#include "application.h"

#include <glob.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <regionfs/regionfs.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Who the programs run as: the fixture's ordinary user. */
#define USER 65534
#define GROUP 65534

static struct {
        const Application *application;
        GPtrArray *contents; /* of its files: read before the test becomes a user who may not reach them */
        char *directory;
} work;

static char *in_work(const char *name) {
        return g_build_filename(work.directory, name, NULL);
}

static void begin(void) {
        fixture_begin();
        work.directory = g_build_filename(fixture_directory(), "home", NULL);
        must(mkdir(work.directory, 0700));
        for (guint i = 0; i < work.contents->len; i++) {
                g_autofree char *path = in_work(work.application->files[i]);

                must_write(path, g_ptr_array_index(work.contents, i));
        }
        if (geteuid() == 0)
                must(chown(work.directory, USER, GROUP));
}

static bool counts_no_region(void) {
        g_autofree char *value = must_get(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS);

        return g_str_equal(value, "0");
}

static void end(void) {
        g_autofree char *left = NULL;

        run_command(&left, "find %s -mindepth 1 -printf '%%P, %%s bytes\\n'", fixture_mountpoint());
        ck_assert_str_eq(left, "");
        eventually(counts_no_region());
        ck_assert_int_eq(run_command(NULL, "rm -r %s", work.directory), 0);
        g_clear_pointer(&work.directory, g_free);
        fixture_unmount();
}

TCase *application_case(Suite *suite, const char *name) {
        TCase *tests = tcase_create(name);

        tcase_add_checked_fixture(tests, begin, end);
        suite_add_tcase(suite, tests);
        return tests;
}

static bool write_text(const char *path, const char *text) {
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

        if (fd >= 0)
                close(fd);
        return good;
}

/* A mount namespace of our own, for which a user who is not root needs a user namespace. */
static bool enter_namespace(void) {
        g_autofree char *user = g_strdup_printf("%d %d 1\n", geteuid(), geteuid());
        g_autofree char *group = g_strdup_printf("%d %d 1\n", getegid(), getegid());

        if (geteuid() == 0)
                return unshare(CLONE_NEWNS) == 0;
        return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_text("/proc/self/setgroups", "deny") &&
               write_text("/proc/self/uid_map", user) && write_text("/proc/self/gid_map", group);
}

static bool become_user(void) {
        return geteuid() != 0 || (setgroups(0, NULL) == 0 && setgid(GROUP) == 0 && setuid(USER) == 0);
}

static bool refuse_memfd(void) {
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { G_N_ELEMENTS(filter), filter };

        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static G_NORETURN void become_program(const char *command, const char *output) {
        int to = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

        dup2(to, STDOUT_FILENO);
        dup2(to, STDERR_FILENO);
        if (!enter_namespace() || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount(fixture_mountpoint(), "/dev/shm", NULL, MS_BIND, NULL) < 0 || !become_user() ||
            chdir(work.directory) < 0 || (work.application->without_memfd && !refuse_memfd())) {
                fprintf(stderr, "cannot have the mount over /dev/shm: %s\n", g_strerror(errno));
                _exit(126);
        }
        g_setenv("HOME", work.directory, true);
        g_setenv("TMPDIR", work.directory, true);
        /* Here, as a change of the user undoes it. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
}

static pid_t start(const char *output, const char *command) {
        g_autofree char *path = in_work(output);
        pid_t process = check_fork();

        if (process == 0)
                become_program(command, path);
        must(process);
        return process;
}

pid_t application_start(const char *output, const char *format, ...) {
        g_autofree char *command = NULL;
        va_list list;

        va_start(list, format);
        command = g_strdup_vprintf(format, list);
        va_end(list);
        return start(output, command);
}

char *application_output(const char *output) {
        g_autofree char *path = in_work(output);
        char *text;

        return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
}

char *application_end(pid_t process, const char *output) {
        char *text;
        int status;

        must(waitpid(process, &status, 0));
        text = application_output(output);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %#x: %s", output, status, text);
        return text;
}

void application_run(const char *expected, const char *format, ...) {
        g_autofree char *command = NULL;
        g_autofree char *said = NULL;
        va_list list;

        va_start(list, format);
        command = g_strdup_vprintf(format, list);
        va_end(list);
        said = application_end(start("output", command), "output");
        if (expected)
                ck_assert_str_eq(said, expected);
}

int application_watch(void) {
        int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

        must(watch);
        must(inotify_add_watch(watch, fixture_mountpoint(), IN_CREATE | IN_MOVED_TO));
        return watch;
}

unsigned application_made(int watch, const char *prefix) {
        _Alignas(struct inotify_event) char buffer[65536];
        unsigned made = 0;
        ssize_t length;

        while ((length = read(watch, buffer, sizeof(buffer))) > 0) {
                for (char *at = buffer; at < buffer + length;) {
                        struct inotify_event *event = (struct inotify_event *)at;

                        if (event->len > 0 && g_str_has_prefix(event->name, prefix))
                                made++;
                        at += sizeof(*event) + event->len;
                }
        }
        return made;
}

static void kill_servers(void *data) {
        for (;;) {
                g_usleep(GPOINTER_TO_UINT(data) * 1000);
                must(kill(fixture_server(), SIGKILL));
        }
}

pid_t application_start_killing(unsigned pause_ms) {
        return start_process(kill_servers, GUINT_TO_POINTER(pause_ms));
}

void application_end_killing(pid_t killer) {
        g_autofree char *restarts = NULL;
        int status;

        must(kill(killer, SIGKILL));
        must(waitpid(killer, &status, 0));
        ck_assert_msg(WIFSIGNALED(status), "no servers were killed: status %#x", status);
        restarts = must_get(fixture_mountpoint(), REGIONFS_ATTRIBUTE_RESTARTS);
        ck_assert_int_ge(atoi(restarts), 2);
}

/* Whether an ordinary user may have a mount namespace, tried in a process of its own. */
static bool can_enter_namespace(void) {
        pid_t process = fork();
        int status;

        if (process == 0)
                _exit(become_user() && prctl(PR_SET_DUMPABLE, 1) == 0 && enter_namespace() ? 0 : 1);
        return process > 0 && waitpid(process, &status, 0) == process && status == 0;
}

static bool read_files(const Application *application) {
        work.contents = g_ptr_array_new_with_free_func(g_free);
        for (const char *const *name = application->files; *name; name++) {
                g_autofree char *path = g_build_filename(g_getenv("APPLICATION_FILES") ?: "", *name, NULL);
                char *text;

                if (!g_file_get_contents(path, &text, NULL, NULL))
                        return false;
                g_ptr_array_add(work.contents, text);
        }
        return true;
}

/* Debian keeps PostgreSQL's programs out of the way. */
static void find_postgresql(void) {
        glob_t found;

        if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) == 0) {
                g_autofree char *path = g_strconcat(found.gl_pathv[found.gl_pathc - 1], ":", g_getenv("PATH"), NULL);

                g_setenv("PATH", path, true);
        }
        globfree(&found);
}

int application_main(int argc, char **argv, const Application *application) {
        work.application = application;
        if (!read_files(application)) {
                fprintf(stderr, "%s: APPLICATION_FILES has to say where the application's files are\n", argv[0]);
                return 2;
        }
        find_postgresql();
        for (const Need *need = application->needs; need->package; need++) {
                g_autofree char *test = g_strdup_printf("{ %s; } >/dev/null 2>&1", need->test);

                if (system(test) == 0)
                        continue;
                printf("1..0 # SKIP Debian's package %s is not installed\n", need->package);
                return 0;
        }
        if (argc == 3 && g_str_equal(argv[2], "user") && !can_enter_namespace()) {
                printf("1..0 # SKIP ordinary users may not have a mount namespace here\n");
                return 0;
        }
        return fixture_main(argc, argv, application->name, application->add);
}
