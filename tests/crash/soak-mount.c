#include "soak-mount.h"

#include <glib.h>
#include <regionfs/regionfs.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static int64_t get_number(const Mount *mount, const char *attribute) {
        char value[32];
        ssize_t size = getxattr(mount->root, attribute, value, sizeof(value) - 1);
        gint64 number;

        if (size < 0)
                return -1;
        value[size] = '\0';
        return g_ascii_string_to_signed(value, 10, 0, G_MAXINT64, &number, NULL) ? number : -1;
}

static char *find_root(const char *directory) {
        char *root = g_canonicalize_filename(directory, NULL);
        struct stat here, above;

        while (stat(root, &here) == 0) {
                char *parent = g_path_get_dirname(root);

                if (g_str_equal(parent, root) || stat(parent, &above) < 0 || above.st_dev != here.st_dev) {
                        g_free(parent);
                        break;
                }
                g_free(root);
                root = parent;
        }
        return root;
}

void mount_init(Mount *mount, const char *directory) {
        mount->root = find_root(directory);
        mount->regionfs = mount_server(mount) > 0;
        mount->passthrough = mount->regionfs && get_number(mount, REGIONFS_ATTRIBUTE_PASSTHROUGH) == 1;
}

void mount_clear(Mount *mount) {
        g_clear_pointer(&mount->root, g_free);
}

pid_t mount_server(const Mount *mount) {
        return get_number(mount, REGIONFS_ATTRIBUTE_SERVER_PID);
}

int64_t mount_regions(const Mount *mount) {
        return get_number(mount, REGIONFS_ATTRIBUTE_REGIONS);
}
