/*
 * Operations that begin and end handles.
 *
 * With passthrough the kernel serves a handle itself, from the region's backing file, and no descriptor is held for
 * it here. Without, each handle has a descriptor of its own, opened with the rights that the client asked for.
 */
#include "operations/operations-common.h"

#include "kernel/backing.h"
#include "pool/region.h"

#include <sys/stat.h>

/* What of the client's open flags concerns a descriptor that serves it: positions and caching are the kernel's. */
#define SERVED_FLAGS (O_ACCMODE | O_SYNC | O_DSYNC)

void operations_begin_backing(const Operations *operations) {
        LedgerRequest *request = ledger_current(operations->ledger);

        if (request)
                ledger_publish(&request->registering, ledger_header(operations->ledger)->backings + 1);
}

void operations_end_backing(const Operations *operations) {
        LedgerRequest *request = ledger_current(operations->ledger);

        if (request)
                ledger_publish(&request->registering, 0);
}

/* What is written to the region is written to contents as by the owner of node. Both may be O_PATH descriptors. */
static int register_backing(const Operations *operations, int node, int contents) {
        struct stat st;
        int result;

        if (fstatat(node, "", &st, AT_EMPTY_PATH) < 0)
                return -errno;
        result = credentials_assume_backing(operations->credentials, st.st_uid, st.st_gid);
        if (result < 0)
                return result;
        result = backing_open(fuse_session_fd(operations->session), contents);
        credentials_return_backing(operations->credentials, st.st_uid, st.st_gid);
        return result;
}

static void give_up_backing(const Operations *operations, int backing_id) {
        if (backing_id > 0)
                backing_close(fuse_session_fd(operations->session), backing_id);
}

void operations_lose_backing(const Operations *operations, fuse_ino_t id) {
        give_up_backing(operations, registry_lose_backing(operations->registry, id));
        registry_backing_closed(operations->registry);
}

static bool writes(const struct fuse_file_info *file) {
        return (file->flags & O_ACCMODE) != O_RDONLY;
}

/* Ends what attach() began. */
static void detach(const Operations *operations, fuse_ino_t id, const struct fuse_file_info *file) {
        RegistryRelease release;

        if (file->fh)
                handles_drop_file(operations->handles, file->fh);
        if (registry_handle_removed(operations->registry, id, writes(file), &release) < 0)
                return;
        give_up_backing(operations, release.backing_id);
        registry_backing_closed(operations->registry);
        if (release.last && release.used && release.policy.lifetime == REGION_HANDLES)
                lifetimes_consider(operations->lifetimes, id);
}

void operations_finish_losing(const Operations *operations) {
        const LedgerRequest *request = ledger_current(operations->ledger);

        if (request->released)
                return;
        give_up_backing(operations, request->backing);
        registry_backing_closed(operations->registry);
}

/* What the client would have got with the answer, but for the handle itself. */
static void take_back_answer(const Operations *operations, LedgerRequest *request) {
        operations_finish_losing(operations);
        while (request->lookups > 0)
                registry_forget(operations->registry, request->looked_up[request->lookups - 1], 1);
        if (request->kept) {
                handles_drop_file(operations->handles, request->kept);
                handles_drop_directory(operations->handles, request->kept);
                ledger_publish(&request->kept, 0);
        }
}

void operations_take_back(const Operations *operations) {
        LedgerRequest *request = ledger_current(operations->ledger);

        /*
         * As long as the node is known. What it leaves is not considered: the request is about to use the region again.
         */
        registry_handle_taken_back(operations->registry, request);
        take_back_answer(operations, request);
        if (request->made)
                registry_regions_changed(operations->registry, -1);
}

void operations_abandon(const Operations *operations) {
        LedgerRequest *request = ledger_current(operations->ledger);
        struct fuse_file_info handle = { .flags = request->writes ? O_RDWR : O_RDONLY };

        /* What was made is as it would be if the client had been killed right after: it has used it. */
        if (request->handle && request->intent == LEDGER_MAKING)
                registry_handle_used(operations->registry, request->handle);
        if (request->handle || request->released)
                detach(operations, request->handle ? request->handle : request->released, &handle);
        take_back_answer(operations, request);
        /* It may have given the region another rule, by which that is about to end. */
        operations_lose_backing(operations, request->node);
}

