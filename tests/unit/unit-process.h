#pragma once

/* Processes with rights of their own, which tests ask about. */

#include "unit.h"

#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/wait.h>

/* Who the process is to be. */
typedef struct UnitRights {
        uid_t uid;
        gid_t gid;
        const gid_t *groups;
        size_t count;
        const cap_value_t *capabilities; /* in force */
        int capabilities_count;          /* -1: as they come */
        bool hidden;                     /* not dumpable */
        bool apart;                      /* in a user namespace of its own */
        bool for_files;                  /* the user alone, for file systems alone */
} UnitRights;

static inline bool unit_process_limit(const cap_value_t *values, int count) {
        cap_t capabilities = cap_get_proc();
        bool done = capabilities && cap_clear_flag(capabilities, CAP_EFFECTIVE) == 0 &&
                    (count == 0 || cap_set_flag(capabilities, CAP_EFFECTIVE, count, values, CAP_SET) == 0) &&
                    cap_set_proc(capabilities) == 0;

        cap_free(capabilities);
        return done;
}

static inline bool unit_process_become(const UnitRights *rights) {
        if (rights->for_files) {
                setfsuid(rights->uid);
                return true;
        }
        if (geteuid() == 0 && (prctl(PR_SET_KEEPCAPS, 1) < 0 || setgroups(rights->count, rights->groups) < 0 ||
                               setresgid(rights->gid, rights->gid, rights->gid) < 0 ||
                               setresuid(rights->uid, rights->uid, rights->uid) < 0))
                return false;
        if (rights->capabilities_count >= 0 && !unit_process_limit(rights->capabilities, rights->capabilities_count))
                return false;
        if (rights->apart && unshare(CLONE_NEWUSER) < 0)
                return false;
        return prctl(PR_SET_DUMPABLE, !rights->hidden) == 0;
}

/*
 * A process that waits to be killed, with the descriptors of this one; 0 where it cannot be what it is to be. It ends
 * with the test, too.
 */
static inline pid_t unit_process(const UnitRights *rights) {
        int ready[2];
        pid_t process;
        char byte;

        ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
        process = fork();
        ck_assert_int_ge(process, 0);
        if (process == 0) {
                if (!unit_process_become(rights) || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
                    write(ready[1], "", 1) != 1)
                        _exit(EXIT_FAILURE);
                close(ready[0]);
                close(ready[1]);
                for (;;)
                        pause();
        }
        close(ready[1]);
        if (read(ready[0], &byte, 1) != 1) {
                ck_assert_int_eq(waitpid(process, NULL, 0), process);
                process = 0;
        }
        /* It has no descriptors of its own. */
        ck_assert_int_eq(read(ready[0], &byte, 1), 0);
        close(ready[0]);
        return process;
}

static inline pid_t unit_process_any(void) {
        const UnitRights rights = { .uid = geteuid(), .gid = getegid(), .capabilities_count = -1 };
        pid_t process = unit_process(&rights);

        ck_assert_int_gt(process, 0);
        return process;
}

static inline void unit_process_end(pid_t process) {
        ck_assert_int_eq(kill(process, SIGKILL), 0);
        ck_assert_int_eq(waitpid(process, NULL, 0), process);
}
