#pragma once

/*
 * A directory stream of the pool, read from any position that it has given out.
 *
 * Positions are the pool file system's own (d_off): they stay good while other entries come and go. Reading on from
 * where the last entry ended costs no seek, so that a whole directory is read in one pass. The name "." is an entry.
 * Not for use by several threads at once, unless they hold the lock.
 */

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Directory Directory;

typedef struct DirectoryEntry {
        const char *name; /* until the next call */
        ino_t inode;
        mode_t type;      /* S_IFMT bits; 0 where the file system does not tell */
        uint64_t next;    /* the position behind this entry */
} DirectoryEntry;

/* Takes over fd, which is open for reading. */
Directory *directory_new(int fd);
void directory_free(Directory *directory);

void directory_lock(Directory *directory);
void directory_unlock(Directory *directory);
int directory_fd(const Directory *directory);

/* The entry at a position, 0 being the first. 1, or 0 at the end, or -errno. Asking again gives the same entry. */
int directory_read(Directory *directory, uint64_t position, DirectoryEntry *entry);

/* Goes to the entry behind the one that directory_read() gave. */
void directory_advance(Directory *directory, const DirectoryEntry *entry);
