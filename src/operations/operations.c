#include "operations/operations-common.h"

#include "operations/contents.h"
#include "pool/region.h"

/*
 * How long the kernel may believe a name, in seconds. Every change of a pool of our own passes through the mount, so
 * the kernel knows of it first. A user's directory may be changed by someone else too.
 */
#define OWN_POOL_TIMEOUT 86400.0
#define DIRECTORY_POOL_TIMEOUT 1.0

/* libfuse has it as of 3.18. */
#define CAP_OVER_IO_URING (UINT64_C(1) << 31)

/*
 * Bytes that a request may carry over io_uring, each place of which has a buffer of that length. Data goes elsewhere:
 * it is extended attributes and directories that have to fit.
 */
#define RINGS_MAX_WRITE (128 * 1024)

/*
 * How many requests over io_uring may wait for others at once, and how long: milliseconds. All that come from the same
 * processor wait with them.
 */
#define RINGS_ERRANDS 4
#define RINGS_PATIENCE 200

/* Descriptors with lower numbers are kept where that makes requests cheaper. */
#define KEPT_BELOW 128

int operations_open_node(const Operations *operations, fuse_ino_t id, int flags) {
        PoolRef ref;
        int result;

        registry_begin_resolving(operations->registry);
        result = registry_resolve(operations->registry, id, &ref);
        if (result == 0)
                result = pool_open(operations->pool, &ref, flags);
        registry_end_resolving(operations->registry);
        return result;
}

int operations_reach_node(const Operations *operations, fuse_ino_t id, int *owned) {
        int kept = id == FUSE_ROOT_ID ? operations->pool->fd : registry_descriptor(operations->registry, id);

        return kept >= 0 ? kept : (*owned = operations_open_node(operations, id, O_PATH));
}

int operations_open_contents(const Operations *operations, fuse_ino_t id, int flags) {
        const Source *source = registry_source(operations->registry, id);

        return source ? source_open(source, flags) : operations_open_node(operations, id, flags);
}

Errands *operations_errands(const Operations *operations, fuse_ino_t id) {
        return registry_source(operations->registry, id) ? operations->errands : NULL;
}

double operations_name_timeout(const Operations *operations) {
        return operations->pool->kind == POOL_DIRECTORY ? DIRECTORY_POOL_TIMEOUT : OWN_POOL_TIMEOUT;
}

double operations_attribute_timeout(const Operations *operations, const struct stat *st) {
        if (!S_ISREG(st->st_mode))
                return operations_name_timeout(operations);
        /* A write takes set-id bits off in the pool, unseen by the kernel's copy of the mode. */
        return st->st_mode & (S_ISUID | S_ISGID) ? 0.0 : operations->attr_timeout;
}

/*
 * A persisted region that the kernel has not known before: its file in the pool is empty, and says what its source is.
 * Before anyone learns the id.
 */
static void find_source(const Operations *operations, fuse_ino_t id, int fd) {
        Source *source;
        int result = source_restore(fd, &source);

        if (result < 0) {
                g_warning("cannot read what a persisted region's file is: %s", g_strerror(-result));
                source = source_new(-1, O_RDONLY);
        }
        if (source)
                registry_set_source(operations->registry, id, source);
}

void operations_fill_entry(const Operations *operations, PoolRef *ref, int fd, const struct stat *st,
                           struct fuse_entry_param *entry) {
        const Source *source = NULL;

        *entry = (struct fuse_entry_param){
                .ino = registry_lookup(operations->registry, ref),
                .attr = *st,
                .attr_timeout = operations_attribute_timeout(operations, st),
                .entry_timeout = operations_name_timeout(operations),
        };
        if (!S_ISREG(st->st_mode) || st->st_size > 0 || fd < 0)
                return;
        if (!registry_source(operations->registry, entry->ino))
                find_source(operations, entry->ino, fd);
        source = registry_source(operations->registry, entry->ino);
        if (!source)
                return;
        source_stat(source, &entry->attr);
        entry->attr_timeout = 0;
}

/*
 * Of directories, which most requests go through, a descriptor is kept; there are never many with low numbers. Where
 * the limit is low, most of those that handles may have are left to them.
 */
static void keep_descriptor(PoolRef *ref, int fd, const struct stat *st) {
        if (S_ISDIR(st->st_mode) && ref->fd < 0 && pool_pin(ref, fd) == 0 &&
            (ref->fd >= KEPT_BELOW || descriptor_may_be_kept(2 * ref->fd, DESCRIPTOR_OF_HANDLE) < 0))
                descriptor_clear(&ref->fd);
}

