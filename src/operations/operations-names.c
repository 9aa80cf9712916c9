/* Operations on names: finding, making, moving and removing them. */
#include "operations/operations-common.h"

#include "pool/region.h"

#include <limits.h>
#include <stdio.h> /* renameat2 */
#include <sys/stat.h>

/* Whether names may come into the directory by other ways than a request of a client for that name. */
static bool makes_names(const Operations *operations, int directory) {
        struct stat st;

        return operations->pool->kind == POOL_DIRECTORY ||
               (operations->namespaces && fstatat(directory, "", &st, AT_EMPTY_PATH) == 0 &&
                namespaces_is_sessions(operations->namespaces, st.st_ino));
}

/* The kernel may believe as long that a name is missing as that it is there, unless someone else may make it. */
static void reply_missing(fuse_req_t req, int directory) {
        const Operations *operations = operations_of(req);
        struct fuse_entry_param none = { .entry_timeout = operations_name_timeout(operations) };

        if (makes_names(operations, directory))
                fuse_reply_err(req, ENOENT);
        else
                fuse_reply_entry(req, &none);
}

void operation_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
        const Operations *operations = operations_of(req);
        auto_descriptor owned = -1;
        int directory = operations_reach_node(operations, parent, &owned);
        struct fuse_entry_param entry;
        int result;

        if (directory < 0)
                return reply_result(req, directory);
        result = operations_look_up(operations, directory, parent, name, &entry);
        if (result == -ENOENT)
                return reply_missing(req, directory);
        if (result < 0)
                return reply_result(req, result);
        operations_reply_entry(req, &entry);
}

void operation_forget(fuse_req_t req, fuse_ino_t id, uint64_t lookups) {
        registry_forget(operations_of(req)->registry, id, lookups);
        fuse_reply_none(req);
}

void operation_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets) {
        for (size_t i = 0; i < count; i++)
                registry_forget(operations_of(req)->registry, forgets[i].ino, forgets[i].nlookup);
        fuse_reply_none(req);
}

/* Whether fd is on the link that leads each user to another place. */
static bool is_local(const Operations *operations, int fd) {
        struct stat st;

        return operations->namespaces && fstatat(fd, "", &st, AT_EMPTY_PATH) == 0 &&
               namespaces_is_local(operations->namespaces, st.st_ino);
}

static void reply_local(fuse_req_t req) {
        const Operations *operations = operations_of(req);
        const struct fuse_ctx *client = fuse_req_ctx(req);
        char link[NAMESPACES_LINK_MAX];
        int result = namespaces_lead(operations->namespaces, operations->credentials, client->uid, client->gid, link);

        if (result < 0)
                reply_result(req, result);
        else
                fuse_reply_readlink(req, link);
}

void operation_readlink(fuse_req_t req, fuse_ino_t id) {
        auto_descriptor owned = -1;
        int fd = operations_reach_node(operations_of(req), id, &owned);
        char target[PATH_MAX + 1];
        ssize_t size;

        if (fd < 0)
                return reply_result(req, fd);
        if (is_local(operations_of(req), fd))
                return reply_local(req);
        size = readlinkat(fd, "", target, PATH_MAX);
        if (size < 0)
                return reply_result(req, -errno);
        target[size] = '\0';
        fuse_reply_readlink(req, target);
}

/* Replies for a name that the request has just made in directory. Takes it away again if it cannot be given out. */
static void reply_made(fuse_req_t req, int directory, fuse_ino_t parent, const char *name) {
        const Operations *operations = operations_of(req);
        struct fuse_entry_param entry;
        int result = operations_look_up(operations, directory, parent, name, &entry);

        if (result < 0) {
                if (unlinkat(directory, name, 0) < 0 && errno == EISDIR)
                        unlinkat(directory, name, AT_REMOVEDIR);
                return reply_result(req, result);
        }
        if (S_ISREG(entry.attr.st_mode) && entry.attr.st_nlink == 1)
                registry_regions_changed(operations->registry, 1);
        operations_reply_entry(req, &entry);
}

/* What a node to be made is. */
typedef struct Making {
        mode_t mode;        /* type and permissions */
        dev_t device;
        const char *target; /* of a symbolic link */
} Making;

/* What is made here starts with the rules that its directory gives; else it is not made. */
static int give_policy(const Operations *operations, fuse_ino_t parent, int directory, const char *name,
                       const Making *making) {
        RegionPolicy policy;
        auto_descriptor fd = -1;
        int result;

        if (!S_ISREG(making->mode) && !S_ISDIR(making->mode))
                return 0;
        fd = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        result = fd < 0 ? -errno : operations_inherit_policy(operations, parent, directory, fd, &policy);
        if (result < 0)
                unlinkat(directory, name, S_ISDIR(making->mode) ? AT_REMOVEDIR : 0);
        return result;
}

