#pragma once

/* What a server holds: what it must not have more of when clients have given all up. */

#include <glib.h>
#include <stdint.h>

typedef struct Leaks {
        int64_t descriptors, regions;
        int64_t nodes;        /* that it knows */
        int64_t bytes, files; /* of the pool, in use; 0 where others use it too */
} Leaks;

void leaks_take(Leaks *leaks);

/* Fails the test unless, in the end, there is no more of anything than before. */
void leaks_compare(const Leaks *before, const char *of);