static int attach_passthrough(const Operations *operations, fuse_ino_t id, int node, int contents, int present,
                              struct fuse_file_info *file) {
        int unused = 0;

        if (!present) {
                operations_begin_backing(operations);
                present = register_backing(operations, node, contents);
                if (present > 0)
                        present = registry_set_backing(operations->registry, id, present, &unused);
                give_up_backing(operations, unused);
                operations_end_backing(operations);
                if (present < 0)
                        return present;
        }
        file->backing_id = present;
        file->noflush = 1;
        return 0;
}

/* The rules that the handle has to obey. */
static int obey_policy(const Operations *operations, fuse_ino_t id, int fd, const struct fuse_file_info *file) {
        RegionPolicy policy;
        int result = operations_learn_policy(operations, id, fd, &policy);

        if (result < 0)
                return result;
        return policy.sealed && writes(file) ? -EPERM : 0;
}

/*
 * Goes on with a handle that registry_handle_added() has counted, with the backing id that it told. node is open on the
 * node, *contents on what holds its contents, and is taken over where the handle is served here. Ends the handle
 * where that fails.
 */
static int attach(const Operations *operations, fuse_ino_t id, int node, int *contents, int backing_id,
                  struct fuse_file_info *file) {
        int result = operations->passthrough ? 0 : descriptor_may_be_kept(*contents, DESCRIPTOR_OF_HANDLE);

        if (result == 0)
                result = obey_policy(operations, id, node, file);
        if (result == 0 && operations->passthrough)
                result = attach_passthrough(operations, id, node, *contents, backing_id, file);
        if (result < 0) {
                detach(operations, id, file);
                return result;
        }
        registry_handle_used(operations->registry, id);
        if (!operations->passthrough) {
                file->fh = handles_keep_file(operations->handles, descriptor_steal(contents));
                /* Others may have written to the file of a persisted region, by its own path. */
                file->keep_cache = !registry_source(operations->registry, id);
        }
        return 0;
}

/* Counts the request's handle on the node. */
static int add_handle(const Operations *operations, fuse_ino_t id, struct fuse_file_info *file, int *backing_id) {
        file->fh = 0;
        return registry_handle_added(operations->registry, id, writes(file), backing_id);
}

/*
 * Replies to create and tmpfile, for a file that fd is open on, with rules. fd and ref are taken over as far as needed.
 * 0, or -errno with the reply still to be made.
 */
static int reply_created(fuse_req_t req, int *fd, PoolRef *ref, const struct stat *st, const RegionPolicy *policy,
                         struct fuse_file_info *file) {
        const Operations *operations = operations_of(req);
        struct fuse_entry_param entry;
        int result, backing_id;

        operations_fill_entry(operations, ref, -1, st, &entry);
        operations_note_policy(operations, entry.ino, policy);
        result = add_handle(operations, entry.ino, file, &backing_id);
        if (result == 0)
                result = attach(operations, entry.ino, *fd, fd, backing_id, file);
        if (result < 0) {
                registry_forget(operations->registry, entry.ino, 1);
                return result;
        }
        if (fuse_reply_create(req, &entry, file) < 0) {
                detach(operations, entry.ino, file);
                registry_forget(operations->registry, entry.ino, 1);
        }
        return 0;
}

/*
 * With passthrough the kernel keeps what is registered until the region's last handle is gone. What can write would
 * stand in the way of a seal all the time, so the file is registered by its path, and not opened otherwise: where
 * nobody else can put another file in its place before it is opened, whose contents the client may have no right to.
 * What cannot be opened is not left behind. As openat(2).
 */
