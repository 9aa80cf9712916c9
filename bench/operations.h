#pragma once

/* What is measured: the table of operations. */

#include "place.h"

typedef struct Operation {
        const char *name;
        size_t batch; /* how many operations a call of run makes */

        /* NULL, or whether the file system can do it at all. */
        bool (*available)(Place *place);

        /* NULL, or before each run, untimed. */
        bool (*prepare)(Place *place, GError **error);

        /* The timed part. */
        bool (*run)(Place *place, size_t count, GError **error);

        /* NULL, or after each run, untimed, also where prepare or run failed half-way. */
        void (*finish)(Place *place);
} Operation;

/* All of them, up to one without a name. */
extern const Operation operations[];

/* NULL where there is none of this name. */
const Operation *operations_find(const char *name);

/* "pread-4k, pwrite-4k, ...": to be freed. */
char *operations_names(void);
