/* Operations that make, move and remove names. */
#include "soak-client.h"

#include <stdio.h>

/* So many directories and other nodes at most. */
#define DIRECTORIES_MAX 12
#define OTHERS_MAX 60
#define DEPTH_MAX 4

/* Permissions that leave the owner what the soak needs. */
static mode_t pick_mode(Client *client, mode_t least) {
        return least | client_random(client, 0, 0100);
}

static bool is_full(const Client *client) {
        return client->model.others->len >= OTHERS_MAX;
}

static unsigned depth(const Node *directory) {
        unsigned levels = 0;

        for (; directory->names->len; levels++)
                directory = ((Name *)g_ptr_array_index(directory->names, 0))->directory;
        return levels;
}

static void make_node(Client *client) {
        static const mode_t types[] = { S_IFREG, S_IFREG, S_IFIFO, S_IFSOCK };
        mode_t mode = types[client_random(client, 0, G_N_ELEMENTS(types))] | pick_mode(client, 0600);
        Node *directory = client_pick_directory(client);
        const char *text = client_pick_text(client);
        g_autofree char *path = client_path(client, directory, text);
        int wanted = model_find(directory, text) ? EEXIST : 0;
        Node *node;

        if ((!wanted && is_full(client)) ||
            !client_expect(client, timed(client, mknod(path, mode, 0)), wanted, "mknod %s", path))
                return;
        node = model_add(&client->model, mode & ~027, directory);
        model_name(&client->model, directory, text, node);
        client_note_made(client, node, path);
}

static void make_directory(Client *client) {
        mode_t mode = pick_mode(client, 0700);
        Node *directory = client_pick_directory(client);
        const char *text = client_pick_text(client);
        g_autofree char *path = client_path(client, directory, text);
        int wanted = model_find(directory, text) ? EEXIST : 0;
        Node *node;

        if (!wanted && (client->model.directories->len >= DIRECTORIES_MAX || depth(directory) >= DEPTH_MAX))
                return;
        if (!client_expect(client, timed(client, mkdir(path, mode)), wanted, "mkdir %s", path))
                return;
        node = model_add(&client->model, S_IFDIR | (mode & ~027), directory);
        model_name(&client->model, directory, text, node);
        client_note_made(client, node, path);
}

static void make_link(Client *client) {
        Node *directory = client_pick_directory(client);
        const char *text = client_pick_text(client);
        g_autofree char *path = client_path(client, directory, text);
        g_autofree char *target = g_strdup_printf("../%s %u", client_pick_text(client), client_random(client, 0, 1000));
        int wanted = model_find(directory, text) ? EEXIST : 0;
        Node *node;

        if ((!wanted && is_full(client)) ||
            !client_expect(client, timed(client, symlink(target, path)), wanted, "symlink %s", path))
                return;
        node = model_add(&client->model, S_IFLNK | 0777, directory);
        node->target = g_steal_pointer(&target);
        model_name(&client->model, directory, text, node);
        client_note_made(client, node, path);
}

static void read_link(Client *client) {
        Node *directory = client_pick_directory(client);
        const char *text = client_pick_text(client);
        g_autofree char *path = client_path(client, directory, text);
        const Name *name = model_find(directory, text);
        int wanted = !name ? ENOENT : S_ISLNK(name->node->mode) ? 0 : EINVAL;
        char target[4096];
        ssize_t size = timed(client, readlink(path, target, sizeof(target) - 1));

        if (!client_expect(client, size, wanted, "readlink %s", path))
                return;
        target[size] = '\0';
        if (!g_str_equal(target, name->node->target))
                client_complain_change(client, "%s leads to '%s' instead of '%s'", path, target, name->node->target);
}

static void link_name(Client *client) {
        Node *from = client_pick_directory(client), *to = client_pick_directory(client);
        const char *old = client_pick_text(client), *text = client_pick_text(client);
        g_autofree char *old_path = client_path(client, from, old);
        g_autofree char *path = client_path(client, to, text);
        const Name *name = model_find(from, old);
        int wanted = !name ? ENOENT : model_find(to, text) ? EEXIST : S_ISDIR(name->node->mode) ? EPERM : 0;

        if (client_expect(client, timed(client, link(old_path, path)), wanted, "link %s to %s", old_path, path))
                model_name(&client->model, to, text, name->node);
}

