#pragma once

/*
 * Where messages go: g_info(), g_warning() and the like end up as lines on stderr, or in the system log once the daemon
 * is in the background.
 */

#include <stdbool.h>

typedef struct Log Log;

/* What libfuse says is logged under this domain. */
#define LOG_DOMAIN_LIBFUSE "libfuse"

/* Takes over all messages until the process ends: it is never freed. */
Log *log_new(void);

/* From now on with what is of use to developers alone. */
void log_debug(Log *log);

/* From now on to the system log. */
void log_to_system(Log *log);

/*
 * Warns from a process that has descriptors of its own, for one that shares its table with servers: they would close
 * that of the system log, and the C library close it once more, when it is another's by then. The process is for the
 * caller to reap.
 */
void log_warn_aside(const char *message);

/*
 * While set-up lasts, libfuse's complaints are not printed: the last one becomes part of the one sentence that the
 * user is told. log_end_setup() gives it out (the caller's to free) or NULL, and prints what comes from then on.
 */
void log_begin_setup(Log *log);
char *log_end_setup(Log *log);
