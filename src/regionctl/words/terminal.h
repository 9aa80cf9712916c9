#pragma once

/*
 * The terminal as a full screen (ncurses), which is given back as it was, however the program ends or stops: signals
 * are not handled when they arrive, but told by terminal_wait().
 */

#include <glib.h>
#include <signal.h>
#include <stdbool.h>

typedef struct Terminal Terminal;

/* What happened. */
typedef enum TerminalEvent {
        TERMINAL_KEY,
        TERMINAL_REDRAW, /* the size is another, or what was on the screen is lost */
        TERMINAL_TIME,   /* the time is up */
        TERMINAL_INPUT,  /* the other descriptor can be read */
        TERMINAL_END,    /* the program is to end */
} TerminalEvent;

/* Takes standard input and output. NULL with error where the terminal is not known. */
Terminal *terminal_enter(GError **error);

/*
 * Gives the terminal back and frees. Ends the process, by the signal, where one came that asks for that; not for
 * SIGINT, which is a way to quit.
 */
void terminal_leave(Terminal *terminal);

/*
 * Waits until the time (of g_get_monotonic_time()), or until another descriptor can be read if there is one (else -1).
 * *key is ncurses' code. Stops the process, and goes on, for SIGTSTP.
 */
TerminalEvent terminal_wait(Terminal *terminal, gint64 until, int other, int *key);
