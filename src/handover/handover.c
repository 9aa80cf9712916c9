#include "handover/handover.h"

#include "registry/registry.h"
#include "server/server-descriptors.h"
#include "server/server.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>

/* In the environment: the number of the ledger's descriptor. */
#define VARIABLE "REGIONFS_HANDOVER"

void handover_note(const Ledger *ledger, const Channel *channel, const Pool *pool, const Options *options,
                   const char *program) {
        LedgerKeeper *keeper = ledger_keeper(ledger);

        keeper->channel = ledger_note_descriptor(channel->fd);
        keeper->mount_id = channel->mount_id;
        keeper->mount_unique = channel->unique;
        keeper->device = channel->device;
        keeper->unmounter = ledger_note_descriptor(channel->unmounter);
        keeper->pool = ledger_note_descriptor(pool->fd);
        keeper->pool_mount = ledger_note_descriptor(pool->mount_fd);
        keeper->pool_kind = pool->kind;
        keeper->pool_by_handle = pool->by_handle;
        keeper->namespaces = options->namespaces;
        g_strlcpy(keeper->mountpoint, channel->mountpoint, sizeof(keeper->mountpoint));
        g_strlcpy(keeper->pool_path, pool->path ? pool->path : "", sizeof(keeper->pool_path));
        g_strlcpy(keeper->program, program, sizeof(keeper->program));
}

Channel *handover_channel(const Ledger *ledger) {
        const LedgerKeeper *keeper = ledger_keeper(ledger);
        Channel *channel = g_new0(Channel, 1);

        channel->fd = ledger_descriptor(keeper->channel);
        channel->mountpoint = g_strdup(keeper->mountpoint);
        channel->mount_id = keeper->mount_id;
        channel->unique = keeper->mount_unique;
        channel->device = keeper->device;
        channel->unmounter = ledger_descriptor(keeper->unmounter);
        return channel;
}

Pool *handover_pool(const Ledger *ledger) {
        const LedgerKeeper *keeper = ledger_keeper(ledger);
        Pool *pool = g_new0(Pool, 1);
        struct stat st = { 0 };

        pool->kind = keeper->pool_kind;
        pool->fd = ledger_descriptor(keeper->pool);
        pool->mount_fd = ledger_descriptor(keeper->pool_mount);
        pool->path = *keeper->pool_path ? g_strdup(keeper->pool_path) : NULL;
        pool->by_handle = keeper->pool_by_handle;
        fstat(pool->fd, &st);
        pool->device = st.st_dev;
        return pool;
}

void handover_note_notifier(const Ledger *ledger, const Notifier *notifier, pid_t process) {
        LedgerKeeper *keeper = ledger_keeper(ledger);
        int ends[2];

        notifier_descriptors(notifier, ends);
        keeper->notifier[0] = ledger_note_descriptor(ends[0]);
        keeper->notifier[1] = ledger_note_descriptor(ends[1]);
        keeper->notifies = process;
}

Notifier *handover_notifier(const Ledger *ledger, pid_t *process) {
        const LedgerKeeper *keeper = ledger_keeper(ledger);
        const int ends[2] = { ledger_descriptor(keeper->notifier[0]), ledger_descriptor(keeper->notifier[1]) };

        *process = keeper->notifies;
        return notifier_open(ends);
}

/* What the next image is to have is all that is open: reports that a server may have read are named by nobody. */
void handover_prepare(const Ledger *ledger) {
        g_autoptr(GArray) open = server_descriptors_open();
        char number[16];

        for (guint i = 0; i < open->len; i++)
                fcntl(g_array_index(open, int, i), F_SETFD, 0);
        g_snprintf(number, sizeof(number), "%d", ledger_file(ledger));
        g_setenv(VARIABLE, number, TRUE);
}

void handover_cancel(void) {
        g_unsetenv(VARIABLE);
        close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
}

bool handover_is_given(void) {
        return g_getenv(VARIABLE);
}

