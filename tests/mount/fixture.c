#include "fixture.h"

#include "fixture-run.h"
#include "uring.h"

#include <grp.h>
#include <regionfs/regionfs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* The ordinary user. fusermount3 wants one that the system knows by name. */
#define USER 65534
#define GROUP 65534

/* How long something may take that is sure to happen soon. */
#define PATIENCE_US (10 * G_USEC_PER_SEC)

/* In the environment: the path of regionctl, so that shell commands find it too. */
#define REGIONCTL "REGIONCTL"

/* What of the environment is a program that tests may run, or another file that they read. */
static const char *const programs[] = { REGIONCTL, "SOAK", "WITHOUT", "UNIT" };

static struct {
        Mode mode;
        bool over_uring;
        char *program;
        char *directory, *mountpoint, *log;
        GPtrArray *paths; /* that in_mount() gave out */
        pid_t daemon;
        const char *expected[4]; /* borrowed: what warnings may hold */
} fixture;

Mode fixture_mode(void) {
        return fixture.mode;
}

bool fixture_over_uring(void) {
        return fixture.over_uring;
}

const char *fixture_program(void) {
        return fixture.program;
}

void fixture_use_program(const char *path) {
        free(fixture.program);
        fixture.program = strdup(path);
}

const char *fixture_regionctl(void) {
        ck_assert_msg(g_getenv(REGIONCTL), "the environment does not say where " REGIONCTL " is");
        return g_getenv(REGIONCTL);
}

const char *fixture_mountpoint(void) {
        return fixture.mountpoint;
}

const char *fixture_directory(void) {
        return fixture.directory;
}

pid_t fixture_daemon(void) {
        return fixture.daemon;
}

pid_t fixture_server(void) {
        g_autofree char *text = must_get(fixture.mountpoint, REGIONFS_ATTRIBUTE_SERVER_PID);
        g_autofree char *path = g_strdup_printf("/proc/%s/status", text);
        g_autofree char *parent = g_strdup_printf("\nPPid:\t%d\n", fixture.daemon);
        g_autofree char *status = NULL;

        ck_assert(g_file_get_contents(path, &status, NULL, NULL));
        ck_assert_msg(strstr(status, parent), "%s is not the daemon's child", text);
        return atoi(text);
}

void fixture_adopt(pid_t daemon) {
        fixture.daemon = daemon;
}

const char *fixture_log_path(void) {
        return fixture.log;
}

char *fixture_log(void) {
        char *text;

        ck_assert(g_file_get_contents(fixture.log, &text, NULL, NULL));
        return text;
}

void fixture_prepare(void) {
        fixture.directory = run_make_directory("test-XXXXXX");
        fixture.mountpoint = g_build_filename(fixture.directory, "mount", NULL);
        fixture.log = g_build_filename(fixture.directory, "log", NULL);
        fixture.paths = g_ptr_array_new_with_free_func(g_free);
        must(mkdir(fixture.mountpoint, 0755));
}

void fixture_remove(void) {
        unlink(fixture.log);
        must(rmdir(fixture.mountpoint));
        must(rmdir(fixture.directory));
        g_clear_pointer(&fixture.directory, g_free);
        g_clear_pointer(&fixture.mountpoint, g_free);
        g_clear_pointer(&fixture.log, g_free);
        g_clear_pointer(&fixture.paths, g_ptr_array_unref);
}

static G_NORETURN void become_daemon(const char *before, const char *options) {
        const char *of_mode = fixture.mode == MODE_CACHED ? "passthrough=off" : "passthrough=auto";
        g_autofree char *all = g_strconcat(of_mode, fixture.over_uring ? ",io_uring" : "", options ? "," : "",
                                           options ? options : "", NULL);
        g_autofree char *command = g_strdup_printf("%s \"$@\"", before ? before : "exec");
        int log = open(fixture.log, O_WRONLY | O_CREAT | O_APPEND, 0644);

        /* A test that fails is cut off and its process group killed: the daemon is to end then, but to end well. */
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        execl("/bin/sh", "sh", "-c", command, "sh", fixture.program, "-f", "-o", all, fixture.mountpoint, NULL);
        _exit(127);
}

static bool is_ready(void) {
        struct stat inside, outside;

        return stat(fixture.mountpoint, &inside) == 0 && stat(fixture.directory, &outside) == 0 &&
               inside.st_dev != outside.st_dev;
}

