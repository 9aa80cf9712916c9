#pragma once

/* What the tests of faults share. */

#include "fixture.h"

#include <stdlib.h>

/* The command that runs what follows it on a kernel that lacks something: see without.c. To be freed. */
static inline char *on_a_kernel_without(const char *rules) {
        ck_assert_msg(g_getenv("WITHOUT"), "the environment does not say where WITHOUT is");
        return g_strdup_printf("exec %s %s --", g_getenv("WITHOUT"), rules);
}
