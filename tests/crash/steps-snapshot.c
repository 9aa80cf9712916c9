#include "steps-snapshot.h"

#include "fixture.h"

#include <regionfs/regionfs.h>
#include <sys/xattr.h>

typedef struct Snapshot {
        GString *text;
        GArray *inodes; /* ino_t: met so far */
} Snapshot;

static guint meet(Snapshot *snapshot, ino_t inode) {
        guint number = 0;

        while (number < snapshot->inodes->len && g_array_index(snapshot->inodes, ino_t, number) != inode)
                number++;
        if (number == snapshot->inodes->len)
                g_array_append_val(snapshot->inodes, inode);
        return number;
}

static void add_attribute(Snapshot *snapshot, const char *path, const char *name) {
        char value[512];
        ssize_t length = lgetxattr(path, name, value, sizeof(value));

        if (length < 0)
                return g_string_append_printf(snapshot->text, " %s:%s", name, g_strerror(errno));
        g_string_append_printf(snapshot->text, " %s=", name);
        for (ssize_t i = 0; i < length; i++)
                g_string_append_printf(snapshot->text, g_ascii_isalnum(value[i]) ? "%c" : "\\%02x", value[i] & 0xff);
}

static void add_attributes(Snapshot *snapshot, const char *path, mode_t mode) {
        static const char *const rules[] = { REGIONFS_ATTRIBUTE_LIFETIME, REGIONFS_ATTRIBUTE_ALLOCATION };
        static const char *const of_regions[] = { REGIONFS_ATTRIBUTE_SEALED, REGIONFS_ATTRIBUTE_HANDLES,
                                                  REGIONFS_ATTRIBUTE_SOURCE };
        char names[2048];
        ssize_t length = llistxattr(path, names, sizeof(names));

        for (ssize_t at = 0; at < length; at += strlen(names + at) + 1)
                add_attribute(snapshot, path, names + at);
        for (size_t i = 0; i < G_N_ELEMENTS(rules) && (S_ISREG(mode) || S_ISDIR(mode)); i++)
                add_attribute(snapshot, path, rules[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(of_regions) && S_ISREG(mode); i++)
                add_attribute(snapshot, path, of_regions[i]);
}

static void add_contents(Snapshot *snapshot, const char *path) {
        g_autofree char *contents = NULL, *sum = NULL;
        char lifetime[16];
        gsize length;

        if (getxattr(path, REGIONFS_ATTRIBUTE_LIFETIME, lifetime, sizeof(lifetime)) != strlen("kept"))
                return;
        if (!g_file_get_contents(path, &contents, &length, NULL))
                return (void)g_string_append(snapshot->text, " unreadable");
        sum = g_compute_checksum_for_data(G_CHECKSUM_MD5, (const guchar *)contents, length);
        g_string_append_printf(snapshot->text, " [%.16s]", sum);
}

static int compare(gconstpointer a, gconstpointer b) {
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add(Snapshot *snapshot, const char *path);

static void add_entries(Snapshot *snapshot, const char *path) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        GDir *directory = g_dir_open(path, 0, NULL);
        const char *name;

        if (!directory)
                return (void)g_string_append(snapshot->text, "  unreadable\n");
        while ((name = g_dir_read_name(directory)))
                g_ptr_array_add(names, g_strdup(name));
        g_dir_close(directory);
        g_ptr_array_sort(names, compare);
        for (guint i = 0; i < names->len; i++) {
                g_autofree char *below = g_build_filename(path, g_ptr_array_index(names, i), NULL);

                add(snapshot, below);
        }
}

static void add(Snapshot *snapshot, const char *path) {
        char target[256] = "";
        struct stat st;

        if (lstat(path, &st) < 0)
                return g_string_append_printf(snapshot->text, "%s: %s\n", path, g_strerror(errno));
        if (S_ISLNK(st.st_mode) && readlink(path, target, sizeof(target) - 1) < 0)
                g_strlcpy(target, g_strerror(errno), sizeof(target));
        g_string_append_printf(snapshot->text, "%s: %o %u:%u #%u links %u length %lld %s", path, st.st_mode, st.st_uid,
                               st.st_gid, meet(snapshot, st.st_ino), S_ISDIR(st.st_mode) ? 0 : (unsigned)st.st_nlink,
                               S_ISDIR(st.st_mode) ? 0 : (long long)st.st_size, target);
        add_attributes(snapshot, path, st.st_mode);
        if (S_ISREG(st.st_mode))
                add_contents(snapshot, path);
        g_string_append_c(snapshot->text, '\n');
        if (S_ISDIR(st.st_mode))
                add_entries(snapshot, path);
}

char *snapshot_take(void) {
        Snapshot snapshot = { g_string_new(NULL), g_array_new(FALSE, FALSE, sizeof(ino_t)) };
        g_autofree char *regions = must_get(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS);

        add(&snapshot, ".");
        g_string_append_printf(snapshot.text, "regions %s\n", regions);
        g_array_unref(snapshot.inodes);
        return g_string_free(snapshot.text, FALSE);
}
