#pragma once

/* How far long work has come, on stderr if that is a terminal. Nothing is written otherwise. */

#include "regionctl/words/signals.h"

#include <pthread.h>
#include <stdint.h>

typedef struct Progress {
        const char *what; /* borrowed: "copying" */
        uint64_t total;   /* bytes; 0: not known beforehand */
        gint64 drawn;     /* when it was last drawn; 0: not yet */
        gboolean on;
        Signals signals;   /* those that would end regionctl, and are the watcher's as long as something is drawn */
        pthread_t watcher; /* while drawn is not 0 */
} Progress;

void progress_init(Progress *progress, const char *what, uint64_t total);

/* So many bytes are done. Draws ten times a second at most, and no work that is at its end. */
void progress_show(Progress *progress, uint64_t done);

/* Takes away what was drawn. That is done also before a signal ends regionctl. */
void progress_clear(Progress *progress);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Progress, progress_clear)
