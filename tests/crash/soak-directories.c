/* Operations that read directories in pieces, and go into them. */
#include "soak-client.h"

#include <dirent.h>

#define STREAMS_MAX 6

/* Takes an entry or two. */
#define PIECE_MIN 200
#define PIECE_MAX 600

static void open_stream(Client *client) {
        Node *directory = client_pick_directory(client);
        g_autofree char *path = client_path(client, directory, NULL);
        int fd;

        if (client->model.streams->len >= STREAMS_MAX)
                return;
        fd = timed(client, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (client_expect(client, fd, 0, "opening directory %s", path))
                model_stream(&client->model, directory, fd);
}

static bool is_same(const struct dirent64 *entry, const Node *node) {
        return (mode_t)DTTOIF(entry->d_type) == (node->mode & S_IFMT) && entry->d_ino == node->inode;
}

static void note_entry(Client *client, Stream *stream, const struct dirent64 *entry) {
        const Name *name = model_find(stream->directory, entry->d_name);
        bool stable = g_hash_table_contains(stream->stable, entry->d_name);

        if (!stable && !g_hash_table_contains(stream->passing, entry->d_name))
                client_complain_change(client, "a directory lists %s, which is not there", entry->d_name);
        if (stable && !g_hash_table_add(stream->seen, g_strdup(entry->d_name)) && !stream->unsteady)
                client_complain_change(client, "a directory lists %s again", entry->d_name);
        if (stable && name && !is_same(entry, name->node))
                client_complain_change(client, "a directory lists %s as something else", entry->d_name);
}

static void end_stream(Client *client, Stream *stream) {
        GHashTableIter iter;
        gpointer text;

        g_hash_table_iter_init(&iter, stream->stable);
        while (g_hash_table_iter_next(&iter, &text, NULL))
                if (!stream->unsteady && !g_hash_table_contains(stream->seen, text))
                        client_complain_change(client, "a directory does not list %s, which is there", (char *)text);
        model_end_stream(&client->model, stream);
}

/* False at the end. */
static bool read_piece(Client *client, Stream *stream) {
        char piece[PIECE_MAX] __attribute__((aligned(8)));
        ssize_t size = timed(client, getdents64(stream->fd, piece, client_random(client, PIECE_MIN, PIECE_MAX + 1)));

        if (!client_expect(client, size, 0, "getdents"))
                size = 0;
        for (ssize_t at = 0; at < size;) {
                const struct dirent64 *entry = (const struct dirent64 *)(piece + at);

                note_entry(client, stream, entry);
                at += entry->d_reclen;
        }
        return size > 0;
}

static Stream *pick_stream(Client *client) {
        const GPtrArray *streams = client->model.streams;

        return streams->len ? g_ptr_array_index(streams, client_random(client, 0, streams->len)) : NULL;
}

static void read_stream(Client *client) {
        Stream *stream = pick_stream(client);

        if (stream && !read_piece(client, stream))
                end_stream(client, stream);
}

static void rewind_stream(Client *client) {
        Stream *stream = pick_stream(client);

        if (stream && client_expect(client, timed(client, lseek(stream->fd, 0, SEEK_SET)), 0, "rewinding a directory"))
                model_rewind(stream);
}

void check_listing(Client *client, Node *directory) {
        g_autofree char *path = client_path(client, directory, NULL);
        int fd = timed(client, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        Stream *stream;

        if (!client_expect(client, fd, 0, "opening directory %s", path))
                return;
        stream = model_stream(&client->model, directory, fd);
        while (read_piece(client, stream))
                ;
        end_stream(client, stream);
}

static void read_whole(Client *client) {
        check_listing(client, client_pick_directory(client));
}

static void enter(Client *client) {
        Node *directory = client_pick_directory(client);
        g_autofree char *path = client_path(client, directory, NULL);

        if (client_expect(client, timed(client, chdir(path)), 0, "chdir to %s", path))
                client->model.working_directory = directory;
}

/* A directory that is gone can be the working directory, but nothing can be made in it. */
static void enter_removed(Client *client) {
        g_autofree char *path = g_build_filename(client->directory, "left behind", NULL);
        struct stat st;

        client_expect(client, timed(client, mkdir(path, 0700)), 0, "mkdir %s", path);
        client_expect(client, timed(client, chdir(path)), 0, "chdir to %s", path);
        client_expect(client, timed(client, rmdir(path)), 0, "rmdir %s", path);
        client_expect(client, timed(client, mkdir("inside", 0700)), ENOENT, "mkdir in a removed directory");
        client_expect(client, timed(client, lstat("inside", &st)), ENOENT, "lstat in a removed directory");
        client_expect(client, timed(client, stat(".", &st)), 0, "stat of a removed directory");
        client_expect(client, timed(client, chdir(client->directory)), 0, "chdir to %s", client->directory);
        client->model.working_directory = client->model.root;
        /* Who reads the directory may have met it. */
        for (unsigned i = 0; i < client->model.streams->len; i++) {
                Stream *stream = g_ptr_array_index(client->model.streams, i);

                if (stream->directory == client->model.root)
                        g_hash_table_add(stream->passing, g_strdup("left behind"));
        }
}

const Operation directories_operations[] = {
        { "opendir", 2, open_stream },
        { "read a piece", 8, read_stream },
        { "rewinddir", 1, rewind_stream },
        { "read a directory", 2, read_whole },
        { "chdir", 2, enter },
        { "chdir and rmdir", 1, enter_removed },
        { .weight = 0 },
};
