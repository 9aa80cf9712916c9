#pragma once

/* What tests see of the daemon and of clients from outside, and how they wait for it. Part of fixture.h. */

#include <check.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* For what happens in another process; fails after a minute. */
#define eventually(condition)                                                                                          \
        G_STMT_START {                                                                                                 \
                int waits = 0;                                                                                         \
                while (!(condition)) {                                                                                 \
                        ck_assert_msg(waits++ < 12000, "%s does not come true", #condition);                           \
                        g_usleep(5000);                                                                                \
                }                                                                                                      \
        }                                                                                                              \
        G_STMT_END

/* Whether the test's daemon has said so in its log. */
bool has_logged(const char *words);

/* The value of an attribute that is a number; fails the test if there is none. */
uint64_t number_of(const char *path, const char *attribute);

/* How many servers of the mount have been replaced. */
int restarts(void);

/* How many regionfs are mounted on a directory, one over the other; its path as the kernel has it. */
int mounts_on(const char *path);

/* Whether anything is mounted on the test's mountpoint. */
bool is_mounted(void);

/* Whether all threads of a process are stopped. */
bool is_stopped(pid_t process);

/* Stops a process (SIGSTOP): returns when all of its threads are stopped. */
void stop_process(pid_t process);

/* Whether there is no such process any more, not even one that nobody has waited for. */
bool process_is_gone(pid_t process);

/*
 * Whether a process of the test's sleeps in that call (SYS_...) of the kernel. Where the call is about the mount and
 * nothing else holds it up, it waits for the server's answer.
 */
bool waits_in(pid_t process, long call);

/* Whether a process waits for a lock that another one has. */
bool waits_for_lock(pid_t process);