void fixture_start(const char *before, const char *options) {
        fixture.daemon = fork();
        if (fixture.daemon == 0)
                become_daemon(before, options);
        for (int i = 0; i < 2000 && !is_ready(); i++) {
                if (waitpid(fixture.daemon, NULL, WNOHANG) == fixture.daemon)
                        ck_abort_msg("the daemon ended: %s", fixture_log());
                g_usleep(5000);
        }
        ck_assert_msg(is_ready(), "no mount after 10 seconds: %s", fixture_log());
        if (fixture.over_uring) {
                g_autofree char *log = fixture_log();

                ck_assert_msg(strstr(log, "over io_uring"), "not over io_uring: %s", log);
        }
}

void fixture_mount(const char *options) {
        fixture_prepare();
        fixture_start(NULL, options);
}

void fixture_begin(void) {
        fixture_mount(NULL);
}

void fixture_expect(const char *words) {
        size_t i = 0;

        while (fixture.expected[i])
                ck_assert_uint_lt(++i, G_N_ELEMENTS(fixture.expected));
        fixture.expected[i] = words;
}

static bool is_expected(const char *line) {
        for (size_t i = 0; i < G_N_ELEMENTS(fixture.expected); i++)
                if (fixture.expected[i] && strstr(line, fixture.expected[i]))
                        return true;
        return false;
}

static void check_log(void) {
        /* The last is what a server dies of in a build with sanitizers, if its filter lacks a call. */
        static const char *const bad[] = { "]: warning:", "]: error:", "runtime error:", "Sanitizer",
                                           "Bad system call" };
        g_autofree char *log = fixture_log();
        g_auto(GStrv) lines = g_strsplit(log, "\n", -1);

        for (char **line = lines; *line; line++) {
                for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                        if (!strstr(*line, bad[i]) || is_expected(*line))
                                continue;
                        g_printerr("%s", log);
                        ck_abort_msg("the log holds \"%s\"", bad[i]);
                }
        }
}

void fixture_unmount(void) {
        int status;

        must(kill(fixture.daemon, SIGTERM));
        must(waitpid(fixture.daemon, &status, 0));
        check_log();
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the daemon ended with status %#x", status);
        ck_assert_msg(!is_ready(), "still mounted");
        fixture_remove();
}

const char *in_mount(const char *name) {
        char *path = g_build_filename(fixture.mountpoint, name, NULL);

        g_ptr_array_add(fixture.paths, path);
        return path;
}

int must_open(const char *path, int flags, mode_t mode) {
        int fd = open(path, flags, mode);

        if (fd < 0)
                ck_abort_msg("open %s: %s", path, g_strerror(errno));
        return fd;
}

void must_write(const char *path, const char *text) {
        int fd = must_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

        ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
        must(close(fd));
}

void must_become_unused(const char *path) {
        gint64 until = g_get_monotonic_time() + PATIENCE_US;

        for (;;) {
                g_autofree char *handles = must_get(path, REGIONFS_ATTRIBUTE_HANDLES);

                if (g_str_equal(handles, "0"))
                        return;
                ck_assert_msg(g_get_monotonic_time() < until, "%s still has %s handles", path, handles);
                g_usleep(1000);
        }
}

guint count_entries(const char *path) {
        GDir *directory = g_dir_open(path, 0, NULL);
        guint count = 0;

        ck_assert_ptr_nonnull(directory);
        while (g_dir_read_name(directory))
                count++;
        g_dir_close(directory);
        return count;
}

void must_read(const char *path, const char *text) {
        g_autofree char *found = NULL;
        gsize length;

        ck_assert_msg(g_file_get_contents(path, &found, &length, NULL), "cannot read %s", path);
        ck_assert_uint_eq(length, strlen(text));
        ck_assert_str_eq(found, text);
}

char *must_get(const char *path, const char *name) {
        char value[256];
        ssize_t length = getxattr(path, name, value, sizeof(value));

        if (length < 0)
                ck_abort_msg("%s of %s: %s", name, path, g_strerror(errno));
        return g_strndup(value, length);
}

pid_t start_process(Body body, void *data) {
        pid_t process = check_fork();

        if (process == 0) {
                body(data);
                _exit(0);
        }
        return process;
}

void end_process(pid_t process) {
        int status;

        must(waitpid(process, &status, 0));
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a process ended with status %#x", status);
}

void run_process(Body body, void *data) {
        end_process(start_process(body, data));
}

