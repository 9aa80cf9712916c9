/* Operations on extended attributes: regionfs's own from their table, all others from the pool. */
#include "operations/operations-common.h"

#include "operations/attributes.h"
#include "pool/region.h"
#include "pool/stored.h"

#include <regionfs/regionfs.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define ACCESS_ACL "system.posix_acl_access"
#define TRUSTED_PREFIX "trusted."

static AttributeTarget target_of(fuse_req_t req, fuse_ino_t id, int fd) {
        const Operations *operations = operations_of(req);
        const struct fuse_ctx *client = fuse_req_ctx(req);

        return (AttributeTarget){
                .registry = operations->registry,
                .id = id,
                .fd = fd,
                .source = registry_source(operations->registry, id),
                .lifetimes = operations->lifetimes,
                .errands = operations_errands(operations, id),
                .caller = { .thread = client->pid, .uid = client->uid, .gid = client->gid },
                .passthrough = operations->passthrough,
                .own_pool = operations->pool->kind == POOL_TMPFS,
                .rings = operations->rings,
        };
}

/* Replies with a value or a list of names, as getxattr(2) does for a buffer of size bytes; 0 asks how many it takes. */
static void reply_value(fuse_req_t req, const char *value, size_t length, size_t size) {
        if (size == 0)
                fuse_reply_xattr(req, length);
        else if (size < length)
                fuse_reply_err(req, ERANGE);
        else
                fuse_reply_buf(req, value, length);
}

void operation_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size) {
        const Operations *operations = operations_of(req);
        auto_descriptor owned = -1;
        int fd = operations_reach_node(operations, id, &owned);
        g_autofree char *buffer = NULL;
        char path[DESCRIPTOR_PATH_MAX];
        ssize_t length;

        if (fd < 0)
                return reply_result(req, fd);
        if (attributes_own(name)) {
                AttributeTarget target = target_of(req, id, fd);
                char value[ATTRIBUTES_VALUE_MAX];
                int result = attributes_get(&target, name, value);

                return result < 0 ? reply_result(req, result) : reply_value(req, value, result, size);
        }
        if (stored_owns(name))
                return reply_result(req, -ENODATA);
        buffer = size ? g_malloc(size) : NULL;
        length = getxattr(descriptor_path(fd, path), name, buffer, size);
        if (length < 0)
                return reply_result(req, -errno);
        reply_value(req, buffer, length, size);
}

/* What regionfs itself keeps with a file is not for clients; and trusted names, as anywhere, are for root alone. */
static bool is_shown(fuse_req_t req, const char *name) {
        return !attributes_own(name) && !stored_owns(name) &&
               (fuse_req_ctx(req)->uid == 0 || !g_str_has_prefix(name, TRUSTED_PREFIX));
}

static int list_pool(fuse_req_t req, int fd, GString *names) {
        char path[DESCRIPTOR_PATH_MAX];
        ssize_t length;

        descriptor_path(fd, path);
        do {
                g_autofree char *buffer = NULL;

                length = listxattr(path, NULL, 0);
                if (length <= 0)
                        break;
                buffer = g_malloc(length);
                length = listxattr(path, buffer, length);
                for (ssize_t at = 0; at < length; at += strlen(buffer + at) + 1)
                        if (is_shown(req, buffer + at))
                                g_string_append_len(names, buffer + at, strlen(buffer + at) + 1);
        } while (length < 0 && errno == ERANGE); /* it grew in between */
        return length < 0 && errno != ENOTSUP ? -errno : 0;
}

void operation_listxattr(fuse_req_t req, fuse_ino_t id, size_t size) {
        const Operations *operations = operations_of(req);
        auto_descriptor owned = -1;
        int fd = operations_reach_node(operations, id, &owned);
        AttributeTarget target;
        GString *names;
        int result;

        if (fd < 0)
                return reply_result(req, fd);
        target = target_of(req, id, fd);
        names = g_string_new(NULL);
        result = operations->unlisted ? 0 : attributes_list(&target, names);
        if (result == 0)
                result = list_pool(req, fd, names);
        if (result < 0)
                reply_result(req, result);
        else
                reply_value(req, names->str, names->len, size);
        g_string_free(names, TRUE);
}

/* An access ACL that a stranger to the file's group sets takes the set-group-id bit off, as chmod(2) does. */
static int settle_acl(fuse_req_t req, int fd) {
        char path[DESCRIPTOR_PATH_MAX];
        struct stat st;

        if (!operations_drops_setid(req))
                return 0;
        if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
                return -errno;
        if (!(st.st_mode & S_ISGID) || operations_in_group(req, st.st_gid))
                return 0;
        return chmod(descriptor_path(fd, path), st.st_mode & 07777 & ~S_ISGID) < 0 ? -errno : 0;
}

