#pragma once

/*
 * The source of a persisted region: the file whose pages are the region's memory. The region's own file in the pool
 * stays empty, and gives it its name, owner, mode and rules. Knows nothing of FUSE.
 *
 * A source is kept with the pool's file, so that a pool=DIR has it again at the next mount: as a path, and what
 * identifies the file that was found there. What is then found by the path, and is another file, is not taken for it:
 * nobody who can change the path gets at files by the daemon's rights.
 *
 * Calls that return int return 0 or a descriptor, or -errno: -ESTALE where the file was not found again.
 */

#include <glib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

typedef struct Source Source;

/* fd (O_PATH) is on the file and is taken over; access is what the region may do to it: O_RDONLY or O_RDWR. */
Source *source_new(int fd, int access);
void source_free(Source *source);

/* Whether the region may write to it. */
bool source_is_writable(const Source *source);

/* The source's own descriptor of the file (O_PATH), or -1 where it was not found. */
int source_descriptor(const Source *source);

/* Whether the file was found. */
bool source_is_there(const Source *source);

/*
 * Keeps it with the file in the pool that node is open on, O_PATH included; and finds it again: *source is NULL if none
 * is kept, and one without its file where that is not found.
 */
int source_keep(const Source *source, int node);
int source_restore(int node, Source **source);

/* Opens the file: a descriptor that the caller owns. -EACCES for writing to one that may be read only. */
int source_open(const Source *source, int flags);

/*
 * What stat(2) says of the region: *st is that of the pool's file, and gets from the source what concerns the contents:
 * length, blocks and times. Nothing, where it was not found again.
 */
void source_stat(const Source *source, struct stat *st);

/* Whether uid may set the file's times to others than the present one. */
bool source_owned_by(const Source *source, uid_t uid);

/* Where the file is now, as the daemon sees it; NUL-terminated. Returns its length. */
int source_path(const Source *source, char path[PATH_MAX]);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Source, source_free)
