#pragma once

/* Command lines for the tests of options, with a mountpoint of the test's own. */

#include "options/options.h"

#include "unit.h"

static char *directory; /* a mountpoint of the test's own */

static inline void given_begin(void) {
        directory = unit_directory(UNIT_TMPFS);
}

static inline void given_end(void) {
        g_clear_pointer(&directory, g_free);
}

/* Parses the command line of these words. */
static inline bool G_GNUC_NULL_TERMINATED parse(Options *options, GError **error, ...) {
        g_autoptr(GPtrArray) words = g_ptr_array_new();
        char *word;
        va_list rest;

        g_ptr_array_add(words, (gpointer) "regionfs");
        va_start(rest, error);
        while ((word = va_arg(rest, char *)))
                g_ptr_array_add(words, word);
        va_end(rest);
        g_ptr_array_add(words, NULL);
        return options_parse(options, words->len - 1, (char **)words->pdata, error);
}

/* Parses -o list with a good mountpoint, which has to go well. */
static inline void accept(Options *options, const char *list) {
        g_autoptr(GError) error = NULL;
        bool good = parse(options, &error, "-o", list, directory, NULL);

        ck_assert_msg(good, "%s: %s", list, error ? error->message : "no reason given");
        ck_assert_ptr_null(error);
        ck_assert_str_eq(options->mountpoint, directory);
}

static inline void expect_error(bool good, const Options *options, const GError *error, const char *text) {
        ck_assert_msg(!good, "accepted, where \"%s\" is expected", text);
        ck_assert_ptr_nonnull(error);
        ck_assert_msg(strstr(error->message, text), "\"%s\" is not in: %s", text, error->message);
        ck_assert_ptr_null(options->mountpoint);
        ck_assert_ptr_null(options->mount);
}

/* Parses -o list with a good mountpoint, which has to fail with both texts in one sentence. */
static inline void refuse(const char *list, const char *named, const char *allowed) {
        g_autoptr(GError) error = NULL;
        Options options;
        bool good = parse(&options, &error, "-o", list, directory, NULL);

        expect_error(good, &options, error, named);
        expect_error(good, &options, error, allowed);
        ck_assert_ptr_null(strchr(error->message, '\n'));
        ck_assert(!parse(&options, NULL, "-o", list, directory, NULL));
}
