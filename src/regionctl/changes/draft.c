#include "regionctl/changes/draft.h"

#include "regionctl/changes/persisted.h"
#include "regionctl/words/progress.h"

#include <fcntl.h>
#include <regionfs/regionfs.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* How much memory is asked for at once where it comes with the length: what is shown of long work, and can end it. */
#define STEP (64ULL << 20)

/* How much is copied at once. */
#define COPIED_AT_ONCE (1 << 20)

/* The daemon hears of a close a moment after the client: for how long that is waited for, and how often. */
#define CLOSE_PATIENCE_US (10 * G_USEC_PER_SEC)
#define CLOSE_INTERVAL_US 1000

static gboolean has_value(const Draft *draft, const char *attribute, const char *expected) {
        char path[DESCRIPTOR_PATH_MAX], value[64];
        ssize_t size = getxattr(descriptor_path(draft->fd, path), attribute, value, sizeof(value));

        return size == (ssize_t)strlen(expected) && memcmp(value, expected, size) == 0;
}

static int set(const Draft *draft, const char *attribute, const char *value) {
        Setting setting;

        setting_init(&setting, attribute, value, attribute);
        return setting_apply(&setting, draft->fd);
}

int draft_set_rules(const Draft *draft, const Plan *plan) {
        int result = plan->lifetime.kind ? setting_apply(&plan->lifetime, draft->fd) : 0;

        return result == 0 && plan->committed ? set(draft, "allocation", "committed") : result;
}

int draft_lengthen(const Draft *draft, uint64_t from, uint64_t to) {
        g_auto(Progress) progress;
        char path[DESCRIPTOR_PATH_MAX];

        progress_init(&progress, "committing", to - from);
        descriptor_path(draft->fd, path);
        if (to > from && to - from > STEP && has_value(draft, REGIONFS_ATTRIBUTE_ALLOCATION, "committed")) {
                for (uint64_t length = from; to - length > STEP; length += STEP) {
                        if (signals_have_come(&draft->signals))
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

/* Another descriptor of the region takes the place of the handle. left: how many handles there are then. */
static int reopen(Draft *draft, int flags, const char *left) {
        gint64 until = g_get_monotonic_time() + CLOSE_PATIENCE_US;
        char path[DESCRIPTOR_PATH_MAX];
        int reopened = open(descriptor_path(draft->fd, path), flags | O_CLOEXEC);

        if (reopened < 0)
                return -errno;
        descriptor_clear(&draft->fd);
        draft->fd = reopened;
        while (!has_value(draft, REGIONFS_ATTRIBUTE_HANDLES, left) && g_get_monotonic_time() < until)
                g_usleep(CLOSE_INTERVAL_US);
        return 0;
}

/* The handle that can write is in the way of the seal. */
static int seal(Draft *draft) {
        int result = reopen(draft, O_RDONLY, "1");

        return result == 0 ? set(draft, "sealed", "1") : result;
}

/* The region ends with its handles, of which ours is to be none: only when it is gone are they counted. */
static int leave(Draft *draft) {
        int result = reopen(draft, O_PATH, "0");

        return result == 0 ? set(draft, "lifetime", "handles") : result;
}

static Status fill(Draft *draft, const Plan *plan, int source, mode_t mode) {
        int result = draft_set_rules(draft, plan);
        gboolean leaves = !plan->wants_handle && has_value(draft, REGIONFS_ATTRIBUTE_LIFETIME, "handles");
        Status status;

        if (result == 0 && leaves)
                result = set(draft, "lifetime", "kept");
        if (result == 0 && plan->size)
                result = draft_lengthen(draft, 0, plan->length);
        if (result == 0 && source >= 0) {
                status = copy(draft, plan, source);
                if (status != STATUS_DONE)
                        return status;
                result = seal(draft);
        }
        if (result == 0 && leaves)
                result = leave(draft);
        if (result == 0)
                result = draft_set_mode(draft, mode);
        return result < 0 ? draft_complain(result, plan) : STATUS_DONE;
}

static Status make_nameless(Draft *draft, const Plan *plan) {
        g_autofree char *directory = g_path_get_dirname(plan->name);
        auto_descriptor source = -1;
        struct stat st;
        int result;

        if (plan->sealed_from) {
                source = g_str_equal(plan->sealed_from, "-") ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) :
                                                               open(plan->sealed_from, O_RDONLY | O_CLOEXEC);
                if (source < 0)
                        return complain(status_of_errno(errno), "cannot open %s: %s", plan->sealed_from,
                                        g_strerror(errno));
        }
        draft->fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, plan->mode.kind ? 0600 : 0666);
        if (draft->fd < 0 || fstat(draft->fd, &st) < 0)
                return complain_errno(errno, "create", plan->name);
        /* Setting rules asks for the right to write, reopening for that to read: the umask may have taken them away. */
        result = draft_set_mode(draft, (st.st_mode & 07777) | 0600);
        if (result < 0)
                return complain_errno(-result, "create", plan->name);
        return fill(draft, plan, source, plan->mode.kind ? plan->mode.number : st.st_mode & 07777);
}

Status draft_make(Draft *draft, const Plan *plan) {
        return plan->from_file ? persisted_make(draft, plan) : make_nameless(draft, plan);
}

Status draft_complain(int result, const Plan *plan) {
        return result == -EINTR ? STATUS_FAILED : complain_errno(-result, "create", plan->name);
}

int draft_publish(Draft *draft, const Plan *plan) {
        char path[DESCRIPTOR_PATH_MAX];

        signals_hold(&draft->signals);
        if (signals_have_come(&draft->signals))
                return -EINTR;
        if (linkat(AT_FDCWD, descriptor_path(draft->fd, path), AT_FDCWD, plan->name, AT_SYMLINK_FOLLOW) < 0)
                return -errno;
        draft->done = !plan->wants_handle;
        return 0;
}

void draft_clear(Draft *draft) {
        descriptor_clear(&draft->fd);
        if (draft->stub)
                unlink(draft->stub);
        g_clear_pointer(&draft->stub, g_free);
        if (!draft->done)
                signals_release(&draft->signals);
}
