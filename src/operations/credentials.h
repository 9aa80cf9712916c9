#pragma once

/*
 * Acting in the pool as the client that asks, so that what is created belongs to it.
 *
 * The kernel has checked the client's rights on the mount, with its supplementary groups and ACLs, before a request
 * comes (default_permissions). What is left is ownership: new nodes get their owner, group and mode from the calling
 * thread's fsuid, fsgid and umask. The thread keeps its capabilities meanwhile, so that a right that the client has
 * through a supplementary group, which a request does not carry, is not refused a second time by the pool.
 *
 * All of it is per thread. An ordinary user's daemon serves that user alone and can change nothing but the umask.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Credentials Credentials;

/*
 * What the calling process may do now is what threads that it makes from now on come back to, but for CAP_SYS_RESOURCE,
 * which nobody here should act with: the calling thread lays it down.
 */
Credentials *credentials_new(void);
void credentials_free(Credentials *credentials);

/* Once in each thread that calls the following: gives it a umask of its own. 0 or -errno. */
int credentials_prepare_thread(void);

/*
 * From here to credentials_resume() the thread creates nodes as uid and gid. The umask stays until the next call. 0 or
 * -errno.
 */
int credentials_assume(const Credentials *credentials, uid_t uid, gid_t gid, mode_t umask);
void credentials_resume(const Credentials *credentials, uid_t uid, gid_t gid);

/*
 * From here to credentials_return() the thread may do to files what a process with these rights may, and no more; bit n
 * of capabilities is the capability of number n. 0 or -errno. An ordinary user's daemon stays what it is.
 */
int credentials_become(const Credentials *credentials, uid_t uid, gid_t gid, const gid_t *groups, size_t count,
                       uint64_t capabilities);
void credentials_return(const Credentials *credentials);

/*
 * From here to credentials_return_backing() the thread registers a backing file that belongs to uid and gid: what is
 * written to it is written as by them, so that the pool takes set-id bits off, and the limits of its file system hold.
 * 0 or -errno.
 */
int credentials_assume_backing(const Credentials *credentials, uid_t uid, gid_t gid);
void credentials_return_backing(const Credentials *credentials, uid_t uid, gid_t gid);

/* Whether the process acts for clients other than itself: it then has to do what the kernel spares the privileged. */
bool credentials_privileged(const Credentials *credentials);
