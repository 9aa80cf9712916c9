#include "base/log.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

struct Log {
        GMutex lock; /* protects all that follows */
        bool debug;
        bool to_system;
        bool setup;
        char *complaint; /* owned: libfuse's last one during set-up */
};

static const struct {
        GLogLevelFlags level;
        int priority;
        const char *name;
} levels[] = {
        { G_LOG_LEVEL_ERROR, LOG_CRIT, "error" },
        { G_LOG_LEVEL_CRITICAL, LOG_ERR, "error" },
        { G_LOG_LEVEL_WARNING, LOG_WARNING, "warning" },
        { G_LOG_LEVEL_MESSAGE, LOG_NOTICE, "notice" },
        { G_LOG_LEVEL_INFO, LOG_INFO, "info" },
        { G_LOG_LEVEL_DEBUG, LOG_DEBUG, "debug" },
};

static void write_line(Log *log, GLogLevelFlags level, const char *domain, const char *message) {
        size_t i = 0;

        while (i + 1 < G_N_ELEMENTS(levels) && !(level & levels[i].level))
                i++;
        if (level & G_LOG_LEVEL_DEBUG && !log->debug)
                return;
        if (log->setup && g_strcmp0(domain, LOG_DOMAIN_LIBFUSE) == 0 &&
            level & (G_LOG_LEVEL_WARNING | G_LOG_LEVEL_CRITICAL)) {
                g_free(log->complaint);
                log->complaint = g_strdup(message);
                return;
        }
        if (log->to_system)
                syslog(levels[i].priority, "%s: %s", levels[i].name, message);
        else
                fprintf(stderr, "regionfs[%d]: %s: %s\n", getpid(), levels[i].name, message);
}

static GLogWriterOutput take(GLogLevelFlags level, const GLogField *fields, gsize count, gpointer data) {
        const char *message = "", *domain = NULL;
        int saved = errno;
        Log *log = data;

        for (gsize i = 0; i < count; i++) {
                if (g_str_equal(fields[i].key, "MESSAGE"))
                        message = fields[i].value;
                else if (g_str_equal(fields[i].key, "GLIB_DOMAIN"))
                        domain = fields[i].value;
        }
        g_mutex_lock(&log->lock);
        write_line(log, level, domain, message);
        g_mutex_unlock(&log->lock);
        errno = saved;
        return G_LOG_WRITER_HANDLED;
}

Log *log_new(void) {
        Log *log = g_new0(Log, 1);

        g_mutex_init(&log->lock);
        g_log_set_writer_func(take, log, NULL);
        return log;
}

void log_debug(Log *log) {
        g_mutex_lock(&log->lock);
        log->debug = true;
        g_mutex_unlock(&log->lock);
}

void log_to_system(Log *log) {
        openlog("regionfs", LOG_PID, LOG_DAEMON);
        g_mutex_lock(&log->lock);
        log->to_system = true;
        g_mutex_unlock(&log->lock);
}

void log_warn_aside(const char *message) {
        if (fork() != 0)
                return;
        close_range(STDERR_FILENO + 1, ~0U, 0);
        g_warning("%s", message);
        _exit(EXIT_SUCCESS);
}

void log_begin_setup(Log *log) {
        g_mutex_lock(&log->lock);
        log->setup = true;
        g_mutex_unlock(&log->lock);
}

char *log_end_setup(Log *log) {
        char *complaint;

        g_mutex_lock(&log->lock);
        log->setup = false;
        complaint = g_steal_pointer(&log->complaint);
        g_mutex_unlock(&log->lock);
        return complaint;
}
