#pragma once

/*
 * The program that is on disk now, where this one was started from: the one to go on with when it is replaced by
 * another version. It is asked first, so that nothing has been given up when it cannot be run, is another program, or
 * cannot read what this one has kept.
 *
 * It is asked by being run, with one argument before all those that this one was started with. The answer is its exit
 * status: a pipe would be one more descriptor in a table that is shared with servers.
 */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* How this program was started. */
typedef struct Successor {
        const char *path; /* borrowed: where the next one will be */
        char **arguments; /* borrowed; NULL at the end */
} Successor;

/* The path by which this program was started, absolute, symbolic links not followed; to be freed. For the start. */
char *successor_find_path(void);

/* Starts it in a process group of its own; its process ends with the answer; -1: with errno. */
pid_t successor_ask(const Successor *successor);

/* Whether the answer, a status as of waitpid(2), is yes. */
bool successor_agrees(int status);

/* In the process that is asked: whether it is; and what it answers, as exit status. */
bool successor_is_asked(int argc, char **argv);
int successor_answer(int argc, char **argv);

/* This process becomes it, with the environment as it is. Returns where that fails, with errno. */
void successor_become(const Successor *successor);
