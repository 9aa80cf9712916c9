#pragma once

/* Which parts of a region have memory. */

#include "regionctl/facts/region-info.h"

/* Bytes of the region, from its begin. */
typedef struct PictureExtent {
        guint64 offset, length;
} PictureExtent;

typedef struct Picture {
        GArray *extents;     /* owned: PictureExtent in order; NULL: not known */
        const char *why_not; /* borrowed: the reason, for people; then extents is NULL */
} Picture;

#define PICTURE_INIT { NULL, NULL }

/*
 * Finds the parts. fd is any descriptor of the region, O_PATH included. The region is opened for that, but never where
 * the close could be what ends it: it ends with its handles, and nobody has one, nor, as has_view says, a view.
 */
void picture_take(Picture *picture, int fd, const RegionInfo *info, bool has_view);
void picture_clear(Picture *picture);

/* One line of at most so many cells, of one character each, in the locale's characters; to be freed. */
char *picture_draw(const Picture *picture, guint64 length, guint64 page_size, int cells);

/* What the cells of such a line mean, for people. */
const char *picture_legend(void);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Picture, picture_clear)
