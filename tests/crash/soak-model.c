#include "soak-model.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void free_node(Node *node) {
        g_ptr_array_unref(node->names);
        g_hash_table_unref(node->attributes);
        if (node->children)
                g_hash_table_unref(node->children);
        g_free(node->data);
        g_free(node->target);
        g_free(node);
}

static void free_name(Name *name) {
        g_free(name->text);
        g_free(name);
}

static void free_stream(Stream *stream) {
        close(stream->fd);
        g_hash_table_unref(stream->stable);
        g_hash_table_unref(stream->passing);
        g_hash_table_unref(stream->seen);
        g_free(stream);
}

Node *model_add(Model *model, mode_t mode, const Node *directory) {
        Node *node = g_new0(Node, 1);

        node->mode = mode;
        node->names = g_ptr_array_new_with_free_func((GDestroyNotify)free_name);
        node->attributes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
        if (directory && (S_ISDIR(mode) || S_ISREG(mode))) {
                node->committed = directory->committed;
                node->ends = directory->ends;
        }
        if (S_ISDIR(mode))
                node->children = g_hash_table_new(g_str_hash, g_str_equal);
        if (S_ISREG(mode))
                node->data = g_malloc0(MODEL_SIZE_MAX);
        g_ptr_array_add(S_ISDIR(mode) ? model->directories : model->others, node);
        return node;
}

void model_init(Model *model) {
        model->directories = g_ptr_array_new_with_free_func((GDestroyNotify)free_node);
        model->others = g_ptr_array_new_with_free_func((GDestroyNotify)free_node);
        model->handles = g_ptr_array_new_with_free_func(g_free);
        model->views = g_ptr_array_new_with_free_func(g_free);
        model->streams = g_ptr_array_new_with_free_func((GDestroyNotify)free_stream);
        model->root = model_add(model, S_IFDIR | 0700, NULL);
        model->working_directory = NULL;
}

void model_clear(Model *model) {
        g_ptr_array_unref(model->streams);
        g_ptr_array_unref(model->views);
        g_ptr_array_unref(model->handles);
        g_ptr_array_unref(model->others);
        g_ptr_array_unref(model->directories);
}

/* Who reads the directory may find the name, or may not. */
static void note_passing(Model *model, const Node *directory, const char *text) {
        for (unsigned i = 0; i < model->streams->len; i++) {
                Stream *stream = g_ptr_array_index(model->streams, i);

                if (stream->directory != directory)
                        continue;
                stream->unsteady |= directory->jumbled || (g_hash_table_contains(stream->stable, text) &&
                                                           !g_hash_table_contains(stream->seen, text));
                g_hash_table_remove(stream->stable, text);
                g_hash_table_add(stream->passing, g_strdup(text));
        }
}

Name *model_find(const Node *directory, const char *text) {
        return g_hash_table_lookup(directory->children, text);
}

void model_name(Model *model, Node *directory, const char *text, Node *node) {
        Name *name = g_new0(Name, 1);

        *name = (Name){ .directory = directory, .node = node, .text = g_strdup(text) };
        g_ptr_array_add(node->names, name);
        g_hash_table_insert(directory->children, name->text, name);
        note_passing(model, directory, text);
}

void model_jumble(Node *directory) {
        directory->jumbled = true;
}

void model_rename(Model *model, Name *name, Node *directory, const char *text) {
        note_passing(model, name->directory, name->text);
        g_hash_table_remove(name->directory->children, name->text);
        g_free(name->text);
        name->text = g_strdup(text);
        name->directory = directory;
        g_hash_table_insert(directory->children, name->text, name);
        note_passing(model, directory, text);
}

/* The names change places by changing nodes. */
void model_exchange(Model *model, Name *one, Name *other) {
        Node *node = one->node;

        if (node == other->node)
                return;
        note_passing(model, one->directory, one->text);
        note_passing(model, other->directory, other->text);
        one->node = other->node;
        other->node = node;
        g_ptr_array_set_free_func(node->names, NULL);
        g_ptr_array_set_free_func(one->node->names, NULL);
        g_ptr_array_remove(node->names, one);
        g_ptr_array_remove(one->node->names, other);
        g_ptr_array_add(node->names, other);
        g_ptr_array_add(one->node->names, one);
        g_ptr_array_set_free_func(node->names, (GDestroyNotify)free_name);
        g_ptr_array_set_free_func(one->node->names, (GDestroyNotify)free_name);
}

