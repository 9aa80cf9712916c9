#include "operations/handles.h"

#include <errno.h>
#include <unistd.h>

/* What a handle has. Its slot in the ledger holds what the next server needs to have it again. */
typedef struct Handle {
        LedgerHandle *kept;
        Directory *directory; /* owned, with its descriptor; NULL for a file */
        int fd;               /* owned, of a file */
} Handle;

struct Handles {
        Ledger *ledger; /* borrowed */
        GMutex lock;    /* protects all that follows, and the ledger's handles */
        GHashTable *by_id; /* by the slot's id; owns the handles */
        GArray *free;   /* numbers of the ledger's slots that have been used and are free */
};

static void handle_free(gpointer data) {
        Handle *handle = data;

        if (handle->directory)
                directory_free(handle->directory);
        else
                close(handle->fd);
        g_free(handle);
}

static Handle *handle_new(LedgerHandle *slot) {
        Handle *handle = g_new0(Handle, 1);
        int fd = ledger_descriptor(slot->descriptor);

        handle->kept = slot;
        handle->fd = fd;
        if (slot->kind == LEDGER_DIRECTORY)
                handle->directory = directory_new(fd);
        return handle;
}

static void insert(Handles *handles, Handle *handle) {
        uint64_t *key = g_new(uint64_t, 1);

        *key = handle->kept->id;
        g_hash_table_insert(handles->by_id, key, handle);
}

/* Finds again the handles of a dead server. */
static void adopt(Handles *handles) {
        uint64_t slots = ledger_header(handles->ledger)->handles;

        for (uint64_t number = 0; number < slots; number++) {
                LedgerHandle *slot = ledger_handle(handles->ledger, number);

                if (slot->id && g_hash_table_contains(handles->by_id, &slot->id)) {
                        ledger_publish(&slot->id, 0);
                        ledger_note_damage(handles->ledger, LEDGER_BAD_HANDLES);
                }
                if (slot->id)
                        insert(handles, handle_new(slot));
                else
                        g_array_append_val(handles->free, number);
        }
}

Handles *handles_new(Ledger *ledger) {
        Handles *handles = g_new0(Handles, 1);

        handles->ledger = ledger;
        g_mutex_init(&handles->lock);
        handles->by_id = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, handle_free);
        handles->free = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        adopt(handles);
        return handles;
}

void handles_free(Handles *handles) {
        if (!handles)
                return;
        g_hash_table_unref(handles->by_id);
        g_array_unref(handles->free);
        g_mutex_clear(&handles->lock);
        g_free(handles);
}

static LedgerHandle *take_slot(Handles *handles) {
        LedgerHeader *header = ledger_header(handles->ledger);
        uint64_t number = header->handles;

        if (handles->free->len > 0) {
                number = g_array_index(handles->free, uint64_t, handles->free->len - 1);
                g_array_set_size(handles->free, handles->free->len - 1);
        } else {
                ledger_publish(&header->handles, number + 1);
        }
        return ledger_handle(handles->ledger, number);
}

static uint64_t keep(Handles *handles, LedgerHandleKind kind, int fd) {
        LedgerRequest *request = ledger_current(handles->ledger);
        LedgerHeader *header = ledger_header(handles->ledger);
        LedgerHandle *slot;
        uint64_t id;

        g_mutex_lock(&handles->lock);
        slot = take_slot(handles);
        slot->kind = kind;
        slot->descriptor = ledger_note_descriptor(fd);
        id = header->next_handle;
        /* First, so that an id is not used again, whatever happens. */
        ledger_publish(&header->next_handle, id + 1);
        if (request)
                ledger_publish(&request->kept, id);
        ledger_publish(&slot->id, id);
        insert(handles, handle_new(slot));
        g_mutex_unlock(&handles->lock);
        return id;
}

/* What it has is good while the kernel may use the handle. */
static const Handle *peek(Handles *handles, LedgerHandleKind kind, uint64_t id) {
        const Handle *handle;

        g_mutex_lock(&handles->lock);
        handle = g_hash_table_lookup(handles->by_id, &id);
        g_mutex_unlock(&handles->lock);
        return handle && handle->kept->kind == kind ? handle : NULL;
}

static void drop(Handles *handles, LedgerHandleKind kind, uint64_t id) {
        gpointer key = NULL;
        Handle *handle;

        g_mutex_lock(&handles->lock);
        handle = g_hash_table_lookup(handles->by_id, &id);
        if (handle && handle->kept->kind == kind) {
                uint64_t number = handle->kept - ledger_handle(handles->ledger, 0);

                g_hash_table_steal_extended(handles->by_id, &id, &key, NULL);
                ledger_publish(&handle->kept->id, 0);
                g_array_append_val(handles->free, number);
        } else {
                handle = NULL;
        }
        g_mutex_unlock(&handles->lock);
        g_free(key);
        /* Outside the lock: the last descriptor of a region gives back its memory, which takes its time. */
        if (handle)
                handle_free(handle);
}

uint64_t handles_keep_file(Handles *handles, int fd) {
        return keep(handles, LEDGER_FILE, fd);
}

int handles_file(Handles *handles, uint64_t id, int *fd) {
        const Handle *handle = peek(handles, LEDGER_FILE, id);

        *fd = handle ? handle->fd : -1;
        return handle ? 0 : -EBADF;
}

void handles_drop_file(Handles *handles, uint64_t id) {
        drop(handles, LEDGER_FILE, id);
}

uint64_t handles_keep_directory(Handles *handles, int fd) {
        return keep(handles, LEDGER_DIRECTORY, fd);
}

int handles_directory(Handles *handles, uint64_t id, Directory **directory) {
        const Handle *handle = peek(handles, LEDGER_DIRECTORY, id);

        *directory = handle ? handle->directory : NULL;
        return handle ? 0 : -EBADF;
}

void handles_drop_directory(Handles *handles, uint64_t id) {
        drop(handles, LEDGER_DIRECTORY, id);
}

void handles_descriptors(const Ledger *ledger, void (*found)(void *data, int fd), void *data) {
        uint64_t slots = ledger_header(ledger)->handles;

        for (uint64_t number = 0; number < slots; number++) {
                const LedgerHandle *slot = ledger_handle(ledger, number);

                if (slot->id)
                        found(data, ledger_descriptor(slot->descriptor));
        }
}
