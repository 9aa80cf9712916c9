#include "measurement.h"

#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_ROUNDS 9
#define MAX_ROUNDS 1000

typedef struct Settings {
        unsigned rounds;
        gboolean samples;
        GPtrArray *chosen;  /* const Operation *, in the table's order */
        char **directories; /* at least one */
} Settings;

static void settings_clear(Settings *settings) {
        g_clear_pointer(&settings->chosen, g_ptr_array_unref);
        g_clear_pointer(&settings->directories, g_strfreev);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Settings, settings_clear)

static int fail(const GError *error) {
        g_printerr("regionfs-bench: %s\n", error->message);
        return EXIT_FAILURE;
}

static bool parse_rounds(Settings *settings, const char *value, GError **error) {
        guint64 number = DEFAULT_ROUNDS;

        if (value && !g_ascii_string_to_unsigned(value, 10, 1, MAX_ROUNDS, &number, NULL)) {
                g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                            "option --rounds=%s is not allowed: it takes a whole number from 1 to %d", value,
                            MAX_ROUNDS);
                return false;
        }
        settings->rounds = number;
        return true;
}

static bool parse_only(Settings *settings, const char *value, GError **error) {
        g_auto(GStrv) names = value ? g_strsplit(value, ",", -1) : NULL;

        /* An empty value is split into no names at all. */
        for (char **name = names; name && (*name || name == names); name++) {
                g_autofree char *allowed = NULL;

                if (*name && operations_find(*name))
                        continue;
                allowed = operations_names();
                g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                            "option --only=%s is not allowed: it takes names out of %s", value, allowed);
                return false;
        }
        settings->chosen = g_ptr_array_new();
        for (const Operation *operation = operations; operation->name; operation++)
                if (!names || g_strv_contains((const char *const *)names, operation->name))
                        g_ptr_array_add(settings->chosen, (gpointer)operation);
        return true;
}

static bool parse(Settings *settings, int argc, char **argv, GError **error) {
        g_autofree char *rounds = NULL, *only = NULL, *names = operations_names();
        g_autofree char *description = g_strdup_printf("Operations: %s.", names);
        const GOptionEntry entries[] = {
                { "rounds", 0, 0, G_OPTION_ARG_STRING, &rounds, "Measure N times, take the median (default: 9)", "N" },
                { "samples", 0, 0, G_OPTION_ARG_NONE, &settings->samples,
                  "For programs: a line for each sample; operation, number of DIR, nanoseconds, between tabs", NULL },
                { "only", 0, 0, G_OPTION_ARG_STRING, &only, "Measure these operations alone", "NAME[,NAME...]" },
                { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &settings->directories, NULL, NULL },
                { .long_name = NULL },
        };
        g_autoptr(GOptionContext) context = g_option_context_new("DIR [DIR...]");

        g_option_context_set_summary(context,
                                     "Times the same file operations in each DIR, and compares with the first.");
        g_option_context_set_description(context, description);
        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, error))
                return false;
        if (!settings->directories) {
                g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                            "the DIR to measure is missing: see regionfs-bench --help");
                return false;
        }
        return parse_rounds(settings, rounds, error) && parse_only(settings, only, error);
}

/* Three digits, whatever the size. "-" where there is no number. */
static char *format_time(double ns) {
        double value = ns < 999.5 ? ns : ns / 1000;

        if (isnan(ns))
                return g_strdup("-");
        return g_strdup_printf("%.*f %s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value,
                               ns < 999.5 ? "ns" : "µs");
}

static char *format_ratio(double ratio) {
        return isnan(ratio) ? g_strdup("-") : g_strdup_printf("%.2fx", ratio);
}

/* printf() pads by bytes, and "µ" has two. */
static void print_cell(const char *text, size_t width) {
        size_t length = g_utf8_strlen(text, -1);

        printf("%*s%s", (int)(2 + (width > length ? width - length : 0)), "", text);
}

static void print_row(const Settings *settings, const Operation *operation, double *samples) {
        char **directories = settings->directories;
        double first = measurement_median(samples, settings->rounds);

        printf("%-20s", operation->name);
        for (size_t i = 0; directories[i]; i++) {
                double median = measurement_median(samples + i * settings->rounds, settings->rounds);
                g_autofree char *time = format_time(median);
                g_autofree char *ratio = format_ratio(median / first);

                print_cell(time, MAX((size_t)g_utf8_strlen(directories[i], -1), 8));
                if (i > 0)
                        print_cell(ratio, 7);
        }
        printf("\n");
}

static void print_table(const Settings *settings, double *samples) {
        size_t n_directories = g_strv_length(settings->directories);

        printf("Time of one operation (first-touch, retouch: of one 4 KiB page; mix: of one of each on names, by one "
               "client or by four at once), median of %u rounds\n\n%-20s",
               settings->rounds, "");
        for (size_t i = 0; i < n_directories; i++) {
                if (i > 1)
                        print_cell("", 7);
                print_cell(settings->directories[i], 8);
        }
        printf("\n");
        for (size_t row = 0; row < settings->chosen->len; row++)
                print_row(settings, g_ptr_array_index(settings->chosen, row),
                          samples + row * n_directories * settings->rounds);
}

static void print_samples(const Settings *settings, const double *samples) {
        for (size_t row = 0; row < settings->chosen->len; row++) {
                const Operation *operation = g_ptr_array_index(settings->chosen, row);

                for (size_t i = 0; settings->directories[i]; i++)
                        for (unsigned round = 0; round < settings->rounds; round++)
                                printf("%s\t%zu\t%g\n", operation->name, i, *samples++);
        }
}

static bool measure(const Settings *settings, GError **error) {
        g_autoptr(GPtrArray) places = g_ptr_array_new_with_free_func((GDestroyNotify)place_free);
        g_autofree char *buffer = aligned_alloc(PLACE_PAGE_SIZE, PLACE_CALL_SIZE);
        g_autofree double *samples = NULL;

        if (!buffer)
                g_error("out of memory");
        memset(buffer, 'r', PLACE_CALL_SIZE);
        for (char **directory = settings->directories; *directory; directory++) {
                Place *place = place_new(*directory, buffer, error);

                if (!place)
                        return false;
                g_ptr_array_add(places, place);
        }
        samples = measurement_run((const Operation *const *)settings->chosen->pdata, settings->chosen->len,
                                  (Place *const *)places->pdata, places->len, settings->rounds, error);
        if (!samples)
                return false;
        if (settings->samples)
                print_samples(settings, samples);
        else
                print_table(settings, samples);
        return true;
}

/* Held back until the files are removed. One that the caller ignores stays ignored. */
static void hold_signals(sigset_t *before) {
        static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
        sigset_t held;

        sigemptyset(&held);
        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
                struct sigaction action;

                if (sigaction(signals[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
                        sigaddset(&held, signals[i]);
        }
        sigprocmask(SIG_BLOCK, &held, before);
}

int main(int argc, char **argv) {
        g_auto(Settings) settings = { 0 };
        g_autoptr(GError) error = NULL;
        sigset_t before;

        setlocale(LC_CTYPE, "");
        if (!parse(&settings, argc, argv, &error))
                return fail(error);
        hold_signals(&before);
        if (measure(&settings, &error))
                return EXIT_SUCCESS;
        fail(error);
        /* The files are gone: a signal that came ends the process here, as its sender expects. */
        sigprocmask(SIG_SETMASK, &before, NULL);
        return EXIT_FAILURE;
}
