/* Operations on the contents of regions by handles and paths. */
#include "soak-client.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* Mostly small, sometimes more than a page, seldom much more. */
static size_t pick_size(Client *client) {
        static const size_t most[] = { 16, 512, 512, 4096, 9000, 70000 };

        return client_random(client, 1, most[client_random(client, 0, G_N_ELEMENTS(most))]);
}

/* Mostly where there is something, and on edges of pages. */
static size_t pick_offset(Client *client, const Node *node, size_t size) {
        size_t offset = client_random(client, 0, MIN(node->size + 8192, MODEL_SIZE_MAX - size) + 1);

        return client_chance(client, 30) ? offset & ~(size_t)4095 : offset;
}

static void read_part(Client *client) {
        Handle *handle = client_pick_handle(client, false);
        size_t size = pick_size(client), offset, there;
        g_autofree char *buffer = NULL;
        ssize_t result;

        if (!handle)
                return;
        buffer = g_malloc(size);
        offset = pick_offset(client, handle->node, size);
        there = offset < handle->node->size ? MIN(size, handle->node->size - offset) : 0;
        result = timed(client, pread(handle->fd, buffer, size, offset));
        if (!client_expect(client, result, (handle->flags & O_ACCMODE) == O_WRONLY ? EBADF : 0, "pread"))
                return;
        if ((size_t)result != there)
                client_complain_change(client, "pread of %zu bytes at %zu gives %zd instead of %zu", size, offset,
                                       result, there);
        else if (memcmp(buffer, handle->node->data + offset, there) != 0)
                client_complain_change(client, "pread of %zu bytes at %zu gives other bytes", size, offset);
}

/* On a handle of O_APPEND as well, where pwrite(2) appends. */
static void write_part(Client *client) {
        Handle *handle = client_pick_handle(client, client_chance(client, 95));
        size_t size = pick_size(client), offset;
        g_autofree char *data = NULL;
        ssize_t result;

        if (!handle)
                return;
        data = g_malloc(size);
        offset = handle->flags & O_APPEND ? handle->node->size : pick_offset(client, handle->node, size);
        if (offset + size > MODEL_SIZE_MAX)
                return;
        client_fill(client, data, size);
        result = timed(client, pwrite(handle->fd, data, size, offset));
        if (!client_expect(client, result, model_handle_writes(handle) ? 0 : EBADF, "pwrite of %zu bytes at %zu", size,
                           offset))
                return;
        if ((size_t)result != size)
                client_complain(client, "pwrite of %zu bytes writes %zd", size, result);
        model_write(handle->node, offset, data, size);
}

/* By a process that has inherited the handle, which ends with it. */
static void write_inherited(Client *client) {
        Handle *handle = client_pick_handle(client, true);
        size_t size = pick_size(client), offset;
        g_autofree char *data = NULL;
        struct stat st;
        int status = 0;
        pid_t process;

        if (!handle)
                return;
        data = g_malloc(size);
        offset = handle->flags & O_APPEND ? handle->node->size : pick_offset(client, handle->node, size);
        if (offset + size > MODEL_SIZE_MAX)
                return;
        client_fill(client, data, size);
        process = fork();
        if (process == 0)
                _exit(pwrite(handle->fd, data, size, offset) == (ssize_t)size ? 0 : 1);
        if (waitpid(process, &status, 0) != process || status != 0)
                client_complain(client, "pwrite by a child ends with status %#x", status);
        model_write(handle->node, offset, data, size);
        if (client_expect(client, timed(client, fstat(handle->fd, &st)), 0, "fstat") &&
            (size_t)st.st_size != handle->node->size)
                client_complain_change(client, "a region has %ld bytes instead of %zu after a child has written",
                                       (long)st.st_size, handle->node->size);
}

static void set_length(Client *client) {
        Node *node = client_pick_region(client);
        Handle *handle = node ? client_handle_of(client, node, true) : NULL;
        size_t size;
        g_autofree char *path = node && node->names->len ? client_reach(client, node) : NULL;

        if (!node || (!handle && !path))
                return;
        size = client_chance(client, 20) ? 0 : pick_offset(client, node, 0);
        if (handle && (!path || client_chance(client, 50))) {
                if (client_expect(client, timed(client, ftruncate(handle->fd, size)), 0, "ftruncate to %zu", size))
                        model_resize(node, size);
        } else if (client_expect(client, timed(client, truncate(path, size)), node->sealed ? EPERM : 0,
                                 "truncate %s to %zu", path, size)) {
                model_resize(node, size);
        }
}