static void forget_unused(Model *model, Node *node) {
        if (node->names->len || node->users)
                return;
        if (!S_ISDIR(node->mode)) {
                g_ptr_array_remove_fast(model->others, node);
                return;
        }
        for (unsigned i = model->streams->len; i-- > 0;) {
                Stream *stream = g_ptr_array_index(model->streams, i);

                if (stream->directory == node)
                        g_ptr_array_remove_index_fast(model->streams, i);
        }
        g_ptr_array_remove_fast(model->directories, node);
}

void model_unname(Model *model, Name *name) {
        Node *node = name->node;

        note_passing(model, name->directory, name->text);
        g_hash_table_remove(name->directory->children, name->text);
        g_ptr_array_remove(node->names, name);
        forget_unused(model, node);
}

static const Node *parent(const Node *directory) {
        return directory->names->len ? ((Name *)g_ptr_array_index(directory->names, 0))->directory : NULL;
}

bool model_is_inside(const Node *directory, const Node *other) {
        for (; directory; directory = parent(directory))
                if (directory == other)
                        return true;
        return false;
}

char *model_path(const Node *directory, const char *text) {
        char *path = g_strdup(text);

        for (; parent(directory); directory = parent(directory)) {
                const Name *name = g_ptr_array_index(directory->names, 0);
                char *longer = path ? g_build_filename(name->text, path, NULL) : g_strdup(name->text);

                g_free(path);
                path = longer;
        }
        return path;
}

Handle *model_open(Model *model, Node *node, int fd, int flags) {
        Handle *handle = g_new0(Handle, 1);

        *handle = (Handle){ .node = node, .fd = fd, .flags = flags, .whole_lock = F_UNLCK, .range_lock = F_UNLCK };
        node->users++;
        g_ptr_array_add(model->handles, handle);
        return handle;
}

View *model_map(Model *model, Handle *handle, char *address, size_t length, bool writable) {
        View *view = g_new0(View, 1);

        *view = (View){ .handle = handle, .address = address, .length = length, .writable = writable };
        handle->views++;
        g_ptr_array_add(model->views, view);
        return view;
}

static void forget_handle(Model *model, Handle *handle) {
        Node *node = handle->node;

        if (handle->fd >= 0 || handle->views)
                return;
        g_ptr_array_remove_fast(model->handles, handle);
        node->users--;
        forget_unused(model, node);
}

void model_closed(Model *model, Handle *handle) {
        handle->fd = -1;
        forget_handle(model, handle);
}

void model_unmapped(Model *model, View *view) {
        Handle *handle = view->handle;

        g_ptr_array_remove_fast(model->views, view);
        handle->views--;
        forget_handle(model, handle);
}

bool model_handle_writes(const Handle *handle) {
        return (handle->flags & O_ACCMODE) != O_RDONLY;
}

bool model_has_writers(const Model *model, const Node *node) {
        for (unsigned i = 0; i < model->handles->len; i++) {
                const Handle *handle = g_ptr_array_index(model->handles, i);

                if (handle->node == node && model_handle_writes(handle))
                        return true;
        }
        return false;
}

void model_write(Node *node, size_t offset, const char *data, size_t size) {
        memcpy(node->data + offset, data, size);
        node->size = MAX(node->size, offset + size);
        node->timed = false;
}

void model_resize(Node *node, size_t size) {
        if (size < node->size)
                memset(node->data + size, 0, node->size - size);
        node->size = size;
        node->timed = false;
}

void model_rewind(Stream *stream) {
        GHashTableIter iter;
        gpointer text;

        g_hash_table_remove_all(stream->stable);
        g_hash_table_remove_all(stream->passing);
        g_hash_table_remove_all(stream->seen);
        stream->unsteady = false;
        g_hash_table_iter_init(&iter, stream->directory->children);
        while (g_hash_table_iter_next(&iter, &text, NULL))
                g_hash_table_add(stream->stable, g_strdup(text));
        g_hash_table_add(stream->stable, g_strdup("."));
        g_hash_table_add(stream->stable, g_strdup(".."));
}

Stream *model_stream(Model *model, Node *directory, int fd) {
        Stream *stream = g_new0(Stream, 1);

        *stream = (Stream){
                .directory = directory,
                .fd = fd,
                .stable = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                .passing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                .seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        };
        model_rewind(stream);
        g_ptr_array_add(model->streams, stream);
        return stream;
}

void model_end_stream(Model *model, Stream *stream) {
        g_ptr_array_remove_fast(model->streams, stream);
}
