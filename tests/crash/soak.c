/*
 * Many clients do everything that a regionfs can do, and verify every byte and every name, while its server is killed
 * again and again. Prints a table; exits with 0 if all was well.
 */
#include "soak-client.h"
#include "soak-killer.h"
#include "soak-race.h"
#include "soak-usage.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* Of each client before the server's descriptors are counted for the first time. */
#define WARM_UP 300

/* A call that lasts longer is named while it does, in ns. */
#define LONG_CALL UINT64_C(5000000000)

typedef struct Settings {
        int clients, operations, kills, seed, seconds, pause;
        gboolean shared_pool;
        char **directories;
} Settings;

typedef struct Soak {
        const Settings *settings;
        Mount mount;
        Board *board;
        char *directory; /* all that the soak makes is in it */
        char *shared;
        gint64 deadline; /* monotonic, in µs */
} Soak;

static bool parse(Settings *settings, int argc, char **argv, GError **error) {
        const GOptionEntry entries[] = {
                { "clients", 0, 0, G_OPTION_ARG_INT, &settings->clients, "Processes (default: 4)", "N" },
                { "operations", 0, 0, G_OPTION_ARG_INT, &settings->operations,
                  "Of all clients together (default: 50000)", "N" },
                { "kills", 0, 0, G_OPTION_ARG_INT, &settings->kills, "How often the server is killed (default: 500)",
                  "N" },
                { "seed", 0, 0, G_OPTION_ARG_INT, &settings->seed, "What is random depends on it (default: 1)", "N" },
                { "seconds", 0, 0, G_OPTION_ARG_INT, &settings->seconds, "Give up after this time (default: 600)",
                  "N" },
                { "pause", 0, 0, G_OPTION_ARG_INT, &settings->pause, "Fail if a call takes longer (default: any time)",
                  "MS" },
                { "shared-pool", 0, 0, G_OPTION_ARG_NONE, &settings->shared_pool,
                  "Others use the pool's file system too: what is free there says nothing", NULL },
                { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &settings->directories, NULL, NULL },
                { .long_name = NULL },
        };
        g_autoptr(GOptionContext) context = g_option_context_new("DIRECTORY");

        g_option_context_set_summary(context,
                                     "Soaks a regionfs mounted at or above DIRECTORY, and kills its server meanwhile.");
        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, error))
                return false;
        if (settings->directories && !settings->directories[1] && settings->clients >= 1 &&
            settings->clients <= BOARD_CLIENTS_MAX && settings->operations >= 1 && settings->kills >= 0 &&
            settings->seconds >= 1 && settings->pause >= 0)
                return true;
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "see soak --help: one DIRECTORY, 1 to %d clients",
                    BOARD_CLIENTS_MAX);
        return false;
}

static pid_t start_client(const Soak *soak, unsigned number, uint64_t operations, uint32_t seed) {
        g_autofree char *directory = g_strdup_printf("%s/client-%u", soak->directory, number);
        Client client = {
                .board = soak->board,
                .own = &soak->board->clients[number],
                .mount = &soak->mount,
                .number = number,
                .seed = seed,
                .directory = directory,
                .shared = soak->shared,
        };
        pid_t process = fork();

        if (process == 0) {
                client_run(&client, operations);
                _exit(0);
        }
        return process;
}

static pid_t start_killer(const Soak *soak) {
        const Settings *settings = soak->settings;
        pid_t process = fork();

        if (process == 0)
                _exit(killer_run(soak->board, &soak->mount, settings->seed, settings->kills, settings->operations,
                                 settings->clients));
        return process;
}

static void name_hanging(const Soak *soak) {
        uint64_t now = g_get_monotonic_time() * UINT64_C(1000);

        for (int i = 0; i < soak->settings->clients; i++) {
                const BoardClient *client = &soak->board->clients[i];
                uint64_t since = client->since;

                if (since && now > since + LONG_CALL)
                        g_printerr("soak: client %d hangs for %" G_GUINT64_FORMAT " s in %s\n", i,
                                   (guint64)((now - since) / 1000000000), client->call);
        }
}

static void name_ended(const Soak *soak, const pid_t *processes, pid_t ended, int status) {
        for (int i = 0; i < soak->settings->clients; i++) {
                const BoardClient *client = &soak->board->clients[i];

                if (processes[i] == ended)
                        g_printerr("soak: seed %u, client %d, operation %" G_GUINT64_FORMAT
                                   ": ended with status %#x, in or after %s\n",
                                   soak->settings->seed, i, (guint64)client->operations, status, client->call);
        }
}

/* Until all have ended; who has not at the deadline is killed, and one that cannot be is left. */
static bool await(const Soak *soak, const pid_t *processes, unsigned count) {
        unsigned left = count;
        bool late = false;

        while (left > 0) {
                int status;
                pid_t ended = waitpid(-1, &status, WNOHANG);

                if (ended > 0) {
                        left--;
                        if (status == 0 || late)
                                continue;
                        name_ended(soak, processes, ended, status);
                        soak->board->errors++;
                        soak->board->stop = true;
                        continue;
                }
                if (g_get_monotonic_time() > soak->deadline + 5 * G_USEC_PER_SEC)
                        break;
                if (!late && g_get_monotonic_time() > soak->deadline) {
                        g_printerr("soak: not done in %d s\n", soak->settings->seconds);
                        name_hanging(soak);
                        late = true;
                        soak->board->errors++;
                        for (unsigned i = 0; i < count; i++)
                                kill(processes[i], SIGKILL);
                }
                g_usleep(2000);
        }
        return left == 0 && !late;
}

