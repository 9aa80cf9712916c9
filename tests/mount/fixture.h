#pragma once

/*
 * What the mount tests share: a daemon on a mountpoint of its own for each test, in the mode that the program was
 * started with. A test fails if the daemon's log holds a warning, or the daemon does not end well.
 */

#include "fixture-wait.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

typedef enum Mode {
        MODE_PASSTHROUGH,
        MODE_CACHED,
        MODE_USER,
} Mode;

/* Of this run; one over io_uring is passthrough too. */
Mode fixture_mode(void);
bool fixture_over_uring(void);

/* The daemon's program. */
const char *fixture_program(void);

/* Has this one be started from here on; borrowed. */
void fixture_use_program(const char *path);

/* regionctl: its path, which is also in the environment as REGIONCTL. */
const char *fixture_regionctl(void);

/* Mounts with further options ("a,b=c" or NULL), and unmounts. Fails the test where that does not go well. */
void fixture_mount(const char *options);
void fixture_unmount(void);

/*
 * For tests about the daemon's surroundings, after fixture_prepare(): starts it by a shell command that runs its last
 * arguments ("ulimit -n 64; exec"), which has to keep the process. NULL: none.
 */
void fixture_start(const char *before, const char *options);

/* fixture_mount(NULL), for tcase_add_checked_fixture(). */
void fixture_begin(void);

/* The mountpoint, its parent (a directory of the test's own), the daemon's process and its log so far (to be freed). */
const char *fixture_mountpoint(void);
const char *fixture_directory(void);
pid_t fixture_daemon(void);
char *fixture_log(void);

/* Warnings of this test's daemon that hold words (static) are what the test is about. */
void fixture_expect(const char *words);

/*
 * The daemon is one that the test has started by itself, with that mountpoint; its log is to go to this file, for
 * appending.
 */
void fixture_adopt(pid_t daemon);
const char *fixture_log_path(void);

/* The process that serves the mount now, a child of the daemon's. */
pid_t fixture_server(void);

/* For tests that start daemons by themselves: a directory with an empty mountpoint, and no daemon. */
void fixture_prepare(void);
void fixture_remove(void);

/* The path of a name in the mount; good until the test ends. */
const char *in_mount(const char *name);

/* Opens, or fails the test. */
int must_open(const char *path, int flags, mode_t mode);

/* Writes a whole file, or fails the test. */
void must_write(const char *path, const char *text);

/* Fails the test unless the file's contents are text. */
void must_read(const char *path, const char *text);

/* Waits until the daemon has heard that the region's last handle was closed, or fails the test. */
void must_become_unused(const char *path);

/* What a directory has, . and .. not among it. */
guint count_entries(const char *path);

/* The value of an extended attribute as text, to be freed; fails the test if it has none. */
char *must_get(const char *path, const char *name);

/* Runs body in a process of its own, which must end well. Failed checks inside count. */
typedef void (*Body)(void *data);
pid_t start_process(Body body, void *data);
void end_process(pid_t process);
void run_process(Body body, void *data);

/* A shell command: its exit status, and what it printed (to be freed) if said is not NULL. */
int run_command(char **said, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The body of main(): runs the suite that add fills, in the mode of the arguments, or says why it cannot. */
int fixture_main(int argc, char **argv, const char *name, void (*add)(Suite *suite));

/* Adds a test case with a mount for each of the tests. */
TCase *add_case(Suite *suite, const char *name);

/* Whether a shell command ends well, for add_test_if(): outside of tests nothing can be checked. */
bool succeeds(const char *command);

/* check cannot skip a test: one that is not for this run is left out, and that is told. why: "it ..." */
void leave_out(const char *test, const char *why);

/* Adds a test where that holds, and leaves it out elsewhere. */
#define add_test_if(tests, test, condition, why)                                                                       \
        G_STMT_START {                                                                                                 \
                if (condition)                                                                                         \
                        tcase_add_test(tests, test);                                                                   \
                else                                                                                                   \
                        leave_out(#test, why);                                                                         \
        }                                                                                                              \
        G_STMT_END

/* Fails with the errno's name where a call that returns -1 does. */
#define must(call)                                                                                                     \
        G_STMT_START {                                                                                                 \
                if ((call) < 0)                                                                                        \
                        ck_abort_msg("%s: %s", #call, g_strerror(errno));                                              \
        }                                                                                                              \
        G_STMT_END

/* The call must fail with that errno. */
#define must_fail(call, code)                                                                                          \
        G_STMT_START {                                                                                                 \
                errno = 0;                                                                                             \
                if ((call) >= 0)                                                                                       \
                        ck_abort_msg("%s: succeeded", #call);                                                          \
                if (errno != (code))                                                                                   \
                        ck_abort_msg("%s: %s, not %s", #call, g_strerror(errno), #code);                               \
        }                                                                                                              \
        G_STMT_END
