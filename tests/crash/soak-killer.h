#pragma once

/* Kills the server with SIGKILL at random times. */

#include "soak-board.h"
#include "soak-mount.h"

/*
 * The body of a process: kills the server so many times, spread over so many operations of all clients, and waits each
 * time until another one answers. Clears board->killing when it is done. 0, or 1 if none answered.
 */
int killer_run(Board *board, const Mount *mount, uint32_t seed, unsigned kills, uint64_t operations, unsigned clients);
