#include "background.h"
#include "channel.h"
#include "handover.h"
#include "keeper.h"
#include "log.h"
#include "manager.h"
#include "options.h"
#include "store.h"
#include "streams.h"
#include "successor.h"

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

static int serve(const Options *options, char **arguments, Ledger *handed_over, GArray *given) {
        Log *log = log_new(options->debug);
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
        return keeper_run(options, &successor, handed_over, given, log, background);
}

/*
 * Of a store whose mount this program cannot go on with: it is given up. Its mountpoint is the last of the arguments, as in the
 * service.
 */
static void give_up_store(const GArray *given, const char *mountpoint) {
        g_autoptr(Manager) manager = manager_new();

        for (guint i = 0; i < given->len; i++)
                close(g_array_index(given, int, i));
        if (manager && store_forget(manager, NULL, given) == 0)
                manager_wait(manager);
        channel_unmount_dead(mountpoint);
}

/* What an earlier program has handed over; NULL: nothing, or nothing that can be used, which is said. */
static Ledger *receive(int argc, char **argv, GArray **given) {
        int file = handover_receive();
        g_autoptr(GError) error = NULL;
        Ledger *ledger = NULL;

        if (file < 0 && store_is_given())
                file = store_receive(given);
        if (file >= 0)
                ledger = ledger_open(file, &error);
        else if (manager_is_there()) /* an earlier run of the service was killed, and nothing of it is kept */
                channel_unmount_dead(argv[argc - 1]);
        if (ledger && !handover_is_whole(ledger)) {
                g_set_error(&error, G_IO_ERROR, G_IO_ERROR_FAILED, "what another regionfs has left is not whole");
                g_clear_pointer(&ledger, ledger_free);
        }
        if (!error)
                return ledger;
        g_printerr("regionfs: %s\n", error->message);
        if (*given)
                give_up_store(*given, argv[argc - 1]);
        g_clear_pointer(given, g_array_unref);
        return NULL;
}

int main(int argc, char **argv) {
        g_autoptr(GArray) given = NULL;
        g_auto(Options) options = { 0 };
        g_autoptr(GError) error = NULL;
        Ledger *handed_over;

        streams_fill();
        if (successor_is_asked(argc, argv))
                return successor_answer(argc, argv);
        raise_descriptor_limit();
        handed_over = receive(argc, argv, &given);
        if (!(handed_over ? options_parse_again(&options, ledger_keeper(handed_over)->mountpoint, argc, argv, &error) :
                            options_parse(&options, argc, argv, &error)))
                return fail(error);
        if (options.help) {
                g_print("%s", options_help());
                return EXIT_SUCCESS;
        }
        if (options.version) {
                g_print("regionfs %s\n", REGIONFS_VERSION);
                return EXIT_SUCCESS;
        }
        if (handed_over)
                handover_settle_options(handed_over, &options);
        return serve(&options, argv, handed_over, given);
}
