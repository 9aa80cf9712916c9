/*
 * A server is killed, then the next one when it has asked the kernel to hand out again what the first one had in hand,
 * and then the client: so the kernel drops the request, and nobody is told what came of it. Whatever the first server
 * had done of it, nothing is left behind that nobody can see: no handle, no count, no memory, no name that is there and
 * cannot be found.
 */
#include "crash.h"
#include "steps-leaks.h"
#include "steps-tracer.h"
#include "steps.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* How long a server is to have had nothing to do for an operation to be over, in ms. */
#define QUIET 10

/* How long the kernel may take to let go of a client, and how often a step is tried that was not come to. */
#define LETTING_GO (G_USEC_PER_SEC / 5)
#define TRIES 3

/* Until what the kernel has dropped is given up: where that is waited for, and at most. */
#define GIVING_UP (G_USEC_PER_SEC / 4)
#define PATIENCE (10 * G_USEC_PER_SEC)

typedef struct Trial {
        const Case *what;
        Scene scene;
        pid_t server, client;
        bool *done; /* shared with the client */
} Trial;

static char state_of(pid_t process) {
        g_autofree char *path = g_strdup_printf("/proc/%d/stat", process), *text = NULL;
        const char *end = g_file_get_contents(path, &text, NULL, NULL) ? strrchr(text, ')') : NULL;

        return end ? end[2] : 'X';
}

/* All of its threads: what they hold is given up. */
static bool is_dead(pid_t process) {
        char state = state_of(process);

        return state == 'Z' || state == 'X';
}

static bool dies(pid_t process) {
        gint64 until = g_get_monotonic_time() + LETTING_GO;

        while (!is_dead(process) && g_get_monotonic_time() < until)
                g_usleep(1000);
        return is_dead(process);
}

/* Until it is done, or the server dead. In a thread of the tracer's. */
static int act(void *data) {
        Trial *trial = data;

        trial->client = fork();
        if (trial->client == 0) {
                trial->what->act(&trial->scene);
                __atomic_store_n(trial->done, true, __ATOMIC_RELEASE);
                _exit(0);
        }
        while (!is_dead(trial->client) && !is_dead(trial->server))
                g_usleep(200);
        return 0;
}

