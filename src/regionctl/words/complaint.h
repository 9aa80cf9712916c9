#pragma once

/* What regionctl says when something does not go well, and the exit statuses that scripts go by. */

#include <glib.h>

typedef enum Status {
        STATUS_DONE = 0,
        STATUS_FAILED = 1,    /* for a reason without a number of its own */
        STATUS_USAGE = 2,     /* the command line is wrong, or the path lies in no regionfs mount */
        STATUS_NOT_FOUND = 3, /* no such region */
        STATUS_EXISTS = 4,    /* the name is taken */
        STATUS_NO_ROOM = 5,   /* the pool has not the memory, or holds as many regions as it may */
        STATUS_NOT_ALLOWED = 6,
        STATUS_BUSY = 7,      /* someone uses the region in a way that is in the way */
        STATUS_TIMEOUT = 8,
} Status;

/* The status for an errno. */
Status status_of_errno(int code);

/* Says "regionctl: ..." on stderr, in one line, escaped as names are (see text.h). Returns status. */
Status complain(Status status, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Says "regionctl: cannot WHAT PATH: " and the errno's text, and the way out where there is one. Returns its status. */
Status complain_errno(int code, const char *what, const char *path);
