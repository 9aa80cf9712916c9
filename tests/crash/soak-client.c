#include "soak-client.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* After so many complaints what the model says is no longer what was made. */
#define COMPLAINTS_MAX 10

/* How often everything is compared, in operations. */
#define CHECK_INTERVAL 1000

static const Operation *const tables[] = {
        names_operations, files_operations,       data_operations,  views_operations, attributes_operations,
        rules_operations, directories_operations, locks_operations, race_operations,  check_operations,
};

static uint64_t now(void) {
        struct timespec time;

        clock_gettime(CLOCK_MONOTONIC, &time);
        return time.tv_sec * UINT64_C(1000000000) + time.tv_nsec;
}

void client_call_begins(Client *client, const char *call) {
        client->own->call = call;
        client->own->since = now();
}

void client_call_ends(Client *client) {
        uint64_t took = now() - client->own->since;

        client->own->since = 0;
        client->own->calls++;
        if (took <= client->own->longest)
                return;
        client->own->longest = took;
        client->own->longest_call = client->own->call;
}

static G_GNUC_PRINTF(3, 0) void complain(Client *client, _Atomic uint64_t *count, const char *format, va_list list) {
        g_autofree char *text = g_strdup_vprintf(format, list);

        (*count)++;
        g_printerr("soak: seed %u, client %u, operation %" G_GUINT64_FORMAT " (%s): %s\n", client->seed, client->number,
                   (guint64)client->own->operations, client->operation, text);
        if (++client->complaints >= COMPLAINTS_MAX)
                client->board->stop = true;
}

void client_complain(Client *client, const char *format, ...) {
        va_list list;

        va_start(list, format);
        complain(client, &client->board->errors, format, list);
        va_end(list);
}

void client_complain_change(Client *client, const char *format, ...) {
        va_list list;

        va_start(list, format);
        complain(client, &client->board->changes, format, list);
        va_end(list);
}

bool client_expect(Client *client, int64_t result, int wanted, const char *format, ...) {
        int code = result < 0 ? errno : 0;
        g_autofree char *text = NULL;
        va_list list;

        if (code == wanted)
                return code == 0;
        va_start(list, format);
        text = g_strdup_vprintf(format, list);
        va_end(list);
        client_complain(client, "%s: %s instead of %s", text, code ? g_strerror(code) : "success",
                        wanted ? g_strerror(wanted) : "success");
        return false;
}

uint32_t client_random(Client *client, uint32_t low, uint32_t high) {
        return low + g_rand_int(client->random) % (high - low);
}

bool client_chance(Client *client, unsigned percent) {
        return client_random(client, 0, 100) < percent;
}

void client_fill(Client *client, char *data, size_t size) {
        uint64_t state = (uint64_t)g_rand_int(client->random) << 32 | g_rand_int(client->random) | 1;

        for (size_t i = 0; i < size; i++) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                data[i] = state;
        }
}

static void *pick(Client *client, const GPtrArray *array) {
        return array->len ? g_ptr_array_index(array, client_random(client, 0, array->len)) : NULL;
}

Node *client_pick_directory(Client *client) {
        return pick(client, client->model.directories);
}

/* Few, so that many are taken. */
const char *client_pick_text(Client *client) {
        static const char *const texts[] = {
                "a",
                "b",
                "c",
                "one",
                "two",
                "three",
                ".hidden",
                "with space",
                "größe",
                "0123456789",
                "-dash",
                "under_score",
                "a name that is longer than the others, and that does not fit into the inline names of the kernel's "
                "cache",
        };

        return texts[client_random(client, 0, G_N_ELEMENTS(texts))];
}

Name *client_pick_name(Client *client) {
        for (int i = 0; i < 8; i++) {
                Name *name = model_find(client_pick_directory(client), client_pick_text(client));

                if (name)
                        return name;
        }
        return NULL;
}

Node *client_pick_region(Client *client) {
        for (int i = 0; i < 8; i++) {
                Node *node = pick(client, client->model.others);

                if (node && S_ISREG(node->mode))
                        return node;
        }
        return NULL;
}

Handle *client_pick_handle(Client *client, bool writing) {
        for (int i = 0; i < 8; i++) {
                Handle *handle = pick(client, client->model.handles);

                if (handle && handle->fd >= 0 && (!writing || model_handle_writes(handle)))
                        return handle;
        }
        return NULL;
}

Handle *client_handle_of(Client *client, const Node *node, bool writing) {
        for (unsigned i = 0; i < client->model.handles->len; i++) {
                Handle *handle = g_ptr_array_index(client->model.handles, i);

                if (handle->node == node && handle->fd >= 0 && (!writing || model_handle_writes(handle)))
                        return handle;
        }
        return NULL;
}

