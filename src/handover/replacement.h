#pragma once

/*
 * A keeper that is to be replaced: the program now on disk is asked whether it can go on (see successor.h), and then
 * the server to make way. Whatever is in the way of that is said in the log, and all stays as it is; where another run
 * of the service is to go on, this one is to end then (SIGTERM), as it would without. Servers may die meanwhile.
 *
 * For the keeper, which has children that it did not wait for, and may not open a descriptor.
 */

#include "handover/successor.h"

#include <stdint.h>

typedef struct Replacement {
        const Successor *successor; /* borrowed */
        bool wanted;
        bool to_store;              /* the next run of the service is to go on, and not this process */
        pid_t asked;                /* the process that was asked and has not answered; 0: none */
        bool agreed;
        bool yielding;              /* the server has been asked to make way */
        int64_t until;              /* monotonic, microseconds: how long is waited for either; 0: for none */
} Replacement;

/* Begins with the next replacement_look(), unless it has begun. */
void replacement_begin(Replacement *replacement, bool to_store);

/* The server is another one. */
void replacement_restarted(Replacement *replacement);

/* To be called whenever something may have happened, and when it is time; but for the time before the mount answers. */
void replacement_look(Replacement *replacement, pid_t server);

/* A child has ended that is not the server. */
void replacement_take_end(Replacement *replacement, pid_t process, int status);

/* Microseconds until replacement_look() is to be called in any case; -1: none. */
int64_t replacement_patience(const Replacement *replacement);

/* It is done with, and why it failed. */
void replacement_fail(Replacement *replacement, const char *format, ...) G_GNUC_PRINTF(2, 3);