/* False if it could not be brought to an end. */
static bool run_clients(Soak *soak, uint64_t operations, uint32_t seed, bool with_kills) {
        const unsigned clients = soak->settings->clients;
        pid_t processes[BOARD_CLIENTS_MAX + 1];
        unsigned count = 0;
        bool done;

        memset(soak->board, 0, sizeof(*soak->board));
        if (!race_prepare(soak->shared)) {
                g_printerr("soak: cannot prepare %s: %s\n", soak->shared, g_strerror(errno));
                soak->board->errors++;
                return false;
        }
        soak->board->killing = with_kills && soak->settings->kills > 0;
        for (; count < clients; count++)
                processes[count] = start_client(soak, count, (operations + clients - 1) / clients, seed);
        if (soak->board->killing)
                processes[count++] = start_killer(soak);
        done = await(soak, processes, count);
        if (!done)
                return false;
        soak->board->changes += race_check(soak->board, soak->shared, clients);
        if (!race_remove(soak->shared)) {
                g_printerr("soak: cannot remove %s: %s\n", soak->shared, g_strerror(errno));
                soak->board->errors++;
        }
        return true;
}

/* Whether all was well. */
static bool report(const Soak *soak, const Usage *leaked, double seconds) {
        const Board *board = soak->board;
        const BoardClient *slowest = &board->clients[0];
        uint64_t operations = 0, calls = 0;

        for (int i = 0; i < soak->settings->clients; i++) {
                operations += board->clients[i].operations;
                calls += board->clients[i].calls;
                if (board->clients[i].longest > slowest->longest)
                        slowest = &board->clients[i];
        }
        printf("%-24s %12s\n", "soak of", soak->settings->directories[0]);
        printf("%-24s %12" G_GUINT64_FORMAT "  in %.1f s, by %d clients, with seed %d\n", "operations",
               (guint64)operations, seconds, soak->settings->clients, soak->settings->seed);
        printf("%-24s %12" G_GUINT64_FORMAT "\n", "system calls", (guint64)calls);
        printf("%-24s %12" G_GUINT64_FORMAT "\n", "kills", (guint64)board->kills);
        printf("%-24s %12" G_GUINT64_FORMAT "\n", "errors", (guint64)board->errors);
        printf("%-24s %12" G_GUINT64_FORMAT "\n", "lost or doubled changes", (guint64)board->changes);
        printf("%-24s %12" G_GINT64_FORMAT "\n", "leaked descriptors", (gint64)leaked->descriptors);
        printf("%-24s %12" G_GINT64_FORMAT "\n", "leaked regions", (gint64)leaked->regions);
        printf("%-24s %12" G_GINT64_FORMAT "\n", "leaked files", (gint64)leaked->files);
        printf("%-24s %12" G_GINT64_FORMAT "\n", "leaked bytes", (gint64)leaked->bytes);
        printf("%-24s %9.3f ms  %s\n", "longest pause", slowest->longest / 1e6,
               slowest->longest_call ? slowest->longest_call : "");
        return !board->errors && !board->changes && !leaked->descriptors && !leaked->regions && !leaked->files &&
               !leaked->bytes && board->kills >= (uint64_t)soak->settings->kills &&
               (!soak->settings->pause || slowest->longest <= soak->settings->pause * UINT64_C(1000000));
}

/* Descriptors are counted after a warm-up, everything else before. */
static bool soak_all(Soak *soak) {
        Usage before, warm, leaked = { 0 };
        gint64 begun;
        bool done;

        usage_take(&soak->mount, &before);
        if (mkdir(soak->directory, 0755) < 0) {
                g_printerr("soak: cannot make %s: %s\n", soak->directory, g_strerror(errno));
                return false;
        }
        done = run_clients(soak, WARM_UP * soak->settings->clients, soak->settings->seed + 1, false) &&
               !soak->board->errors && !soak->board->changes;
        usage_take(&soak->mount, &warm);
        before.descriptors = warm.descriptors;
        begun = g_get_monotonic_time();
        done = done && run_clients(soak, soak->settings->operations, soak->settings->seed, true);
        if (done && rmdir(soak->directory) < 0) {
                g_printerr("soak: cannot remove %s: %s\n", soak->directory, g_strerror(errno));
                soak->board->errors++;
        }
        if (done)
                usage_compare(&soak->mount, &before, soak->mount.regionfs && !soak->settings->shared_pool, &leaked);
        return report(soak, &leaked, (g_get_monotonic_time() - begun) / (double)G_USEC_PER_SEC) && done;
}

int main(int argc, char **argv) {
        Settings settings = { .clients = 4, .operations = 50000, .kills = 500, .seed = 1, .seconds = 600 };
        g_autoptr(GError) error = NULL;
        Soak soak = { .settings = &settings };
        bool good;

        if (!parse(&settings, argc, argv, &error)) {
                g_printerr("soak: %s\n", error->message);
                return EXIT_FAILURE;
        }
        mount_init(&soak.mount, settings.directories[0]);
        if (settings.kills && !soak.mount.regionfs) {
                g_printerr("soak: there is no server to kill at %s: try --kills 0\n", settings.directories[0]);
                return EXIT_FAILURE;
        }
        soak.board = mmap(NULL, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (soak.board == MAP_FAILED)
                g_error("mmap: %s", g_strerror(errno));
        soak.directory = g_strdup_printf("%s/soak-%d", settings.directories[0], getpid());
        soak.shared = g_build_filename(soak.directory, "shared", NULL);
        soak.deadline = g_get_monotonic_time() + settings.seconds * G_USEC_PER_SEC;
        good = soak_all(&soak);
        mount_clear(&soak.mount);
        g_free(soak.shared);
        g_free(soak.directory);
        g_strfreev(settings.directories);
        return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
