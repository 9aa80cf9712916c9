/*
 * The server is killed at each step of each operation that changes something: the client gets the answer that it would
 * have had, and what there is to see is what is there when no server dies. A case is done without, and then once for
 * each of its steps, until it gets by before the server has come as far.
 */
#include "steps-leaks.h"
#include "steps-snapshot.h"
#include "steps-tracer.h"
#include "steps.h"

#include <regionfs/regionfs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/*
 * How long a server is to have had nothing to do for an operation to be over, in ms; and with what lifetimes put off.
 */
#define QUIET 25
#define QUIET_OF_ENDS 60

/*
 * How often a step is tried that an operation did not come to, as what happens behind a client's back may come later.
 */
#define TRIES 5

/* For what happens behind the client's back. */
#define PATIENCE (10 * G_USEC_PER_SEC)

typedef struct Trial {
        const Case *what;
        Scene scene;
} Trial;

static void begin(Trial *trial, const Case *what) {
        *trial = (Trial){ what, { .fd = { -1, -1 } } };
        must(mkdir(in_mount("s"), 0755));
        must(chdir(in_mount("s")));
        if (what->set)
                what->set(&trial->scene);
}

static void end(Trial *trial) {
        Scene *scene = &trial->scene;

        for (size_t i = 0; i < G_N_ELEMENTS(scene->fd); i++)
                if (scene->fd[i] >= 0)
                        must(close(scene->fd[i]));
        if (scene->view)
                must(munmap(scene->view, SCENE_VIEW));
        if (scene->file)
                must(unlink(scene->file));
        g_free(scene->file);
        must(chdir("/"));
        /* A region that is just ending may go first. */
        for (int tries = 0; run_command(NULL, "rm -r '%s'", in_mount("s")) != 0; tries++)
                ck_assert_int_lt(tries, 10);
}

static char *look(const Trial *trial) {
        g_autofree char *seen = snapshot_take();
        GString *text = g_string_new(seen);

        if (trial->what->tell)
                trial->what->tell(&trial->scene, text);
        return g_string_free(text, FALSE);
}

static int act(void *data) {
        Trial *trial = data;

        return trial->what->act(&trial->scene);
}

static bool try(const Case *what, unsigned kill_at, Trace *trace, Trial *trial) {
        int before = restarts();
        int answer;

        begin(trial, what);
        answer = tracer_run(fixture_server(), kill_at, what->needs & TAKES_TIME ? QUIET_OF_ENDS : QUIET, act, trial,
                            trace);
        ck_assert_msg(answer == what->answer, "%s, killed at step %u before %s: answer %s, not %s", what->name, kill_at,
                      trace->step, g_strerror(-answer), g_strerror(-what->answer));
        ck_assert_msg(restarts() == before + trace->killed, "%s, killed at step %u before %s: %d restarts", what->name,
                      kill_at, trace->step, restarts() - before);
        return trace->killed;
}

/* The state that the operation leaves when nobody dies, to be freed; and how many steps it takes then. */
static char *learn(const Case *what, unsigned *steps) {
        g_autofree char *before = NULL;
        char *after;
        Trace trace;
        Trial trial;

        begin(&trial, what);
        before = snapshot_take();
        end(&trial);
        /* What happens behind the client's back may come too late to be seen. */
        for (int tries = 1; !try(what, TRACER_NEVER, &trace, &trial) && trace.steps == 0 && tries < TRIES; tries++)
                end(&trial);
        ck_assert_msg(trace.steps > 0, "%s: the server has nothing to do with it", what->name);
        after = look(&trial);
        ck_assert_msg(what->needs & KEEPS_ALL || !g_str_equal(before, after), "%s changes nothing", what->name);
        end(&trial);
        *steps = trace.steps;
        return after;
}

static void check_state(const Trial *trial, const char *wanted, const Trace *trace) {
        gint64 until = g_get_monotonic_time() + PATIENCE;

        for (;;) {
                g_autofree char *found = look(trial);

                if (g_str_equal(found, wanted))
                        return;
                ck_assert_msg(g_get_monotonic_time() < until, "%s, killed at step %u before %s:\n%snot\n%s",
                              trial->what->name, trace->steps, trace->step, found, wanted);
                g_usleep(5000);
        }
}

/* The first of it is done before anything is counted: what a server has once, it keeps. */
static void warm_up(const Case *what) {
        pid_t server = fixture_server();
        Trial trial;

        begin(&trial, what);
        end(&trial);
        must(kill(server, SIGKILL));
        ck_assert_int_ne(restarts(), 0);
}

static void kill_everywhere(const Case *what) {
        g_autofree char *wanted = NULL;
        unsigned steps = 0, stores = 0, tries = 0, usual;
        Leaks before;

        warm_up(what);
        leaks_take(&before);
        wanted = learn(what, &usual);
        while (tries < (steps < usual ? TRIES : 1)) {
                Trial trial;
                Trace trace;

                if (try(what, steps + 1, &trace, &trial)) {
                        steps++;
                        stores = MAX(stores, trace.stores);
                        tries = 0;
                } else {
                        tries++;
                }
                check_state(&trial, wanted, &trace);
                end(&trial);
        }
        leaks_compare(&before, what->name);
        g_printerr("%s: killed at %u steps, %u of them stores\n", what->name, steps, stores);
}

#define FAMILY(family)                                                                                                 \
        START_TEST(family) {                                                                                           \
                kill_everywhere(&steps_##family[_i]);                                                                  \
        }                                                                                                              \
        END_TEST

FAMILY(names)
FAMILY(renames)
FAMILY(data)
FAMILY(attributes)
FAMILY(rules)
FAMILY(handles)
FAMILY(ends)
FAMILY(persisted)
FAMILY(lookups)

/* Those that can be in this run's mode; the others are left out. */
static void add_possible(TCase *tests, const TTest *test, const Case *cases) {
        for (int i = 0; cases[i].name; i++) {
                if (!case_is_possible(&cases[i]))
                        leave_out(cases[i].name, "is about another mode");
                else if (case_is_next())
                        tcase_add_loop_test(tests, test, i, i + 1);
        }
}

#define add_family(suite, family) add_possible(add_case(suite, #family), family, steps_##family)

static void add(Suite *suite) {
        TCase *of_pool = tcase_create("lookups");

        add_family(suite, names);
        add_family(suite, renames);
        add_family(suite, data);
        add_family(suite, attributes);
        add_family(suite, rules);
        add_family(suite, handles);
        add_family(suite, ends);
        add_family(suite, persisted);
        tcase_add_checked_fixture(of_pool, scene_mount_pool, scene_unmount_pool);
        add_possible(of_pool, lookups, steps_lookups);
        suite_add_tcase(suite, of_pool);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "steps", add);
}