int handover_receive(void) {
        const char *number = g_getenv(VARIABLE);
        guint64 file;
        bool good = number && g_ascii_string_to_unsigned(number, 10, STDERR_FILENO + 1, G_MAXINT, &file, NULL);

        g_unsetenv(VARIABLE);
        return good ? (int)file : -1;
}

/* Those of the keeper. */
static const struct {
        size_t offset; /* of the word in LedgerKeeper */
        bool needed;
        bool lasting; /* as long as the mount */
} descriptors[] = {
        { offsetof(LedgerKeeper, channel), .needed = true, .lasting = true },
        { offsetof(LedgerKeeper, unmounter), .lasting = true },
        { offsetof(LedgerKeeper, pool), .needed = true, .lasting = true },
        { offsetof(LedgerKeeper, pool_mount), .lasting = true },
        { offsetof(LedgerKeeper, notifier[0]), .needed = true, .lasting = true },
        { offsetof(LedgerKeeper, notifier[1]), .needed = true, .lasting = true },
        { offsetof(LedgerKeeper, lifeline) },
};

static uint64_t noted(const LedgerKeeper *keeper, size_t which) {
        return *(const uint64_t *)(const void *)((const char *)keeper + descriptors[which].offset);
}

static bool is_path(const char *path, size_t size, bool may_be_empty) {
        return memchr(path, '\0', size) && (*path == '/' || (may_be_empty && !*path));
}

bool handover_is_whole(const Ledger *ledger) {
        const LedgerKeeper *keeper = ledger_keeper(ledger);

        /* A mount that a server has begun to end is nobody's to go on with. */
        if (ledger_header(ledger)->ending)
                return false;
        for (size_t i = 0; i < G_N_ELEMENTS(descriptors); i++) {
                uint64_t word = noted(keeper, i);

                if (word > INT_MAX || (word && word <= STDERR_FILENO + 1) || (descriptors[i].needed && !word) ||
                    (descriptors[i].needed && fcntl(ledger_descriptor(word), F_GETFD) < 0))
                        return false;
        }
        return keeper->pool_kind <= POOL_DIRECTORY && is_path(keeper->mountpoint, sizeof(keeper->mountpoint), false) &&
               is_path(keeper->pool_path, sizeof(keeper->pool_path), true) &&
               is_path(keeper->program, sizeof(keeper->program), false);
}

bool handover_is_mounted(const Ledger *ledger) {
        const LedgerKeeper *keeper = ledger_keeper(ledger);
        const Channel channel = {
                .fd = ledger_descriptor(keeper->channel),
                .mount_id = keeper->mount_id,
                .device = keeper->device,
        };

        return channel_is_mounted(&channel);
}

void handover_lasting(const Ledger *ledger, HandoverFound found, void *data) {
        const LedgerKeeper *keeper = ledger_keeper(ledger);

        found(data, ledger_file(ledger));
        for (size_t i = 0; i < G_N_ELEMENTS(descriptors); i++)
                if (descriptors[i].lasting)
                        found(data, ledger_descriptor(noted(keeper, i)));
        found(data, ledger_descriptor(ledger_header(ledger)->reports));
        found(data, registry_root_descriptor(ledger));
}

void handover_named(const Ledger *ledger, HandoverFound found, void *data) {
        server_descriptors_named(ledger, found, data);
}

GArray *handover_descriptors(const Ledger *ledger) {
        const LedgerKeeper *keeper = ledger_keeper(ledger);
        GArray *open = server_descriptors_open();
        int file = ledger_file(ledger);

        /* What was handed over is still open to other images; what we have opened is not. */
        for (guint i = open->len; i > 0; i--) {
                int fd = g_array_index(open, int, i - 1);

                if (fd > STDERR_FILENO && !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
                        g_array_remove_index_fast(open, i - 1);
        }
        g_array_append_val(open, file);
        for (size_t i = 0; i < G_N_ELEMENTS(descriptors); i++) {
                int fd = ledger_descriptor(noted(keeper, i));

                if (fd >= 0)
                        g_array_append_val(open, fd);
        }
        close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
        return open;
}
