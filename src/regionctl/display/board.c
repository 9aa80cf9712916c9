#include "regionctl/display/board.h"

#include "regionctl/display/columns.h"
#include "regionctl/words/text.h"

#include <ncurses.h>

/* Lines above the rows: the pool, the order, the titles. */
#define HEAD 3
#define BAR 20

static const struct {
        int key;
        ListingKey order;
        const char *name;
} orders[] = {
        { 'n', LISTING_NAME, "name" },         { 'l', LISTING_LOGICAL, "logical" }, { 'p', LISTING_PADDED, "padded" },
        { 'r', LISTING_RESIDENT, "resident" }, { 'h', LISTING_HANDLES, "handles" }, { 'a', LISTING_AGE, "age" },
};

void board_init(Board *board, const char *path) {
        *board = (Board){
                .path = path,
                .regions = g_ptr_array_new_with_free_func((GDestroyNotify)region_info_free),
                .names = names_new(),
                .key = LISTING_NAME,
        };
}

void board_clear(Board *board) {
        g_clear_pointer(&board->regions, g_ptr_array_unref);
        g_clear_pointer(&board->names, names_free);
}

void board_take(Board *board, Snapshot *snapshot) {
        g_ptr_array_unref(board->regions);
        board->regions = g_steal_pointer(&snapshot->regions);
        board->pool = snapshot->pool;
        listing_sort(board->regions, board->key, board->reverse);
}

/* At the row, cut at the border. */
static void draw_line(int row, const char *text) {
        if (row < LINES)
                mvaddnstr(row, 0, text, text_fit(text, COLS));
}

static int rows(void) {
        return MAX(LINES - HEAD, 1);
}

/* No further down than that the last row is at the bottom. */
static void settle(Board *board) {
        guint last = board->regions->len > (guint)rows() ? board->regions->len - rows() : 0;

        board->first = MIN(board->first, last);
}

static void draw_pool(const Board *board) {
        const PoolStatus *pool = &board->pool;
        double share = pool->size ? (double)pool->used / pool->size : 0;
        int filled = share * BAR + 0.5;
        g_autofree char *path = text_escape(board->path), *regions = text_size(pool->regions, false);
        g_autofree char *used = text_size(pool->used, true), *size = text_size(pool->size, true);
        g_autofree char *bar = g_strnfill(filled, '#'), *rest = g_strnfill(BAR - filled, '.');
        g_autofree char *line = g_strdup_printf("%s  pool [%s%s] %s of %s (%.0f%%)  regions %s", path, bar, rest, used,
                                                size, share * 100, regions);

        draw_line(0, line);
}

static void draw_order(const Board *board) {
        guint end = MIN(board->first + rows(), board->regions->len);
        g_autofree char *line = NULL;
        const char *order = "";

        for (size_t i = 0; i < G_N_ELEMENTS(orders); i++)
                if (orders[i].order == board->key)
                        order = orders[i].name;
        line = g_strdup_printf("by %s%s, %u-%u of %u here  (keys: n l p r h a order, R reverses, q quits)", order,
                               board->reverse ? " reversed" : "", end ? board->first + 1 : 0, end, board->regions->len);
        draw_line(1, line);
}

static void draw_rows(const Board *board) {
        g_autoptr(Table) table = columns_for_top(board->regions, board->names, board->first, rows(), COLS);
        g_autoptr(GPtrArray) lines = table_lines(table);

        attron(A_REVERSE);
        if (HEAD - 1 < LINES)
                mvhline(HEAD - 1, 0, ' ' | A_REVERSE, COLS);
        draw_line(HEAD - 1, lines->pdata[0]);
        attroff(A_REVERSE);
        for (guint row = 1; row < lines->len; row++)
                draw_line(HEAD + row - 1, lines->pdata[row]);
        if (board->regions->len == 0)
                draw_line(HEAD, "There are no regions here.");
}

void board_draw(Board *board) {
        settle(board);
        erase();
        draw_pool(board);
        draw_order(board);
        draw_rows(board);
        refresh();
}

static void scroll_by(Board *board, int by) {
        board->first = MAX((int)board->first + by, 0);
        settle(board);
}

void board_key(Board *board, int key) {
        for (size_t i = 0; i < G_N_ELEMENTS(orders); i++)
                if (orders[i].key == key)
                        board->key = orders[i].order;
        if (key == 'R')
                board->reverse = !board->reverse;
        else if (key == KEY_UP)
                scroll_by(board, -1);
        else if (key == KEY_DOWN)
                scroll_by(board, 1);
        else if (key == KEY_PPAGE)
                scroll_by(board, -rows());
        else if (key == KEY_NPAGE)
                scroll_by(board, rows());
        else if (key == KEY_HOME)
                board->first = 0;
        else if (key == KEY_END)
                board->first = board->regions->len;
        listing_sort(board->regions, board->key, board->reverse);
}