int run_command(char **said, const char *format, ...) {
        g_autoptr(GError) error = NULL;
        g_autofree char *command = NULL;
        char *arguments[] = { (char *)"/bin/sh", (char *)"-c", NULL, NULL };
        g_autofree char *out = NULL;
        va_list list;
        int status;

        va_start(list, format);
        command = g_strdup_vprintf(format, list);
        va_end(list);
        arguments[2] = g_strconcat("exec 2>&1\n", command, NULL);
        ck_assert_msg(g_spawn_sync(NULL, arguments, NULL, 0, NULL, NULL, &out, NULL, &status, &error), "%s", command);
        g_free(arguments[2]);
        if (said)
                *said = g_steal_pointer(&out);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool succeeds(const char *command) {
        g_autofree char *quiet = g_strdup_printf("{ %s\n} >/dev/null 2>&1", command);

        return system(quiet) == 0;
}

void leave_out(const char *test, const char *why) {
        printf("# left out, as it %s: %s\n", why, test);
}

TCase *add_case(Suite *suite, const char *name) {
        TCase *tests = tcase_create(name);

        tcase_add_checked_fixture(tests, fixture_begin, fixture_unmount);
        suite_add_tcase(suite, tests);
        return tests;
}

static int skip(const char *reason) {
        printf("1..0 # SKIP %s\n", reason);
        return 0;
}

static int run_suite(const char *name, void (*add)(Suite *suite)) {
        Suite *suite = suite_create(name);
        SRunner *runner;
        int failed;

        if (access("/dev/fuse", R_OK | W_OK) < 0)
                return skip("/dev/fuse is closed to users here");
        umask(022);
        add(suite);
        fflush(stdout);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? 1 : 0;
}

/* The path of the copy. */
static char *copy_program(const char *program, const char *directory) {
        g_autofree char *name = g_path_get_basename(program);
        g_autofree char *contents = NULL;
        char *copy = g_build_filename(directory, name, NULL);
        gsize length;

        if (!g_file_get_contents(program, &contents, &length, NULL) ||
            !g_file_set_contents(copy, contents, length, NULL) || chmod(copy, 0755) < 0)
                g_error("cannot copy %s to %s", program, copy);
        return copy;
}

/* In a process of its own, as it does not come back; with copies of programs, as the originals may be out of reach. */
static int run_suite_as_user(const char *name, void (*add)(Suite *suite)) {
        g_autofree char *directory = run_make_directory("programs-XXXXXX");
        char *regionfs = copy_program(fixture.program, directory);
        pid_t process;
        int status;

        for (size_t i = 0; i < G_N_ELEMENTS(programs); i++) {
                g_autofree char *copy = g_getenv(programs[i]) ? copy_program(g_getenv(programs[i]), directory) : NULL;

                if (copy)
                        g_setenv(programs[i], copy, true);
        }
        free(fixture.program);
        fixture.program = regionfs;
        process = fork();
        if (process == 0) {
                if (setgroups(0, NULL) < 0 || setgid(GROUP) < 0 || setuid(USER) < 0)
                        exit(skip("cannot become an ordinary user"));
                /* As after an exec: of one who changed himself the user's other processes may see nothing. */
                prctl(PR_SET_DUMPABLE, 1);
                g_unsetenv("XDG_RUNTIME_DIR");
                exit(run_suite(name, add));
        }
        waitpid(process, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int run_suite_over_uring(const char *name, void (*add)(Suite *suite)) {
        g_autofree char *obstacle = uring_begin(fixture.program);
        int result = obstacle ? skip(obstacle) : run_suite(name, add);

        uring_end();
        return result;
}

static int run_in_mode(const char *name, void (*add)(Suite *suite)) {
        if (fixture.mode == MODE_USER && geteuid() == 0)
                return run_suite_as_user(name, add);
        return fixture.over_uring ? run_suite_over_uring(name, add) : run_suite(name, add);
}

int fixture_main(int argc, char **argv, const char *name, void (*add)(Suite *suite)) {
        bool as_user;
        int result;

        if (argc != 3) {
                fprintf(stderr, "usage: %s REGIONFS passthrough|cached|user|uring\n", argv[0]);
                return 2;
        }
        /*
         * Whoever runs the tests in the background may have them ignored, which all that is started here would inherit.
         */
        signal(SIGHUP, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        signal(SIGQUIT, SIG_DFL);
        fixture.program = realpath(argv[1], NULL);
        fixture.over_uring = g_str_equal(argv[2], "uring");
        fixture.mode = g_str_equal(argv[2], "cached") ? MODE_CACHED :
                       g_str_equal(argv[2], "user")   ? MODE_USER :
                                                        MODE_PASSTHROUGH;
        if (access("/dev/fuse", F_OK) < 0)
                return skip("there is no /dev/fuse");
        if (fixture.mode != MODE_USER && geteuid() != 0)
                return skip("this mode needs root");
        as_user = fixture.mode == MODE_USER && geteuid() == 0;
        run_begin(as_user ? USER : geteuid(), as_user ? GROUP : getegid());
        result = run_in_mode(name, add);
        if (!run_end() && result == EXIT_SUCCESS)
                result = EXIT_FAILURE;
        return result;
}
