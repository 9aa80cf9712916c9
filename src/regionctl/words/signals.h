#pragma once

/*
 * The signals that ask a program to end (HUP, INT, QUIT, TERM), held back for a while. Those that are ignored, or were
 * held back before, are left alone.
 */

#include <glib.h>
#include <signal.h>

typedef struct Signals {
        sigset_t held, before;
        gboolean on;
} Signals;

#define SIGNALS_INIT { .on = FALSE }

/* Holds them back, unless that is so already. */
void signals_hold(Signals *signals);

/* Whether one has come since. */
gboolean signals_have_come(const Signals *signals);

/* As it was before: one that has come is delivered now. */
void signals_release(Signals *signals);
