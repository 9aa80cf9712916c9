#include "regionctl/facts/listing.h"

#include "base/descriptor.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

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

typedef struct Entry {
        char *name;
        mode_t type; /* as in st_mode; 0: the directory does not tell */
} Entry;

static void clear_entry(gpointer data) {
        Entry *entry = data;

        g_free(entry->name);
}

/* Adds what the directory holds. By a path, as "." in it takes the right to search it. 0 or -errno. */
static int read_entries(GArray *entries, int directory) {
        char link[DESCRIPTOR_PATH_MAX];
        auto_descriptor fd = open(descriptor_path(directory, link), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *stream = fd < 0 ? NULL : fdopendir(fd);
        const struct dirent *found;
        int result;

        if (!stream)
                return -errno;
        descriptor_steal(&fd);
        while (errno = 0, (found = readdir(stream)) != NULL) {
                Entry entry = { NULL, DTTOIF(found->d_type) };

                if (g_str_equal(found->d_name, ".") || g_str_equal(found->d_name, ".."))
                        continue;
                entry.name = g_strdup(found->d_name);
                g_array_append_val(entries, entry);
        }
        result = -errno;
        closedir(stream);
        return result;
}

/* Nothing more comes of the mount. */
static bool is_dead(int result) {
        return result == -ENOTCONN || result == -ECONNABORTED;
}

static void miss(int result, const char *path, const ListingRequest *request, Status *status) {
        Status of_this;

        if (result == -ENOENT || result == -ESTALE || request->quiet)
                return;
        of_this = complain_errno(-result, "list", path);
        if (*status == STATUS_DONE)
                *status = of_this;
}

/* The entry, or NULL with errno. */
static RegionInfo *look_at(int directory, const Entry *entry, const ListingRequest *request) {
        RegionInfo *info = region_info_read(directory, entry->name, request->wanted);

        return info || errno != EACCES ? info : region_info_new_unseen(entry->type);
}

static int read_below(GPtrArray *regions, int directory, const char *name, const RegionInfo *info,
                      const ListingRequest *request, Status *status) {
        g_autofree char *shown = g_strconcat(info->name, "/", NULL), *path = g_strdup(info->path);
        auto_descriptor below = openat(directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        return below < 0 ? -errno : listing_read(regions, below, shown, path, request, status);
}

/* One entry, and what lies below it. 0, or -errno where nothing can be read any more. */
static int read_entry(GPtrArray *regions, int directory, const Entry *entry, const char *shown, const char *path,
                      const ListingRequest *request, Status *status) {
        g_autofree char *whole = g_build_filename(path, entry->name, NULL);
        g_autoptr(RegionInfo) info = look_at(directory, entry, request);
        int result = info ? 0 : -errno;

        if (info) {
                info->name = g_strconcat(shown, entry->name, NULL);
                info->path = g_strdup(whole);
                if (S_ISDIR(info->st.st_mode) && !info->unseen && request->recursive &&
                    info->st.st_dev == request->device)
                        result = read_below(regions, directory, entry->name, info, request, status);
        }
        if (result < 0)
                miss(result, whole, request, status);
        if (info && (S_ISREG(info->st.st_mode) || !request->regions_only))
                g_ptr_array_add(regions, g_steal_pointer(&info));
        return is_dead(result) ? result : 0;
}

int listing_read(GPtrArray *regions, int directory, const char *shown, const char *path, const ListingRequest *request,
                 Status *status) {
        g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(Entry));
        int result = read_entries(entries, directory);

        g_array_set_clear_func(entries, clear_entry);
        for (guint i = 0; i < entries->len && result == 0; i++)
                result =
                        read_entry(regions, directory, &g_array_index(entries, Entry, i), shown, path, request, status);
        return result;
}

typedef struct Order {
        ListingKey key;
        int sign;
} Order;

static int compare(gconstpointer left, gconstpointer right, gpointer data) {
        const RegionInfo *a = *(RegionInfo *const *)left, *b = *(RegionInfo *const *)right;
        const Order *order = data;
        guint64 of_a, of_b;
        int result = 0;

        if (order->key == LISTING_AGE) {
                /* Text of one form, so that nanoseconds count. The longer ago, the smaller. */
                result = g_strcmp0(a->values[REGION_CREATED], b->values[REGION_CREATED]);
        } else if (order->key != LISTING_NAME) {
                /* What is not known becomes 0, and all else one more. */
                of_a = region_info_size(a, keys[order->key].attribute) + 1;
                of_b = region_info_size(b, keys[order->key].attribute) + 1;
                result = of_a > of_b ? -1 : of_a < of_b ? 1 : 0;
        }
        return order->sign * (result ? result : strcmp(a->name, b->name));
}

void listing_sort(GPtrArray *regions, ListingKey key, bool reverse) {
        Order order = { key, reverse ? -1 : 1 };

        g_ptr_array_sort_with_data(regions, compare, &order);
}
