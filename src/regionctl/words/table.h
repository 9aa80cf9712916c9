#pragma once

/* Aligned columns of text under their titles. */

#include <glib.h>
#include <stdbool.h>

typedef struct TableColumn {
        const char *title;
        bool right; /* aligned so: for numbers */
} TableColumn;

typedef struct Table Table;

/* Titles are borrowed. */
Table *table_new(const TableColumn *columns, size_t count);
void table_free(Table *table);

/* Takes the cells, one for each column, as g_strfreev() frees them. Escaped text (see text.h). */
void table_take_row(Table *table, char **cells);

/* The lines, the titles first: an array of char * that frees them. */
GPtrArray *table_lines(const Table *table);

/* Prints the lines, each behind the margin. */
void table_print(const Table *table, const char *margin);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)
