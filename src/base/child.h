#pragma once

/* Processes by numbers that may be wrong: noted where servers can write, or given to another process since. */

#include <stdbool.h>
#include <sys/types.h>

/* Whether it is a child of the calling process, which may have ended and waits to be waited for. */
bool child_is_ours(pid_t process);

/* Kills it if it is a child of the calling process that has not ended, and nothing else. Whether it was one. */
bool child_kill(pid_t process);
