#include "pool/stored.h"

#include "base/descriptor.h"

#include <fcntl.h>
#include <regionfs/regionfs.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define TRUSTED_PREFIX "trusted.regionfs."

/* The inode number of the initial user namespace, whose CAP_SYS_ADMIN trusted attributes take (linux/nsfs.h). */
#define INITIAL_USER_NAMESPACE 0xEFFFFFFDU

static bool find_privilege(void) {
        cap_t capabilities = cap_get_proc();
        cap_flag_value_t admin = CAP_CLEAR;
        struct stat st;

        if (capabilities)
                cap_get_flag(capabilities, CAP_SYS_ADMIN, CAP_PERMITTED, &admin);
        cap_free(capabilities);
        return admin == CAP_SET && stat("/proc/self/ns/user", &st) == 0 && st.st_ino == INITIAL_USER_NAMESPACE;
}

/* Does not change while the process lives. */
static bool is_trusted(void) {
        static gsize known;

        if (g_once_init_enter(&known))
                g_once_init_leave(&known, find_privilege() ? 2 : 1);
        return known == 2;
}

static char *full_name(const char *name) {
        return g_strconcat(is_trusted() ? TRUSTED_PREFIX : REGIONFS_ATTRIBUTE_PREFIX, name, NULL);
}

bool stored_owns(const char *name) {
        return g_str_has_prefix(name, TRUSTED_PREFIX);
}

/* One at a time: of two, the later one would take the lent mode for the file's own. */
static GMutex lending;

/* Gives the owner the right to the file: its mode till then, or -errno. */
static int lend(int fd, const char *path, mode_t right) {
        struct stat st;

        if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
                return -errno;
        /* The right may be there by now: it was lent to another one when we were refused. */
        if (st.st_uid != geteuid() || chmod(path, (st.st_mode | right) & 07777) < 0)
                return -EACCES;
        return st.st_mode & 07777;
}

ssize_t stored_get(int fd, const char *name, void *value, size_t size) {
        g_autofree char *full = full_name(name);
        char path[DESCRIPTOR_PATH_MAX];
        ssize_t length = getxattr(descriptor_path(fd, path), full, value, size);
        int mode;

        if (length >= 0 || errno != EACCES)
                return length < 0 ? -errno : length;
        g_mutex_lock(&lending);
        mode = lend(fd, path, S_IRUSR);
        if (mode >= 0) {
                length = getxattr(path, full, value, size);
                length = length < 0 ? -errno : length;
                chmod(path, mode);
        }
        g_mutex_unlock(&lending);
        return mode < 0 ? mode : length;
}

int stored_set(int fd, const char *name, const void *value, size_t size) {
        g_autofree char *full = full_name(name);
        char path[DESCRIPTOR_PATH_MAX];
        int result = setxattr(descriptor_path(fd, path), full, value, size, 0) < 0 ? -errno : 0, mode;

        if (result != -EACCES)
                return result;
        g_mutex_lock(&lending);
        mode = lend(fd, path, S_IWUSR);
        if (mode >= 0) {
                result = setxattr(path, full, value, size, 0) < 0 ? -errno : 0;
                chmod(path, mode);
        }
        g_mutex_unlock(&lending);
        return mode < 0 ? mode : result;
}
