#include "regionctl/facts/mount.h"

#include "regionctl/facts/mounts.h"

#include <errno.h>
#include <limits.h>
#include <regionfs/regionfs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* The directory that the path names or lies in, without links; free(3). NULL with errno. */
static char *find_directory(const char *path) {
        g_autofree char *parent = NULL;
        struct stat st;

        errno = 0;
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
                return realpath(path, NULL);
        /* The path is that of a mount whose server has gone. */
        if (errno == ENOTCONN || errno == ECONNABORTED)
                return NULL;
        /* Its directory would be that of another file system. */
        if (errno == EACCES && mounts_refuse(path)) {
                errno = EACCES;
                return NULL;
        }
        parent = g_path_get_dirname(path);
        return realpath(parent, NULL);
}

static Status outside(const char *path) {
        return complain(STATUS_USAGE,
                        "%s is not in a regionfs mount (mount -t fuse.regionfs shows where there are any)", path);
}

/* errno as it was, when what mount_find() asks for failed. */
static Status fail(const char *what, const char *path) {
        int code = errno;

        if (code == EACCES && mounts_refuse(path))
                return complain(STATUS_NOT_ALLOWED,
                                "cannot use %s: only the user who mounted the regionfs there may do so", path);
        return complain_errno(code, what, path);
}

Status mount_find(Mount *mount, const char *path) {
        char *directory;
        char version[64];
        struct stat here, above;
        ssize_t size;

        if (!*path)
                return complain(STATUS_USAGE, "\"\" is not allowed: it takes a path");
        directory = find_directory(path);
        if (!directory)
                return fail("find the directory of", path);
        if (stat(directory, &here) < 0) {
                free(directory);
                return fail("look at", path);
        }
        /* Up to where another file system begins. */
        for (;;) {
                char *slash = strrchr(directory, '/');
                g_autofree char *parent = slash == directory ? g_strdup("/") : g_strndup(directory, slash - directory);

                if (g_str_equal(directory, "/") || stat(parent, &above) < 0 || above.st_dev != here.st_dev)
                        break;
                strcpy(directory, parent);
        }
        size = getxattr(directory, REGIONFS_ATTRIBUTE_VERSION, version, sizeof(version));
        if (size < 0 && errno != ENODATA && errno != ENOTSUP && errno != EACCES) {
                free(directory);
                return complain_errno(errno, "ask the mount of", path);
        }
        /* Where the root may not be read, or only a directory of the mount is bound here, the kernel's table tells. */
        if (size < 0 && !mounts_have(here.st_dev)) {
                free(directory);
                return outside(path);
        }
        mount->root = g_strdup(directory);
        mount->version = size < 0 ? NULL : g_strndup(version, size);
        mount->device = here.st_dev;
        free(directory);
        return STATUS_DONE;
}

void mount_clear(Mount *mount) {
        g_clear_pointer(&mount->root, g_free);
        g_clear_pointer(&mount->version, g_free);
}
