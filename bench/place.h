#pragma once

/*
 * A directory that is measured, with the files that the operations use in it.
 *
 * "data" is PLACE_DATA_SIZE long, filled and open; "small" is an empty file that nobody holds open; "other" does not
 * exist, and an operation that makes it removes it again. Their names are of this run alone, so that the same
 * directory can be measured twice, or by several at once.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLACE_PAGE_SIZE ((size_t)4096)
#define PLACE_CALL_SIZE ((size_t)1 << 20)
#define PLACE_DATA_SIZE ((size_t)64 << 20)

typedef struct Place {
        const char *directory; /* borrowed */
        char *buffer;          /* PLACE_CALL_SIZE bytes, borrowed: all places copy from and to it; or NULL */
        char *data, *small, *other;
        bool made;             /* one of them at least: before, even the directory may not exist */
        int fd;                /* of data, read and write; -1 without */
        volatile char *mapping; /* PLACE_DATA_SIZE bytes, or NULL: of the operation that runs */
        struct Clients *clients; /* or NULL: of the operation that runs */
        uint64_t random;
} Place;

/* Makes the files; without a buffer, for operations on names alone, there is no data. The error names the path. */
Place *place_new(const char *directory, char *buffer, GError **error);

/* Removes the files; says so on stderr where it cannot. */
void place_free(Place *place);

/* Sets the error from errno and returns false. */
bool place_fail(const char *verb, const char *path, GError **error);

/* Maps an open file of PLACE_DATA_SIZE bytes, which has the given path. */
bool place_map(Place *place, int fd, const char *path, GError **error);
void place_unmap(Place *place);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Place, place_free)
