#include "measurement.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

/* Far above what a timer tick or another process costs, and the sum over all rounds is still seconds. */
#define SAMPLE_NS (20 * 1000 * 1000)

static uint64_t now(void) {
        struct timespec time;

        clock_gettime(CLOCK_MONOTONIC, &time);
        return time.tv_sec * UINT64_C(1000000000) + time.tv_nsec;
}

static bool run_batch(const Operation *operation, Place *place, uint64_t *elapsed, GError **error) {
        uint64_t start;
        bool good = !operation->prepare || operation->prepare(place, error);

        start = now();
        good = good && operation->run(place, operation->batch, error);
        *elapsed += now() - start;
        if (operation->finish)
                operation->finish(place);
        return good;
}

static bool take_sample(const Operation *operation, Place *place, double *sample, GError **error) {
        uint64_t elapsed = 0, count = 0;

        *sample = NAN;
        if (operation->available && !operation->available(place))
                return true;
        /*
         * Not counted: it finds the caches of another operation. In a virtual machine it may also get memory that the
         * hypervisor has taken back in the meantime, and the first touch of that costs tens of times as much.
         */
        if (!run_batch(operation, place, &elapsed, error))
                return false;
        for (elapsed = 0; elapsed < SAMPLE_NS; count += operation->batch)
                if (!run_batch(operation, place, &elapsed, error))
                        return false;
        *sample = (double)elapsed / count;
        return true;
}

static bool interrupted(GError **error) {
        sigset_t pending;

        sigpending(&pending);
        if (!sigismember(&pending, SIGINT) && !sigismember(&pending, SIGTERM) && !sigismember(&pending, SIGHUP))
                return false;
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INTR, "interrupted");
        return true;
}

static int compare(const void *a, const void *b) {
        double left = *(const double *)a, right = *(const double *)b;

        return (left > right) - (left < right);
}

/* A place that cannot do an operation could not in any round: all are numbers, or none. */
double measurement_median(double *samples, unsigned rounds) {
        qsort(samples, rounds, sizeof(*samples), compare);
        return (samples[(rounds - 1) / 2] + samples[rounds / 2]) / 2;
}

double *measurement_run(const Operation *const *chosen, size_t n_chosen, Place *const *places, size_t n_places,
                        unsigned rounds, GError **error) {
        size_t n_cells = n_chosen * n_places;
        g_autofree double *samples = g_new(double, n_cells * rounds);

        /* Round 0 warms up: what it measures, round 1 overwrites. */
        for (unsigned round = 0; round <= rounds; round++) {
                for (size_t row = 0; row < n_chosen; row++) {
                        for (size_t i = 0; i < n_places; i++) {
                                /*
                                 * Nobody is always first, or always after the same one: caches are as that left them.
                                 */
                                size_t step = round % 2 ? n_places - 1 - i : i;
                                size_t column = (step + round) % n_places;
                                size_t cell = row * n_places + column;
                                double *sample = &samples[cell * rounds + (round ? round - 1 : 0)];

                                if (interrupted(error) || !take_sample(chosen[row], places[column], sample, error))
                                        return NULL;
                        }
                }
        }
        return g_steal_pointer(&samples);
}
