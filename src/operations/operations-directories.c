/* Operations that read directories. */
#include "operations/operations-common.h"


void operation_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
        const Operations *operations = operations_of(req);
        auto_descriptor fd = operations_open_node(operations, id, O_RDONLY | O_DIRECTORY);
        int result = fd < 0 ? fd : descriptor_may_be_kept(fd, DESCRIPTOR_OF_HANDLE);

        if (result < 0)
                return reply_result(req, result);
        file->fh = handles_keep_directory(operations->handles, descriptor_steal(&fd));
        if (fuse_reply_open(req, file) < 0)
                handles_drop_directory(operations->handles, file->fh);
}

void operation_releasedir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
        handles_drop_directory(operations_of(req)->handles, file->fh);
        fuse_reply_err(req, 0);
}

void operation_fsyncdir(fuse_req_t req, fuse_ino_t id, int data_only, struct fuse_file_info *file) {
        Directory *directory;
        int fd, result = handles_directory(operations_of(req)->handles, file->fh, &directory);

        if (result < 0)
                return reply_result(req, result);
        fd = directory_fd(directory);
        reply_result(req, (data_only ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0);
}

/* A reply that is being filled with entries. */
typedef struct Listing {
        fuse_req_t req;
        const Operations *operations;
        Directory *directory;
        fuse_ino_t id;   /* of the directory */
        bool plus;       /* entries come with their nodes */
        GArray *lookups; /* node ids that were counted for this reply */
        char *data;
        size_t size, used;
} Listing;

/* What describes an entry without its node: enough for readdir(3), and for the entries "." and "..". */
static void describe_plain(const DirectoryEntry *found, struct fuse_entry_param *entry) {
        *entry = (struct fuse_entry_param){ .attr = { .st_ino = found->inode, .st_mode = found->type } };
}

/* 0, or -ENOENT for an entry that went away after it was read. */
static int describe(Listing *listing, const DirectoryEntry *found, struct fuse_entry_param *entry) {
        int result;

        describe_plain(found, entry);
        if (!listing->plus || g_str_equal(found->name, ".") || g_str_equal(found->name, ".."))
                return 0;
        result = operations_look_up(listing->operations, directory_fd(listing->directory), listing->id, found->name,
                                    entry);
        return result == -ENOENT ? result : 0;
}

/* Whether the entry found room. */
static bool add(Listing *listing, const DirectoryEntry *found, const struct fuse_entry_param *entry) {
        char *room = listing->data + listing->used;
        size_t left = listing->size - listing->used;
        size_t needed = listing->plus ?
                                fuse_add_direntry_plus(listing->req, room, left, found->name, entry, found->next) :
                                fuse_add_direntry(listing->req, room, left, found->name, &entry->attr, found->next);

        if (needed > left)
                return false;
        listing->used += needed;
        return true;
}

/*
 * The kernel asks for the beginning of a directory with the nodes of all entries, before it can know that its reader
 * wants more than names. It goes on asking so where that one looks at a first few.
 */
#define FIRST_LOOKUPS 16

/* Fills the reply from position on; 0 or -errno if not even one entry could be read. */
static int fill(Listing *listing, uint64_t position) {
        guint most = position == 0 ? FIRST_LOOKUPS : LEDGER_LOOKUPS;

        for (;;) {
                struct fuse_entry_param entry;
                DirectoryEntry found;
                int result = directory_read(listing->directory, position, &found);

                if (result <= 0)
                        return listing->used ? 0 : result;
                /* The rest comes with the next request. */
                if (listing->lookups->len == most)
                        return 0;
                if (describe(listing, &found, &entry) == 0) {
                        if (!add(listing, &found, &entry)) {
                                if (entry.ino)
                                        registry_forget(listing->operations->registry, entry.ino, 1);
                                return 0;
                        }
                        if (entry.ino)
                                g_array_append_val(listing->lookups, entry.ino);
                }
                position = found.next;
                directory_advance(listing->directory, &found);
        }
}

static void list(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file, bool plus) {
        g_autoptr(GArray) lookups = g_array_new(FALSE, FALSE, sizeof(fuse_ino_t));
        g_autofree char *data = g_malloc(size);
        Listing listing = {
                .req = req,
                .operations = operations_of(req),
                .id = id,
                .plus = plus,
                .lookups = lookups,
                .data = data,
                .size = size,
        };
        int result = handles_directory(listing.operations->handles, file->fh, &listing.directory);

        if (result < 0)
                return reply_result(req, result);
        directory_lock(listing.directory);
        result = fill(&listing, offset);
        directory_unlock(listing.directory);
        if (result < 0)
                return reply_result(req, result);
        if (fuse_reply_buf(req, data, listing.used) < 0)
                for (guint i = 0; i < lookups->len; i++)
                        registry_forget(listing.operations->registry, g_array_index(lookups, fuse_ino_t, i), 1);
}

void operation_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file) {
        list(req, id, size, offset, file, false);
}

void operation_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file) {
        list(req, id, size, offset, file, true);
}