static int make_in_pool(int directory, const char *name, const Making *making) {
        int result;

        if (S_ISLNK(making->mode))
                result = symlinkat(making->target, directory, name);
        else if (S_ISDIR(making->mode))
                result = mkdirat(directory, name, making->mode & 07777);
        else
                result = mknodat(directory, name, making->mode, making->device);
        return result < 0 ? -errno : 0;
}

static void make(fuse_req_t req, fuse_ino_t parent, const char *name, const Making *making) {
        auto_descriptor owned = -1;
        int directory = operations_reach_node(operations_of(req), parent, &owned);
        int result;

        if (directory < 0)
                return reply_result(req, directory);
        operations_intend_making(operations_of(req), directory, name);
        result = operations_assume_client(req);
        if (result == 0) {
                result = make_in_pool(directory, name, making);
                operations_resume(req);
        }
        if (result == 0)
                result = give_policy(operations_of(req), parent, directory, name, making);
        if (result < 0)
                return reply_result(req, result);
        reply_made(req, directory, parent, name);
}

void operation_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device) {
        make(req, parent, name, &(Making){ .mode = mode, .device = device });
}

void operation_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode) {
        make(req, parent, name, &(Making){ .mode = S_IFDIR | mode });
}

void operation_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name) {
        make(req, parent, name, &(Making){ .mode = S_IFLNK, .target = target });
}

void operation_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char *name) {
        const Operations *operations = operations_of(req);
        auto_descriptor node_owned = -1;
        int node = operations_reach_node(operations, id, &node_owned);
        auto_descriptor owned = -1;
        int directory = operations_reach_node(operations, parent, &owned);
        char path[DESCRIPTOR_PATH_MAX];

        if (node < 0)
                return reply_result(req, node);
        if (directory < 0)
                return reply_result(req, directory);
        if (!operations_intend_linking(operations, node, directory, name) &&
            linkat(AT_FDCWD, descriptor_path(node, path), directory, name, AT_SYMLINK_FOLLOW) < 0)
                return reply_result(req, -errno);
        reply_made(req, directory, parent, name);
}

/* What a name means, looked up before the name changes: afterwards nothing may fail any more. */
typedef struct Found {
        int fd; /* owned: O_PATH, or -1 where there is no such name */
        PoolRef ref;
} Found;

#define FOUND_INIT { .fd = -1, .ref = POOL_REF_INIT }

static void found_clear(Found *found) {
        descriptor_clear(&found->fd);
        pool_ref_clear(&found->ref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Found, found_clear)

static int find(Found *found, const Operations *operations, int directory, const char *name) {
        struct stat st;

        *found = (Found)FOUND_INIT;
        found->fd = pool_open_name(directory, name);
        if (found->fd < 0)
                return descriptor_steal(&found->fd);
        return pool_identify(operations->pool, found->fd, &found->ref, &st);
}

static bool has_no_name(const struct stat *st) {
        return st->st_nlink <= (S_ISDIR(st->st_mode) ? 1 : 0);
}

/*
 * After the name is gone: if it was the last one, or the one by which the node may be reached, the node goes on without
 * as long as the kernel knows it.
 */
static void settle_loss(Found *lost, const Operations *operations) {
        struct stat now;

        if (lost->fd < 0 || fstatat(lost->fd, "", &now, AT_EMPTY_PATH) < 0)
                return;
        if (has_no_name(&now) || !operations->pool->by_handle)
                registry_unlinked(operations->registry, &lost->ref, &lost->fd);
        if (!has_no_name(&now) || !S_ISREG(now.st_mode))
                return;
        /* Afterwards: a handle that ends meanwhile leaves nothing any more. */
        operations_lose_backing(operations, registry_find(operations->registry, &lost->ref));
        registry_region_gone(operations->registry, &lost->ref);
}

/* Describes what a dead server has found. */
static int describe(Found *found, const Operations *operations) {
        struct stat st;

        return found->fd < 0 ? 0 : pool_identify(operations->pool, found->fd, &found->ref, &st);
}

static int remove_from_pool(Found *lost, const Operations *operations, int directory, fuse_ino_t parent,
                            const char *name, int flags) {
        int result;

        if (operations_has_removed(operations, directory, name, &lost->fd))
                return describe(lost, operations);
        result = find(lost, operations, directory, name);
        if (result == 0)
                result = descriptor_may_be_kept(lost->fd, DESCRIPTOR_OF_NODE);
        if (result == 0)
                result = operations_intend_removing(operations, lost->fd, parent, name);
        if (result == 0 && unlinkat(directory, name, flags) < 0)
                result = -errno;
        return result;
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, int flags) {
        const Operations *operations = operations_of(req);
        auto_descriptor owned = -1;
        int directory = operations_reach_node(operations, parent, &owned);
        g_auto(Found) lost = FOUND_INIT;
        int result;

        if (directory < 0)
                return reply_result(req, directory);
        registry_begin_change(operations->registry);
        result = remove_from_pool(&lost, operations, directory, parent, name, flags);
        if (result == 0)
                settle_loss(&lost, operations);
        registry_end_change(operations->registry);
        reply_result(req, result);
}

void operation_unlink(fuse_req_t req, fuse_ino_t parent, const char *name) {
        remove_name(req, parent, name, 0);
}

void operation_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name) {
        remove_name(req, parent, name, AT_REMOVEDIR);
}

