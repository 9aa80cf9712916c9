#include "operations/caller.h"

#include "base/descriptor.h"

#include <fcntl.h>
#include <linux/capability.h>
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

/* Of a call on /proc: what is not there, or not to be seen, as missing says; our own lack of something as it is. */
static int proc_error(int missing) {
        return errno == ENOENT || errno == ESRCH || errno == EACCES ? -missing : -errno;
}

/* All that can be read, which may be nothing; NUL-terminated. */
static char *read_text(int file) {
        GString *text = g_string_new(NULL);
        char part[4096];
        ssize_t size;

        while ((size = read(file, part, sizeof(part))) > 0)
                g_string_append_len(text, part, size);
        return g_string_free(text, FALSE);
}

/* What else than its user and group decides what the caller may do. */
static int read_rights(const Caller *caller, GArray **groups, uint64_t *capabilities) {
        g_autofree char *path = g_strdup_printf("/proc/%d/status", caller->thread);
        auto_descriptor file = caller->thread > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        g_autofree char *status = NULL;
        const char *group_line, *capability_line;

        if (file < 0)
                return caller->thread > 0 ? proc_error(EPERM) : -EPERM;
        status = read_text(file);
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
                return errno == ENOENT ? -EBADF : proc_error(EPERM);
        if (!(link.st_mode & (S_IRUSR | S_IWUSR)))
                return -EBADF;
        if (!(link.st_mode & S_IRUSR))
                return -EACCES;
        *access = link.st_mode & S_IWUSR ? O_RDWR : O_RDONLY;
        fd = open(path, O_PATH | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? -EBADF : proc_error(EPERM);
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

/* The kernel keeps seals (memfd_create(2)) of a file that is mapped by itself, but not of one behind a region. */
static bool may_be_sealed(int file) {
        int seals = fcntl(file, F_GET_SEALS);

        return seals >= 0 && seals != F_SEAL_SEAL;
}

/*
 * Whether the file system may ask others, us among them, before it answers, or wait for a process (proc): to be found
 * out without asking it, by what the caller's mounts say of its device. One that is mounted nowhere is not known.
 */
bool caller_file_is_served(const Caller *caller, dev_t device) {
        g_autofree char *path = g_strdup_printf("/proc/%d/mountinfo", caller->thread);
        auto_descriptor file = open(path, O_RDONLY | O_CLOEXEC);
        g_autofree char *text = file >= 0 ? read_text(file) : g_strdup("");
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (char **line = lines; *line; line++) {
                const char *type = strstr(*line, " - ");
                unsigned major_number, minor_number;

                if (type && sscanf(*line, "%*u %*u %u:%u", &major_number, &minor_number) == 2 &&
                    makedev(major_number, minor_number) == device)
                        return g_str_has_prefix(type, " - fuse") || g_str_has_prefix(type, " - overlay ") ||
                               g_str_has_prefix(type, " - proc ");
        }
        return true;
}

int caller_may_open(const Caller *caller, const Credentials *credentials, int fd, int access) {
        g_autoptr(GArray) groups = NULL;
        char path[DESCRIPTOR_PATH_MAX];
        auto_descriptor file = -1;
        uint64_t capabilities = 0;
        int result = read_rights(caller, &groups, &capabilities);

        if (result == 0)
                result = credentials_become(credentials, caller->uid, caller->gid, (const gid_t *)(void *)groups->data,
                                            groups->len, capabilities);
        if (result < 0)
                return result;
        file = descriptor_open(descriptor_path(fd, path), access);
        result = file < 0 ? -errno : 0;
        credentials_return(credentials);
        if (result == 0 && access == O_RDWR && may_be_sealed(file))
                result = -EPERM;
        return result < 0 ? result : try_mapping(file);
}

int caller_may_administer(const Caller *caller) {
        g_autoptr(GArray) groups = NULL;
        uint64_t capabilities = 0;

        if (read_rights(caller, &groups, &capabilities) < 0)
                return -EPERM;
        return capabilities & (UINT64_C(1) << CAP_SYS_ADMIN) ? 0 : -EPERM;
}