char *client_path(Client *client, const Node *directory, const char *text) {
        g_autofree char *path = NULL;

        if (directory == client->model.working_directory)
                return g_strdup(text ? text : ".");
        path = model_path(directory, text);
        return g_build_filename(client->directory, path, NULL);
}

char *client_path_of(Client *client, const Name *name) {
        return client_path(client, name->directory, name->text);
}

char *client_reach(Client *client, const Node *node) {
        const Handle *handle = client_handle_of(client, node, false);

        if (S_ISDIR(node->mode))
                return client_path(client, node, NULL);
        if (node->names->len && (!handle || client_chance(client, 70)))
                return client_path_of(client, pick(client, node->names));
        return handle ? g_strdup_printf("/proc/self/fd/%d", handle->fd) : NULL;
}

void client_note_made(Client *client, Node *node, const char *path) {
        struct stat st;

        if (client_expect(client, timed(client, lstat(path, &st)), 0, "lstat of %s, just made", path))
                node->inode = st.st_ino;
}

static bool names_are_gone(Client *client, const Node *node) {
        for (unsigned i = 0; i < node->names->len; i++) {
                g_autofree char *path = client_path_of(client, g_ptr_array_index(node->names, i));
                struct stat st;

                if (timed(client, lstat(path, &st)) == 0 || errno != ENOENT)
                        return false;
        }
        return true;
}

/* What ends with its last user is gone within a second. */
static void end_unused(Client *client, Node *node) {
        if (!node->ends || node->users || !node->names->len)
                return;
        if (!client_wait(names_are_gone(client, node), 1000)) {
                g_autofree char *path = client_path_of(client, g_ptr_array_index(node->names, 0));

                client_complain_change(client, "%s is there a second after its last handle and view", path);
        }
        for (unsigned left = node->names->len; left > 0; left--)
                model_unname(&client->model, g_ptr_array_index(node->names, 0));
}

void client_closed(Client *client, Handle *handle) {
        Node *node = handle->node;
        bool named = node->names->len > 0;

        /* Without passthrough a view holds the handle that it was made from, and so its locks. */
        if (client->mount->passthrough)
                handle->whole_lock = handle->range_lock = F_UNLCK;
        model_closed(&client->model, handle);
        if (named)
                end_unused(client, node);
}

void client_unmapped(Client *client, View *view) {
        Node *node = view->handle->node;
        bool named = node->names->len > 0;

        model_unmapped(&client->model, view);
        if (named)
                end_unused(client, node);
}

static const Operation *pick_operation(Client *client) {
        unsigned total = 0, chosen;

        for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
                for (const Operation *operation = tables[i]; operation->weight; operation++)
                        total += operation->weight;
        chosen = client_random(client, 0, total);
        for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
                for (const Operation *operation = tables[i]; operation->weight; operation++) {
                        if (chosen < operation->weight)
                                return operation;
                        chosen -= operation->weight;
                }
        g_assert_not_reached();
}

/* Whatever is there, complaints or not. Regions of a read-only directory do not occur. */
static void remove_below(const char *path) {
        GDir *directory = g_dir_open(path, 0, NULL);
        const char *text;

        while (directory && (text = g_dir_read_name(directory))) {
                g_autofree char *inner = g_build_filename(path, text, NULL);

                if (unlink(inner) == 0 || errno == ENOENT)
                        continue;
                remove_below(inner);
                rmdir(inner);
        }
        if (directory)
                g_dir_close(directory);
}

void client_run(Client *client, uint64_t operations) {
        Board *board = client->board;

        umask(027);
        client->random = g_rand_new_with_seed_array((const guint32[]){ client->seed, client->number }, 2);
        model_init(&client->model);
        client->operation = "start";
        if (client_expect(client, timed(client, mkdir(client->directory, 0777)), 0, "mkdir %s", client->directory))
                client_note_made(client, client->model.root, client->directory);
        client->model.root->mode = S_IFDIR | 0750;
        while (!board->stop && (client->own->operations < operations || board->killing)) {
                const Operation *operation = pick_operation(client);
                uint64_t calls = client->own->calls;

                client->operation = operation->name;
                operation->run(client);
                /* There may have been nothing to do it with. */
                if (client->own->calls == calls)
                        continue;
                if (++client->own->operations % CHECK_INTERVAL == 0)
                        check_all(client);
        }
        client->operation = "end";
        if (!board->stop)
                check_all(client);
        if (chdir("/") < 0)
                g_error("chdir: %s", g_strerror(errno));
        /* Ends handles and views, too: the process is about to. */
        remove_below(client->directory);
        if (rmdir(client->directory) < 0)
                client_complain(client, "cannot remove %s: %s", client->directory, g_strerror(errno));
        model_clear(&client->model);
        g_rand_free(client->random);
}
