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
#include <sys/types.h>

typedef struct Credentials Credentials;

/* What the calling process may do now is what its threads come back to. */
Credentials *credentials_new(void);
void credentials_free(Credentials *credentials);

/* Once in each thread that calls the following: gives it a umask of its own. 0 or -errno. */
int credentials_prepare_thread(void);

/* From here to credentials_resume() the thread creates nodes as uid and gid. The umask stays until the next call. 0 or -errno. */
int credentials_assume(const Credentials *credentials, uid_t uid, gid_t gid, mode_t umask);
void credentials_resume(const Credentials *credentials);

/*
 * From here to credentials_resume_setid() the thread lacks CAP_FSETID: a backing file registered meanwhile takes the
 * set-id bits off a file that is written, as the pool does for its own users.
 */
void credentials_drop_setid(const Credentials *credentials);
void credentials_resume_setid(const Credentials *credentials);

/* Whether the process acts for clients other than itself: it then has to do what the kernel spares the privileged. */
bool credentials_privileged(const Credentials *credentials);
