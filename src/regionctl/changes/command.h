#pragma once

/* The program that takes the place of regionctl create. */

#include "regionctl/words/complaint.h"

/*
 * Whether there is such a program. Says that there is none, or that it cannot be run, and returns the status for that,
 * as shells and env(1) have it.
 */
Status command_check(const char *program);

/*
 * Runs the command (NULL-terminated) with the handle, whose number is in its environment. Comes back only if that
 * fails, says so, and returns the status.
 */
Status command_run(char **command, int handle);
