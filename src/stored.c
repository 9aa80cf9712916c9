#include "stored.h"

#include "descriptor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* Gives the owner the right to the file: its mode till then, or -errno. */
static int lend(int fd, const char *path, mode_t right) {
        struct stat st;

        if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
                return -errno;
        if (st.st_uid != geteuid() || (st.st_mode & right) || chmod(path, (st.st_mode | right) & 07777) < 0)
                return -EACCES;
        return st.st_mode & 07777;
}

ssize_t stored_get(int fd, const char *name, void *value, size_t size) {
        char path[DESCRIPTOR_PATH_MAX];
        ssize_t length = getxattr(descriptor_path(fd, path), name, value, size);
        int mode;

        if (length >= 0 || errno != EACCES)
                return length < 0 ? -errno : length;
        mode = lend(fd, path, S_IRUSR);
        if (mode < 0)
                return mode;
        length = getxattr(path, name, value, size);
        length = length < 0 ? -errno : length;
        chmod(path, mode);
        return length;
}

int stored_set(int fd, const char *name, const void *value, size_t size) {
        char path[DESCRIPTOR_PATH_MAX];
        int result = setxattr(descriptor_path(fd, path), name, value, size, 0) < 0 ? -errno : 0, mode;

        if (result != -EACCES)
                return result;
        mode = lend(fd, path, S_IWUSR);
        if (mode < 0)
                return mode;
        result = setxattr(path, name, value, size, 0) < 0 ? -errno : 0;
        chmod(path, mode);
        return result;
}
