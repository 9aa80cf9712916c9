#include "regionctl/words/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define INTERVAL_US 100000
#define USUAL_WIDTH 80

void progress_init(Progress *progress, const char *what, uint64_t total) {
        *progress = (Progress){ .what = what, .total = total, .on = isatty(STDERR_FILENO) };
}

/* Columns that can be written to without a line break. */
static int width(void) {
        struct winsize size;

        if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
                return USUAL_WIDTH - 1;
        return size.ws_col - 1;
}

static char *line(const Progress *progress, uint64_t done, int columns) {
        double part = (double)done / progress->total;
        g_autofree char *bar = NULL;
        int length, full;

        if (progress->total == 0)
                return g_strdup_printf("%s %" G_GUINT64_FORMAT " MiB", progress->what, done >> 20);
        /* Around the bar: two blanks, two brackets and "100%". */
        length = MAX(columns - (int)strlen(progress->what) - 8, 0);
        full = MIN(part, 1) * length;
        bar = g_strnfill(length, ' ');
        memset(bar, '#', full);
        return g_strdup_printf("%s [%s] %3.0f%%", progress->what, bar, MIN(part, 1) * 100);
}

static void wipe(void) {
        fprintf(stderr, "\r%*s\r", width(), "");
        fflush(stderr);
}

/* A thread, as what the signals find may wait for long. Waits for the first one, and lets it end regionctl. */
static void *watch(void *data) {
        const Progress *progress = data;
        int number;

        if (sigwait(&progress->signals.held, &number) != 0)
                return NULL;
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        /* Nothing is drawn from now on. */
        flockfile(stderr);
        wipe();
        kill(getpid(), number);
        pthread_sigmask(SIG_UNBLOCK, &progress->signals.held, NULL);
        funlockfile(stderr);
        return NULL;
}

/* Before anything is drawn. Those that are held back already have someone who sees to them. */
static void begin(Progress *progress) {
        signals_hold(&progress->signals);
        if (pthread_create(&progress->watcher, NULL, watch, progress) == 0)
                return;
        progress->on = FALSE;
        signals_release(&progress->signals);
}

void progress_show(Progress *progress, uint64_t done) {
        g_autofree char *text = NULL;
        gint64 now = g_get_monotonic_time();
        int columns;

        if (!progress->on || done == progress->total || (progress->drawn && now - progress->drawn < INTERVAL_US))
                return;
        if (!progress->drawn)
                begin(progress);
        if (!progress->on)
                return;
        progress->drawn = now;
        columns = width();
        text = line(progress, done, columns);
        fprintf(stderr, "\r%-*.*s", columns, columns, text);
        fflush(stderr);
}

void progress_clear(Progress *progress) {
        if (!progress->drawn)
                return;
        pthread_cancel(progress->watcher);
        pthread_join(progress->watcher, NULL);
        wipe();
        progress->drawn = 0;
        signals_release(&progress->signals);
}