int operations_look_up(const Operations *operations, int directory, fuse_ino_t parent, const char *name,
                       struct fuse_entry_param *entry) {
        g_auto(PoolRef) ref = POOL_REF_INIT;
        auto_descriptor fd = -1;
        struct stat st;
        int result;

        registry_begin_resolving(operations->registry);
        fd = pool_open_name(directory, name);
        result = fd < 0 ? fd : pool_identify(operations->pool, fd, &ref, &st);
        if (result == 0) {
                keep_descriptor(&ref, fd, &st);
                pool_name(&ref, parent, name);
                ref.directory = directory;
                operations_fill_entry(operations, &ref, fd, &st, entry);
                if (S_ISREG(st.st_mode))
                        registry_expect(operations->registry, entry->ino);
        }
        registry_end_resolving(operations->registry);
        return result;
}

void operations_reply_entry(fuse_req_t req, const struct fuse_entry_param *entry) {
        if (fuse_reply_entry(req, entry) < 0)
                registry_forget(operations_of(req)->registry, entry->ino, 1);
}

/* The length and all else that concerns the contents are the source's, where there is one. */
static int stat_node(const Source *source, int fd, struct stat *st) {
        if (fstatat(fd, "", st, AT_EMPTY_PATH) < 0)
                return -errno;
        if (source)
                source_stat(source, st);
        return 0;
}

int operations_learn_policy(const Operations *operations, fuse_ino_t id, int fd, RegionPolicy *policy) {
        int result;

        if (registry_knows_policy(operations->registry, id, policy))
                return 0;
        result = registry_exclude(operations->registry, id, REGISTRY_ANY);
        if (result < 0)
                return result;
        result = region_read_policy(fd, policy);
        if (result == 0)
                operations_note_policy(operations, id, policy);
        registry_include(operations->registry, id, false);
        return result;
}

int operations_inherit_policy(const Operations *operations, fuse_ino_t parent, int directory, int fd,
                              RegionPolicy *policy) {
        int result = operations_learn_policy(operations, parent, directory, policy);

        policy->sealed = false;
        return result < 0 ? result : region_start_policy(fd, policy);
}

void operations_note_policy(const Operations *operations, fuse_ino_t id, const RegionPolicy *policy) {
        /* Others may change a user's directory. */
        registry_note_policy(operations->registry, id, policy, operations->pool->kind != POOL_DIRECTORY);
}

bool operations_fill_gap(const Operations *operations, fuse_ino_t id, int fd, const struct stat *st) {
        const Source *source = registry_source(operations->registry, id);
        RegionPolicy policy = registry_policy(operations->registry, id);

        if (policy.allocation != REGION_COMMITTED || !region_lacks_memory(st) ||
            (source && !source_is_writable(source)))
                return false;
        /* Who asks for attributes, or opens, does not have the region locked: someone else may. */
        return (source || !region_is_memory(fd) ? contents_fill(operations->errands, fd) : region_fill(fd)) == 0;
}

int operations_stat(const Operations *operations, fuse_ino_t id, int fd, struct stat *st) {
        const Source *source = registry_source(operations->registry, id);
        auto_descriptor contents = -1;
        int result = stat_node(source, fd, st);

        if (result < 0 || !S_ISREG(st->st_mode))
                return result;
        contents = source ? source_open(source, O_PATH) : -1;
        return operations_fill_gap(operations, id, source ? contents : fd, st) ? stat_node(source, fd, st) : 0;
}

int operations_assume_client(fuse_req_t req) {
        const struct fuse_ctx *client = fuse_req_ctx(req);

        return credentials_assume(operations_of(req)->credentials, client->uid, client->gid, client->umask);
}

void operations_resume(fuse_req_t req) {
        const struct fuse_ctx *client = fuse_req_ctx(req);

        credentials_resume(operations_of(req)->credentials, client->uid, client->gid);
}

bool operations_drops_setid(fuse_req_t req) {
        /* Without privilege the pool sees to it by itself. */
        return credentials_privileged(operations_of(req)->credentials) && fuse_req_ctx(req)->uid != 0;
}

bool operations_in_group(fuse_req_t req, gid_t group) {
        g_autofree gid_t *groups = NULL;
        int count;

        if (fuse_req_ctx(req)->gid == group)
                return true;
        count = fuse_req_getgroups(req, 0, NULL);
        if (count <= 0)
                return false;
        groups = g_new(gid_t, count);
        count = MIN(count, fuse_req_getgroups(req, count, groups));
        for (int i = 0; i < count; i++)
                if (groups[i] == group)
                        return true;
        return false;
}

int operations_drop_setid(fuse_req_t req, fuse_ino_t id, int fd) {
        struct stat st;

        if (!operations_drops_setid(req))
                return 0;
        if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
                return -errno;
        if (!(st.st_mode & (S_ISUID | S_ISGID)))
                return 0;
        return contents_drop_setid(operations_errands(operations_of(req), id), fd,
                                   !operations_in_group(req, st.st_gid));
}

