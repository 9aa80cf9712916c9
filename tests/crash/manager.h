#pragma once

/*
 * The test as service manager: runs the daemon as a service, is told how it is, and keeps its descriptors for the next
 * run, as systemd does.
 */

#include "fixture.h"

typedef struct ManagerKept {
        char *name;
        int fd;
} ManagerKept;

/* For tcase_add_checked_fixture(): a directory with a mountpoint, and no service. */
void manager_begin(void);
void manager_end(void);

/* What it keeps (ManagerKept), as of the last manager_listen(). */
const GArray *manager_kept(void);
void manager_keep_nothing(void);

/* How many descriptors it keeps, which the service is told, and drops all others; 0: the service is told nothing. */
void manager_set_room(unsigned room);

/* It does not answer. */
void manager_set_deaf(void);

/* Further options of the next runs ("a,b=c", borrowed), or NULL. */
void manager_set_options(const char *options);

/* Takes what it has been told; true. */
bool manager_listen(void);

/* Whether the service has said so since it was started; and the same to be said anew. */
bool manager_is_ready(void);
bool manager_is_stopping(void);
void manager_forget_ready(void);

/* Starts a run: returns when it is ready. manager_try(): or has ended, which ends the fixture's daemon. */
void manager_start(void);
bool manager_try(void);

/* Whether the run has ended, and with which status as of waitpid(2). */
bool manager_has_ended(int *status);

/* Sends the signal, and returns when the run has ended well. */
void manager_end_by(int signal);

/* As by systemctl stop. */
void manager_stop(void);
