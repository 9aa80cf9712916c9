#include "regionctl/display/columns.h"

#include "regionctl/words/text.h"

#include <string.h>

typedef enum Column {
        MODE,
        OWNER,
        HANDLES,
        LOGICAL,
        PADDED,
        RESIDENT,
        LIFETIME,
        ALLOCATION,
        SEALED,
        AGE,
        NAME,
        COLUMNS, /* how many there are */
} Column;

static const TableColumn titles[COLUMNS] = {
        [MODE] = { "MODE" },
        [OWNER] = { "OWNER" },
        [HANDLES] = { "HANDLES", true },
        [LOGICAL] = { "LOGICAL", true },
        [PADDED] = { "PADDED", true },
        [RESIDENT] = { "RESIDENT", true },
        [LIFETIME] = { "LIFETIME" },
        [ALLOCATION] = { "ALLOCATION" },
        [SEALED] = { "SEALED" },
        [AGE] = { "AGE", true },
        [NAME] = { "NAME" },
};

static const Column for_ls[COLUMNS] = {
        MODE, OWNER, HANDLES, LOGICAL, PADDED, RESIDENT, LIFETIME, ALLOCATION, SEALED, AGE, NAME,
};

static const Column for_top[COLUMNS] = {
        NAME, LOGICAL, PADDED, RESIDENT, HANDLES, AGE, SEALED, LIFETIME, ALLOCATION, MODE, OWNER,
};

/* How it is all written. name_width: columns for the name; 0: as many as it takes. */
typedef struct Style {
        const Column *columns;
        Names *names;
        bool human;
        int name_width;
} Style;

char *columns_name(const RegionInfo *info, bool escape) {
        g_autofree char *name = escape ? text_escape(info->name) : g_strdup(info->name);

        return g_strconcat(name, S_ISDIR(info->st.st_mode) ? "/" : "", NULL);
}

/* "~" stands for what does not fit. */
static char *name_within(const RegionInfo *info, int width) {
        g_autofree char *name = columns_name(info, true);

        if (width == 0 || text_width(name) <= width)
                return g_steal_pointer(&name);
        return g_strdup_printf("%.*s~", (int)text_fit(name, width - 1), name);
}

static char *size(const RegionInfo *info, RegionAttribute attribute, bool human) {
        return text_size(region_info_size(info, attribute), human);
}

static char *word(const RegionInfo *info, RegionAttribute attribute) {
        return info->values[attribute] ? text_escape(info->values[attribute]) : g_strdup("-");
}

static char *mode(const RegionInfo *info) {
        char *text = text_mode(info->st.st_mode);

        if (info->unseen)
                memset(text + 1, '?', strlen(text) - 1);
        return text;
}

static char *yes_or_no(gint64 flag) {
        return g_strdup(flag < 0 ? "-" : flag ? "yes" : "no");
}

static char *cell(const RegionInfo *info, Column column, const Style *style) {
        switch (column) {
        case MODE:
                return mode(info);
        case OWNER:
                return g_strdup(info->unseen ? "-" : names_user(style->names, info->st.st_uid));
        case HANDLES:
                return size(info, REGION_HANDLES, false);
        case LOGICAL:
                return size(info, REGION_LOGICAL_LENGTH, style->human);
        case PADDED:
                return size(info, REGION_PADDED_LENGTH, style->human);
        case RESIDENT:
                return size(info, REGION_RESIDENT, style->human);
        case LIFETIME:
                return word(info, REGION_LIFETIME);
        case ALLOCATION:
                return word(info, REGION_ALLOCATION);
        case SEALED:
                return yes_or_no(region_info_number(info, REGION_SEALED));
        case AGE:
                return text_age(region_info_age(info));
        default:
                return name_within(info, style->name_width);
        }
}

static Table *make(const GPtrArray *regions, guint first, guint end, const Style *style) {
        TableColumn columns[COLUMNS];
        Table *table;

        for (int i = 0; i < COLUMNS; i++)
                columns[i] = titles[style->columns[i]];
        table = table_new(columns, COLUMNS);
        for (guint row = first; row < end; row++) {
                char **cells = g_new0(char *, COLUMNS + 1);

                for (int i = 0; i < COLUMNS; i++)
                        cells[i] = cell(regions->pdata[row], style->columns[i], style);
                table_take_row(table, cells);
        }
        return table;
}

Table *columns_for_ls(const GPtrArray *regions, Names *names, bool human) {
        const Style style = { for_ls, names, human, 0 };

        return make(regions, 0, regions->len, &style);
}

Table *columns_for_top(const GPtrArray *regions, Names *names, guint first, guint count, int width) {
        const Style style = { for_top, names, true, MAX(width / 2, 2) };

        return make(regions, MIN(first, regions->len), MIN(first + count, regions->len), &style);
}
