#pragma once

/* What the rooms of the operations share. For operations*.c alone. */

#include "operations/operations.h"

#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>

/* Of a thread that libfuse has made: before its first operation. Waits until the server has started. */
void operations_prepare_thread(Operations *operations);

/* What each operation begins with. */
static inline Operations *operations_of(fuse_req_t req) {
        Operations *operations = fuse_req_userdata(req);

        if (operations->rings && !pthread_getspecific(operations->prepared))
                operations_prepare_thread(operations);
        return operations;
}

/* Replies with what a domain call returned: 0 or -errno. */
static inline void reply_result(fuse_req_t req, int result) {
        fuse_reply_err(req, -result);
}

/* Opens the node of a request in the pool: a descriptor that the caller owns, or -errno. Takes the lock on names. */
int operations_open_node(const Operations *operations, fuse_ino_t id, int flags);

/*
 * The node, reached without opening it where a descriptor is kept of it, as of many directories: good until the request
 * is answered, O_PATH or better. Where none is kept, *owned is opened, which is the caller's. Or -errno.
 */
int operations_reach_node(const Operations *operations, fuse_ino_t id, int *owned);

/*
 * Opens what holds the region's contents: its source, or the node itself. A descriptor that the caller owns, or -errno:
 * -EACCES for writing to a source that may be read only.
 */
int operations_open_contents(const Operations *operations, fuse_ino_t id, int flags);

/* Who makes changes of the region's contents: NULL where clients have no way to them but the mount. */
Errands *operations_errands(const Operations *operations, fuse_ino_t id);

/* How long the kernel may believe that a name is there or missing, in seconds; and how long the attributes. */
double operations_name_timeout(const Operations *operations);
double operations_attribute_timeout(const Operations *operations, const struct stat *st);

/*
 * Counts a lookup of what ref (taken over) and st describe and fd is open on, and fills the entry. fd: -1 where it has
 * just been made.
 */
void operations_fill_entry(const Operations *operations, PoolRef *ref, int fd, const struct stat *st,
                           struct fuse_entry_param *entry);

/*
 * Looks up name in directory, whose node id is parent, counts the lookup and fills the entry. 0 or -errno. Takes the
 * lock on names: what is noted of a name is right when it is noted.
 */
int operations_look_up(const Operations *operations, int directory, fuse_ino_t parent, const char *name,
                       struct fuse_entry_param *entry);

/* Replies with the entry; its lookup is undone if the reply fails. */
void operations_reply_entry(fuse_req_t req, const struct fuse_entry_param *entry);

/*
 * A committed region whose end a client has moved by a write that was not seen here gets its missing memory, if there
 * is any: whether that was so. fd is open on the contents, O_PATH included, of which stat(2) says st. (The rules are
 * known of a region that has had a handle since the kernel knows it; of another one they are read when it gets one.)
 */
bool operations_fill_gap(const Operations *operations, fuse_ino_t id, int fd, const struct stat *st);

/* What clients see of the node that fd is open on, O_PATH included, after operations_fill_gap(). 0 or -errno. */
int operations_stat(const Operations *operations, fuse_ino_t id, int fd, struct stat *st);

/*
 * The rules of the region or directory that fd is open on: known, or read and noted while nobody changes them. 0 or
 * -errno.
 */
int operations_learn_policy(const Operations *operations, fuse_ino_t id, int fd, RegionPolicy *policy);

/*
 * Gives what has been made in a directory, and fd is open on, the rules that the directory has: *policy. 0 or -errno.
 */
int operations_inherit_policy(const Operations *operations, fuse_ino_t parent, int directory, int fd,
                              RegionPolicy *policy);

/* Notes a region's or directory's rules as the pool keeps them. While nobody changes them. */
void operations_note_policy(const Operations *operations, fuse_ino_t id, const RegionPolicy *policy);

/*
 * The region is about to lose its memory, or its owner: what is registered of it is given up as soon as no handle uses
 * it.
 */
void operations_lose_backing(const Operations *operations, fuse_ino_t id);

/* What the current request had lost in that way when its server died is given up. */
void operations_finish_losing(const Operations *operations);

