#pragma once

/*
 * What the tests of real programs share. A program runs as an ordinary user, in a mount namespace of its own where the
 * mount is /dev/shm, and stands in a directory on disk, which is also its home. It knows nothing of regionfs.
 */

#include "fixture.h"

/* What a test needs of the system: a shell command that succeeds where it is there. */
typedef struct Need {
        const char *package; /* of Debian */
        const char *test;
} Need;

typedef struct Application {
        const char *name;
        const Need *needs;        /* ends with one without a package */
        const char *const *files; /* ends with NULL: beside the tests, to be put into the directory on disk */
        bool without_memfd;       /* its memfd_create(2) fails with EINVAL */
        void (*add)(Suite *suite);
} Application;

/* The body of main(). The environment says where the files are (APPLICATION_FILES). */
int application_main(int argc, char **argv, const Application *application);

/* Adds a test case with a mount, a directory on disk and the files for each test; which leaves no region behind. */
TCase *application_case(Suite *suite, const char *name);

/* Starts a shell command there; what it prints goes to the file of that name in the directory on disk. */
pid_t application_start(const char *output, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* What was printed into that file so far; to be freed. */
char *application_output(const char *output);

/* Waits until a process that was started ends, which must be well; what it has printed, to be freed. */
char *application_end(pid_t process, const char *output);

/* Starts, waits, and compares what was printed with expected; if that is NULL it may be anything. */
void application_run(const char *expected, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* From here on the names that are made in the mount's root are watched. A descriptor, owned by the caller. */
int application_watch(void);

/* How many names that begin so were made since then, or since the last call. */
unsigned application_made(int watch, const char *prefix);

/* Kills the server every so many milliseconds, in a process of its own. */
pid_t application_start_killing(unsigned pause_ms);

/* No longer; fails unless servers were killed while the clients were at work, and replaced. */
void application_end_killing(pid_t killer);

