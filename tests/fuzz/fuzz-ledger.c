/*
 * The ledger: a server has died, and what it left is scribbled over. What the next one does then must neither die nor
 * touch what is not its own; all of it but the channel is done here.
 *
 * The first byte of input says which pool. Then come records, each an area, where in it, and what is stored there.
 */
#include "base/descriptor.h"
#include "ledger/ledger-room.h"
#include "operations/handles.h"
#include "operations/requests.h"
#include "registry/lifetime-names.h"
#include "server/server-descriptors.h"
#include "server/server.h"

#include "fuzz.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

#define RECORDS 256    /* that are laid */
#define FILES 4        /* in the pool */
#define DESCRIPTORS 64 /* that are looked at afterwards: this process opens fewer */
#define BACKINGS 8     /* that are asked for */
#define RESENT (UINT64_C(1) << 63)

typedef struct Input {
        const uint8_t *next, *end;
} Input;

static Pool *pool;
static bool reaches_by_handle; /* as far as the pool itself goes */
static GArray *keepers;        /* this process's own descriptors */
static ino_t inodes[DESCRIPTORS]; /* of them, by number; 0: not open */

static void end_pool(void) {
        g_clear_pointer(&pool, pool_free);
}

static ino_t inode_of(int fd) {
        struct stat st;

        return fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
        PoolSettings settings = POOL_SETTINGS_INIT;
        g_autoptr(GError) error = NULL;

        fuzz_quieten();
        pool = pool_new(&settings, &error);
        if (!pool)
                fuzz_skip(error->message);
        atexit(end_pool);
        reaches_by_handle = pool->by_handle;
        for (int i = 0; i < FILES; i++) {
                g_autofree char *name = g_strdup_printf("region-%d", i);

                close(openat(pool->fd, name, O_CREAT | O_RDWR | O_CLOEXEC, 0644));
        }
        fuzz_check(mkdirat(pool->fd, "directory", 0755) == 0);
        keepers = server_descriptors_open();
        for (guint i = 0; i < keepers->len; i++) {
                int fd = g_array_index(keepers, int, i);

                if (fd < DESCRIPTORS)
                        inodes[fd] = inode_of(fd);
        }
        return 0;
}

static uint8_t take_byte(Input *input) {
        return input->next < input->end ? *input->next++ : 0;
}

static uint64_t take_number(Input *input, size_t size) {
        uint64_t number = 0;

        for (size_t i = 0; i < size; i++)
                number |= (uint64_t)take_byte(input) << 8 * i;
        return number;
}

/* Values that are likely to mean something; the first byte says how it is written. */
static uint64_t take_value(Input *input) {
        uint8_t kind = take_byte(input);

        switch (kind % 6) {
        case 0:
                return take_byte(input);
        case 1:
                return take_number(input, 8);
        case 2:
                return -(uint64_t)take_byte(input);
        case 3:
                return (UINT64_C(1) << (take_byte(input) % 64)) - (kind & 8 ? 1 : 0);
        case 4:
                return take_number(input, 2);
        default:
                return inode_of(take_byte(input) % DESCRIPTORS);
        }
}

/* The number of a slot: mostly one of the first. */
static uint64_t take_slot_number(Input *input, uint64_t slots) {
        uint8_t number = take_byte(input);

        return (number < 255 ? number : take_number(input, 4)) % slots;
}

/* Stores a word somewhere in what begins at start. */
static void lay_word(Input *input, void *start, size_t size) {
        uint64_t at = take_number(input, size > 256 * sizeof(uint64_t) ? 2 : 1) % (size / sizeof(uint64_t));
        uint64_t value = take_value(input);

        memcpy((char *)start + at * sizeof(uint64_t), &value, sizeof(value));
}

static void lay_bytes(Input *input, char *start, size_t size) {
        size_t length = MIN(take_byte(input) + 1u, size);

        for (size_t i = 0; i < length; i++)
                start[i] = take_byte(input);
}

static void lay_note(Input *input, LedgerRoom *room) {
        LedgerNote *note = &room->log[take_byte(input) % LEDGER_NOTES];

        note->offset = take_value(input);
        note->before = take_value(input);
        room->notes = take_value(input);
}

