/* Comparing what is there with the model. */
#include "soak-client.h"

#include <regionfs/regionfs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

static void check_stat(Client *client, const Node *node, const struct stat *st, const char *path) {
        nlink_t links = S_ISDIR(node->mode) ? 2 : node->names->len;
        GHashTableIter iter;
        Name *name;

        if (S_ISDIR(node->mode)) {
                g_hash_table_iter_init(&iter, node->children);
                while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&name))
                        links += S_ISDIR(name->node->mode);
        }
        if (st->st_mode != node->mode)
                client_complain_change(client, "%s has mode %#o instead of %#o", path, st->st_mode, node->mode);
        if (st->st_ino != node->inode)
                client_complain_change(client, "%s is another file", path);
        if (st->st_nlink != links)
                client_complain_change(client, "%s has %lu links instead of %lu", path, (unsigned long)st->st_nlink,
                                       (unsigned long)links);
        if (st->st_uid != geteuid() || st->st_gid != getegid())
                client_complain_change(client, "%s belongs to %u:%u", path, st->st_uid, st->st_gid);
        if (S_ISREG(node->mode) && (size_t)st->st_size != node->size)
                client_complain_change(client, "%s has %ld bytes instead of %zu", path, (long)st->st_size, node->size);
        if (node->timed &&
            (st->st_mtim.tv_sec != node->modified.tv_sec || st->st_mtim.tv_nsec != node->modified.tv_nsec))
                client_complain_change(client, "%s was modified at %ld.%09ld instead of %ld.%09ld", path,
                                       (long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (long)node->modified.tv_sec,
                                       node->modified.tv_nsec);
}

static void check_contents(Client *client, const Node *node, int fd, const char *path) {
        g_autofree char *buffer = g_malloc(node->size + 1);
        ssize_t size = timed(client, pread(fd, buffer, node->size + 1, 0));

        if (!client_expect(client, size, 0, "reading %s", path))
                return;
        if ((size_t)size != node->size) {
                client_complain_change(client, "%s reads as %zd bytes instead of %zu", path, size, node->size);
                return;
        }
        for (size_t i = 0; i < node->size; i++)
                if (buffer[i] != node->data[i]) {
                        client_complain_change(client, "%s differs at byte %zu of %zu", path, i, node->size);
                        return;
                }
}

/* An attribute as text, empty where there is none. */
static void get(Client *client, const char *path, const char *attribute, char value[64]) {
        ssize_t size = timed(client, getxattr(path, attribute, value, 63));

        value[size < 0 ? 0 : size] = '\0';
}

static void check_number(Client *client, const char *path, const char *attribute, uint64_t wanted) {
        char value[64];

        get(client, path, attribute, value);
        if (!*value || strtoull(value, NULL, 10) != wanted)
                client_complain_change(client, "%s of %s is '%s' instead of %" G_GUINT64_FORMAT, attribute, path, value,
                                       (guint64)wanted);
}

static void check_text(Client *client, const char *path, const char *attribute, const char *wanted) {
        char value[64];

        get(client, path, attribute, value);
        if (!g_str_equal(value, wanted))
                client_complain_change(client, "%s of %s is '%s' instead of '%s'", attribute, path, value, wanted);
}

static unsigned count_handles(const Client *client, const Node *node) {
        unsigned handles = 0;

        for (unsigned i = 0; i < client->model.handles->len; i++) {
                const Handle *handle = g_ptr_array_index(client->model.handles, i);

                if (handle->node == node && (handle->fd >= 0 || !client->mount->passthrough))
                        handles++;
        }
        return handles;
}

static bool has_handles(Client *client, const char *path, unsigned handles) {
        char value[64];

        get(client, path, REGIONFS_ATTRIBUTE_HANDLES, value);
        return *value && strtoul(value, NULL, 10) == handles;
}

/* What ends with its last handle is not to be opened for comparing, unless someone has it open. */
static bool can_be_opened(const Node *node) {
        return !node->ends || node->users;
}

static void check_own_attributes(Client *client, const Node *node, const char *path) {
        uint64_t padded = (node->size + 4095) / 4096 * 4096;
        char value[64];

        check_text(client, path, REGIONFS_ATTRIBUTE_LIFETIME, node->ends ? "handles" : "kept");
        check_text(client, path, REGIONFS_ATTRIBUTE_ALLOCATION, node->committed ? "committed" : "delayed");
        if (!S_ISREG(node->mode))
                return;
        check_number(client, path, REGIONFS_ATTRIBUTE_SEALED, node->sealed);
        check_number(client, path, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, node->size);
        check_number(client, path, REGIONFS_ATTRIBUTE_PADDED_LENGTH, padded);
        check_number(client, path, REGIONFS_ATTRIBUTE_ID, node->inode);
        get(client, path, REGIONFS_ATTRIBUTE_RESIDENT, value);
        /* A gap that was left before what was written is filled with the next open. */
        if (node->committed && can_be_opened(node) && strtoull(value, NULL, 10) < padded)
                client_complain_change(client, "%s, committed, holds %s of %" G_GUINT64_FORMAT " bytes", path, value,
                                       (guint64)padded);
        if (!client_wait(has_handles(client, path, count_handles(client, node)), CLIENT_PATIENCE))
                client_complain_change(client, "%s does not have %u handles", path, count_handles(client, node));
}

