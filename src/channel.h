#pragma once

/*
 * The channel: the descriptor of /dev/fuse over which the kernel asks, and the mount that it serves.
 *
 * Made here and not by libfuse, which hides the mount behind the session: root mounts with the kernel's own calls, an
 * ordinary user has fusermount3 do it, which needs no right to /dev/fuse.
 */

#include <glib.h>
#include <stdbool.h>

typedef struct Channel {
        int fd;           /* owned: of /dev/fuse, non-negative */
        char *mountpoint; /* owned */
        guint64 mount_id; /* the kernel's; 0: not known */
        guint64 unique;   /* the same, never used again; as mount_id where the kernel knows no such number */
        int unmounter;    /* owned: of an ordinary user's mount; -1: none */
} Channel;

/*
 * Mounts on mountpoint with options, each "name" or "name=value" (char *). A sentence in error names the option that is
 * not allowed, or says why the place cannot be mounted on.
 */
Channel *channel_new(const char *mountpoint, const GPtrArray *options, GError **error);

/*
 * Another descriptor of the same channel, which the caller owns: -1 with errno. All of them have to be closed before the
 * mount is taken away, the channel's own by channel_close().
 */
int channel_duplicate(const Channel *channel);
void channel_close(Channel *channel);

/* Takes the mount away if it is still there, also from under clients that use it. */
void channel_unmount(const Channel *channel);

/* Closes the descriptor, and takes the mount away. */
void channel_free(Channel *channel);

/* Of one whose mount and descriptor another process has given up. */
void channel_forget(Channel *channel);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Channel, channel_free)