void operations_prepare_thread(Operations *operations) {
        int unused, result;

        /* libfuse cancels it at the end, which would leave locks behind; it wakes it besides. */
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &unused);
        result = credentials_prepare_thread();
        if (result < 0)
                g_error("cannot give a thread a umask of its own: %s", g_strerror(-result));
        g_mutex_lock(&operations->gate);
        /* For the keeper: this server did not die before it took a request. */
        ledger_count(&ledger_header(operations->ledger)->begun);
        g_mutex_unlock(&operations->gate);
        pthread_setspecific(operations->prepared, operations);
}

/*
 * Requests over io_uring need passthrough. Without, what clients have written through views lies in the mount's page
 * cache for a while, and would be lost with the connection.
 */
static void settle_rings(Operations *operations, struct fuse_conn_info *connection) {
        operations->rings = operations->rings && operations->passthrough && connection->capable_ext & CAP_OVER_IO_URING;
        if (operations->rings) {
                connection->max_write = RINGS_MAX_WRITE;
                errands_restrict(operations->errands, RINGS_ERRANDS, RINGS_PATIENCE);
        } else {
                fuse_unset_feature_flag(connection, CAP_OVER_IO_URING);
        }
}

static void operation_init(void *userdata, struct fuse_conn_info *connection) {
        static const uint64_t wanted[] = {
                FUSE_CAP_POSIX_ACL,          /* ACLs are kept in the pool and checked by the kernel */
                FUSE_CAP_DONT_MASK,          /* the pool applies the umask, or the parent's default ACL instead */
                FUSE_CAP_HANDLE_KILLPRIV_V2, /* else each write asks for security.capability first */
                FUSE_CAP_PARALLEL_DIROPS,
                FUSE_CAP_CACHE_SYMLINKS,
                FUSE_CAP_NO_EXPORT_SUPPORT,  /* node ids do not outlive the daemon, so no file handles of the mount */
        };
        Operations *operations = userdata;

        /*
         * Not to be cut by the open itself. The kernel does not keep the region locked then, so that with passthrough
         * we could wait for a client that is held up in the middle of a write.
         */
        fuse_unset_feature_flag(connection, FUSE_CAP_ATOMIC_O_TRUNC);
        for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++)
                fuse_set_feature_flag(connection, wanted[i]);

        /* A link that leads each user elsewhere is not to be remembered. */
        if (operations->namespaces)
                fuse_unset_feature_flag(connection, FUSE_CAP_CACHE_SYMLINKS);

        /* In a pool of our own nobody writes but through the mount: the page cache is never behind. */
        if (operations->pool->kind != POOL_DIRECTORY)
                fuse_unset_feature_flag(connection, FUSE_CAP_AUTO_INVAL_DATA);

        /* Requests are small: copying them is faster than the three calls that splicing takes. */
        fuse_unset_feature_flag(connection, FUSE_CAP_SPLICE_READ);
        fuse_unset_feature_flag(connection, FUSE_CAP_SPLICE_WRITE);
        fuse_unset_feature_flag(connection, FUSE_CAP_SPLICE_MOVE);

        /* No operation waits for another client: there is nothing to interrupt. */
        connection->no_interrupt = 1;
        connection->max_write = 1024 * 1024;

        if (operations->passthrough) {
                operations->passthrough = fuse_set_feature_flag(connection, FUSE_CAP_PASSTHROUGH);
                /* A pool of our own lies on nothing: that leaves room for an overlay on top of the mount. */
                connection->max_backing_stack_depth = operations->pool->kind == POOL_TMPFS ? 0 : 1;
        }
        settle_rings(operations, connection);
}

/*
 * Not here: flush, because the kernel writes dirty pages back before it asks and takes a missing answer for "never ask
 * again"; locks and poll, which the kernel does by itself.
 */
const struct fuse_lowlevel_ops operations_table = {
        .init = operation_init,
        .lookup = operation_lookup,
        .forget = operation_forget,
        .forget_multi = operation_forget_multi,
        .readlink = operation_readlink,
        .mknod = operation_mknod,
        .mkdir = operation_mkdir,
        .symlink = operation_symlink,
        .link = operation_link,
        .unlink = operation_unlink,
        .rmdir = operation_rmdir,
        .rename = operation_rename,
        .create = operation_create,
        .tmpfile = operation_tmpfile,
        .open = operation_open,
        .release = operation_release,
        .read = operation_read,
        .write = operation_write,
        .fsync = operation_fsync,
        .fallocate = operation_fallocate,
        .lseek = operation_lseek,
        .copy_file_range = operation_copy_file_range,
        .opendir = operation_opendir,
        .readdir = operation_readdir,
        .readdirplus = operation_readdirplus,
        .releasedir = operation_releasedir,
        .fsyncdir = operation_fsyncdir,
        .getattr = operation_getattr,
        .statx = operation_statx,
        .setattr = operation_setattr,
        .statfs = operation_statfs,
        .setxattr = operation_setxattr,
        .getxattr = operation_getxattr,
        .listxattr = operation_listxattr,
        .removexattr = operation_removexattr,
};
