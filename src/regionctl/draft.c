#include "draft.h"

#include "persisted.h"
#include "progress.h"

#include <fcntl.h>
#include <regionfs/regionfs.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* How much memory is asked for at once where it comes with the length: what is shown of long work, and can end it. */
#define STEP (64ULL << 20)

/* How much is copied at once. */
#define COPIED_AT_ONCE (1 << 20)

static gboolean is_committed(const char *path) {
        static const char committed[] = "committed";
        char value[sizeof(committed)];
        ssize_t size = getxattr(path, REGIONFS_ATTRIBUTE_ALLOCATION, value, sizeof(value));

        return size == (ssize_t)strlen(committed) && memcmp(value, committed, size) == 0;
}

int draft_set_rules(const Draft *draft, const Plan *plan) {
        Setting committed;
        int result = 0;

        if (plan->lifetime.kind)
                result = setting_apply(&plan->lifetime, draft->fd);
        if (result == 0 && plan->committed) {
                setting_init(&committed, "allocation", "committed", "--committed");
                result = setting_apply(&committed, draft->fd);
        }
        return result;
}

/* Whether a signal waits that is held back: see persisted.c. */
static gboolean is_interrupted(void) {
        sigset_t waiting;

        return sigpending(&waiting) == 0 &&
               (sigismember(&waiting, SIGINT) || sigismember(&waiting, SIGTERM) || sigismember(&waiting, SIGHUP));
}

int draft_lengthen(const Draft *draft, uint64_t from, uint64_t to) {
        g_auto(Progress) progress;
        char path[DESCRIPTOR_PATH_MAX];

        progress_init(&progress, "committing", to - from);
        descriptor_path(draft->fd, path);
        if (to > from && to - from > STEP && is_committed(path)) {
                for (uint64_t length = from; to - length > STEP; length += STEP) {
                        if (is_interrupted())
                                return -EINTR;
                        if (truncate(path, length + STEP) < 0)
                                return -errno;
                        progress_show(&progress, length + STEP - from);
                }
        }
        return truncate(path, to) < 0 ? -errno : 0;
}

int draft_set_mode(const Draft *draft, mode_t mode) {
        char path[DESCRIPTOR_PATH_MAX];

        return chmod(descriptor_path(draft->fd, path), mode) < 0 ? -errno : 0;
}

/* 0 or -errno. */
static int write_all(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t written = write(fd, data, size);

                if (written < 0)
                        return -errno;
                data += written;
                size -= written;
        }
        return 0;
}

static Status copy(const Draft *draft, const Plan *plan, int source) {
        g_autofree char *buffer = g_malloc(COPIED_AT_ONCE);
        g_auto(Progress) progress;
        struct stat st;
        uint64_t done = 0;
        ssize_t size;

        if (fstat(source, &st) < 0)
                st.st_size = 0;
        progress_init(&progress, "copying", S_ISREG(st.st_mode) ? st.st_size : 0);
        while ((size = read(source, buffer, COPIED_AT_ONCE)) > 0) {
                int result = write_all(draft->fd, buffer, size);

                if (result < 0) {
                        progress_clear(&progress);
                        return complain_errno(-result, "create", plan->name);
                }
                done += size;
                progress_show(&progress, done);
        }
        if (size == 0)
                return STATUS_DONE;
        progress_clear(&progress);
        return complain(STATUS_FAILED, "cannot read %s: %s", plan->sealed_from, g_strerror(errno));
}

/* A handle that cannot write takes the place of the one that can, which would be in the way of the seal. */
static int seal(Draft *draft) {
        char path[DESCRIPTOR_PATH_MAX];
        Setting sealed;
        int reader = open(descriptor_path(draft->fd, path), O_RDONLY | O_CLOEXEC);

        if (reader < 0)
                return -errno;
        descriptor_clear(&draft->fd);
        draft->fd = reader;
        setting_init(&sealed, "sealed", "1", "--sealed-from");
        return setting_apply(&sealed, draft->fd);
}

static Status fill(Draft *draft, const Plan *plan, int source) {
        mode_t mode, working_mode;
        struct stat st;
        Status status;
        int result = 0;

        if (fstat(draft->fd, &st) < 0)
                return complain_errno(errno, "create", plan->name);
        mode = plan->mode.kind ? plan->mode.number : st.st_mode & 07777;
        /* Setting rules asks for the right to write, reopening for that to read. */
        working_mode = (st.st_mode & 07777) | 0600;
        if (working_mode != (st.st_mode & 07777))
                result = draft_set_mode(draft, working_mode);
        if (result == 0)
                result = draft_set_rules(draft, plan);
        if (result == 0 && plan->size)
                result = draft_lengthen(draft, 0, plan->length);
        if (result == 0 && source >= 0) {
                status = copy(draft, plan, source);
                if (status != STATUS_DONE)
                        return status;
                result = seal(draft);
        }
        if (result == 0 && mode != working_mode)
                result = draft_set_mode(draft, mode);
        return result < 0 ? complain_errno(-result, "create", plan->name) : STATUS_DONE;
}

static Status make_nameless(Draft *draft, const Plan *plan) {
        g_autofree char *directory = g_path_get_dirname(plan->name);
        auto_descriptor source = -1;

        if (plan->sealed_from) {
                source = g_str_equal(plan->sealed_from, "-") ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) :
                                                               open(plan->sealed_from, O_RDONLY | O_CLOEXEC);
                if (source < 0)
                        return complain(STATUS_FAILED, "cannot open %s: %s", plan->sealed_from, g_strerror(errno));
        }
        draft->fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, plan->mode.kind ? 0600 : 0666);
        if (draft->fd < 0)
                return complain_errno(errno, "create", plan->name);
        return fill(draft, plan, source);
}

Status draft_make(Draft *draft, const Plan *plan) {
        *draft = (Draft){ .fd = -1 };
        return plan->from_file ? persisted_make(draft, plan) : make_nameless(draft, plan);
}

int draft_publish(const Draft *draft, const char *name) {
        char path[DESCRIPTOR_PATH_MAX];

        return linkat(AT_FDCWD, descriptor_path(draft->fd, path), AT_FDCWD, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

void draft_clear(Draft *draft) {
        descriptor_clear(&draft->fd);
        if (!draft->stub)
                return;
        unlink(draft->stub);
        g_clear_pointer(&draft->stub, g_free);
        sigprocmask(SIG_SETMASK, &draft->signals, NULL);
}
