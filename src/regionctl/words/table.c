#include "regionctl/words/table.h"

#include "regionctl/words/text.h"

#include <stdio.h>

struct Table {
        TableColumn *columns;
        size_t count;
        GPtrArray *rows; /* char ** */
};

Table *table_new(const TableColumn *columns, size_t count) {
        Table *table = g_new0(Table, 1);

        table->columns = g_memdup2(columns, count * sizeof(*columns));
        table->count = count;
        table->rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
        return table;
}

void table_free(Table *table) {
        g_ptr_array_unref(table->rows);
        g_free(table->columns);
        g_free(table);
}

void table_take_row(Table *table, char **cells) {
        g_ptr_array_add(table->rows, cells);
}

static void add_cell(GString *line, const Table *table, size_t column, const char *cell, int width) {
        int padding = width - text_width(cell);
        bool last = column + 1 == table->count;

        if (column)
                g_string_append_c(line, ' ');
        if (table->columns[column].right)
                g_string_append_printf(line, "%*s%s", padding, "", cell);
        else
                g_string_append_printf(line, "%s%*s", cell, last ? 0 : padding, "");
}

GPtrArray *table_lines(const Table *table) {
        GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
        g_autofree int *widths = g_new0(int, table->count);

        for (size_t column = 0; column < table->count; column++) {
                widths[column] = text_width(table->columns[column].title);
                for (guint row = 0; row < table->rows->len; row++) {
                        char **cells = table->rows->pdata[row];

                        widths[column] = MAX(widths[column], text_width(cells[column]));
                }
        }
        for (guint row = 0; row <= table->rows->len; row++) {
                GString *line = g_string_new(NULL);

                for (size_t column = 0; column < table->count; column++) {
                        char **cells = row ? table->rows->pdata[row - 1] : NULL;

                        add_cell(line, table, column, cells ? cells[column] : table->columns[column].title,
                                 widths[column]);
                }
                g_ptr_array_add(lines, g_string_free(line, FALSE));
        }
        return lines;
}

void table_print(const Table *table, const char *margin) {
        g_autoptr(GPtrArray) lines = table_lines(table);

        /* Not g_print(): the text is of the locale as it is. */
        for (guint i = 0; i < lines->len; i++)
                printf("%s%s\n", margin, (const char *)lines->pdata[i]);
}
