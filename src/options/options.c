#include "options/options-parts.h"

#define FUSE_USE_VERSION 317
#include <errno.h>
#include <fcntl.h>
#include <fuse_log.h>
#include <fuse_opt.h>
#include <gio/gio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] =
        "Usage: regionfs [-f] [-d] [-o OPTION[,OPTION...]] MOUNTPOINT\n"
        "\n"
        "Shows a registry of named shared-memory regions as files under MOUNTPOINT.\n"
        "\n"
        "  -f                    stay in the foreground, log to stderr\n"
        "  -d, --debug           the same, and log every request\n"
        "  -s                    one thread: max_threads=1\n"
        "  -h, --help            show this\n"
        "  -V, --version         show the version\n"
        "\n"
        "Options after -o:\n"
        "  size=SIZE             memory of all regions together: bytes, with k, m, g or t, or a percentage of the\n"
        "                        machine's memory (default: 50%)\n"
        "  nr_regions=N          how many regions, directories and links there may be\n"
        "  huge=WHEN             huge pages: never, advise, within_size (default) or always\n"
        "  noswap                keep regions out of swap\n"
        "  mpol=POLICY           NUMA policy, as of tmpfs(5)\n"
        "  mode=MODE             permissions of the root directory, octal (default: 1777; as a user 0700)\n"
        "  uid=USER, gid=GROUP   owner of the root directory, by name or number\n"
        "  pool=DIR              keep the regions in this directory instead\n"
        "  passthrough=WHEN      data goes straight to the regions' memory: auto (default), require or off\n"
        "  lifetime=WHEN         new regions end: kept (default: when removed) or handles (with the last handle and view)\n"
        "  allocation=WHEN       new regions get memory: delayed (default: when touched) or committed (with their length)\n"
        "  namespaces            directories Global, of all users, and Local, of each user's own\n"
        "  unlisted              listxattr(2) leaves regionfs's own attributes out\n"
        "  attr_timeout=SECONDS  how long what stat(2) shows of regions is remembered, 0 to 86400 (default: 1)\n"
        "  io_uring              faster requests, where the kernel has it enabled: a crash costs clients their open handles\n"
        "  max_threads=N         threads that answer requests, 1 to 1024 (default: 64)\n"
        "  watchdog=SECONDS      replace a server that gets no further on a request for so long, 1 to 86400 (default: off)\n"
        "  allow_root            only the user who mounts and root may use the mount\n"
        "  remount               change the mount that is there: size, nr_regions, and flags such as ro\n"
        "\n"
        "and those of mount(8) and mount.fuse3(8): ro, noexec, noatime, fsname=NAME, ... See regionfs(8).\n";

/* What fuse_opt_parse() carries along. */
typedef struct Parsing {
        Options *options;
        GPtrArray *arguments; /* not options: borrowed */
        GError **error;
} Parsing;

enum { KEY_FOREGROUND = 1000, KEY_DEBUG, KEY_HELP, KEY_SINGLE, KEY_VERSION };

static const struct fuse_opt keys[] = {
        FUSE_OPT_KEY("-f", KEY_FOREGROUND), FUSE_OPT_KEY("-d", KEY_DEBUG),      FUSE_OPT_KEY("--debug", KEY_DEBUG),
        FUSE_OPT_KEY("debug", KEY_DEBUG),   FUSE_OPT_KEY("-h", KEY_HELP),       FUSE_OPT_KEY("--help", KEY_HELP),
        FUSE_OPT_KEY("-s", KEY_SINGLE),
        FUSE_OPT_KEY("-V", KEY_VERSION),    FUSE_OPT_KEY("--version", KEY_VERSION), FUSE_OPT_END,
};

static int parse_argument(void *data, const char *argument, int key, struct fuse_args *out) {
        Parsing *parsing = data;
        Options *options = parsing->options;

        switch (key) {
        case KEY_DEBUG:
                options->debug = options->foreground = true;
                return 0;
        case KEY_FOREGROUND:
                options->foreground = true;
                return 0;
        case KEY_SINGLE:
                options->max_threads = 1;
                return 0;
        case KEY_HELP:
                options->help = true;
                return 0;
        case KEY_VERSION:
                options->version = true;
                return 0;
        case FUSE_OPT_KEY_NONOPT:
                g_ptr_array_add(parsing->arguments, (gpointer)argument);
                return 0;
        case FUSE_OPT_KEY_OPT:
                /* Options without -o begin with a dash: an unknown one is not for the kernel to explain. */
                if (argument[0] == '-') {
                        g_set_error(parsing->error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                                    "unknown option %s: see regionfs --help", argument);
                        return -1;
                }
                return options_take(options, argument, parsing->error) ? 0 : -1;
        default:
                return 1;
        }
}

