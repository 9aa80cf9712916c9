#include "base/background.h"
#include "base/log.h"
#include "base/manager.h"
#include "base/streams.h"
#include "handover/handover.h"
#include "handover/store.h"
#include "handover/successor.h"
#include "keeper/keeper.h"
#include "mount/channel.h"
#include "mount/remount.h"
#include "options/options.h"

#include <errno.h>
#include <gio/gio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static int fail(const GError *error) {
        g_printerr("regionfs: %s\n", error->message);
        return EXIT_FAILURE;
}

/* Signals that would surprise the daemon. Those that end it are the server's to take. */
static void ignore_signals(void) {
        signal(SIGPIPE, SIG_IGN);
        signal(SIGIO, SIG_IGN); /* someone opens a file while a lease on it is tried */
}

/* Open regions, and in an ordinary user's pool all known ones, take a descriptor each. */
static void raise_descriptor_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
                limit.rlim_cur = limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
}

/* Takes over handed_over and manager. */
static int serve(const Options *options, char **arguments, Ledger *handed_over, GArray *given, Manager *manager,
                 Log *log) {
        g_autoptr(Background) background = NULL;
        g_autofree char *path = handed_over ? g_strdup(ledger_keeper(handed_over)->program) : successor_find_path();
        const Successor successor = { .path = path, .arguments = arguments };

        if (handed_over && !options->foreground)
                log_to_system(log);
        if (!handed_over && !options->foreground && !(background = background_start())) {
                g_printerr("regionfs: cannot go to the background: %s\n", g_strerror(errno));
                return EXIT_FAILURE;
        }
        ignore_signals();
        return keeper_run(options, &successor, handed_over, given, manager, log, background);
}

static void close_all(const GArray *given) {
        for (guint i = 0; i < given->len; i++)
                close(g_array_index(given, int, i));
}

/* Of a store that this program cannot go on with, and has closed. Its mount, if there is one, is dead then. */
static void give_up_store(const Manager *manager, const GArray *given) {
        if (manager && store_forget(manager, NULL, given) == 0)
                manager_wait(manager);
}

/*
 * What an earlier program has handed over; NULL: nothing, or nothing that can be used, which is said. *given (int, to
 * be freed) is what there is of a store's: closed, if it cannot be used.
 */
static Ledger *receive(GArray **given) {
        int file = handover_is_given() ? handover_receive() : store_is_given() ? store_receive(given) : -1;
        g_autoptr(GError) error = NULL;
        g_autoptr(Ledger) ledger = NULL;

        if (file < 0)
                return NULL;
        ledger = ledger_open(file, &error);
        if (!ledger)
                g_warning("%s", error->message);
        else if (!handover_is_whole(ledger))
                g_warning("what another regionfs has left is not whole");
        else if (*given && !handover_is_mounted(ledger))
                g_warning("the mount that another regionfs has left has been taken away: its regions have gone with it");
        else
                return g_steal_pointer(&ledger);
        if (*given)
                close_all(*given);
        return NULL;
}

/* A mount that nobody can go on with is not left behind. */
static int give_up(Ledger *ledger, const Manager *manager, const GArray *given, const GError *error) {
        g_autofree char *mountpoint = g_strdup(ledger_keeper(ledger)->mountpoint);

        ledger_free(ledger);
        close_all(given);
        give_up_store(manager, given);
        channel_unmount_dead(mountpoint);
        return fail(error);
}

int main(int argc, char **argv) {
        g_autoptr(Manager) manager = NULL;
        g_autoptr(GArray) given = NULL;
        g_auto(Options) options = { 0 };
        g_autoptr(GError) error = NULL;
        g_auto(GStrv) arguments = NULL;
        bool follows;
        Ledger *handed_over;
        Log *log;

        streams_fill();
        if (successor_is_asked(argc, argv))
                return successor_answer(argc, argv);
        log = log_new();
        raise_descriptor_limit();
        follows = handover_is_given();
        handed_over = receive(&given);
        /* The mount is there, and the program before this one waits for this to end, to go on with it. */
        if (follows && !handed_over) {
                g_printerr("regionfs: cannot go on with the mount that REGIONFS_HANDOVER in the environment stands for\n");
                return EXIT_FAILURE;
        }
        /* Not before: what was handed over has its numbers. */
        manager = manager_new();
        if (given && !handed_over) {
                give_up_store(manager, given);
                g_clear_pointer(&given, g_array_unref);
        }
        if (handed_over)
                arguments = handover_read_options(handed_over, &options, argv, &error);
        else
                options_parse(&options, argc, argv, &error);
        if (error)
                return given ? give_up(handed_over, manager, given, error) : fail(error);
        if (options.help) {
                g_print("%s", options_help());
                return EXIT_SUCCESS;
        }
        if (options.version) {
                g_print("regionfs %s\n", REGIONFS_VERSION);
                return EXIT_SUCCESS;
        }
        if (options.remount)
                return remount(&options, argv, &error) ? EXIT_SUCCESS : fail(error);
        if (options.debug)
                log_debug(log);
        /* Whoever has started a daemon in the background has not asked to be told by others. */
        if (!options.foreground)
                g_clear_pointer(&manager, manager_free);
        return serve(&options, arguments ? arguments : argv, handed_over, given, g_steal_pointer(&manager), log);
}
