/* Operations that open, close and make regions by opening them. */
#include "soak-client.h"

/* So many handles at most. */
#define HANDLES_MAX 40

static int pick_flags(Client *client) {
        static const int access_modes[] = { O_RDWR, O_RDWR, O_RDONLY, O_WRONLY };
        int flags = access_modes[client_random(client, 0, G_N_ELEMENTS(access_modes))];

        if (flags != O_RDONLY && client_chance(client, 20))
                flags |= O_APPEND;
        return flags | O_NOFOLLOW | O_CLOEXEC;
}

/* A handle on a region that was just made. */
static void add_made(Client *client, Node *node, int fd, int flags) {
        struct stat st;

        model_open(&client->model, node, fd, flags);
        if (client_expect(client, timed(client, fstat(fd, &st)), 0, "fstat of what was just made"))
                node->inode = st.st_ino;
}

/* Of opening what is there. */
static int judge_open(const Node *node, int flags) {
        if ((flags & O_CREAT) && (flags & O_EXCL))
                return EEXIST;
        if (S_ISLNK(node->mode))
                return ELOOP;
        if (S_ISDIR(node->mode))
                return EISDIR;
        return node->sealed && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC)) ? EPERM : 0;
}

static void open_name(Client *client, int flags) {
        Node *directory = client_pick_directory(client);
        const char *text = client_pick_text(client);
        g_autofree char *path = client_path(client, directory, text);
        const Name *name = model_find(directory, text);
        Node *node = name ? name->node : NULL;
        mode_t mode = S_IFREG | 0600 | client_random(client, 0, 0100);
        int wanted, fd;

        /* Nobody at the other end; and a directory can be opened for reading. */
        if (node && !S_ISREG(node->mode) && !S_ISLNK(node->mode) && !(S_ISDIR(node->mode) && (flags & O_CREAT)))
                return;
        wanted = node ? judge_open(node, flags) : flags & O_CREAT ? 0 : ENOENT;
        if (wanted == 0 && client->model.handles->len >= HANDLES_MAX)
                return;
        fd = timed(client, open(path, flags, mode & 0777));
        if (!client_expect(client, fd, wanted, "open %s with flags %#x", path, flags))
                return;
        if (!node) {
                node = model_add(&client->model, mode & ~027, directory);
                model_name(&client->model, directory, text, node);
                add_made(client, node, fd, flags);
                return;
        }
        model_open(&client->model, node, fd, flags);
        if (flags & O_TRUNC)
                model_resize(node, 0);
}

static void create(Client *client) {
        open_name(client, pick_flags(client) | O_CREAT | O_EXCL);
}

static void open_or_create(Client *client) {
        open_name(client, pick_flags(client) | O_CREAT);
}

static void open_existing(Client *client) {
        int flags = pick_flags(client);

        if ((flags & O_ACCMODE) != O_RDONLY && client_chance(client, 10))
                flags |= O_TRUNC;
        open_name(client, flags);
}

static void make_nameless(Client *client) {
        Node *directory = client_pick_directory(client);
        g_autofree char *path = client_path(client, directory, NULL);
        bool linkable = client_chance(client, 80);
        int flags = O_RDWR | O_TMPFILE | O_CLOEXEC | (linkable ? 0 : O_EXCL);
        mode_t mode = S_IFREG | 0600 | client_random(client, 0, 0100);
        Node *node;
        int fd;

        if (client->model.handles->len >= HANDLES_MAX)
                return;
        fd = timed(client, open(path, flags, mode & 0777));
        if (!client_expect(client, fd, 0, "O_TMPFILE in %s", path))
                return;
        node = model_add(&client->model, mode & ~027, directory);
        node->nameless = true;
        node->linkable = linkable;
        add_made(client, node, fd, flags);
}

/* Gives what an O_TMPFILE has made a name; what has lost its last one cannot have another. */
static void link_handle(Client *client) {
        Handle *handle = client_pick_handle(client, false);
        g_autofree char *from = handle ? g_strdup_printf("/proc/self/fd/%d", handle->fd) : NULL;
        Node *directory = client_pick_directory(client);
        const char *text = client_pick_text(client);
        g_autofree char *path = client_path(client, directory, text);
        int wanted;

        if (!handle)
                return;
        wanted = model_find(directory, text)                          ? EEXIST :
                 !handle->node->names->len && !handle->node->linkable ? ENOENT :
                                                                        0;
        if (!client_expect(client, timed(client, linkat(AT_FDCWD, from, AT_FDCWD, path, AT_SYMLINK_FOLLOW)), wanted,
                           "linkat of a handle to %s", path))
                return;
        model_name(&client->model, directory, text, handle->node);
        handle->node->linkable = false;
}

static void close_handle(Client *client) {
        Handle *handle = client_pick_handle(client, false);

        if (!handle)
                return;
        client_expect(client, timed(client, close(handle->fd)), 0, "close");
        client_closed(client, handle);
}

const Operation files_operations[] = {
        { "create", 8, create },
        { "open or create", 4, open_or_create },
        { "open", 8, open_existing },
        { "tmpfile", 2, make_nameless },
        { "link handle", 3, link_handle },
        { "close", 12, close_handle },
        { .weight = 0 },
};
