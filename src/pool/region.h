#pragma once

/*
 * One region: its lengths, and the rules that it is kept by. Knows nothing of FUSE. Lengths are in bytes; fd is open on
 * the region, O_PATH included; results are 0 or -errno.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

typedef enum RegionLifetime {
        REGION_KEPT,    /* until its last name is removed */
        REGION_HANDLES, /* until its last handle and its last view are gone */
} RegionLifetime;

typedef enum RegionAllocation {
        REGION_DELAYED,   /* memory comes with the first touch of a page */
        REGION_COMMITTED, /* memory is there for the whole padded length before a call that sets it returns */
} RegionAllocation;

/*
 * The rules of a region, or, on a directory, what regions and directories that are made in it start with. They are kept
 * with the file in the pool.
 */
typedef struct RegionPolicy {
        RegionLifetime lifetime;
        RegionAllocation allocation;
        bool sealed; /* the contents and the length are final */
} RegionPolicy;

/* Bytes in a page of memory. */
uint64_t region_page_size(void);

/* The length that a view of the whole region has: logical, rounded up to whole pages. */
uint64_t region_padded_length(uint64_t logical);

/* What is kept with the file; REGION_KEPT, REGION_DELAYED and not sealed where nothing is. */
int region_read_policy(int fd, RegionPolicy *policy);
int region_write_policy(int fd, const RegionPolicy *policy);

/*
 * Gives what has been made in a directory the rules that the directory has; or those that are known to be the
 * directory's.
 */
int region_inherit_policy(int directory, int fd);
int region_start_policy(int fd, const RegionPolicy *policy);

/*
 * Sets the logical length, as the policy wants it: -ENOSPC and no change where the memory is not there, -EPERM where
 * the region is sealed. The policy is kept with rules, which is fd but for a region whose memory is another file's.
 */
int region_set_length(int fd, int rules, off_t length);

/*
 * Sees that there is memory for the whole padded length, or for that of a region that is to end at end, if it is more;
 * -ENOSPC and no change otherwise.
 */
int region_commit(int fd, uint64_t end);

/* Whether the region is in memory (a tmpfs). */
bool region_is_memory(int fd);

/*
 * As region_commit() for one that is, up to its end, but does not wait for who is writing to it. What it has got stays
 * where there is no room for the rest (-ENOSPC).
 */
int region_fill(int fd);

/* Whether a region whose stat(2) says st holds less memory than its padded length. */
bool region_lacks_memory(const struct stat *st);

/*
 * Whether anyone has the region open or mapped, but for file, which is open for reading: 1, 0, or -errno where the file
 * system does not tell. The same for those who may write to it; fd may be O_PATH here.
 */
int region_in_use(int file);
int region_has_writers(int fd);

/*
 * Takes off the set-user-id bit, and the set-group-id bit of an executable, as a change of the contents by someone
 * without CAP_FSETID does; that of any file where it is someone outside of the file's group (stranger).
 */
int region_drop_setid(int fd, bool stranger);
