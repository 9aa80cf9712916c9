#pragma once

/*
 * What the fuzz targets share. libFuzzer calls LLVMFuzzerTestOneInput() with bytes that it makes up, again and again in
 * one process; a sanitizer's finding, a failed assertion or a critical message ends it.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* Called by libFuzzer. Both return 0. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What is wrong whatever the input is. */
#define fuzz_check(condition)                                                                                          \
        do {                                                                                                           \
                if (!(condition))                                                                                      \
                        g_error("%s:%d: not so: %s", __FILE__, __LINE__, #condition);                                  \
        } while (0)

/* This machine does not let a target do what it takes. */
static inline G_NORETURN void fuzz_skip(const char *why) {
        g_printerr("%s\n", why);
        _exit(77);
}

static inline void fuzz_take_message(const char *domain, GLogLevelFlags level, const char *message, void *data) {
        if (!(level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)))
                return;
        g_printerr("%s\n", message);
        /* GLib would end the process by a signal that libFuzzer does not keep the input for. */
        abort();
}

/* Warnings are what bad input is answered with: they are not shown. */
static inline void fuzz_quieten(void) {
        g_log_set_always_fatal(G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);
        g_log_set_default_handler(fuzz_take_message, NULL);
}
