#pragma once

/* Whether a mount answers, found out without waiting for it for good. */

#include "regionctl/words/complaint.h"

#include <stdbool.h>

/* How long is waited, in seconds. */
#define PROBE_SECONDS 5

/*
 * Calls, in a process of its own and with nothing to say it to, what is about to be called here. Whether that came back
 * in time; if not, says so of path. A process that waits for the kernel's answer cannot be ended before there is one,
 * and is left behind.
 */
bool probe(const char *path, void (*call)(const char *path));