static void lay_record(Input *input, Ledger *ledger) {
        LedgerRoom *room = ledger->room;
        LedgerEnd *end = &room->end;

        switch (take_byte(input) % 10) {
        case 0:
                /* Without the INIT request, which libfuse alone looks at. */
                return lay_word(input, &room->header, offsetof(LedgerHeader, init));
        case 1:
                return lay_note(input, room);
        case 2:
                return lay_word(input, &room->nodes[take_slot_number(input, LEDGER_NODES)], sizeof(LedgerNode));
        case 3:
                return lay_word(input, &room->handles[take_slot_number(input, LEDGER_HANDLES)], sizeof(LedgerHandle));
        case 4:
                return lay_word(input, &room->requests[take_slot_number(input, LEDGER_REQUESTS)],
                                offsetof(LedgerRequest, looked_up) + 64);
        case 5:
                return lay_word(input, end, sizeof(*end));
        case 6:
                return lay_bytes(input, end->removed[take_byte(input) % LEDGER_END_NAMES].name, LEDGER_NAME_SIZE);
        case 7:
                return lay_bytes(input, room->names[take_slot_number(input, LEDGER_NODES)], LEDGER_NAME_SIZE);
        case 8:
                return lay_word(input, room->buffers[take_slot_number(input, LEDGER_BUFFERS)], 256);
        default:
                return lay_bytes(input, room->buffers[take_slot_number(input, LEDGER_BUFFERS)], LEDGER_BUFFER_SIZE);
        }
}

static int open_something(const char *name, int flags) {
        int fd = openat(pool->fd, name, flags | O_CLOEXEC);

        fuzz_check(fd >= 0);
        return fd;
}

/* The node of something in the pool, as a dead server has noted it; pinned by a descriptor if that is wanted. */
static void lay_node(Ledger *ledger, uint64_t id, const char *name, bool pinned) {
        LedgerHeader *header = ledger_header(ledger);
        LedgerNode *slot = ledger_node(ledger, header->nodes++);
        auto_descriptor fd = open_something(name, O_PATH);
        PoolRef ref;
        struct stat st;

        fuzz_check(pool_identify(pool, fd, &ref, &st) == 0);
        if (pinned && ref.fd < 0)
                fuzz_check(pool_pin(&ref, fd) == 0);
        slot->lookups = 2;
        slot->inode = ref.inode;
        slot->handle_type = ref.handle_type;
        slot->handle_size = ref.handle_size;
        memcpy(slot->handle, ref.handle, sizeof(slot->handle));
        slot->descriptor = ledger_note_descriptor(ref.fd);
        slot->parent = REGISTRY_ROOT_ID;
        g_strlcpy(ledger_name(ledger, slot), name, LEDGER_NAME_SIZE);
        slot->id = id;
        header->next_node = id + 1;
}

static void lay_handle(Ledger *ledger, LedgerHandleKind kind, const char *name) {
        LedgerHeader *header = ledger_header(ledger);
        LedgerHandle *slot = ledger_handle(ledger, header->handles++);

        slot->kind = kind;
        slot->descriptor = ledger_note_descriptor(open_something(name, O_RDONLY));
        slot->id = header->next_handle++;
}

static LedgerRequest *lay_request(Ledger *ledger, uint64_t unique) {
        LedgerRequest *slot = ledger_request(ledger, ledger_header(ledger)->requests++);

        slot->begun = 1;
        slot->unique = unique;
        return slot;
}

/* A message of forgets that nobody has applied. */
static void lay_forgets(Ledger *ledger) {
        const uint32_t header[] = { 40 + 8 + 2 * 16, 42, 100, 0, 0, 0, 0, 0, 0, 0, 2, 0 };
        const uint64_t forgets[] = { 3, 1, 4, 2 };
        char *buffer = ledger_buffer(ledger, ledger_header(ledger)->buffers++);

        memcpy(buffer, header, sizeof(header));
        memcpy(buffer + sizeof(header), forgets, sizeof(forgets));
}