static int make_and_open(const Operations *operations, int directory, const char *name, mode_t mode, int flags) {
        bool shared = operations->pool->kind == POOL_DIRECTORY;
        auto_descriptor made = -1;
        char path[DESCRIPTOR_PATH_MAX];
        int fd, code;

        if (!operations->passthrough || shared) {
                made = openat(directory, name, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
                if (made < 0 || !operations->passthrough)
                        return descriptor_steal(&made);
        } else if (mknodat(directory, name, S_IFREG | (mode & 07777), 0) < 0) {
                return -1;
        }
        fd = shared ? open(descriptor_path(made, path), O_PATH | O_CLOEXEC) :
                      openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0)
                return fd;
        code = errno;
        unlinkat(directory, name, 0);
        errno = code;
        return -1;
}

/*
 * Makes name in directory and opens it. The kernel has seen that the name is free; if it is taken meanwhile (in a
 * directory pool, by someone else) nobody has checked the client's rights to it: -ESTALE has the kernel look again.
 */
static int create_in_pool(fuse_req_t req, int directory, const char *name, mode_t mode, int wanted) {
        int fd, result = operations_assume_client(req);

        if (result < 0)
                return result;
        fd = make_and_open(operations_of(req), directory, name, mode, wanted & SERVED_FLAGS);
        result = fd < 0 ? -errno : fd;
        operations_resume(req);
        return result == -EEXIST && !(wanted & O_EXCL) ? -ESTALE : result;
}

void operation_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *file) {
        const Operations *operations = operations_of(req);
        auto_descriptor owned = -1;
        int directory = operations_reach_node(operations, parent, &owned);
        g_auto(PoolRef) ref = POOL_REF_INIT;
        auto_descriptor fd = -1;
        RegionPolicy policy;
        struct stat st;
        int result;

        if (directory < 0)
                return reply_result(req, directory);
        operations_intend_making(operations, directory, name);
        fd = create_in_pool(req, directory, name, mode, file->flags);
        if (fd < 0)
                return reply_result(req, fd);
        result = pool_identify(operations->pool, fd, &ref, &st);
        if (result == 0)
                pool_name(&ref, parent, name);
        registry_regions_changed(operations->registry, 1);
        if (result == 0)
                result = operations_inherit_policy(operations, parent, directory, fd, &policy);
        if (result == 0)
                result = reply_created(req, &fd, &ref, &st, &policy, file);
        if (result == 0)
                return;
        /* Who cannot have the handle does not leave a region behind. */
        if (unlinkat(directory, name, 0) == 0)
                registry_regions_changed(operations->registry, -1);
        reply_result(req, result);
}

/* As make_and_open() has it: *fd becomes one like path. */
static int keep_path(int *fd, int path) {
        descriptor_clear(fd);
        *fd = fcntl(path, F_DUPFD_CLOEXEC, 0);
        return *fd < 0 ? -errno : 0;
}

void operation_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *file) {
        const Operations *operations = operations_of(req);
        auto_descriptor owned = -1;
        int directory = operations_reach_node(operations, parent, &owned);
        g_auto(PoolRef) ref = POOL_REF_INIT;
        auto_descriptor fd = -1;
        RegionPolicy policy;
        struct stat st;
        int result;

        if (directory < 0)
                return reply_result(req, directory);
        result = operations_assume_client(req);
        if (result < 0)
                return reply_result(req, result);
        fd = openat(directory, ".", (file->flags & (SERVED_FLAGS | O_EXCL)) | O_TMPFILE | O_CLOEXEC, mode);
        result = fd < 0 ? -errno : 0;
        operations_resume(req);
        if (result == 0)
                result = pool_identify(operations->pool, fd, &ref, &st);
        /* It has no name by which it could be found. */
        if (result == 0 && ref.fd < 0)
                result = pool_pin(&ref, fd);
        if (result == 0)
                result = descriptor_may_be_kept(ref.fd, DESCRIPTOR_OF_HANDLE);
        if (result == 0 && operations->passthrough)
                result = keep_path(&fd, ref.fd);
        if (result == 0)
                result = operations_inherit_policy(operations, parent, directory, fd, &policy);
        if (result == 0)
                result = reply_created(req, &fd, &ref, &st, &policy, file);
        if (result < 0)
                reply_result(req, result);
}

