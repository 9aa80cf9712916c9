/* regionctl: looks at regions and makes them, by the mount alone. */
#include "base/streams.h"
#include "regionctl/verbs/verbs.h"
#include "regionctl/words/output.h"

#include <locale.h>

static const struct {
        const char *name;
        int (*run)(char **arguments);
        const char *summary;
} verbs[] = {
        { "create", verb_create, "make a region" },
        { "ls", verb_ls, "list regions" },
        { "rm", verb_rm, "remove regions" },
        { "seal", verb_seal, "make regions final" },
        { "set", verb_set, "change attributes of regions" },
        { "stat", verb_stat, "tell all about a region" },
        { "status", verb_status, "tell how a mount is" },
        { "top", verb_top, "show the regions as they change" },
        { "wait", verb_wait, "wait for a region to come or go" },
};

static void print_help(void) {
        g_print("Usage: regionctl VERB [OPTION...] [ARGUMENT...]\n"
                "\n"
                "Looks at the shared-memory regions of a regionfs mount, and makes them. Names are paths into the mount.\n"
                "\n");
        for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
                g_print("  %-8s %s\n", verbs[i].name, verbs[i].summary);
        g_print("\n"
                "regionctl VERB --help tells more, with examples. See regionctl(1).\n"
                "\n"
                "Exit status: 0 done, 1 failed, 2 wrong usage or not in a regionfs mount, 3 no such region, 4 the name is\n"
                "taken, 5 no room, 6 not allowed, 7 in use, 8 the time is up.\n");
}

static Status run(char **arguments) {
        if (!arguments[0])
                return complain(STATUS_USAGE, "a VERB is missing: see regionctl --help");
        if (g_str_equal(arguments[0], "--help") || g_str_equal(arguments[0], "-h") ||
            g_str_equal(arguments[0], "help")) {
                print_help();
                return STATUS_DONE;
        }
        if (g_str_equal(arguments[0], "--version") || g_str_equal(arguments[0], "-V")) {
                g_print("regionctl %s\n", REGIONFS_VERSION);
                return STATUS_DONE;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
                if (g_str_equal(arguments[0], verbs[i].name))
                        return verbs[i].run(arguments);
        return complain(STATUS_USAGE, "there is no verb %s: see regionctl --help", arguments[0]);
}

int main(int argc, char **argv) {
        streams_fill();
        setlocale(LC_ALL, "");
        return output_finish(run(argv + MIN(argc, 1)));
}