/* What a server leaves that dies in the middle of its work, with a bit of everything. */
static void lay_ledger(Ledger *ledger) {
        LedgerHeader *header = ledger_header(ledger);
        LedgerRequest *request;

        header->serving = header->ready = header->restarts = 1;
        header->regions = FILES;
        lay_node(ledger, 1, ".", false);
        lay_node(ledger, 2, "directory", false);
        for (int i = 0; i < FILES; i++) {
                g_autofree char *name = g_strdup_printf("region-%d", i);

                lay_node(ledger, 3 + i, name, i == FILES - 1);
        }
        ledger_node(ledger, 2)->handles = ledger_node(ledger, 2)->writers = 1;
        ledger_node(ledger, 2)->backing_id = header->backings = 3;
        ledger_node(ledger, 3)->state = LEDGER_NODE_RELEASED | LEDGER_NODE_USED | LEDGER_NODE_KEPT;
        ledger_node(ledger, 3)->source = ledger_note_descriptor(open_something("region-0", O_PATH));
        ledger_node(ledger, 3)->source_kind = 2;
        lay_handle(ledger, LEDGER_FILE, "region-1");
        lay_handle(ledger, LEDGER_DIRECTORY, "directory");
        request = lay_request(ledger, 10);
        request->handle = 3;
        request->writes = request->lookups = 1;
        request->looked_up[0] = 4;
        request = lay_request(ledger, 12);
        request->descriptor[0] = ledger_note_descriptor(open_something("region-2", O_PATH));
        request->inode[0] = inode_of(ledger_descriptor(request->descriptor[0]));
        request->intent = LEDGER_REMOVING;
        request = lay_request(ledger, 14);
        request->registering = 3;
        request->kept = 1;
        lay_forgets(ledger);
        ledger_end(ledger)->node = 5;
        ledger_end(ledger)->descriptor = ledger_note_descriptor(open_something("region-2", O_PATH));
        ledger_end(ledger)->names = 1;
        ledger_end(ledger)->removed[0].parent = 1;
        g_strlcpy(ledger_end(ledger)->removed[0].name, "gone", LEDGER_NAME_SIZE);
        ledger_set(ledger, &header->regions, FILES + 1);
}

/* What the next server has. */
typedef struct Next {
        Ledger *ledger;
        Registry *registry;
        Handles *handles;
        Requests *requests;
} Next;

static void begin(Next *next) {
        Ledger *ledger = next->ledger;
        const LedgerHeader *header = ledger_header(ledger);
        PoolRef root;
        struct stat st;

        ledger_recover(ledger);
        ledger_audit(ledger, keepers);
        fuzz_check(pool_identify(pool, pool->fd, &root, &st) == 0);
        next->registry = registry_new(ledger, &root, !pool->by_handle);
        pool_ref_clear(&root);
        next->handles = handles_new(ledger);
        server_descriptors_sweep(keepers, ledger, ledger_descriptor(header->reports), NULL, NULL);
        next->requests = requests_new(ledger, next->registry);
        ledger_tell_damage(ledger);
}

/* As a server looks for what its predecessor may have left undone. */
static void look_into_doubts(const Next *next, RegistryDoubt doubt) {
        g_autoptr(GArray) ids = registry_in_doubt(next->registry, doubt);

        for (guint i = 0; i < ids->len; i++) {
                PoolRef ref;

                if (registry_resolve(next->registry, g_array_index(ids, uint64_t, i), &ref) == 0)
                        close(pool_open(pool, &ref, O_PATH));
        }
}

static void take_gone_name(void *data, uint64_t parent, uint64_t id, const char *name) {
        fuzz_check(*name && strlen(name) < LEDGER_NAME_SIZE);
}

/* What the current request has counted. */
static void take_counts_back(const Next *next, LedgerRequest *request) {
        while (request->lookups > 0)
                registry_forget(next->registry, request->looked_up[request->lookups - 1], 1);
        if (request->kept) {
                handles_drop_file(next->handles, request->kept);
                handles_drop_directory(next->handles, request->kept);
        }
}

static void await(void *data) {
        const Next *next = data;
        LedgerRequest *request = ledger_current(next->ledger);

        fuzz_check(request->intent == LEDGER_NO_INTENT || request->intent > LEDGER_RENAMING ||
                   strlen(request->name) < sizeof(request->name));
        request->awaited = 1;
}

static void abandon(void *data) {
        const Next *next = data;
        LedgerRequest *request = ledger_current(next->ledger);
        RegistryRelease release;

        registry_handle_removed(next->registry, request->handle, request->writes, &release);
        take_counts_back(next, request);
}

