#pragma once

/*
 * A directory where all clients do the same at the same time. Nobody knows who wins, but each win is counted on the
 * board, and what is left has to be the sum.
 */

#include "soak-board.h"

#include <stdbool.h>

/* Makes and removes the directory. False, with errno, if that fails. */
bool race_prepare(const char *directory);
bool race_remove(const char *directory);

/* How many things are not as the board says, each with a line on stderr. Nobody races any more. */
unsigned race_check(const Board *board, const char *directory, unsigned clients);