static void allocate(Client *client) {
        static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };
        int mode = modes[client_random(client, 0, G_N_ELEMENTS(modes))];
        Handle *handle = client_pick_handle(client, true);
        size_t size = pick_size(client), offset;
        Node *node;

        if (!handle)
                return;
        node = handle->node;
        offset = pick_offset(client, node, size);
        if (!client_expect(client, timed(client, fallocate(handle->fd, mode, offset, size)),
                           node->committed && (mode & FALLOC_FL_PUNCH_HOLE) ? EOPNOTSUPP : 0,
                           "fallocate of %zu bytes at %zu with mode %d", size, offset, mode))
                return;
        if (mode == 0)
                node->size = MAX(node->size, offset + size);
        else if ((mode & FALLOC_FL_PUNCH_HOLE) && offset < node->size)
                memset(node->data + offset, 0, MIN(size, node->size - offset));
        node->timed = false;
}

/* What views have stored is written back first: a file system with caches above it does not know of it. */
static void write_back(Client *client, const Node *node) {
        for (unsigned i = 0; i < client->model.views->len; i++) {
                const View *view = g_ptr_array_index(client->model.views, i);

                if (view->handle->node == node && view->writable)
                        client_expect(client, timed(client, msync(view->address, view->length, MS_SYNC)), 0, "msync");
        }
}

static bool is_zero(const Node *node, size_t from, size_t to) {
        for (size_t i = from; i < to; i++)
                if (node->data[i])
                        return false;
        return true;
}

/* Where there is data is the file system's affair, but all that is not zero is data. */
static void seek(Client *client) {
        Handle *handle = client_pick_handle(client, false);
        size_t offset, size;
        off_t found;

        if (!handle)
                return;
        size = handle->node->size;
        offset = pick_offset(client, handle->node, 0);
        if (handle->node->stored)
                write_back(client, handle->node);
        found = timed(client, lseek(handle->fd, offset, SEEK_HOLE));
        if (client_expect(client, found, offset >= size ? ENXIO : 0, "SEEK_HOLE from %zu of %zu", offset, size) &&
            (found < (off_t)offset || found > (off_t)size))
                client_complain(client, "SEEK_HOLE from %zu of %zu gives %ld", offset, size, (long)found);
        found = timed(client, lseek(handle->fd, offset, SEEK_DATA));
        if (found < 0 && errno == ENXIO)
                found = MAX(size, offset);
        else if (!client_expect(client, found, offset >= size ? ENXIO : 0, "SEEK_DATA from %zu of %zu", offset, size))
                return;
        if (found < (off_t)offset || !is_zero(handle->node, MIN(offset, size), MIN((size_t)found, size)))
                client_complain_change(client, "SEEK_DATA from %zu of %zu gives %ld and leaves data out", offset, size,
                                       (long)found);
}

static void copy(Client *client) {
        Handle *from = client_pick_handle(client, false), *to = client_pick_handle(client, true);
        size_t size = pick_size(client), left;
        loff_t in, out;

        if (!from || !to || (from->flags & O_ACCMODE) == O_WRONLY || (to->flags & O_APPEND))
                return;
        in = pick_offset(client, from->node, size);
        out = pick_offset(client, to->node, size);
        left = (size_t)in < from->node->size ? MIN(size, from->node->size - in) : 0;
        if (from->node == to->node && ABS(in - out) < (loff_t)size)
                return;
        /* It may copy less than was asked for; but always something, until there is nothing more. */
        for (;;) {
                loff_t source = in, target = out;
                ssize_t copied = timed(client, copy_file_range(from->fd, &in, to->fd, &out, size, 0));

                if (!client_expect(client, copied, 0, "copy_file_range"))
                        return;
                if ((size_t)copied > left || (copied == 0 && left)) {
                        client_complain(client, "copy_file_range gives %zd where %zu are left", copied, left);
                        return;
                }
                if (copied == 0)
                        return;
                model_write(to->node, target, from->node->data + source, copied);
                left -= copied;
                size -= copied;
                if (left == 0)
                        return;
        }
}

static void sync_handle(Client *client) {
        Handle *handle = client_pick_handle(client, false);
        bool data_only = client_chance(client, 50);

        if (!handle)
                return;
        if (client_expect(client, timed(client, data_only ? fdatasync(handle->fd) : fsync(handle->fd)), 0, "fsync"))
                handle->node->stored = false;
}

const Operation data_operations[] = {
        { "pread", 10, read_part },      { "pwrite", 14, write_part }, { "pwrite by a child", 1, write_inherited },
        { "set length", 5, set_length }, { "fallocate", 6, allocate }, { "seek", 4, seek },
        { "copy_file_range", 5, copy },  { "fsync", 2, sync_handle },  { .weight = 0 },
};
