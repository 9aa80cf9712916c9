#include "caller.h"

#include "descriptor.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* The rest of the line of /proc/PID/status that begins with label; NULL if there is none. */
static const char *find_line(const char *status, const char *label) {
        const char *line = strstr(status, label);

        return line ? line + strlen(label) : NULL;
}

/* The fourth number of a line: the identity for file systems. */
static bool is_fourth(const char *line, unsigned id) {
        unsigned found;

        return line && sscanf(line, "%*u %*u %*u %u", &found) == 1 && found == id;
}

static GArray *read_groups(const char *line) {
        g_autofree char *text = g_strndup(line, strcspn(line, "\n"));
        g_auto(GStrv) words = g_strsplit_set(text, " \t", -1);
        GArray *groups = g_array_new(FALSE, FALSE, sizeof(gid_t));

        for (char **word = words; *word; word++) {
                gid_t group = g_ascii_strtoull(*word, NULL, 10);

                if (**word)
                        g_array_append_val(groups, group);
        }
        return groups;
}

/* Capabilities that a process has in a user namespace of its own mean nothing for files of others. */
static bool in_our_user_namespace(pid_t thread) {
        g_autofree char *path = g_strdup_printf("/proc/%d/ns/user", thread);
        struct stat theirs, ours;

        return stat(path, &theirs) == 0 && stat("/proc/self/ns/user", &ours) == 0 && theirs.st_ino == ours.st_ino &&
               theirs.st_dev == ours.st_dev;
}

/* What else than its user and group decides what the caller may do. */
static int read_rights(const Caller *caller, GArray **groups, uint64_t *capabilities) {
        g_autofree char *path = g_strdup_printf("/proc/%d/status", caller->thread);
        g_autofree char *status = NULL;
        const char *group_line, *capability_line;

        if (caller->thread <= 0 || !g_file_get_contents(path, &status, NULL, NULL))
                return -EPERM;
        group_line = find_line(status, "\nGroups:");
        capability_line = find_line(status, "\nCapEff:");
        if (!is_fourth(find_line(status, "\nUid:"), caller->uid) ||
            !is_fourth(find_line(status, "\nGid:"), caller->gid) || !group_line || !capability_line)
                return -EPERM;
        *groups = read_groups(group_line);
        *capabilities = in_our_user_namespace(caller->thread) ? g_ascii_strtoull(capability_line, NULL, 16) : 0;
        return 0;
}

int caller_find_descriptor(const Caller *caller, int number, int *access, dev_t *device) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd/%d", caller->thread, number);
        auto_descriptor fd = -1;
        struct statx stx;
        struct stat link;

        if (caller->thread <= 0)
                return -EPERM;
        /* The link's own permissions tell how the descriptor is open. */
        if (lstat(path, &link) < 0)
                return errno == ENOENT ? -EBADF : -EPERM;
        if (!(link.st_mode & (S_IRUSR | S_IWUSR)))
                return -EBADF;
        if (!(link.st_mode & S_IRUSR))
                return -EACCES;
        *access = link.st_mode & S_IWUSR ? O_RDWR : O_RDONLY;
        fd = open(path, O_PATH | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? -EBADF : -EPERM;
        /* What is known already: the file system may be our own mount. */
        if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &stx) < 0)
                return -errno;
        *device = makedev(stx.stx_dev_major, stx.stx_dev_minor);
        return S_ISREG(stx.stx_mode) ? descriptor_steal(&fd) : -EINVAL;
}

/* What cannot be mapped is no memory: files of /proc, say, whose contents depend on who has opened them. */
static int try_mapping(int file) {
        size_t size = sysconf(_SC_PAGESIZE);
        void *view = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);

        if (view == MAP_FAILED)
                return -errno;
        munmap(view, size);
        return 0;
}

int caller_may_open(const Caller *caller, const Credentials *credentials, int fd, int access) {
        g_autoptr(GArray) groups = NULL;
        char path[DESCRIPTOR_PATH_MAX];
        auto_descriptor file = -1;
        uint64_t capabilities;
        int result = read_rights(caller, &groups, &capabilities);

        if (result == 0)
                result = credentials_become(credentials, caller->uid, caller->gid, (const gid_t *)(void *)groups->data,
                                            groups->len, capabilities);
        if (result < 0)
                return result;
        file = open(descriptor_path(fd, path), access | O_CLOEXEC);
        result = file < 0 ? -errno : 0;
        credentials_return(credentials);
        return result < 0 ? result : try_mapping(file);
}
