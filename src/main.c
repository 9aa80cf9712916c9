#include "background.h"
#include "keeper.h"
#include "log.h"
#include "options.h"
#include "streams.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

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

static int serve(const Options *options) {
        Log *log = log_new(options->debug);
        g_autoptr(Background) background = NULL;

        if (!options->foreground && !(background = background_start())) {
                g_printerr("regionfs: cannot go to the background: %s\n", g_strerror(errno));
                return EXIT_FAILURE;
        }
        ignore_signals();
        raise_descriptor_limit();
        return keeper_run(options, log, background);
}

int main(int argc, char **argv) {
        g_auto(Options) options = { 0 };
        g_autoptr(GError) error = NULL;

        streams_fill();
        if (!options_parse(&options, argc, argv, &error))
                return fail(error);
        if (options.help) {
                g_print("%s", options_help());
                return EXIT_SUCCESS;
        }
        if (options.version) {
                g_print("regionfs %s\n", REGIONFS_VERSION);
                return EXIT_SUCCESS;
        }
        return serve(&options);
}
