/* Operations on extended attributes that are kept as they are, and on times. */
#include "soak-client.h"

#include <string.h>
#include <sys/xattr.h>

/* All attributes of a file together fit into a block, as some file systems want. */
#define VALUE_MAX 700

static const char *pick_attribute(Client *client) {
        static const char *const names[] = { "user.a", "user.b", "user.soak.one", "user.soak.two", "user.soak.three" };

        return names[client_random(client, 0, G_N_ELEMENTS(names))];
}

static Node *pick_bearer(Client *client) {
        return client_chance(client, 70) ? client_pick_region(client) : client_pick_directory(client);
}

static void set_attribute(Client *client) {
        static const int ways[] = { 0, XATTR_CREATE, XATTR_REPLACE };
        int flags = ways[client_random(client, 0, G_N_ELEMENTS(ways))], wanted;
        const char *name = pick_attribute(client);
        Node *node = pick_bearer(client);
        g_autofree char *path = node ? client_reach(client, node) : NULL;
        g_autofree char *value = NULL;
        size_t size;
        bool there;

        if (!path)
                return;
        size = client_random(client, 0, client_chance(client, 10) ? VALUE_MAX : 100);
        value = g_malloc(size + 1);
        client_fill(client, value, size);
        there = g_hash_table_contains(node->attributes, name);
        wanted = there && flags == XATTR_CREATE ? EEXIST : !there && flags == XATTR_REPLACE ? ENODATA : 0;
        if (client_expect(client, timed(client, setxattr(path, name, value, size, flags)), wanted,
                          "setxattr %s of %s with flags %d", name, path, flags))
                g_hash_table_replace(node->attributes, g_strdup(name), g_bytes_new(value, size));
}

static void get_attribute(Client *client) {
        const char *name = pick_attribute(client);
        Node *node = pick_bearer(client);
        g_autofree char *path = node ? client_reach(client, node) : NULL;
        char value[VALUE_MAX];
        gsize room, size = 0;
        const char *kept;
        GBytes *bytes;
        ssize_t result;

        if (!path)
                return;
        bytes = g_hash_table_lookup(node->attributes, name);
        kept = bytes ? g_bytes_get_data(bytes, &size) : NULL;
        room = client_chance(client, 80) ? sizeof(value) : client_random(client, 0, 200);
        result = timed(client, getxattr(path, name, value, room));
        if (!client_expect(client, result,
                           !bytes              ? ENODATA :
                           room && room < size ? ERANGE :
                                                 0,
                           "getxattr %s of %s into %zu bytes", name, path, room))
                return;
        if ((size_t)result != size || (room && memcmp(value, kept ? kept : "", size) != 0))
                client_complain_change(client, "%s of %s has another value", name, path);
}

static void remove_attribute(Client *client) {
        const char *name = pick_attribute(client);
        Node *node = pick_bearer(client);
        g_autofree char *path = node ? client_reach(client, node) : NULL;

        if (path && client_expect(client, timed(client, removexattr(path, name)),
                                  g_hash_table_contains(node->attributes, name) ? 0 : ENODATA, "removexattr %s of %s",
                                  name, path))
                g_hash_table_remove(node->attributes, name);
}

/* The time is known for certain where nothing that a view has stored is written back later, and no gap is filled. */
static void set_times(Client *client) {
        Node *node = client_pick_region(client);
        g_autofree char *path = node ? client_reach(client, node) : NULL;
        struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = 0 } };

        if (!path)
                return;
        times[1].tv_sec = client_random(client, 0, G_MAXINT32);
        times[1].tv_nsec = client_random(client, 0, 1000000000);
        if (!client_expect(client, timed(client, utimensat(AT_FDCWD, path, times, 0)), 0, "utimensat of %s", path))
                return;
        node->timed = !node->stored && !node->committed;
        node->modified = times[1];
}

const Operation attributes_operations[] = {
        { "setxattr", 6, set_attribute },
        { "getxattr", 4, get_attribute },
        { "removexattr", 3, remove_attribute },
        { "utimensat", 2, set_times },
        { .weight = 0 },
};
