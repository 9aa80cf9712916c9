#include "mounts.h"

#include <stdbool.h>

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

GPtrArray *mounts_list(GError **error) {
        g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GHashTable) devices = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;

        if (!g_file_get_contents(MOUNTINFO, &text, NULL, error))
                return NULL;
        lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++) {
                g_auto(GStrv) fields = g_strsplit(*line, " ", -1);

                /* A directory of a mount that is bound elsewhere is no mount of its own, and tells nothing of it. */
                if (g_strv_length(fields) <= OPTIONAL || !g_str_equal(type_of(fields), TYPE) ||
                    !g_str_equal(fields[ROOT], "/"))
                        continue;
                /* Spaces and the like are written as octal numbers. */
                if (g_hash_table_add(devices, g_strdup(fields[DEVICE])))
                        g_ptr_array_add(paths, g_strcompress(fields[MOUNTPOINT]));
        }
        return g_steal_pointer(&paths);
}
