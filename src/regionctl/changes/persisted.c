#include "regionctl/changes/persisted.h"

#include <fcntl.h>
#include <limits.h>
#include <regionfs/regionfs.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* ".NAME.XXXXXX": what is added to the name, and how often another one is tried where that is taken. */
#define DECORATION 8
#define ATTEMPTS 100

/* Whom nobody lets write has a region that can only be read. */
static int open_writable(const char *path) {
        int fd = open(path, O_RDWR | O_CLOEXEC);

        if (fd < 0 && (errno == EACCES || errno == EPERM || errno == EROFS || errno == ETXTBSY))
                fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd;
}

static char *hidden_name(const char *name) {
        g_autofree char *directory = g_path_get_dirname(name);
        g_autofree char *base = g_path_get_basename(name);

        return g_strdup_printf("%s/.%.*s.%06x", directory, NAME_MAX - DECORATION, base,
                               g_random_int() & 0xffffff);
}

/* Signals are held back as long as there is a stub to be removed. */
static int make_stub(Draft *draft, const Plan *plan) {
        signals_hold(&draft->signals);
        for (int i = 0; i < ATTEMPTS; i++) {
                g_autofree char *stub = hidden_name(plan->name);

                if (mknod(stub, S_IFREG | 0600, 0) == 0) {
                        draft->stub = g_steal_pointer(&stub);
                        draft->fd = open(draft->stub, O_PATH | O_NOFOLLOW | O_CLOEXEC);
                        return draft->fd < 0 ? -errno : 0;
                }
                if (errno != EEXIST)
                        break;
        }
        return -errno;
}

/* What the attribute's errors mean here. */
static const char *reason(int code) {
        switch (code) {
        case EINVAL:
                return "it lies in the same mount, where it is a region already";
        case ENODEV:
                return "it cannot be mapped";
        case ELOOP:
        case EOPNOTSUPP:
                return "its file system cannot serve regions";
        default:
                return g_strerror(code);
        }
}

static Status attach_source(const Draft *draft, const Plan *plan, int source) {
        char path[DESCRIPTOR_PATH_MAX];
        g_autofree char *value = g_strdup_printf("%d", source);

        if (setxattr(descriptor_path(draft->fd, path), REGIONFS_ATTRIBUTE_SOURCE, value, strlen(value), 0) == 0)
                return STATUS_DONE;
        return complain(status_of_errno(errno), "cannot make a region of %s: %s", plan->from_file, reason(errno));
}

/* Opened before it has its name: from then on others may open and close it, and so end it. */
static int open_handle(Draft *draft) {
        char path[DESCRIPTOR_PATH_MAX];
        int handle = open_writable(descriptor_path(draft->fd, path));

        if (handle < 0)
                return -errno;
        descriptor_clear(&draft->fd);
        draft->fd = handle;
        return 0;
}

static int fill(Draft *draft, const Plan *plan, const struct stat *source) {
        int result = draft_set_rules(draft, plan);

        if (result == 0 && plan->size)
                result = draft_lengthen(draft, source->st_size, plan->length);
        if (result == 0)
                result = draft_set_mode(draft, plan->mode.kind ? plan->mode.number : source->st_mode & 0666);
        if (result == 0 && plan->wants_handle)
                result = open_handle(draft);
        return result;
}

Status persisted_make(Draft *draft, const Plan *plan) {
        auto_descriptor source = -1;
        Status status = STATUS_DONE;
        struct stat st;
        int result;

        /* Looked at before, as opening another kind of file can take for ever. */
        if (stat(plan->from_file, &st) == 0 && !S_ISREG(st.st_mode))
                return complain(STATUS_USAGE, "--from-file=%s is not allowed: it takes a regular file",
                                plan->from_file);
        source = open_writable(plan->from_file);
        if (source < 0 || fstat(source, &st) < 0)
                return complain(status_of_errno(errno), "cannot open %s: %s", plan->from_file, g_strerror(errno));
        result = make_stub(draft, plan);
        if (result == 0)
                status = attach_source(draft, plan, source);
        if (result == 0 && status == STATUS_DONE)
                result = fill(draft, plan, &st);
        return result < 0 ? draft_complain(result, plan) : status;
}
