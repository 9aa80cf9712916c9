#pragma once

/* What tests of regionctl expect it to print. */

#include "fixture.h"

static inline void check_says(const char *said, const char *text) {
        ck_assert_msg(strstr(said, text), "\"%s\" is not in: %s", text, said);
}

/* The JSON that regionctl prints to the arguments, as x, must make Python's expression true. */
static inline void check_json(const char *arguments, const char *expression) {
        g_autofree char *said = NULL;
        int status = run_command(&said,
                                 "cd %s && $REGIONCTL %s --json >%s/json && python3 -c 'import json, sys, os, base64, time\n"
                                 "x = json.load(open(sys.argv[1], encoding=\"utf-8\"))\n"
                                 "assert %s, x' %s/json",
                                 fixture_mountpoint(), arguments, fixture_directory(), expression, fixture_directory());
        g_autofree char *path = g_build_filename(fixture_directory(), "json", NULL);

        unlink(path);
        ck_assert_msg(status == 0, "%s of %s: %s", expression, arguments, said);
}
