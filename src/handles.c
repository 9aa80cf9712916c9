#include "handles.h"

#include <errno.h>
#include <unistd.h>

struct Handles {
        GMutex lock;             /* protects all that follows */
        GHashTable *files;       /* id → descriptor */
        GHashTable *directories; /* id → Directory */
        uint64_t next;
};

static void file_free(gpointer data) {
        close(GPOINTER_TO_INT(data));
}

static void directory_free_pointer(gpointer data) {
        directory_free(data);
}

Handles *handles_new(void) {
        Handles *handles = g_new0(Handles, 1);

        g_mutex_init(&handles->lock);
        handles->files = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, file_free);
        handles->directories = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, directory_free_pointer);
        handles->next = 1;
        return handles;
}

void handles_free(Handles *handles) {
        if (!handles)
                return;
        g_hash_table_unref(handles->files);
        g_hash_table_unref(handles->directories);
        g_mutex_clear(&handles->lock);
        g_free(handles);
}

static uint64_t keep(Handles *handles, GHashTable *table, gpointer value) {
        uint64_t *key = g_new(uint64_t, 1);
        uint64_t id;

        g_mutex_lock(&handles->lock);
        id = *key = handles->next++;
        g_hash_table_insert(table, key, value);
        g_mutex_unlock(&handles->lock);
        return id;
}

static int peek(Handles *handles, GHashTable *table, uint64_t id, gpointer *value) {
        gboolean found;

        g_mutex_lock(&handles->lock);
        found = g_hash_table_lookup_extended(table, &id, NULL, value);
        g_mutex_unlock(&handles->lock);
        return found ? 0 : -EBADF;
}

/* Hands the value out to be freed outside the lock. */
static gboolean drop(Handles *handles, GHashTable *table, uint64_t id, gpointer *value) {
        gpointer key = NULL;
        gboolean found;

        g_mutex_lock(&handles->lock);
        found = g_hash_table_steal_extended(table, &id, &key, value);
        g_mutex_unlock(&handles->lock);
        g_free(key);
        return found;
}

uint64_t handles_keep_file(Handles *handles, int fd) {
        return keep(handles, handles->files, GINT_TO_POINTER(fd));
}

int handles_file(Handles *handles, uint64_t id, int *fd) {
        gpointer value = NULL;
        int result = peek(handles, handles->files, id, &value);

        *fd = GPOINTER_TO_INT(value);
        return result;
}

void handles_drop_file(Handles *handles, uint64_t id) {
        gpointer value;

        if (drop(handles, handles->files, id, &value))
                file_free(value);
}

uint64_t handles_keep_directory(Handles *handles, Directory *directory) {
        return keep(handles, handles->directories, directory);
}

int handles_directory(Handles *handles, uint64_t id, Directory **directory) {
        gpointer value = NULL;
        int result = peek(handles, handles->directories, id, &value);

        *directory = value;
        return result;
}

void handles_drop_directory(Handles *handles, uint64_t id) {
        gpointer value;

        if (drop(handles, handles->directories, id, &value))
                directory_free(value);
}