static void begin(Trial *trial, const Case *what) {
        *trial = (Trial){ .what = what, .scene = { .fd = { -1, -1 } } };
        trial->done = mmap(NULL, sizeof(bool), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        must(mkdir(in_mount("s"), 0755));
        must(chdir(in_mount("s")));
        if (what->set)
                what->set(&trial->scene);
        trial->server = fixture_server();
}

static void end(Trial *trial) {
        must(chdir("/"));
        for (int tries = 0; run_command(NULL, "rm -r '%s'", in_mount("s")) != 0; tries++)
                ck_assert_int_lt(tries, 10);
        munmap(trial->done, sizeof(bool));
}

/* Whether all that is listed in the directory can be found, and nobody has it open; counts regions. */
static bool is_as_listed(const char *path, double *regions) {
        DIR *directory = opendir(path);
        bool good = directory;
        struct dirent *entry;

        while (good && (entry = readdir(directory))) {
                g_autofree char *name = g_build_filename(path, entry->d_name, NULL);
                char handles[16] = "";
                struct stat st;

                if (entry->d_name[0] == '.')
                        continue;
                good = lstat(name, &st) == 0;
                if (good && S_ISDIR(st.st_mode))
                        good = is_as_listed(name, regions);
                if (good && S_ISREG(st.st_mode)) {
                        good = getxattr(name, REGIONFS_ATTRIBUTE_HANDLES, handles, sizeof(handles) - 1) > 0 &&
                               g_str_equal(handles, "0");
                        *regions += 1.0 / st.st_nlink;
                }
        }
        if (directory)
                closedir(directory);
        return good;
}

static bool is_in_order(void) {
        double regions = 0;
        bool good = is_as_listed(fixture_mountpoint(), &regions);
        g_autofree char *count = must_get(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS);

        return good && atoi(count) == regions;
}

/* Whether what the client has open can be opened once more. */
static bool is_reached(const Scene *scene) {
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", scene->fd[0]);
        int fd = scene->fd[0] < 0 ? -1 : open(path, O_RDONLY | O_NONBLOCK);

        if (fd >= 0)
                must(close(fd));
        return fd >= 0 || scene->fd[0] < 0;
}

static void close_scene(Trial *trial) {
        for (size_t i = 0; i < G_N_ELEMENTS(trial->scene.fd); i++)
                if (trial->scene.fd[i] >= 0)
                        must(close(trial->scene.fd[i]));
        if (trial->scene.view)
                must(munmap(trial->scene.view, SCENE_VIEW));
        if (trial->scene.file)
                must(unlink(trial->scene.file));
        g_free(trial->scene.file);
        trial->scene = (Scene){ .fd = { -1, -1 } };
}

/* Kills the client, when its server is dead and the next one; whether the kernel has dropped its request. */
static bool abandon(const Trial *trial) {
        bool dropped;

        tracer_kill_next(fixture_daemon());
        kill(trial->client, SIGKILL);
        dropped = dies(trial->client);
        tracer_let_go(fixture_daemon());
        return dropped;
}

/* Whether a name that was made just now is found, or not, before its directory is listed as after it. */
static bool is_found_as_listed(const char *name) {
        g_autofree char *directory = g_path_get_dirname(name);
        double regions = 0;
        struct stat st;
        bool found = lstat(name, &st) == 0;

        return is_as_listed(directory, &regions) && found == (lstat(name, &st) == 0);
}

/* Whether the server died. looked_up: a name that is found where it is, without a look at its directory; or NULL. */
static bool try(const Case *what, unsigned kill_at, const char *looked_up, unsigned *abandoned) {
        pid_t keeper = fixture_daemon();
        Trial trial;
        Trace trace;

        begin(&trial, what);
        tracer_hold(keeper);
        tracer_run(trial.server, kill_at, QUIET, act, &trial, &trace);
        if (!trace.killed || __atomic_load_n(trial.done, __ATOMIC_ACQUIRE)) {
                tracer_let_go(keeper);
        } else if (abandon(&trial)) {
                *abandoned += 1;
                ck_assert_msg(is_reached(&trial.scene), "%s, killed at step %u before %s: not reached: %s", what->name,
                              kill_at, trace.step, g_strerror(errno));
                close_scene(&trial);
                if (looked_up) {
                        struct stat st;

                        /* One that is new to the kernel, after which dropped ones are given up. */
                        must(lstat(in_mount("."), &st));
                        must(setxattr(in_mount("s"), "user.x", "", 0, 0));
                        g_usleep(GIVING_UP);
                        ck_assert_msg(is_found_as_listed(looked_up), "%s, killed at step %u before %s: %s is not found",
                                      what->name, kill_at, trace.step, looked_up);
                }
                for (gint64 until = g_get_monotonic_time() + PATIENCE; !is_in_order(); g_usleep(5000))
                        ck_assert_msg(g_get_monotonic_time() < until, "%s, killed at step %u before %s: not in order",
                                      what->name, kill_at, trace.step);
        }
        for (gint64 until = g_get_monotonic_time() + PATIENCE; !is_dead(trial.client); g_usleep(1000))
                ck_assert_msg(g_get_monotonic_time() < until, "%s, killed at step %u before %s: the client hangs",
                              what->name, kill_at, trace.step);
        waitpid(trial.client, NULL, 0);
        close_scene(&trial);
        end(&trial);
        return trace.killed;
}

static void abandon_everywhere(const Case *what, const char *looked_up) {
        unsigned steps = 0, tries = 0, abandoned = 0;
        Leaks before;

        try(what, 1, looked_up, &abandoned);
        leaks_take(&before);
        while (tries < TRIES) {
                if (try(what, steps + 1, looked_up, &abandoned)) {
                        steps++;
                        tries = 0;
                } else {
                        tries++;
                }
        }
        leaks_compare(&before, what->name);
        g_printerr("%s: killed at %u steps, dropped at %u\n", what->name, steps, abandoned);
        ck_assert_uint_gt(abandoned, 0);
}

#define FAMILY(family)                                                                                                 \
        START_TEST(family) {                                                                                           \
                abandon_everywhere(&steps_##family[_i], NULL);                                                         \
        }                                                                                                              \
        END_TEST

FAMILY(names)
FAMILY(handles)
FAMILY(attributes)
FAMILY(rules)
FAMILY(data)

START_TEST(renames) {
        const char *name = g_str_equal(steps_renames[_i].name, "rename to another directory") ? "e/b" : "b";

        abandon_everywhere(&steps_renames[_i], name);
}
END_TEST

START_TEST(persisted) {
        /* The scene's file goes first, while the next server may be looking for it. */
        fixture_expect("the file of a persisted region is not at");
        abandon_everywhere(&steps_persisted[_i], NULL);
}
END_TEST

/* Nobody waits while the kernel has a handle released, and what may end with it. */
static bool is_awaited(const Case *what) {
        return !g_str_has_prefix(what->name, "release") && !g_str_has_prefix(what->name, "end of");
}

static void add_possible(TCase *tests, const TTest *test, const Case *cases) {
        for (int i = 0; cases[i].name; i++)
                if (case_is_possible(&cases[i]) && is_awaited(&cases[i]) && case_is_next())
                        tcase_add_loop_test(tests, test, i, i + 1);
}

static void add(Suite *suite) {
        add_possible(add_case(suite, "names"), names, steps_names);
        add_possible(add_case(suite, "renames"), renames, steps_renames);
        add_possible(add_case(suite, "handles"), handles, steps_handles);
        add_possible(add_case(suite, "attributes"), attributes, steps_attributes);
        add_possible(add_case(suite, "rules"), rules, steps_rules);
        add_possible(add_case(suite, "data"), data, steps_data);
        add_possible(add_case(suite, "persisted"), persisted, steps_persisted);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "abandoned", add);
}
