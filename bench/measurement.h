#pragma once

/*
 * Operations over places in rounds: each round measures every operation once in every place, one place right after
 * the other, so that what changes on the machine in the meantime meets all places alike.
 */

#include "operations.h"

/*
 * Nanoseconds for one operation: a row for each operation, in it for each place a number for each round, NAN where the
 * place cannot do it. To be freed. NULL with the error set where an operation failed or where a signal that the caller
 * has blocked (SIGINT, SIGTERM, SIGHUP) came: looked for between samples, so that the caller gets to clear away.
 */
double *measurement_run(const Operation *const *chosen, size_t n_chosen, Place *const *places, size_t n_places,
                        unsigned rounds, GError **error);

/* Of the samples of one operation in one place, which it sorts. */
double measurement_median(double *samples, unsigned rounds);
