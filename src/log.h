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
 * While set-up lasts, libfuse's complaints are not printed: the last one becomes part of the one sentence that the
 * user is told. log_end_setup() gives it out (the caller's to free) or NULL, and prints what comes from then on.
 */
void log_begin_setup(Log *log);
char *log_end_setup(Log *log);
