#include "listing.h"

#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const struct {
        const char *name;
        RegionAttribute attribute;
} keys[LISTING_KEYS] = {
        [LISTING_NAME] = { "name", REGION_ATTRIBUTES },
        [LISTING_LOGICAL] = { "logical", REGION_LOGICAL_LENGTH },
        [LISTING_PADDED] = { "padded", REGION_PADDED_LENGTH },
        [LISTING_RESIDENT] = { "resident", REGION_RESIDENT },
        [LISTING_HANDLES] = { "handles", REGION_HANDLES },
        [LISTING_AGE] = { "age", REGION_CREATED },
};

ListingKey listing_key(const char *name) {
        int key = 0;

        while (key < LISTING_KEYS && !g_str_equal(keys[key].name, name))
                key++;
        return key;
}

unsigned listing_key_wants(ListingKey key) {
        return key == LISTING_NAME ? REGION_NONE : 1U << keys[key].attribute;
}

/* Another open of the same directory, as reading it moves a position; NULL with errno. */
static DIR *open_again(int directory) {
        int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;
        DIR *stream = fd < 0 ? NULL : fdopendir(fd);

        if (fd >= 0 && !stream) {
                error = errno;
                close(fd);
                errno = error;
        }
        return stream;
}

static int read_below(GPtrArray *regions, int directory, const char *name, const RegionInfo *info,
                      const ListingRequest *request, Status *status) {
        g_autofree char *shown = g_strconcat(info->name, "/", NULL), *path = g_strdup(info->path);
        int below = openat(directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int result = below < 0 ? -errno : listing_read(regions, below, shown, path, request, status);

        if (below >= 0)
                close(below);
        return result;
}

/* One entry of the directory. 0 or -errno. */
static int read_entry(GPtrArray *regions, int directory, const char *name, const char *shown, const char *path,
                      const ListingRequest *request, Status *status) {
        g_autoptr(RegionInfo) info = region_info_read(directory, name, request->wanted);
        int result = info ? 0 : -errno;

        if (!info)
                return result == -ENOENT ? 0 : result;
        info->name = g_strconcat(shown, name, NULL);
        info->path = g_build_filename(path, name, NULL);
        if (S_ISDIR(info->st.st_mode) && request->recursive && info->st.st_dev == request->device) {
                result = read_below(regions, directory, name, info, request, status);
                if (result < 0 && result != -ENOENT && result != -ESTALE && !request->quiet) {
                        Status of_this = complain_errno(-result, "list", info->path);

                        if (*status == STATUS_DONE)
                                *status = of_this;
                }
        }
        if (S_ISREG(info->st.st_mode) || !request->regions_only)
                g_ptr_array_add(regions, g_steal_pointer(&info));
        return 0;
}

int listing_read(GPtrArray *regions, int directory, const char *shown, const char *path, const ListingRequest *request,
                 Status *status) {
        DIR *stream = open_again(directory);
        const struct dirent *entry;
        int result = stream ? 0 : -errno;

        while (result == 0) {
                errno = 0;
                entry = readdir(stream);
                if (!entry) {
                        result = -errno;
                        break;
                }
                if (g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, ".."))
                        continue;
                result = read_entry(regions, directory, entry->d_name, shown, path, request, status);
        }
        if (stream)
                closedir(stream);
        return result;
}

typedef struct Order {
        ListingKey key;
        int sign;
} Order;

static int compare(gconstpointer left, gconstpointer right, gpointer data) {
        const RegionInfo *a = *(RegionInfo *const *)left, *b = *(RegionInfo *const *)right;
        const Order *order = data;
        gint64 of_a, of_b;
        int result = 0;

        if (order->key == LISTING_AGE) {
                /* Text of one form, so that nanoseconds count. The longer ago, the smaller. */
                result = g_strcmp0(a->values[REGION_CREATED], b->values[REGION_CREATED]);
        } else if (order->key != LISTING_NAME) {
                of_a = region_info_number(a, keys[order->key].attribute);
                of_b = region_info_number(b, keys[order->key].attribute);
                result = of_a > of_b ? -1 : of_a < of_b ? 1 : 0;
        }
        return order->sign * (result ? result : strcmp(a->name, b->name));
}

void listing_sort(GPtrArray *regions, ListingKey key, bool reverse) {
        Order order = { key, reverse ? -1 : 1 };

        g_ptr_array_sort_with_data(regions, compare, &order);
}

char *listing_name(const RegionInfo *info, bool escape) {
        g_autofree char *name = escape ? text_escape(info->name) : g_strdup(info->name);

        return g_strconcat(name, S_ISDIR(info->st.st_mode) ? "/" : "", NULL);
}

static char *word(const RegionInfo *info, RegionAttribute attribute) {
        return g_strdup(info->values[attribute] ? info->values[attribute] : "-");
}

static char *yes_or_no(gint64 flag) {
        return g_strdup(flag < 0 ? "-" : flag ? "yes" : "no");
}

Table *listing_table(const GPtrArray *regions, bool human) {
        static const TableColumn columns[] = {
                { "MODE" },          { "OWNER" },         { "HANDLES", true }, { "LOGICAL", true }, { "PADDED", true },
                { "RESIDENT", true }, { "LIFETIME" },      { "ALLOCATION" },    { "SEALED" },        { "AGE", true },
                { "NAME" },
        };
        Table *table = table_new(columns, G_N_ELEMENTS(columns));

        for (guint i = 0; i < regions->len; i++) {
                const RegionInfo *info = regions->pdata[i];
                char *cells[G_N_ELEMENTS(columns) + 1] = {
                        text_mode(info->st.st_mode),
                        text_user(info->st.st_uid),
                        text_size(region_info_number(info, REGION_HANDLES), false),
                        text_size(region_info_number(info, REGION_LOGICAL_LENGTH), human),
                        text_size(region_info_number(info, REGION_PADDED_LENGTH), human),
                        text_size(region_info_number(info, REGION_RESIDENT), human),
                        word(info, REGION_LIFETIME),
                        word(info, REGION_ALLOCATION),
                        yes_or_no(region_info_number(info, REGION_SEALED)),
                        text_age(region_info_age(info)),
                        listing_name(info, true),
                };

                table_take_row(table, g_memdup2(cells, sizeof(cells)));
        }
        return table;
}
