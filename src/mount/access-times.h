#pragma once

/*
 * When reading sets a time of last access. With passthrough the kernel reads from the pool's file, by the rules of the
 * pool's own mount: so that has to have those of ours.
 *
 * Flags here are MOUNT_ATTR_NOATIME, MOUNT_ATTR_STRICTATIME or neither (relatime), and MOUNT_ATTR_NODIRATIME.
 */

#include <glib.h>

/* What mount options, each "name" or "name=value", say. Nothing is set through a mount that is read-only. */
unsigned access_times_of_options(const GPtrArray *options);

/* The same of a mount, by the flags that statvfs(2) tells. */
unsigned access_times_of_mount(unsigned long flags);

/* As text, static; and back, or -EINVAL. */
const char *access_times_name(unsigned flags);
int access_times_find(const char *name, unsigned *flags);

/* Has them hold for the mount whose root fd is open on. 0 or -errno. */
int access_times_set(int fd, unsigned flags);