static int rename_in_pool(fuse_req_t req, int from, const char *name, int to, const char *new_name, unsigned flags) {
        /* Only a whiteout makes a node; the client, who owns it, had to be allowed to make one. */
        int result = flags & RENAME_WHITEOUT ? operations_assume_client(req) : 0;

        if (result < 0)
                return result;
        if (renameat2(from, name, to, new_name, flags) < 0)
                result = -errno;
        if (flags & RENAME_WHITEOUT)
                operations_resume(req);
        return result;
}

/* What was found is reached by another name from now on, unless it is reached otherwise. */
static void settle_move(Found *moved, const Operations *operations, fuse_ino_t parent, const char *name) {
        if (operations->pool->by_handle || moved->fd < 0)
                return;
        pool_name(&moved->ref, parent, name);
        registry_moved(operations->registry, &moved->ref);
}

void operation_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
                      unsigned flags) {
        const Operations *operations = operations_of(req);
        auto_descriptor from_owned = -1;
        int from = operations_reach_node(operations, parent, &from_owned);
        auto_descriptor to_owned = -1;
        int to = operations_reach_node(operations, new_parent, &to_owned);
        g_auto(Found) moved = FOUND_INIT, target = FOUND_INIT;
        int result = 0;

        if (from < 0)
                return reply_result(req, from);
        if (to < 0)
                return reply_result(req, to);
        registry_begin_change(operations->registry);
        if (operations_has_renamed(operations, to, new_name, &moved.fd, &target.fd)) {
                result = describe(&moved, operations);
                if (result == 0)
                        result = describe(&target, operations);
        } else {
                result = find(&moved, operations, from, name);
                if (result == 0)
                        result = find(&target, operations, to, new_name);
                if (result == 0)
                        result = descriptor_may_be_kept(target.fd, DESCRIPTOR_OF_NODE);
                if (result == 0 || (result == -ENOENT && moved.fd >= 0))
                        result = operations_intend_renaming(operations, moved.fd, target.fd, new_parent, new_name);
                if (result == 0)
                        result = rename_in_pool(req, from, name, to, new_name, flags);
        }
        if (result == 0) {
                settle_move(&moved, operations, new_parent, new_name);
                if (flags & RENAME_EXCHANGE)
                        settle_move(&target, operations, parent, name);
                else
                        settle_loss(&target, operations);
        }
        registry_end_change(operations->registry);
        reply_result(req, result);
}

/* A region that was made, and not counted; or counted, and not left behind as nobody could have its handle. */
static void complete_making(const Operations *operations, const LedgerRequest *request, int directory) {
        struct stat st;
        int result = fstatat(directory, request->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;

        if (!request->made && result == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1)
                registry_regions_changed(operations->registry, 1);
        if (request->made && result == -ENOENT)
                registry_regions_changed(operations->registry, -1);
}

static void complete_removing(const Operations *operations, const LedgerRequest *request, int directory) {
        g_auto(Found) lost = FOUND_INIT;

        if (operations_has_removed(operations, directory, request->name, &lost.fd) && describe(&lost, operations) == 0)
                settle_loss(&lost, operations);
}

/* What was exchanged goes on without a name of its own, until it is found by one. */
static void complete_renaming(const Operations *operations, const LedgerRequest *request, int directory) {
        g_auto(Found) moved = FOUND_INIT, target = FOUND_INIT;

        if (!operations_has_renamed(operations, directory, request->name, &moved.fd, &target.fd) ||
            describe(&moved, operations) < 0 || describe(&target, operations) < 0)
                return;
        settle_move(&moved, operations, request->directory, request->name);
        settle_loss(&target, operations);
}

void operations_complete(const Operations *operations) {
        const LedgerRequest *request = ledger_current(operations->ledger);
        bool of_name = request->intent == LEDGER_MAKING || request->intent == LEDGER_REMOVING ||
                       request->intent == LEDGER_RENAMING;
        auto_descriptor owned = -1;
        int directory = of_name ? operations_reach_node(operations, request->directory, &owned) : -1;

        operations_finish_losing(operations);
        if (directory < 0)
                return;
        registry_begin_change(operations->registry);
        if (request->intent == LEDGER_MAKING)
                complete_making(operations, request, directory);
        if (request->intent == LEDGER_REMOVING)
                complete_removing(operations, request, directory);
        if (request->intent == LEDGER_RENAMING)
                complete_renaming(operations, request, directory);
        registry_end_change(operations->registry);
}
