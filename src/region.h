#pragma once

/* One region: its lengths and what changes them. Knows nothing of FUSE. Lengths are in bytes. */

#include <stdint.h>
#include <sys/types.h>

/* Bytes in a page of memory. */
uint64_t region_page_size(void);

/* The length that a view of the whole region has: logical, rounded up to whole pages. */
uint64_t region_padded_length(uint64_t logical);

/* Sets the logical length; 0 or -errno. fd is open on the region, O_PATH included. */
int region_set_length(int fd, off_t length);

/*
 * Takes off the set-user-id bit, and the set-group-id bit of an executable, as a change of the contents by someone
 * without CAP_FSETID does. 0 or -errno. fd as above.
 */
int region_drop_setid(int fd);
