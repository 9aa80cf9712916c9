#include "regionctl/facts/holders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Of the kernel's include/linux/sched.h, in field 9 of /proc/PID/stat: a thread of the kernel's own. */
#define PF_KTHREAD 0x00200000

/* The process that is being looked into. */
typedef struct Process {
        pid_t pid;
        int directory; /* of /proc/PID */
        const struct stat *region;
        Holders *holders;
        const char *command;
        uid_t user;
} Process;

static void free_holder(gpointer data) {
        Holder *holder = data;

        g_free(holder->command);
        g_free(holder);
}

static Holder *add_holder(const Process *process) {
        Holder *holder = g_new0(Holder, 1);

        holder->pid = process->pid;
        holder->user = process->user;
        holder->command = g_strdup(process->command);
        holder->handle = -1;
        g_ptr_array_add(process->holders->found, holder);
        return holder;
}

/* A stream on a file of the process; NULL with errno. */
static FILE *open_file(const Process *process, const char *name) {
        int fd = openat(process->directory, name, O_RDONLY | O_CLOEXEC), error;
        FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

        if (fd >= 0 && !file) {
                error = errno;
                close(fd);
                errno = error;
        }
        return file;
}

/* A line of /proc/PID/maps up to the inode number; see proc(5). */
#define MAPS_LINE "%" G_GINT64_MODIFIER "x-%" G_GINT64_MODIFIER "x %4s %" G_GINT64_MODIFIER "x %x:%x %" G_GUINT64_FORMAT

static bool is_denied(int error) {
        return error == EACCES || error == EPERM;
}

/* The open flags of the descriptor from its fdinfo. *inode is 0 where the kernel does not tell it (before 5.14). */
static bool read_fdinfo(const Process *process, const char *number, unsigned *flags, guint64 *inode) {
        g_autofree char *name = g_strconcat("fdinfo/", number, NULL);
        FILE *file = open_file(process, name);
        char line[256];
        bool found = false;

        *inode = 0;
        if (!file)
                return false;
        while (fgets(line, sizeof(line), file)) {
                if (sscanf(line, "flags: %o", flags) == 1)
                        found = true;
                if (sscanf(line, "ino: %" G_GUINT64_FORMAT, inode) == 1)
                        break;
        }
        fclose(file);
        if (!found)
                errno = ENOENT; /* closed meanwhile */
        return found;
}

/* false with errno where that may not be known. */
static bool look_at_descriptor(const Process *process, const char *number) {
        g_autofree char *name = g_strconcat("fd/", number, NULL);
        const struct stat *region = process->region;
        struct statx stx;
        unsigned flags;
        guint64 inode;
        Holder *holder;

        if (!read_fdinfo(process, number, &flags, &inode))
                return !is_denied(errno);
        if ((flags & O_PATH) || (inode && inode != region->st_ino))
                return true;
        /* No file system is to be asked here: one whose server does not answer would hold us up. */
        if (statx(process->directory, name, AT_STATX_DONT_SYNC, STATX_INO, &stx) < 0)
                return !is_denied(errno);
        if (makedev(stx.stx_dev_major, stx.stx_dev_minor) != region->st_dev || stx.stx_ino != region->st_ino)
                return true;
        holder = add_holder(process);
        holder->handle = atoi(number);
        holder->read = (flags & O_ACCMODE) != O_WRONLY;
        holder->write = (flags & O_ACCMODE) != O_RDONLY;
        return true;
}

static bool look_at_descriptors(const Process *process) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd", process->pid);
        g_autoptr(GDir) names = NULL;
        const char *number;
        bool seen = access(path, R_OK | X_OK) == 0 || !is_denied(errno);

        names = g_dir_open(path, 0, NULL);
        while (names && (number = g_dir_read_name(names)))
                seen = look_at_descriptor(process, number) && seen;
        return seen;
}