/* A request comes again, and is begun anew: see operations_take_back(). */
static void take_back(const Next *next, uint64_t unique) {
        const uint32_t header[] = { 40, 1, 0, 0, 1, 0, 0, 0, 0, 0 };
        unsigned char buffer[sizeof(header)];
        LedgerRequest *request;

        memcpy(buffer, header, sizeof(header));
        unique |= RESENT;
        memcpy(buffer + 8, &unique, sizeof(unique));
        if (requests_begin(next->requests, buffer)) {
                request = ledger_current(next->ledger);
                take_counts_back(next, request);
                if (request->made)
                        registry_regions_changed(next->registry, -1);
                registry_handle_taken_back(next->registry, request);
        }
        requests_end(next->requests);
}

/* What clients may do with what they had before. */
static void use_nodes(const Next *next) {
        for (uint64_t id = 1; id < 10; id++) {
                RegistryRelease release;
                int backing, unused;
                PoolRef ref;

                if (registry_handle_added(next->registry, id, id % 2, &backing) == 0) {
                        registry_set_backing(next->registry, id, 5, &unused);
                        registry_handle_used(next->registry, id);
                        registry_handle_removed(next->registry, id, id % 2, &release);
                }
                if (registry_resolve(next->registry, id, &ref) == 0) {
                        registry_source(next->registry, id);
                        close(pool_open(pool, &ref, O_PATH));
                }
                registry_handle_removed(next->registry, id, true, &release);
                registry_forget(next->registry, id, id);
        }
}

static void use_handles(const Next *next) {
        for (uint64_t id = 1; id < 4; id++) {
                DirectoryEntry entry;
                Directory *directory;
                int fd;

                if (handles_file(next->handles, id, &fd) == 0)
                        fuzz_check(fcntl(fd, F_GETFD) >= 0);
                if (handles_directory(next->handles, id, &directory) == 0 && directory_read(directory, 0, &entry) > 0)
                        directory_advance(directory, &entry);
        }
        handles_keep_file(next->handles, open_something(".", O_PATH));
}

static void look_up(const Next *next, const char *name) {
        PoolRef ref;
        struct stat st;

        if (pool_lookup(pool, pool->fd, REGISTRY_ROOT_ID, name, &ref, &st) == 0) {
                fuzz_check(registry_lookup(next->registry, &ref) != 0);
                registry_find(next->registry, &ref);
        }
}

static void go_on(const Next *next) {
        look_into_doubts(next, REGISTRY_LACKS_SOURCE);
        requests_first_backing(next->ledger);
        requests_backings_given_up(next->ledger);
        for (int i = 1; i < BACKINGS; i++)
                registry_has_backing(next->registry, i);
        lifetime_names_take_over(pool, next->registry, next->ledger);
        look_into_doubts(next, REGISTRY_MAY_HAVE_ENDED);
        requests_each_left(next->requests, await, (void *)next);
        for (uint64_t unique = 10; unique < 18; unique += 2)
                take_back(next, unique);
        lifetime_names_tell(pool, next->registry, next->ledger, take_gone_name, NULL);
        requests_give_up(next->requests, abandon, (void *)next);
        use_nodes(next);
        use_handles(next);
        look_up(next, "region-0");
        look_up(next, "directory");
}

static void end(Next *next) {
        requests_free(next->requests);
        registry_free(next->registry);
        handles_free(next->handles);
}

/* What is this process's own is open as before. What the ledger holds yet is closed. */
static void settle_descriptors(const Ledger *ledger) {
        fuzz_check(fcntl(ledger->file, F_GETFD) >= 0);
        for (int fd = 0; fd < DESCRIPTORS; fd++) {
                if (inodes[fd])
                        fuzz_check(inode_of(fd) == inodes[fd]);
                else if (fd != ledger->file)
                        close(fd);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
        Input input = { bytes, bytes + size };
        g_autoptr(Ledger) ledger = ledger_new(NULL);
        Next next = { .ledger = ledger };

        fuzz_check(ledger);
        g_array_append_val(keepers, ledger->file);
        pool->by_handle = reaches_by_handle && !(take_byte(&input) & 1);
        lay_ledger(ledger);
        for (int i = 0; i < RECORDS && input.next < input.end; i++)
                lay_record(&input, ledger);
        begin(&next);
        go_on(&next);
        end(&next);
        /* And once more, from what that one has left. */
        begin(&next);
        end(&next);
        settle_descriptors(ledger);
        g_array_set_size(keepers, keepers->len - 1);
        return 0;
}