/*
 * What opening changes. node and contents are as of attach(), or -1 where the handle has taken them over, or needs
 * neither.
 */
static void settle_open(const Operations *operations, fuse_ino_t id, int node, int contents,
                        const struct fuse_file_info *file) {
        struct stat st;

        if (file->fh)
                handles_file(operations->handles, file->fh, &contents);
        if (node < 0 && !file->fh)
                return;
        if (registry_policy(operations->registry, id).allocation == REGION_COMMITTED &&
            fstatat(contents, "", &st, AT_EMPTY_PATH) == 0)
                operations_fill_gap(operations, id, contents, &st);
}

/*
 * Whether all that opening takes is known, so that the region itself is not needed; then what came of it is in *result.
 */
static bool open_known(const Operations *operations, fuse_ino_t id, int backing_id, struct fuse_file_info *file,
                       int *result) {
        RegionPolicy policy;

        if (!operations->passthrough || !backing_id || registry_source(operations->registry, id) ||
            !registry_knows_policy(operations->registry, id, &policy) || policy.allocation == REGION_COMMITTED)
                return false;
        *result = policy.sealed && writes(file) ? -EPERM : 0;
        if (*result < 0) {
                detach(operations, id, file);
                return true;
        }
        file->backing_id = backing_id;
        file->noflush = 1;
        registry_handle_used(operations->registry, id);
        return true;
}

/* Opens node and contents, and makes the handle one on them. What the handle does not take over is the caller's. */
static int open_counted(const Operations *operations, fuse_ino_t id, int backing_id, int *node, int *of_source,
                        struct fuse_file_info *file) {
        /* Only now, as what is counted keeps others from making it a persisted one. */
        const Source *source = registry_source(operations->registry, id);
        int flags = operations->passthrough ? O_PATH : file->flags & SERVED_FLAGS, result = 0;

        *node = operations_open_node(operations, id, source ? O_PATH : flags);
        *of_source = source ? source_open(source, flags) : -1;
        if (*node < 0)
                result = *node;
        else if (source && *of_source < 0)
                result = *of_source;
        else if (source && writes(file) && !source_is_writable(source))
                result = -EACCES;
        if (result < 0) {
                detach(operations, id, file);
                return result;
        }
        return attach(operations, id, *node, source ? of_source : node, backing_id, file);
}

/* What is needed to answer when the kernel has learnt of the length. */
typedef struct Opened {
        fuse_req_t req;
        fuse_ino_t id;
        struct fuse_file_info file;
        LedgerRequest *left; /* in hand until then, or NULL */
} Opened;

static void reply_opened(void *data) {
        g_autofree Opened *opened = data;
        const Operations *operations = operations_of(opened->req);

        if (fuse_reply_open(opened->req, &opened->file) < 0)
                detach(operations, opened->id, &opened->file);
        if (opened->left)
                requests_end_left(operations->requests, opened->left);
}

void operation_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
        const Operations *operations = operations_of(req);
        auto_descriptor node = -1, of_source = -1;
        Opened *opened;
        int backing_id, result = add_handle(operations, id, file, &backing_id);

        if (result == 0 && !open_known(operations, id, backing_id, file, &result))
                result = open_counted(operations, id, backing_id, &node, &of_source, file);
        if (result < 0)
                return reply_result(req, result);
        settle_open(operations, id, node, of_source >= 0 ? of_source : node, file);
        opened = g_memdup2(&(Opened){ req, id, *file, NULL }, sizeof(*opened));
        /*
         * Appending goes by the length that the kernel knows, and others may have appended to a persisted region's
         * file.
         */
        if (!operations->passthrough && (file->flags & O_APPEND) && registry_source(operations->registry, id)) {
                opened->left = requests_leave(operations->requests);
                refresher_look(operations->refresher, node, reply_opened, opened);
        } else {
                reply_opened(opened);
        }
}

void operation_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
        detach(operations_of(req), id, file);
        fuse_reply_err(req, 0);
}
