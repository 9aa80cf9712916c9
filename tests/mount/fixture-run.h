#pragma once

/*
 * The directory that all of a run's tests work in, which is also where temporary files go meanwhile (TMPDIR). At the
 * end it is removed with all that tests which were cut off have left there: mounts, daemons and files.
 */

#include <stdbool.h>
#include <sys/types.h>

/* Makes the directory, which belongs to that user. */
void run_begin(uid_t user, gid_t group);

/* Its path. */
const char *run_directory(void);

/* A new directory in it, of this process's user; to be freed. */
char *run_make_directory(const char *pattern);

/* When no test runs any more. Whether nothing was left; what was is told on stderr. */
bool run_end(void);
