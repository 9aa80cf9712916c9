#include "regionctl/facts/mounts.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define MOUNTINFO "/proc/self/mountinfo"
#define TYPE "fuse.regionfs"

/* What stands in a line of mountinfo, see proc(5): at these places, and the type behind a field "-". */
enum {
        DEVICE = 2,
        ROOT = 3,
        MOUNTPOINT = 4,
        OPTIONAL = 6,
};

static const char *type_of(char **fields) {
        guint count = g_strv_length(fields);

        for (guint i = OPTIONAL; i + 1 < count; i++)
                if (g_str_equal(fields[i], "-"))
                        return fields[i + 1];
        return "";
}

/* The lines of regionfs mounts, as fields: an array of char ** that frees them. NULL with error. */
static GPtrArray *read_entries(GError **error) {
        g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;

        if (!g_file_get_contents(MOUNTINFO, &text, NULL, error))
                return NULL;
        lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++) {
                g_auto(GStrv) fields = g_strsplit(*line, " ", -1);

                if (g_strv_length(fields) > OPTIONAL && g_str_equal(type_of(fields), TYPE))
                        g_ptr_array_add(entries, g_steal_pointer(&fields));
        }
        return g_steal_pointer(&entries);
}

GPtrArray *mounts_list(GError **error) {
        g_autoptr(GPtrArray) entries = read_entries(error);
        g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GHashTable) devices = g_hash_table_new(g_str_hash, g_str_equal);

        if (!entries)
                return NULL;
        for (guint i = 0; i < entries->len; i++) {
                char **fields = entries->pdata[i];

                /* A directory of a mount that is bound elsewhere is no mount of its own, and tells nothing of it. */
                if (!g_str_equal(fields[ROOT], "/") || !g_hash_table_add(devices, fields[DEVICE]))
                        continue;
                /* Spaces and the like are written as octal numbers. */
                g_ptr_array_add(paths, g_strcompress(fields[MOUNTPOINT]));
        }
        return g_steal_pointer(&paths);
}

bool mounts_have(dev_t device) {
        g_autoptr(GPtrArray) entries = read_entries(NULL);
        g_autofree char *text = g_strdup_printf("%u:%u", major(device), minor(device));

        for (guint i = 0; entries && i < entries->len; i++)
                if (g_str_equal(((char **)entries->pdata[i])[DEVICE], text))
                        return true;
        return false;
}

static bool is_below(const char *path, const char *directory) {
        size_t length = strlen(directory);

        return g_str_has_prefix(path, directory) && (path[length] == '\0' || path[length] == '/');
}

bool mounts_refuse(const char *path) {
        g_autoptr(GPtrArray) entries = read_entries(NULL);
        g_autofree char *whole = g_canonicalize_filename(path, NULL);
        struct stat st;

        for (guint i = 0; entries && i < entries->len; i++) {
                g_autofree char *mountpoint = g_strcompress(((char **)entries->pdata[i])[MOUNTPOINT]);

                if (is_below(whole, mountpoint) && stat(mountpoint, &st) < 0 && errno == EACCES)
                        return true;
        }
        return false;
}
