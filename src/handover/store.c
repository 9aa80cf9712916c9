#include "handover/store.h"

#include "handover/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "regionfs-"
#define LEDGER "ledger-"

/* sd_listen_fds(3) */
#define FIRST 3

typedef struct Giving {
        const Manager *manager;
        const Ledger *ledger;
        unsigned room; /* for how many more */
        unsigned left; /* that there was no room for */
        int result;
} Giving;

static void put(void *data, int fd) {
        Giving *giving = data;
        char lines[96];

        if (fd < 0 || giving->result < 0)
                return;
        if (!giving->room) {
                giving->left++;
                return;
        }
        giving->room--;
        /* The store would drop those that are ready for reading an error. */
        g_snprintf(lines, sizeof(lines), "FDSTORE=1\nFDPOLL=0\nFDNAME=" PREFIX "%s%d",
                   fd == ledger_file(giving->ledger) ? LEDGER : "", fd);
        giving->result = manager_tell(giving->manager, lines, fd);
}

int store_keep(const Manager *manager, const Ledger *ledger) {
        /* What does not find room there is for store_give() to see. */
        Giving giving = { .manager = manager, .ledger = ledger, .room = G_MAXUINT };

        handover_lasting(ledger, put, &giving);
        return giving.result;
}

typedef struct Search {
        int fd;
        bool found;
} Search;

static void compare(void *data, int fd) {
        Search *search = data;

        search->found |= fd == search->fd;
}

/* What is there from the start is in the store once. */
static void put_other(void *data, int fd) {
        Search search = { .fd = fd };
        Giving *giving = data;

        handover_lasting(giving->ledger, compare, &search);
        if (!search.found)
                put(data, fd);
}

int store_give(const Manager *manager, const Ledger *ledger, unsigned *left) {
        Giving giving = { .manager = manager, .ledger = ledger, .room = manager_room(manager) };

        handover_lasting(ledger, put, &giving);
        /* The mount lives by each of those. */
        if (giving.left)
                return -ENOSPC;
        handover_named(ledger, put_other, &giving);
        *left = giving.left;
        return giving.result < 0 ? giving.result : manager_wait(manager);
}

bool store_is_given(void) {
        const char *process = g_getenv("LISTEN_PID"), *names = g_getenv("LISTEN_FDNAMES");

        return process && names && atoi(process) == getpid() && strstr(names, PREFIX LEDGER);
}

/* The number that a name holds, or -1. */
static int number_of(const char *name) {
        guint64 number;

        if (!g_str_has_prefix(name, PREFIX))
                return -1;
        name += strlen(PREFIX);
        if (g_str_has_prefix(name, LEDGER))
                name += strlen(LEDGER);
        return g_ascii_string_to_unsigned(name, 10, FIRST, 1 << 30, &number, NULL) ? (int)number : -1;
}

int store_receive(GArray **given) {
        g_auto(GStrv) names = g_strsplit(g_getenv("LISTEN_FDNAMES"), ":", -1);
        g_autoptr(GArray) aside = g_array_new(FALSE, FALSE, sizeof(int));
        int highest = FIRST + g_strv_length(names), ledger = -1;

        *given = g_array_new(FALSE, FALSE, sizeof(int));
        for (unsigned i = 0; names[i]; i++)
                highest = MAX(highest, number_of(names[i]));
        /* Out of one another's way first. */
        for (unsigned i = 0; names[i]; i++) {
                int fd = fcntl(FIRST + i, F_DUPFD, highest + 1);

                close(FIRST + i);
                g_array_append_val(aside, fd);
        }
        for (unsigned i = 0; names[i]; i++) {
                int fd = g_array_index(aside, int, i), number = number_of(names[i]);

                if (fd < 0)
                        continue;
                if (number >= 0 && dup2(fd, number) == number) {
                        g_array_append_val(*given, number);
                        if (g_str_has_prefix(names[i], PREFIX LEDGER))
                                ledger = number;
                }
                close(fd);
        }
        g_unsetenv("LISTEN_PID");
        g_unsetenv("LISTEN_FDS");
        g_unsetenv("LISTEN_FDNAMES");
        return ledger;
}

int store_forget(const Manager *manager, const Ledger *ledger, const GArray *given) {
        int result = 0;

        for (guint i = 0; i < given->len && result == 0; i++) {
                Search search = { .fd = g_array_index(given, int, i) };
                char lines[96];

                if (ledger)
                        handover_lasting(ledger, compare, &search);
                if (search.found)
                        continue;
                g_snprintf(lines, sizeof(lines), "FDSTOREREMOVE=1\nFDNAME=" PREFIX "%d", search.fd);
                result = manager_tell(manager, lines, -1);
                g_snprintf(lines, sizeof(lines), "FDSTOREREMOVE=1\nFDNAME=" PREFIX LEDGER "%d", search.fd);
                if (!ledger && result == 0)
                        result = manager_tell(manager, lines, -1);
        }
        return result;
}
