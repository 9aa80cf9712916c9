#pragma once

/*
 * The channel: the descriptor of /dev/fuse over which the kernel asks, and the mount that it serves.
 *
 * Made here and not by libfuse, which hides the mount behind the session: root mounts with the kernel's own calls, an
 * ordinary user has fusermount3 do it, which needs no right to /dev/fuse.
 */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct Channel {
        int fd;           /* owned: of /dev/fuse, non-negative */
        char *mountpoint; /* owned */
        guint64 mount_id; /* the kernel's, as mountinfo shows it; 0: not known. It is used again when the mount has gone */
        guint64 unique;   /* one that is not; 0: before Linux 6.8 */
        dev_t device;     /* of what is in the mount */
        int unmounter;    /* owned: of an ordinary user's mount; -1: none */
} Channel;

/*
 * Mounts on mountpoint with options, each "name" or "name=value" (char *). A sentence in error names the option that is
 * not allowed, or says why the place cannot be mounted on.
 */
Channel *channel_new(const char *mountpoint, const GPtrArray *options, GError **error);

/*
 * Another descriptor of the same channel, which the caller owns: -1 with errno. All of them have to be closed before
 * the mount is taken away, the channel's own by channel_close().
 */
int channel_duplicate(const Channel *channel);
void channel_close(Channel *channel);

/*
 * Where the mount is now, as directories above it may have been moved; to be freed. NULL: it has gone. No request is
 * made.
 */
char *channel_find(const Channel *channel);

/* Whether it is there, be it covered by another one. No request is made. */
bool channel_is_mounted(const Channel *channel);

/* Takes the mount away if it is still there, also from under clients that use it. */
void channel_unmount(const Channel *channel);

/*
 * Root's: ends the connection, whoever holds its descriptors, so that clients that wait for an answer get an error; and
 * puts a new one in its place, with the same options, without a moment in which nothing is mounted there. Takes over
 * channel. NULL with error, where something else is mounted over it, for instance; and what has died is taken away
 * then, as by channel_unmount().
 */
Channel *channel_renew(Channel *channel, const GPtrArray *options, GError **error);

/*
 * Takes away what is mounted there, if it is a regionfs's whose channel is closed; anything else is left alone. One
 * that another process has the channel of is asked, and its answer waited for.
 */
void channel_unmount_dead(const char *mountpoint);

/* Closes the descriptor, and takes the mount away. */
void channel_free(Channel *channel);

/* Of one whose mount and descriptor another process has given up. */
void channel_forget(Channel *channel);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Channel, channel_free)
