/* Operations on regionfs's own attributes; there are none on other file systems. */
#include "soak-client.h"

#include <regionfs/regionfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

static int set(Client *client, const char *path, const char *attribute, const char *value, int flags) {
        return timed(client, setxattr(path, attribute, value, strlen(value), flags));
}

/* To be left by the path of what is reached; NULL on a file system without rules. */
static char *reach_ruled(Client *client, const Node *node) {
        return node && client->mount->regionfs ? client_reach(client, node) : NULL;
}

static Node *pick_ruled(Client *client) {
        return client_chance(client, 80) ? client_pick_region(client) : client_pick_directory(client);
}

/* Of a region that nobody uses the rule begins with the next use: the server has to have heard of the last close. */
static bool is_unused(Client *client, const char *path) {
        char value[2];

        return timed(client, getxattr(path, REGIONFS_ATTRIBUTE_HANDLES, value, sizeof(value))) == 1 && *value == '0';
}

static void set_lifetime(Client *client) {
        Node *node = pick_ruled(client);
        g_autofree char *path = reach_ruled(client, node);
        bool ends = client_chance(client, 50);
        int result;

        if (!path)
                return;
        if (S_ISREG(node->mode) && ends && !node->users && !client_wait(is_unused(client, path), CLIENT_PATIENCE))
                client_complain(client, "%s has handles long after the last close", path);
        if (!ends && client_chance(client, 50))
                result = timed(client, removexattr(path, REGIONFS_ATTRIBUTE_LIFETIME));
        else
                result = set(client, path, REGIONFS_ATTRIBUTE_LIFETIME, ends ? "handles" : "kept", 0);
        if (client_expect(client, result, 0, "lifetime of %s", path))
                node->ends = ends;
}

static void set_allocation(Client *client) {
        Node *node = pick_ruled(client);
        g_autofree char *path = node && !node->sealed ? reach_ruled(client, node) : NULL;
        bool committed = client_chance(client, 50);
        int result;

        if (!path)
                return;
        if (!committed && client_chance(client, 50))
                result = timed(client, removexattr(path, REGIONFS_ATTRIBUTE_ALLOCATION));
        else
                result = set(client, path, REGIONFS_ATTRIBUTE_ALLOCATION, committed ? "committed" : "delayed", 0);
        if (!client_expect(client, result, 0, "allocation of %s", path))
                return;
        node->committed = committed;
        /* What is allocated counts as a modification. */
        if (committed)
                node->timed = false;
}

/* Refused as long as a close has not reached the server. */
static int try_seal(Client *client, const char *path) {
        int result = 0;

        client_wait((result = set(client, path, REGIONFS_ATTRIBUTE_SEALED, "1", 0)) == 0 || errno != EBUSY,
                    CLIENT_PATIENCE);
        return result;
}

static void seal(Client *client) {
        Node *node = client_pick_region(client);
        g_autofree char *path = reach_ruled(client, node);

        if (!path)
                return;
        if (client_chance(client, 20)) {
                client_expect(client, set(client, path, REGIONFS_ATTRIBUTE_SEALED, "0", 0), node->sealed ? EPERM : 0,
                              "unsealing %s", path);
        } else if (model_has_writers(&client->model, node)) {
                client_expect(client, set(client, path, REGIONFS_ATTRIBUTE_SEALED, "1", 0), EBUSY,
                              "sealing %s, which has writers", path);
        } else if (client_expect(client, try_seal(client, path), 0, "sealing %s", path)) {
                node->sealed = true;
        }
}

static void set_logical_length(Client *client) {
        Node *node = client_pick_region(client);
        g_autofree char *path = reach_ruled(client, node);
        char value[32];
        struct stat st;
        size_t size;

        if (!path)
                return;
        size = client_chance(client, 20) ? node->size :
                                           client_random(client, 0, MIN(node->size + 8192, MODEL_SIZE_MAX));
        snprintf(value, sizeof(value), "%zu", size);
        if (!client_expect(client, set(client, path, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, value, 0),
                           node->sealed && size != node->size ? EPERM : 0, "logical_length of %s to %zu", path, size))
                return;
        if (size != node->size)
                model_resize(node, size);
        /* Of one without a name the kernel learns it by being asked: regionfs(8), NOTES. */
        if (!node->names->len)
                client_expect(client, timed(client, stat(path, &st)), 0, "stat of %s", path);
}

static void set_wrongly(Client *client) {
        Node *node = client_pick_region(client);
        g_autofree char *path = reach_ruled(client, node);

        if (!path)
                return;
        client_expect(client, set(client, path, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "7 bytes", 0), EINVAL,
                      "a length of words");
        client_expect(client, set(client, path, REGIONFS_ATTRIBUTE_PREFIX "unknown", "1", 0), EINVAL,
                      "an unknown attribute");
        client_expect(client, set(client, path, REGIONFS_ATTRIBUTE_LIFETIME, "kept", XATTR_CREATE), EEXIST,
                      "a rule that is there");
        client_expect(client, set(client, path, REGIONFS_ATTRIBUTE_PAGE_SIZE, "1", 0), EPERM, "the size of pages");
}

const Operation rules_operations[] = {
        { "lifetime", 3, set_lifetime },
        { "allocation", 2, set_allocation },
        { "seal", 1, seal },
        { "logical length", 3, set_logical_length },
        { "wrong attributes", 1, set_wrongly },
        { .weight = 0 },
};