/* What is needed to answer from another thread. */
typedef struct Changed {
        fuse_req_t req;
        LedgerRequest *left; /* in hand until then, or NULL */
} Changed;

static void reply_done(void *data) {
        g_autofree Changed *changed = data;
        Requests *requests = operations_of(changed->req)->requests;

        fuse_reply_err(changed->req, 0);
        if (changed->left)
                requests_end_left(requests, changed->left);
}

/* The kernel has to learn of a new length before the client goes on. */
static void reply_new_length(fuse_req_t req, fuse_ino_t id, int fd) {
        const Operations *operations = operations_of(req);
        auto_descriptor contents = operations_open_contents(operations, id, O_PATH);
        int result = contents >= 0 ? operations_drop_setid(req, id, contents) : 0;
        Changed changed = { req, NULL };
        struct stat st = { 0 };

        /*
         * Sent from inside the operation: without an offset it only marks the attributes as old, and takes no lock that
         * this request's client holds.
         */
        fuse_lowlevel_notify_inval_inode(operations->session, id, -1, 0);
        if (result < 0)
                return reply_result(req, result);
        if (contents >= 0)
                fstatat(contents, "", &st, AT_EMPTY_PATH);
        if (operations->rings) {
                /* They take answers from their own threads alone. */
                refresher_tell_now(operations->refresher, id, st.st_size);
                return reply_result(req, 0);
        }
        changed.left = requests_leave(operations->requests);
        if (operations->passthrough)
                refresher_tell(operations->refresher, id, st.st_size, reply_done, g_memdup2(&changed, sizeof(changed)));
        else
                refresher_look(operations->refresher, fd, reply_done, g_memdup2(&changed, sizeof(changed)));
}

static void set_own(fuse_req_t req, fuse_ino_t id, int fd, const char *name, const char *value, size_t size,
                    int flags) {
        AttributeTarget target = target_of(req, id, fd);
        int result;

        target.again = operations_intend_adding(operations_of(req),
                                                g_str_equal(name, REGIONFS_ATTRIBUTE_SOURCE) && target.source);
        if (!g_str_equal(name, REGIONFS_ATTRIBUTE_SOURCE))
                result = attributes_set(&target, name, value, size, flags);
        else if (target.again && target.source)
                result = 1;
        else
                result = operations_set_source(req, id, fd, value, size);

        /* By another rule it may be about to end. */
        if (result == 0)
                operations_lose_backing(operations_of(req), id);
        if (result > 0)
                reply_new_length(req, id, fd);
        else
                reply_result(req, result);
}

void operation_setxattr(fuse_req_t req, fuse_ino_t id, const char *name, const char *value, size_t size, int flags) {
        auto_descriptor owned = -1;
        int fd = operations_reach_node(operations_of(req), id, &owned);
        char path[DESCRIPTOR_PATH_MAX];
        int result = 0;

        if (fd < 0)
                return reply_result(req, fd);
        if (attributes_own(name))
                return set_own(req, id, fd, name, value, size, flags);
        if (stored_owns(name))
                return reply_result(req, -EPERM);
        /* A dead server may have added it. */
        if (flags & XATTR_CREATE &&
            operations_intend_adding(operations_of(req), getxattr(descriptor_path(fd, path), name, NULL, 0) >= 0))
                flags &= ~XATTR_CREATE;
        if (setxattr(descriptor_path(fd, path), name, value, size, flags) < 0)
                result = -errno;
        else if (g_str_equal(name, ACCESS_ACL))
                result = settle_acl(req, fd);
        reply_result(req, result);
}

void operation_removexattr(fuse_req_t req, fuse_ino_t id, const char *name) {
        const Operations *operations = operations_of(req);
        auto_descriptor owned = -1;
        int fd = operations_reach_node(operations, id, &owned);
        char path[DESCRIPTOR_PATH_MAX];
        int result = 0;
        bool again;

        if (fd < 0)
                return reply_result(req, fd);
        if (attributes_own(name)) {
                AttributeTarget target = target_of(req, id, fd);

                target.again = operations_intend_adding(operations, false);
                return reply_result(req, attributes_remove(&target, name));
        }
        if (stored_owns(name))
                return reply_result(req, -ENODATA);
        again = operations_intend_stripping(operations, getxattr(descriptor_path(fd, path), name, NULL, 0) >= 0);
        if (removexattr(descriptor_path(fd, path), name) < 0)
                result = -errno;
        reply_result(req, again && result == -ENODATA ? 0 : result);
}
