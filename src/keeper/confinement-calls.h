#pragma once

/* Which system calls are refused: programs of filters, as of seccomp(2). For confinement.c alone. */

#include <glib.h>
#include <stdbool.h>

/* 0 with a new array of struct sock_filter, or -errno. */
int confinement_calls_of_keeper(GArray **program);
int confinement_calls_of_server(bool io_uring, GArray **program);