/* The mount goes by what mount(8) was given as its source, if that is anything, unless fsname= says otherwise. */
static void name_after_source(Options *options, const GPtrArray *arguments) {
        const char *source = arguments->len > 1 ? g_ptr_array_index(arguments, 0) : "";

        for (guint i = 0; i < options->mount->len; i++)
                if (g_str_has_prefix(g_ptr_array_index(options->mount, i), OPTIONS_FSNAME))
                        return;
        if (*source)
                options_set_fsname(options, source);
}

static bool find_mountpoint(Options *options, GPtrArray *arguments, GError **error) {
        /* mount(8) gives the source before it: a name for the mount, and nothing besides. */
        const char *given = arguments->len > 0 ? g_ptr_array_index(arguments, arguments->len - 1) : NULL;
        struct statx st;

        if (!given || !*given || arguments->len > 2) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                            "%s: see regionfs --help", arguments->len > 2 ? "more than one MOUNTPOINT is given" :
                                                                            "the MOUNTPOINT is missing");
                return false;
        }
        name_after_source(options, arguments);
        if (options->again)
                return true;
        options->mountpoint = realpath(given, NULL);
        /* What has died there, or does not answer, need not be asked. */
        if (!options->mountpoint ||
            statx(AT_FDCWD, options->mountpoint, AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot mount on %s: %s", given,
                            g_strerror(errno));
                return false;
        }
        if (!S_ISDIR(st.stx_mode)) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_DIRECTORY, "cannot mount on %s: it is not a directory",
                            given);
                return false;
        }
        return true;
}

/* libfuse would print its own sentence beside ours. */
static void say_nothing(enum fuse_log_level level, const char *format, va_list arguments) {
}

static bool parse(Options *options, const char *mountpoint, int argc, char **argv, GError **error) {
        g_autoptr(GPtrArray) arguments = g_ptr_array_new();
        struct fuse_args given = FUSE_ARGS_INIT(argc, argv);
        g_autoptr(GError) local = NULL;
        Parsing parsing = { .options = options, .arguments = arguments, .error = &local };
        bool good;

        *options = (Options){
                .mountpoint = mountpoint ? strdup(mountpoint) : NULL,
                .again = mountpoint,
                .pool = POOL_SETTINGS_INIT,
                .lifetime = -1,
                .allocation = -1,
                .attr_timeout = 1,
                .mount = g_ptr_array_new_with_free_func(g_free),
        };
        fuse_set_log_func(say_nothing);
        good = fuse_opt_parse(&given, &parsing, keys, parse_argument) == 0;
        fuse_set_log_func(NULL);
        if (good && !options->help && !options->version)
                good = find_mountpoint(options, arguments, &local);
        fuse_opt_free_args(&given);
        /* Names belong into one of the two; an ordinary user's root directory is the user's alone anyhow. */
        if (options->namespaces && !options->pool.directory && options->pool.mode == (mode_t)-1 && geteuid() == 0)
                options->pool.mode = 0755;
        if (good)
                return true;
        /* libfuse itself finds only one fault: an option that ends where its value should be. */
        if (!local)
                g_set_error(&local, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                            "the command line cannot be read (is a value missing after -o?): see regionfs --help");
        g_propagate_error(error, g_steal_pointer(&local));
        options_clear(options);
        return false;
}

bool options_parse(Options *options, int argc, char **argv, GError **error) {
        return parse(options, NULL, argc, argv, error);
}

bool options_parse_again(Options *options, const char *mountpoint, int argc, char **argv, GError **error) {
        return parse(options, mountpoint, argc, argv, error);
}

void options_clear(Options *options) {
        free(options->mountpoint);
        options->mountpoint = NULL;
        pool_settings_clear(&options->pool);
        g_clear_pointer(&options->mount, g_ptr_array_unref);
}

const char *options_help(void) {
        return help;
}