static void remove_name(Client *client) {
        Node *directory = client_pick_directory(client);
        const char *text = client_pick_text(client);
        g_autofree char *path = client_path(client, directory, text);
        Name *name = model_find(directory, text);
        int wanted = !name ? ENOENT : S_ISDIR(name->node->mode) ? EISDIR : 0;

        if (client_expect(client, timed(client, unlink(path)), wanted, "unlink %s", path))
                model_unname(&client->model, name);
}

static void remove_directory(Client *client) {
        Node *directory = client_pick_directory(client);
        const char *text = client_pick_text(client);
        g_autofree char *path = client_path(client, directory, text);
        Name *name = model_find(directory, text);
        int wanted = !name                                        ? ENOENT :
                     !S_ISDIR(name->node->mode)                   ? ENOTDIR :
                     g_hash_table_size(name->node->children) != 0 ? ENOTEMPTY :
                                                                    0;

        if (wanted == 0 && name->node == client->model.working_directory)
                return;
        if (client_expect(client, timed(client, rmdir(path)), wanted, "rmdir %s", path))
                model_unname(&client->model, name);
}

/* The errno of a rename, in the order in which the kernel looks. */
static int judge_rename(const Name *from, const Node *directory, const Name *over, unsigned flags) {
        if (!from)
                return ENOENT;
        if (over && (flags & RENAME_NOREPLACE))
                return EEXIST;
        if (!over && (flags & RENAME_EXCHANGE))
                return ENOENT;
        if (S_ISDIR(from->node->mode) && model_is_inside(directory, from->node))
                return EINVAL;
        if (over && S_ISDIR(over->node->mode) && model_is_inside(from->directory, over->node))
                return flags & RENAME_EXCHANGE ? EINVAL : ENOTEMPTY;
        if (!over || (flags & RENAME_EXCHANGE) || from->node == over->node)
                return 0;
        if (S_ISDIR(from->node->mode) && !S_ISDIR(over->node->mode))
                return ENOTDIR;
        if (!S_ISDIR(from->node->mode) && S_ISDIR(over->node->mode))
                return EISDIR;
        return S_ISDIR(over->node->mode) && g_hash_table_size(over->node->children) ? ENOTEMPTY : 0;
}

static void rename_name(Client *client) {
        static const unsigned ways[] = { 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE };
        unsigned flags = ways[client_random(client, 0, G_N_ELEMENTS(ways))];
        Node *from = client_pick_directory(client), *to = client_pick_directory(client);
        const char *old = client_pick_text(client), *text = client_pick_text(client);
        g_autofree char *old_path = client_path(client, from, old);
        g_autofree char *path = client_path(client, to, text);
        Name *name = model_find(from, old), *over = model_find(to, text);
        int wanted = judge_rename(name, to, over, flags);

        if (over && wanted == 0 && flags == 0 && over->node == client->model.working_directory)
                return;
        if (!client_expect(client, timed(client, renameat2(AT_FDCWD, old_path, AT_FDCWD, path, flags)), wanted,
                           "rename %s to %s with flags %u", old_path, path, flags))
                return;
        if (over && over->node == name->node)
                return;
        if (over) {
                model_jumble(from);
                model_jumble(to);
        }
        if (flags & RENAME_EXCHANGE)
                return model_exchange(&client->model, name, over);
        if (over)
                model_unname(&client->model, over);
        model_rename(&client->model, name, to, text);
}

static void change_mode(Client *client) {
        Name *name = client_pick_name(client);
        g_autofree char *path = name && !S_ISLNK(name->node->mode) ? client_path_of(client, name) : NULL;
        mode_t mode;

        if (!path)
                return;
        mode = pick_mode(client, S_ISDIR(name->node->mode) ? 0700 : 0600);
        if (client_expect(client, timed(client, chmod(path, mode)), 0, "chmod %s", path))
                name->node->mode = (name->node->mode & S_IFMT) | mode;
}

const Operation names_operations[] = {
        { "mknod", 4, make_node },        { "mkdir", 4, make_directory },
        { "symlink", 2, make_link },      { "readlink", 2, read_link },
        { "link", 5, link_name },         { "unlink", 7, remove_name },
        { "rmdir", 3, remove_directory }, { "rename", 10, rename_name },
        { "chmod", 3, change_mode },      { .weight = 0 },
};
