/* Makes an empty region a persisted one, whose memory is a file that the client has open. */
#include "operations/operations-common.h"

#include "kernel/backing.h"
#include "operations/caller.h"
#include "operations/contents.h"
#include "pool/region.h"

#include <regionfs/regionfs.h>
#include <string.h>
#include <sys/stat.h>

static int parse_descriptor(const char *value, size_t size, int *number) {
        g_autofree char *text = g_strndup(value, size);
        guint64 parsed;

        if (strlen(text) != size || !g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT, &parsed, NULL))
                return -EINVAL;
        *number = parsed;
        return 0;
}

/* Whether the kernel takes the file as a region's memory; asks nothing of its file system. */
static int try_backing(const Operations *operations, int fd) {
        int id;

        if (!operations->passthrough)
                return 0;
        operations_begin_backing(operations);
        id = backing_open(fuse_session_fd(operations->session), fd);
        if (id > 0)
                backing_close(fuse_session_fd(operations->session), id);
        operations_end_backing(operations);
        return MIN(id, 0);
}

/* The file that the client's descriptor is on, if the client may open it itself. */
static int take_file(fuse_req_t req, int number, Source **source) {
        const Operations *operations = operations_of(req);
        const struct fuse_ctx *client = fuse_req_ctx(req);
        const Caller caller = { .thread = client->pid, .uid = client->uid, .gid = client->gid };
        int access, result;
        dev_t device;
        auto_descriptor fd = caller_find_descriptor(&caller, number, &access, &device);

        if (fd < 0)
                return fd;
        result = descriptor_may_be_kept(fd, DESCRIPTOR_OF_HANDLE);
        if (result < 0)
                return result;
        if (device == operations->device)
                return -EINVAL;
        /* Before it is opened: a file system that hands on what it is asked may ask us, who are busy here. */
        if (credentials_privileged(operations->credentials) && caller_file_is_served(&caller, device))
                return -ELOOP;
        result = try_backing(operations, fd);
        if (result == 0)
                result = caller_may_open(&caller, operations->credentials, fd, access);
        if (result == 0)
                *source = source_new(descriptor_steal(&fd), access);
        /* The kernel has a meaning of its own for this one, as an answer to setxattr(2). */
        return result == -EWOULDBLOCK ? -EBUSY : result;
}

static int commit(const Operations *operations, const Source *source) {
        auto_descriptor file = source_open(source, O_WRONLY);

        return file < 0 ? file : contents_commit(operations->errands, file, 0);
}

/* Whether the region, which fd is open on, may become a persisted one; and its rules. */
static int check(fuse_req_t req, fuse_ino_t id, int fd, RegionPolicy *policy) {
        struct stat st;
        int result = region_read_policy(fd, policy);

        if (result == 0 && fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
                result = -errno;
        if (result == 0 && (policy->sealed || registry_source(operations_of(req)->registry, id)))
                result = -EPERM;
        /* What has no name never loses its last one, which is when a source is given up. */
        if (result == 0 && st.st_nlink == 0)
                result = -ENOENT;
        if (result == 0 && st.st_size > 0)
                result = -ENOTEMPTY;
        return result;
}

static bool lacks_memory(const Source *source) {
        struct stat st;

        return fstatat(source_descriptor(source), "", &st, AT_EMPTY_PATH) == 0 && region_lacks_memory(&st);
}

/* While nobody opens the region: nothing of this waits for others. source is taken over as far as it is kept. */
static int set_source(fuse_req_t req, fuse_ino_t id, int fd, Source **source) {
        RegionPolicy policy;
        int result = check(req, id, fd, &policy);

        if (result == 0 && policy.allocation == REGION_COMMITTED && lacks_memory(*source))
                result = -EBUSY;
        if (result == 0)
                result = source_keep(*source, fd);
        if (result < 0)
                return result;
        registry_set_source(operations_of(req)->registry, id, g_steal_pointer(source));
        return 1;
}

int operations_set_source(fuse_req_t req, fuse_ino_t id, int fd, const char *value, size_t size) {
        Registry *registry = operations_of(req)->registry;
        uid_t uid = fuse_req_ctx(req)->uid;
        g_autoptr(Source) source = NULL;
        RegionPolicy policy;
        struct stat st;
        int number, result = parse_descriptor(value, size, &number);

        if (result < 0)
                return result;
        if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        if (uid != 0 && uid != st.st_uid)
                return -EPERM;
        result = check(req, id, fd, &policy);
        if (result == 0)
                result = take_file(req, number, &source);
        if (result == 0 && policy.allocation == REGION_COMMITTED)
                result = commit(operations_of(req), source);
        if (result == 0)
                result = registry_exclude(registry, id, REGISTRY_WITHOUT_HANDLES);
        if (result < 0)
                return result;
        operations_lose_backing(operations_of(req), id);
        result = set_source(req, id, fd, &source);
        registry_include(registry, id, false);
        return result;
}