static void check_attributes(Client *client, const Node *node, const char *path) {
        char list[4096], value[4096];
        ssize_t size = timed(client, listxattr(path, list, sizeof(list)));
        unsigned found = 0, own = 0;

        client_expect(client, size, 0, "listxattr of %s", path);
        for (const char *name = list; name < list + size; name += strlen(name) + 1) {
                GBytes *bytes = g_hash_table_lookup(node->attributes, name);
                ssize_t got;

                own += g_str_has_prefix(name, REGIONFS_ATTRIBUTE_PREFIX);
                if (!g_str_has_prefix(name, "user.") || g_str_has_prefix(name, REGIONFS_ATTRIBUTE_PREFIX))
                        continue;
                found++;
                got = timed(client, getxattr(path, name, value, sizeof(value)));
                if (!bytes || got != (ssize_t)g_bytes_get_size(bytes) ||
                    memcmp(value, got ? g_bytes_get_data(bytes, NULL) : "", got) != 0)
                        client_complain_change(client, "%s of %s is not what was set", name, path);
        }
        if (found != g_hash_table_size(node->attributes))
                client_complain_change(client, "%s has %u attributes instead of %u", path, found,
                                       g_hash_table_size(node->attributes));
        if (client->mount->regionfs && own != (S_ISREG(node->mode) ? 3 : 0))
                client_complain_change(client, "%s lists %u attributes of its own", path, own);
        if (client->mount->regionfs)
                check_own_attributes(client, node, path);
}

static void check_region(Client *client, const Node *node, const char *path) {
        const Handle *handle = client_handle_of(client, node, false);
        int fd = handle ? handle->fd : -1;

        if (handle && (handle->flags & O_ACCMODE) != O_WRONLY)
                check_contents(client, node, fd, path);
        if (!can_be_opened(node))
                return;
        /* Not more users than a moment ago: what is opened here has come and gone in the model's eyes. */
        fd = timed(client, open(path, O_RDONLY | O_CLOEXEC));
        if (!client_expect(client, fd, 0, "opening %s to compare it", path))
                return;
        check_contents(client, node, fd, path);
        client_expect(client, timed(client, close(fd)), 0, "close");
}

static void check_by_path(Client *client, const Node *node, const char *path) {
        struct stat st;

        if (S_ISREG(node->mode))
                check_region(client, node, path);
        if (!client_expect(client, timed(client, stat(path, &st)), 0, "stat of %s", path))
                return;
        check_stat(client, node, &st, path);
        if (S_ISREG(node->mode) || S_ISDIR(node->mode))
                check_attributes(client, node, path);
}

static void check_name(Client *client, const Name *name) {
        g_autofree char *path = client_path_of(client, name);
        struct stat st;

        if (client_expect(client, timed(client, lstat(path, &st)), 0, "lstat of %s", path))
                check_stat(client, name->node, &st, path);
}

void check_node(Client *client, Node *node) {
        g_autofree char *path = S_ISLNK(node->mode) ? NULL : client_reach(client, node);

        for (unsigned i = 0; i < node->names->len; i++)
                check_name(client, g_ptr_array_index(node->names, i));
        for (unsigned i = 0; i < client->model.views->len; i++) {
                const View *view = g_ptr_array_index(client->model.views, i);

                if (view->handle->node == node &&
                    timed(client, memcmp(view->address, node->data, MIN(view->length, node->size))) != 0)
                        client_complain_change(client, "a view of %s has other bytes",
                                               path ? path : "a nameless region");
        }
        if (path)
                check_by_path(client, node, path);
}

static void check_one(Client *client) {
        Node *node = client_chance(client, 80) ? client_pick_region(client) : client_pick_directory(client);

        if (node)
                check_node(client, node);
}

static void check_missing(Client *client) {
        Node *directory = client_pick_directory(client);
        const char *text = client_pick_text(client);
        g_autofree char *path = client_path(client, directory, text);
        struct stat st;

        client_expect(client, timed(client, lstat(path, &st)), model_find(directory, text) ? 0 : ENOENT, "lstat of %s",
                      path);
}

void check_all(Client *client) {
        for (unsigned i = 0; i < client->model.directories->len; i++) {
                check_node(client, g_ptr_array_index(client->model.directories, i));
                check_listing(client, g_ptr_array_index(client->model.directories, i));
        }
        for (unsigned i = 0; i < client->model.others->len; i++)
                check_node(client, g_ptr_array_index(client->model.others, i));
}

const Operation check_operations[] = {
        { "compare", 6, check_one },
        { "stat", 8, check_missing },
        { .weight = 0 },
};
