#pragma once

/* What regionctl top shows: the regions of a directory and below, and the pool. */

#include "regionctl/facts/snapshot.h"
#include "regionctl/words/names.h"

typedef struct Board {
        const char *path;   /* borrowed: absolute, of the directory */
        GPtrArray *regions; /* owned: RegionInfo, in order */
        PoolStatus pool;
        Names *names; /* owned */
        ListingKey key;
        bool reverse;
        guint first; /* row at the top */
} Board;

void board_init(Board *board, const char *path);
void board_clear(Board *board);

/* Shows this from now on. Empties the snapshot. */
void board_take(Board *board, Snapshot *snapshot);

/* Draws on ncurses' screen. */
void board_draw(Board *board);

/* Does what the key (of ncurses) is for: another order, or scrolling. */
void board_key(Board *board, int key);
