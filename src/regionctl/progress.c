#include "progress.h"

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

void progress_show(Progress *progress, uint64_t done) {
        g_autofree char *text = NULL;
        gint64 now = g_get_monotonic_time();
        int columns;

        if (!progress->on || done == progress->total || (progress->drawn && now - progress->drawn < INTERVAL_US))
                return;
        progress->drawn = now;
        columns = width();
        text = line(progress, done, columns);
        fprintf(stderr, "\r%-*.*s", columns, columns, text);
        fflush(stderr);
}

void progress_clear(Progress *progress) {
        if (progress->drawn)
                fprintf(stderr, "\r%*s\r", width(), "");
        progress->drawn = 0;
}
