#include "server/server-descriptors.h"

#include "server/server.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

GArray *server_descriptors_open(void) {
        GDir *directory = g_dir_open("/proc/self/fd", 0, NULL);
        GArray *open = g_array_new(FALSE, FALSE, sizeof(int));
        const char *name;

        while (directory && (name = g_dir_read_name(directory))) {
                int fd = g_ascii_strtoll(name, NULL, 10);

                g_array_append_val(open, fd);
        }
        if (directory)
                g_dir_close(directory);
        /* That of the directory itself was among them. */
        for (guint i = open->len; i > 0; i--)
                if (fcntl(g_array_index(open, int, i - 1), F_GETFD) < 0)
                        g_array_remove_index(open, i - 1);
        return open;
}

static void add(void *data, int fd) {
        GArray *needed = data;

        g_array_append_val(needed, fd);
}

static int compare(gconstpointer a, gconstpointer b) {
        const int *one = a, *other = b;

        return (*one > *other) - (*one < *other);
}

/* A bound of the numbers in use: the table does not shrink. */
static int table_size(void) {
        g_autofree char *status = NULL;
        const char *line;

        if (!g_file_get_contents("/proc/self/status", &status, NULL, NULL) || !(line = strstr(status, "\nFDSize:")))
                return 0;
        return g_ascii_strtoll(line + strlen("\nFDSize:"), NULL, 10);
}

static void sweep(int first, int last, ServerDescriptorsFound found, void *data) {
        if (first > last || (!found && close_range(first, last, 0) == 0))
                return;
        for (int fd = first; fd <= last; fd++)
                if (fcntl(fd, F_GETFD) >= 0 && (!found || !found(data, fd)))
                        close(fd);
}

/* Sorts what is needed. */
static void sweep_others(GArray *needed, ServerDescriptorsFound found, void *data) {
        int next = 0, size = table_size();

        g_array_sort(needed, compare);
        for (guint i = 0; i < needed->len; i++) {
                int fd = g_array_index(needed, int, i);

                if (fd < next)
                        continue;
                sweep(next, fd - 1, found, data);
                next = fd + 1;
        }
        sweep(next, MAX(size, next), found, data);
}

void server_descriptors_named(const Ledger *ledger, void (*found)(void *data, int fd), void *data) {
        registry_descriptors(ledger, found, data);
        handles_descriptors(ledger, found, data);
        requests_descriptors(ledger, found, data);
        if (ledger_end(ledger)->node)
                found(data, ledger_descriptor(ledger_end(ledger)->descriptor));
}

void server_descriptors_sweep(const GArray *keepers, const Ledger *ledger, int one_more, ServerDescriptorsFound found,
                              void *data) {
        g_autoptr(GArray) needed = g_array_new(FALSE, FALSE, sizeof(int));

        g_array_append_vals(needed, keepers->data, keepers->len);
        add(needed, one_more);
        server_descriptors_named(ledger, add, needed);
        sweep_others(needed, found, data);
}

void server_descriptors_close_others(const GArray *keepers, int one_more) {
        g_autoptr(GArray) needed = g_array_new(FALSE, FALSE, sizeof(int));

        g_array_append_vals(needed, keepers->data, keepers->len);
        add(needed, one_more);
        sweep_others(needed, NULL, NULL);
}
