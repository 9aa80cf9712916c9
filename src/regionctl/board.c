#include "board.h"

#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <ncurses.h>
#include <unistd.h>

/* Lines above the rows: the pool, the order, the titles. */
#define HEAD 3
#define BAR 20

/* What the columns of the table take. */
#define WANTED (REGION_ALL & ~(1U << REGION_PAGE_SIZE | 1U << REGION_ID | 1U << REGION_SOURCE))

static const struct {
        int key;
        ListingKey order;
        const char *name;
} orders[] = {
        { 'n', LISTING_NAME, "name" },         { 'l', LISTING_LOGICAL, "logical" }, { 'p', LISTING_PADDED, "padded" },
        { 'r', LISTING_RESIDENT, "resident" }, { 'h', LISTING_HANDLES, "handles" }, { 'a', LISTING_AGE, "age" },
};

static GPtrArray *new_regions(void) {
        return g_ptr_array_new_with_free_func((GDestroyNotify)region_info_free);
}

void board_init(Board *board, const Mount *mount, const char *path) {
        *board = (Board){ .mount = mount, .path = path, .regions = new_regions(), .key = LISTING_NAME };
}

void board_clear(Board *board) {
        g_clear_pointer(&board->regions, g_ptr_array_unref);
}

int board_read(Board *board) {
        const ListingRequest request = {
                .wanted = WANTED,
                .device = board->mount->device,
                .recursive = true,
                .regions_only = true,
                .quiet = true,
        };
        g_autoptr(GPtrArray) regions = new_regions();
        Status unused = STATUS_DONE;
        struct stat st;
        /* Not kept open: the mount can be unmounted while it is shown. */
        int fd = open(board->path, O_PATH | O_DIRECTORY | O_CLOEXEC), result;

        if (fd < 0)
                return -errno;
        /* What lies there is another mount now, or none. */
        if (fstat(fd, &st) < 0 || st.st_dev != board->mount->device) {
                close(fd);
                return -ENOTCONN;
        }
        result = listing_read(regions, fd, "", board->path, &request, &unused);
        close(fd);
        if (result == 0)
                result = pool_status_read(&board->pool, board->mount);
        if (result < 0)
                return result;
        g_ptr_array_unref(board->regions);
        board->regions = g_steal_pointer(&regions);
        listing_sort(board->regions, board->key, board->reverse);
        return 0;
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
        g_autoptr(Table) table = listing_table(board->regions, true);
        g_autoptr(GPtrArray) lines = table_lines(table);

        attron(A_REVERSE);
        if (HEAD - 1 < LINES)
                mvhline(HEAD - 1, 0, ' ' | A_REVERSE, COLS);
        draw_line(HEAD - 1, lines->pdata[0]);
        attroff(A_REVERSE);
        for (int row = 0; row < rows() && board->first + row + 1 < lines->len; row++)
                draw_line(HEAD + row, lines->pdata[board->first + row + 1]);
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
