#pragma once

/*
 * What a program may ask of a regionfs mount beyond ordinary file calls: the names of its extended attributes.
 *
 * Every value is text: decimal digits without sign, leading zeros, newline or terminating NUL, unless said otherwise.
 * Reading: getxattr(2); ENODATA where the name does not apply to the file, ERANGE where the buffer is too small.
 * Writing: setxattr(2); EPERM for another value than the present one of an attribute that is read-only, EINVAL for a
 * name that regionfs does not know or a value that is not of the attribute's form.
 *
 * Removing: removexattr(2) of a listed one is taken without effect, of another EPERM.
 *
 * Source of the terms: regionfs-attributes(7).
 */

#define REGIONFS_ATTRIBUTE_PREFIX "user.regionfs."

/* Of a region, listed by listxattr(2). */

/* Bytes in a page of memory: the unit that a view (mapping) is rounded up to. Read-only. */
#define REGIONFS_ATTRIBUTE_PAGE_SIZE REGIONFS_ATTRIBUTE_PREFIX "page_size"

/* Length in bytes, exactly st_size. Writing it sets the length as ftruncate(2) does: EFBIG where it is too large. */
#define REGIONFS_ATTRIBUTE_LOGICAL_LENGTH REGIONFS_ATTRIBUTE_PREFIX "logical_length"

/* Length in bytes, rounded up to whole pages: how far a view of the whole region reaches. Read-only. */
#define REGIONFS_ATTRIBUTE_PADDED_LENGTH REGIONFS_ATTRIBUTE_PREFIX "padded_length"

/* Of a region, not listed because they change by themselves. Read-only. */

/* Bytes of memory that the region holds now. */
#define REGIONFS_ATTRIBUTE_RESIDENT REGIONFS_ATTRIBUTE_PREFIX "resident"

/* How many open file handles (open file descriptions) the region has. Views alone count in cached mode only. */
#define REGIONFS_ATTRIBUTE_HANDLES REGIONFS_ATTRIBUTE_PREFIX "handles"

/* The region's identity as long as it exists, whatever its names: its inode number. */
#define REGIONFS_ATTRIBUTE_ID REGIONFS_ATTRIBUTE_PREFIX "id"

/* When the region was created: seconds since the Epoch, a point, nine digits of nanoseconds. */
#define REGIONFS_ATTRIBUTE_CREATED REGIONFS_ATTRIBUTE_PREFIX "created"

/*
 * Rules of a region, and, but for "sealed", of a directory, where they are what regions and directories made in it
 * start with. Not listed. Written by the owner and root alone (EPERM for others); removing resets to the first value.
 */

/* "kept": until the last name is removed; "handles": until the last handle and the last view are gone. */
#define REGIONFS_ATTRIBUTE_LIFETIME REGIONFS_ATTRIBUTE_PREFIX "lifetime"

/*
 * "delayed": memory comes with the first touch; "committed": with the call that sets the length, which fails with
 * ENOSPC and changes nothing where there is none.
 */
#define REGIONFS_ATTRIBUTE_ALLOCATION REGIONFS_ATTRIBUTE_PREFIX "allocation"

/* 1: contents and length are final. EBUSY while anyone may write, EPERM for 0 once it is 1. */
#define REGIONFS_ATTRIBUTE_SEALED REGIONFS_ATTRIBUTE_PREFIX "sealed"

/*
 * Of a persisted region alone (ENODATA for others), not listed: the path of the file that its memory is, as the daemon
 * sees it, without a terminating NUL.
 *
 * Writing makes an empty region persisted: the value is the number of a descriptor that the calling thread has open, in
 * decimal digits; for reading and writing, or for reading alone, which is then all that the region allows. By the owner
 * and root alone. Nobody may have the region open meanwhile: it is made by mknod(2), or closed before.
 *
 *   EBADF       the caller has no such descriptor, or one of O_PATH
 *   EACCES      the descriptor cannot read, or the caller may not open the file that it is on (also other errors of open(2))
 *   EBUSY       the region has a handle, or someone holds a lease on the file (fcntl(2), F_SETLEASE)
 *   EINVAL      the value is no number, or the file is no regular file, or lies in this mount
 *   ELOOP       the file system is stacked on others, or served by a process (FUSE), or not known
 *   EMFILE      the daemon holds as many descriptors as it may
 *   ENODEV      the file cannot be mapped
 *   ENOTEMPTY   the region holds something
 *   EPERM       the region belongs to someone else, is persisted already, or is sealed; or the file has seals (memfd_create(2)); or
 *               the daemon cannot see the caller: it is in none of the daemon's pid namespaces, or, without
 *               root, not dumpable (prctl(2))
 *   EOPNOTSUPP  the pool's file system keeps no attributes
 */
#define REGIONFS_ATTRIBUTE_SOURCE REGIONFS_ATTRIBUTE_PREFIX "source"

/* Of the mount's root directory, not listed. Read-only unless said otherwise. */

/* The version of the serving regionfs, as in "0.1.0". */
#define REGIONFS_ATTRIBUTE_VERSION REGIONFS_ATTRIBUTE_PREFIX "version"

/* 1: reads, writes and views use the region's own memory (kernel passthrough); 0: they go through the page cache. */
#define REGIONFS_ATTRIBUTE_PASSTHROUGH REGIONFS_ATTRIBUTE_PREFIX "passthrough"

/* 1: requests come over io_uring, and a crash ends the connection; 0: over /dev/fuse, and a crash is not noticed. */
#define REGIONFS_ATTRIBUTE_IO_URING REGIONFS_ATTRIBUTE_PREFIX "io_uring"

/*
 * When reading sets times of last access: "relatime", "strictatime", each perhaps with ",nodiratime" behind it, or
 * "noatime". As the mount says, also where remounting changes that, which writes this. It takes CAP_SYS_ADMIN. ENODATA
 * where the pool is a directory.
 */
#define REGIONFS_ATTRIBUTE_ACCESS_TIMES REGIONFS_ATTRIBUTE_PREFIX "access_times"

/*
 * How much all regions together may hold, in bytes: whole pages; and how many regions, directories and links there may
 * be. Writing changes it, as remounting with the options of these names does, and wants a number from 1 on. It takes
 * CAP_SYS_ADMIN, as that does. ENODATA where the pool is a directory.
 *
 *   EBUSY   more is in use
 *   EINVAL  it is no such number, or more than the file system takes
 */
#define REGIONFS_ATTRIBUTE_SIZE REGIONFS_ATTRIBUTE_PREFIX "size"
#define REGIONFS_ATTRIBUTE_NR_REGIONS REGIONFS_ATTRIBUTE_PREFIX "nr_regions"

/* Process id of the serving process, in the pid namespace where that runs. */
#define REGIONFS_ATTRIBUTE_SERVER_PID REGIONFS_ATTRIBUTE_PREFIX "server_pid"

/* How many regions the mount has. */
#define REGIONFS_ATTRIBUTE_REGIONS REGIONFS_ATTRIBUTE_PREFIX "regions"

/* How often the serving process has died and been replaced. */
#define REGIONFS_ATTRIBUTE_RESTARTS REGIONFS_ATTRIBUTE_PREFIX "restarts"