/*
 * The lines name the file that was mapped, so a region's own device and inode in cached mode and with passthrough
 * alike, where the memory is another file's: the kernel shows what the user opened (since 6.7; passthrough needs 6.9).
 */
static bool look_at_views(const Process *process) {
        FILE *file = open_file(process, "maps");
        g_autofree char *line = NULL;
        size_t size = 0;
        bool seen;

        if (!file)
                return !is_denied(errno);
        errno = 0;
        while (getline(&line, &size, file) > 0) {
                guint64 begin, end, offset, inode;
                unsigned major_number, minor_number;
                char rights[5];
                Holder *holder;

                if (sscanf(line, MAPS_LINE, &begin, &end, rights, &offset, &major_number, &minor_number, &inode) != 7)
                        continue;
                if (inode != process->region->st_ino || makedev(major_number, minor_number) != process->region->st_dev)
                        continue;
                holder = add_holder(process);
                holder->begin = begin;
                holder->end = end;
                holder->offset = offset;
                holder->read = rights[0] == 'r';
                holder->write = rights[1] == 'w';
                holder->execute = rights[2] == 'x';
                holder->shared = rights[3] == 's';
        }
        seen = !is_denied(errno);
        fclose(file);
        return seen;
}

/* The command from /proc/PID/stat, to be freed; NULL for what has no files: threads of the kernel, and the dead. */
static char *read_command(const Process *process) {
        FILE *file = open_file(process, "stat");
        char text[512];
        char *begin, *end, state;
        size_t length;
        unsigned flags;

        if (!file)
                return NULL;
        length = fread(text, 1, sizeof(text) - 1, file);
        fclose(file);
        text[length] = '\0';
        /* The command stands in parentheses, and may have some of its own. */
        begin = strchr(text, '(');
        end = strrchr(text, ')');
        if (!begin || !end || sscanf(end + 1, " %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2)
                return NULL;
        if ((flags & PF_KTHREAD) || state == 'Z' || state == 'X')
                return NULL;
        return g_strndup(begin + 1, end - begin - 1);
}

static void look_into(Process *process) {
        g_autofree char *command = read_command(process);
        struct stat st;
        bool descriptors, views;

        if (!command || fstat(process->directory, &st) < 0)
                return;
        process->command = command;
        process->user = st.st_uid;
        descriptors = look_at_descriptors(process);
        views = look_at_views(process);
        if (!descriptors || !views)
                process->holders->hidden++;
}

static int compare(gconstpointer left, gconstpointer right) {
        const Holder *a = *(Holder *const *)left, *b = *(Holder *const *)right;

        if (a->pid != b->pid)
                return a->pid < b->pid ? -1 : 1;
        /* Handles before views. */
        if ((a->handle < 0) != (b->handle < 0))
                return a->handle < 0 ? 1 : -1;
        if (a->handle != b->handle)
                return a->handle < b->handle ? -1 : 1;
        return a->begin < b->begin ? -1 : a->begin > b->begin;
}

void holders_find(Holders *holders, const struct stat *region) {
        g_autoptr(GDir) processes = g_dir_open("/proc", 0, NULL);
        const char *name;

        holders->found = g_ptr_array_new_with_free_func(free_holder);
        while (processes && (name = g_dir_read_name(processes))) {
                g_autofree char *path = g_strconcat("/proc/", name, NULL);
                Process process = { .pid = atoi(name), .region = region, .holders = holders };

                if (process.pid <= 0 || process.pid == getpid())
                        continue;
                process.directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (process.directory < 0)
                        continue;
                look_into(&process);
                close(process.directory);
        }
        g_ptr_array_sort(holders->found, compare);
}

void holders_clear(Holders *holders) {
        g_clear_pointer(&holders->found, g_ptr_array_unref);
}

bool holders_have_view(const Holders *holders) {
        for (guint i = 0; i < holders->found->len; i++)
                if (((const Holder *)holders->found->pdata[i])->handle < 0)
                        return true;
        return false;
}
