#pragma once

/*
 * A descriptor that the process that asks has open: found by its number, and opened again with no more rights than that
 * process has, whoever it is by then. Knows nothing of FUSE.
 *
 * A process that has been killed while it asks may have its number given to another one. Therefore what is done with
 * the descriptor is done by the rights that came with the request, and by groups and capabilities of a process that
 * shows the same user and group.
 */

#include "operations/credentials.h"

/* Who asks, as the request says. */
typedef struct Caller {
        pid_t thread; /* in our pid namespace; 0: not visible there */
        uid_t uid;
        gid_t gid;
} Caller;

/*
 * The regular file that descriptor number of the caller is on: an O_PATH descriptor that the caller of this function
 * owns, or -errno: -EBADF where there is none (or an O_PATH one), -EINVAL where it is no regular file, -EACCES where it
 * cannot read, -EPERM where we may not look. *access is O_RDONLY or O_RDWR, as of the descriptor. Asks nothing of the
 * file's file system; *device is its device number.
 */
int caller_find_descriptor(const Caller *caller, int number, int *access, dev_t *device);

/*
 * Whether the file system of that device is one that hands on what it is asked, to a process (FUSE) or to other file
 * systems (overlay), or is not known.
 */
bool caller_file_is_served(const Caller *caller, dev_t device);

/*
 * Whether the caller may open the file that fd (O_PATH) is on for access, and it can be mapped: 0 or -errno of open(2)
 * and mmap(2); -EPERM also for writing to a file with seals, or one that can get some; -EWOULDBLOCK where someone holds
 * a lease on it.
 */
int caller_may_open(const Caller *caller, const Credentials *credentials, int fd, int access);

/* Whether the caller may change mounts: has CAP_SYS_ADMIN, and not in a user namespace of its own. 0 or -EPERM. */
int caller_may_administer(const Caller *caller);
