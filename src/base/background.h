#pragma once

/* Going to the background: the process that was started waits until the daemon is ready, and ends as it ended. */

#include <glib.h>

typedef struct Background Background;

/* Splits off the daemon. Returns in the daemon alone; NULL with errno where there can be none. */
Background *background_start(void);

/* The descriptor that it has until background_ready(). */
int background_descriptor(const Background *background);

/* In the daemon: it is ready, the waiting process ends well, and the streams are left. */
void background_ready(Background *background);

/* Gives up stdin, stdout and stderr of the calling process, not to keep a terminal or pipe open. */
void background_leave_streams(void);

void background_free(Background *background);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Background, background_free)
