/* Operations on views (mappings) of regions. */
#include "soak-client.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* So many at most. */
#define VIEWS_MAX 20

static View *pick_view(Client *client, bool writing) {
        const GPtrArray *views = client->model.views;

        for (int i = 0; views->len && i < 8; i++) {
                View *view = g_ptr_array_index(views, client_random(client, 0, views->len));

                if (!writing || view->writable)
                        return view;
        }
        return NULL;
}

static void map(Client *client) {
        Handle *handle = client_pick_handle(client, client_chance(client, 50));
        size_t length;
        char *address;
        bool writable;

        if (!handle || (handle->flags & O_ACCMODE) == O_WRONLY || client->model.views->len >= VIEWS_MAX)
                return;
        writable = model_handle_writes(handle);
        length = MAX(handle->node->size, 1) + client_random(client, 0, 8192);
        address = timed(client, mmap(NULL, length, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, handle->fd, 0));
        if (client_expect(client, address == MAP_FAILED ? -1 : 0, 0, "mmap of %zu bytes", length))
                model_map(&client->model, handle, address, length, writable);
}

/* The part of a view that can be touched, at random; false where there is none. */
static bool pick_part(Client *client, const View *view, size_t *offset, size_t *size) {
        size_t there = MIN(view->length, view->handle->node->size);

        if (there == 0)
                return false;
        *offset = client_random(client, 0, there);
        *size = client_random(client, 1, 10000);
        *size = MIN(*size, there - *offset);
        return true;
}

static void compare(Client *client) {
        View *view = pick_view(client, false);
        size_t offset, size;

        if (view && pick_part(client, view, &offset, &size) &&
            timed(client, memcmp(view->address + offset, view->handle->node->data + offset, size)) != 0)
                client_complain_change(client, "a view has other bytes from %zu, %zu of them", offset, size);
}

static void store(Client *client) {
        View *view = pick_view(client, true);
        size_t offset, size;
        Node *node;

        if (!view || !pick_part(client, view, &offset, &size))
                return;
        node = view->handle->node;
        client_fill(client, node->data + offset, size);
        timed(client, memcpy(view->address + offset, node->data + offset, size));
        node->stored = true;
        node->timed = false;
}

/* By a process that has inherited the view, which ends with it. */
static void store_inherited(Client *client) {
        View *view = pick_view(client, true);
        size_t offset, size;
        int status = 0;
        pid_t process;
        Node *node;

        if (!view || !pick_part(client, view, &offset, &size))
                return;
        node = view->handle->node;
        client_fill(client, node->data + offset, size);
        node->stored = true;
        node->timed = false;
        process = fork();
        if (process == 0) {
                memcpy(view->address + offset, node->data + offset, size);
                _exit(0);
        }
        if (waitpid(process, &status, 0) != process || status != 0)
                client_complain(client, "storing by a child ends with status %#x", status);
        if (timed(client, memcmp(view->address + offset, node->data + offset, size)) != 0)
                client_complain_change(client, "a view has other bytes than a child has stored");
}

static void sync_view(Client *client) {
        View *view = pick_view(client, false);

        if (view)
                client_expect(client, timed(client, msync(view->address, view->length, MS_SYNC)), 0, "msync");
}

static void unmap(Client *client) {
        View *view = pick_view(client, false);

        if (!view)
                return;
        client_expect(client, timed(client, munmap(view->address, view->length)), 0, "munmap");
        client_unmapped(client, view);
}

const Operation views_operations[] = {
        { "mmap", 6, map },
        { "read a view", 6, compare },
        { "store to a view", 8, store },
        { "store by a child", 1, store_inherited },
        { "msync", 1, sync_view },
        { "munmap", 4, unmap },
        { .weight = 0 },
};