/* Around registering a backing file, until what came of it is noted or given up. */
void operations_begin_backing(const Operations *operations);
void operations_end_backing(const Operations *operations);

/* Creates under the credentials of the request's client, with the umask that it has. 0 or -errno. */
int operations_assume_client(fuse_req_t req);
void operations_resume(fuse_req_t req);

/* Whether the client's change of contents takes the set-id bits off, which the daemon has to see to. */
bool operations_drops_setid(fuse_req_t req);

/* Does so, after it has changed the region's contents, which fd is open on. 0 or -errno. */
int operations_drop_setid(fuse_req_t req, fuse_ino_t id, int fd);

/* Whether the client is in that group. */
bool operations_in_group(fuse_req_t req, gid_t group);

/* Makes the region, which fd is open on, a persisted one, as the attribute "source" is written. 1 or -errno. */
int operations_set_source(fuse_req_t req, fuse_ino_t id, int fd, const char *value, size_t size);

/*
 * operations-intents.c: before a change. What a dead server has made of the same request is taken away.
 */
void operations_intend_making(const Operations *operations, int directory, const char *name);

/* The same for a link to what node is open on: whether a dead server has made it already. */
bool operations_intend_linking(const Operations *operations, int node, int directory, const char *name);

/*
 * fd is open on what the name means; for a rename, on what the names mean, or -1, and the name is the new one. It stays
 * the caller's. 0 or -errno.
 */
int operations_intend_removing(const Operations *operations, int fd, fuse_ino_t parent, const char *name);
int operations_intend_renaming(const Operations *operations, int from, int to, fuse_ino_t parent, const char *name);

/*
 * Whether a dead server has done it already: then *fd, or *moved and *target, are what the names have meant, O_PATH,
 * the caller's, or -1.
 */
bool operations_has_removed(const Operations *operations, int directory, const char *name, int *fd);
bool operations_has_renamed(const Operations *operations, int to, const char *new_name, int *moved, int *target);

/*
 * Adding an attribute that must not be there, or removing one; there: whether it is. Whether a dead server was about
 * to.
 */
bool operations_intend_adding(const Operations *operations, bool there);
bool operations_intend_stripping(const Operations *operations, bool there);

/* operations-names.c */
void operation_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void operation_forget(fuse_req_t req, fuse_ino_t id, uint64_t lookups);
void operation_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void operation_readlink(fuse_req_t req, fuse_ino_t id);
void operation_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device);
void operation_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void operation_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void operation_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char *name);
void operation_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void operation_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void operation_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
                      unsigned flags);

/* operations-open.c */
void operation_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *file);
void operation_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *file);
void operation_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void operation_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);

/* operations-data.c */
void operation_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file);
void operation_write(fuse_req_t req, fuse_ino_t id, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *file);
void operation_fsync(fuse_req_t req, fuse_ino_t id, int data_only, struct fuse_file_info *file);
void operation_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset, off_t length,
                         struct fuse_file_info *file);
void operation_lseek(fuse_req_t req, fuse_ino_t id, off_t offset, int whence, struct fuse_file_info *file);
void operation_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_offset, struct fuse_file_info *from_file,
                               fuse_ino_t to, off_t to_offset, struct fuse_file_info *to_file, size_t size, int flags);

/* operations-directories.c */
void operation_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void operation_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file);
void operation_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file);
void operation_releasedir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void operation_fsyncdir(fuse_req_t req, fuse_ino_t id, int data_only, struct fuse_file_info *file);

/* operations-attributes.c */
void operation_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void operation_statx(fuse_req_t req, fuse_ino_t id, int flags, int mask, struct fuse_file_info *file);
void operation_setattr(fuse_req_t req, fuse_ino_t id, struct stat *wanted, int which, struct fuse_file_info *file);
void operation_statfs(fuse_req_t req, fuse_ino_t id);

/* operations-xattrs.c */
void operation_setxattr(fuse_req_t req, fuse_ino_t id, const char *name, const char *value, size_t size, int flags);
void operation_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size);
void operation_listxattr(fuse_req_t req, fuse_ino_t id, size_t size);
void operation_removexattr(fuse_req_t req, fuse_ino_t id, const char *name);
