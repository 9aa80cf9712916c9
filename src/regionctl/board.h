#pragma once

/* What regionctl top shows: the regions of a directory and below, and the pool. */

#include "listing.h"
#include "pool-status.h"

typedef struct Board {
        const Mount *mount; /* borrowed, and so is path */
        const char *path;   /* absolute, of the directory */
        GPtrArray *regions; /* owned: RegionInfo, in order */
        PoolStatus pool;
        ListingKey key;
        bool reverse;
        guint first; /* row at the top */
} Board;

void board_init(Board *board, const Mount *mount, const char *path);
void board_clear(Board *board);

/* Reads it all anew. 0 or -errno. */
int board_read(Board *board);

/* Draws on ncurses' screen. */
void board_draw(Board *board);

/* Does what the key (of ncurses) is for: another order, or scrolling. */
void board_key(Board *board, int key);
