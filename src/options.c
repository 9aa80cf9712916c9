#include "options.h"

#include "size.h"

#define FUSE_USE_VERSION 317
#include <errno.h>
#include <fcntl.h>
#include <fuse_log.h>
#include <fuse_opt.h>
#include <gio/gio.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
        "  remount               change flags of the mount that is there, such as ro\n"
        "\n"
        "and those of mount(8) and mount.fuse3(8): ro, noexec, noatime, fsname=NAME, ... See regionfs(8).\n";

#define FSNAME "fsname="

#define ATTR_TIMEOUT_MAX 86400.0 /* seconds */

typedef bool (*Parser)(Options *options, const char *value, GError **error);

static bool refuse(GError **error, const char *name, const char *value, const char *allowed) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "option %s=%s is not allowed: %s", name, value,
                    allowed);
        return false;
}

static bool parse_size(Options *options, const char *value, GError **error) {
        static const char allowed[] = "a size is a number of bytes from 1 on, with k, m, g or t behind it for powers of "
                                      "1024, or a percentage of the machine's memory from 1% to 100%";
        guint64 percent = 0;
        uint64_t size = 0;

        if (g_str_has_suffix(value, "%")) {
                g_autofree char *number = g_strndup(value, strlen(value) - 1);

                if (!g_ascii_string_to_unsigned(number, 10, 1, 100, &percent, NULL))
                        return refuse(error, "size", value, allowed);
        } else if (!size_parse(value, &size) || size == 0) {
                return refuse(error, "size", value, allowed);
        }
        options->pool.size = size;
        options->pool.size_percent = percent;
        return true;
}

static bool parse_nr_regions(Options *options, const char *value, GError **error) {
        guint64 number;

        /* tmpfs accounts for each in kibibytes, in a word. */
        if (!g_ascii_string_to_unsigned(value, 10, 1, G_MAXINT64 / 4096, &number, NULL))
                return refuse(error, "nr_regions", value, "it takes a whole number from 1 to 2251799813685247");
        options->pool.nr_regions = number;
        return true;
}

static bool parse_huge(Options *options, const char *value, GError **error) {
        static const char *const allowed[] = { "never", "advise", "within_size", "always", NULL };

        if (!g_strv_contains(allowed, value))
                return refuse(error, "huge", value, "it takes never, advise, within_size or always");
        g_free(options->pool.huge);
        options->pool.huge = g_strdup(value);
        return true;
}

static bool parse_noswap(Options *options, const char *value, GError **error) {
        options->pool.noswap = true;
        return true;
}

static bool parse_mpol(Options *options, const char *value, GError **error) {
        static const char *const allowed[] = { "default", "prefer", "bind", "interleave", "local", NULL };
        g_autofree char *mode = g_strndup(value, strcspn(value, ":="));

        if (!g_strv_contains(allowed, mode))
                return refuse(error, "mpol", value,
                              "it takes default, local, prefer:NODE, bind:NODES or interleave:NODES");
        g_free(options->pool.mpol);
        options->pool.mpol = g_strdup(value);
        return true;
}

static bool parse_mode(Options *options, const char *value, GError **error) {
        char *end;
        unsigned long number = strtoul(value, &end, 8);

        if (!g_ascii_isdigit(*value) || *end || number > 07777)
                return refuse(error, "mode", value, "it takes octal permissions from 0 to 7777");
        options->pool.mode = number;
        return true;
}

/* A user or group id as a number. The last one means "unchanged" to chown(2) and cannot own anything. */
static bool parse_id(const char *value, unsigned *id) {
        guint64 number;

        if (!g_ascii_string_to_unsigned(value, 10, 0, UINT_MAX - 1, &number, NULL))
                return false;
        *id = number;
        return true;
}

static bool parse_uid(Options *options, const char *value, GError **error) {
        const struct passwd *user = getpwnam(value);

        if (user)
                options->pool.uid = user->pw_uid;
        else if (!parse_id(value, &options->pool.uid))
                return refuse(error, "uid", value, "it takes the name of a user, or a number from 0 to 4294967294");
        return true;
}

static bool parse_gid(Options *options, const char *value, GError **error) {
        const struct group *group = getgrnam(value);

        if (group)
                options->pool.gid = group->gr_gid;
        else if (!parse_id(value, &options->pool.gid))
                return refuse(error, "gid", value, "it takes the name of a group, or a number from 0 to 4294967294");
        return true;
}

static bool parse_pool(Options *options, const char *value, GError **error) {
        struct stat st;

        if (!options->again && (stat(value, &st) < 0 || !S_ISDIR(st.st_mode)))
                return refuse(error, "pool", value, "it takes an existing directory");
        g_free(options->pool.directory);
        options->pool.directory = options->again ? strdup(value) : realpath(value, NULL);
        return options->pool.directory || refuse(error, "pool", value, g_strerror(errno));
}

static bool parse_passthrough(Options *options, const char *value, GError **error) {
        if (g_str_equal(value, "auto"))
                options->passthrough = PASSTHROUGH_AUTO;
        else if (g_str_equal(value, "require"))
                options->passthrough = PASSTHROUGH_REQUIRE;
        else if (g_str_equal(value, "off"))
                options->passthrough = PASSTHROUGH_OFF;
        else
                return refuse(error, "passthrough", value, "it takes auto, require or off");
        return true;
}

static bool parse_lifetime(Options *options, const char *value, GError **error) {
        if (g_str_equal(value, "kept"))
                options->lifetime = REGION_KEPT;
        else if (g_str_equal(value, "handles"))
                options->lifetime = REGION_HANDLES;
        else
                return refuse(error, "lifetime", value, "it takes kept or handles");
        return true;
}

static bool parse_allocation(Options *options, const char *value, GError **error) {
        if (g_str_equal(value, "delayed"))
                options->allocation = REGION_DELAYED;
        else if (g_str_equal(value, "committed"))
                options->allocation = REGION_COMMITTED;
        else
                return refuse(error, "allocation", value, "it takes delayed or committed");
        return true;
}

static bool parse_namespaces(Options *options, const char *value, GError **error) {
        options->namespaces = true;
        return true;
}

static bool parse_unlisted(Options *options, const char *value, GError **error) {
        options->unlisted = true;
        return true;
}

static bool parse_attr_timeout(Options *options, const char *value, GError **error) {
        char *end;
        double number = g_ascii_strtod(value, &end);

        if (!g_ascii_isdigit(*value) || *end || !(number >= 0 && number <= ATTR_TIMEOUT_MAX))
                return refuse(error, "attr_timeout", value, "it takes a number of seconds from 0 to 86400");
        options->attr_timeout = number;
        return true;
}

static bool parse_io_uring(Options *options, const char *value, GError **error) {
        options->io_uring = true;
        return true;
}

static bool refuse_io_uring_value(Options *options, const char *value, GError **error) {
        return refuse(error, "io_uring", value, "it takes no value");
}

static bool parse_allow_root(Options *options, const char *value, GError **error) {
        options->allow_root = true;
        /* The kernel knows but all or one: libfuse turns the rest away. Root's mounts are open to all anyhow. */
        if (geteuid() != 0)
                g_ptr_array_add(options->mount, g_strdup("allow_other"));
        return true;
}

static bool parse_max_threads(Options *options, const char *value, GError **error) {
        guint64 number;

        if (!g_ascii_string_to_unsigned(value, 10, 1, 1024, &number, NULL))
                return refuse(error, "max_threads", value, "it takes a whole number from 1 to 1024");
        options->max_threads = number;
        return true;
}

static bool parse_watchdog(Options *options, const char *value, GError **error) {
        guint64 number;

        if (!g_ascii_string_to_unsigned(value, 10, 1, 24 * 60 * 60, &number, NULL))
                return refuse(error, "watchdog", value, "it takes a whole number of seconds from 1 to 86400");
        options->watchdog = number;
        return true;
}

/* The last one counts; the kernel takes but one. */
static void set_fsname(Options *options, const char *name) {
        for (guint i = options->mount->len; i > 0; i--)
                if (g_str_has_prefix(g_ptr_array_index(options->mount, i - 1), FSNAME))
                        g_ptr_array_remove_index(options->mount, i - 1);
        g_ptr_array_add(options->mount, g_strconcat(FSNAME, name, NULL));
}

static bool parse_fsname(Options *options, const char *value, GError **error) {
        if (!*value)
                return refuse(error, "fsname", value, "it takes the name that df(1) shows for the mount");
        set_fsname(options, value);
        return true;
}

/* As mount.fuse3(8) may say it: the type is ours already. */
static bool parse_subtype(Options *options, const char *value, GError **error) {
        return g_str_equal(value, "regionfs") ||
               refuse(error, "subtype", value, "it takes regionfs, which is what the mount's type is in any case");
}

static bool refuse_clone_fd(Options *options, const char *value, GError **error) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "option clone_fd is not allowed: all threads read one channel; max_threads=N says how many");
        return false;
}

static bool refuse_auto_unmount(Options *options, const char *value, GError **error) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "option auto_unmount is not allowed: regionfs unmounts by itself whenever it ends, unless it is killed");
        return false;
}

static bool parse_remount(Options *options, const char *value, GError **error) {
        options->remount = true;
        return true;
}

/* For mount(8) and fstab(5), and of no concern here. */
static bool parse_nothing(Options *options, const char *value, GError **error) {
        return true;
}

static const struct {
        const char *name; /* with "=" at the end where a value follows */
        Parser parse;
} table[] = {
        { "size=", parse_size },
        { "nr_regions=", parse_nr_regions },
        { "huge=", parse_huge },
        { "noswap", parse_noswap },
        { "mpol=", parse_mpol },
        { "mode=", parse_mode },
        { "uid=", parse_uid },
        { "gid=", parse_gid },
        { "pool=", parse_pool },
        { "passthrough=", parse_passthrough },
        { "lifetime=", parse_lifetime },
        { "allocation=", parse_allocation },
        { "namespaces", parse_namespaces },
        { "unlisted", parse_unlisted },
        { "attr_timeout=", parse_attr_timeout },
        { "io_uring", parse_io_uring },
        { "io_uring=", refuse_io_uring_value },
        { "allow_root", parse_allow_root },
        { "max_threads=", parse_max_threads },
        { "watchdog=", parse_watchdog },
        { "remount", parse_remount },
        { "fsname=", parse_fsname },
        { "subtype=", parse_subtype },
        { "clone_fd", refuse_clone_fd },
        { "auto_unmount", refuse_auto_unmount },
        { "max_idle_threads=", parse_nothing }, /* idle threads cost nothing, and are kept */
        { "defaults", parse_nothing },
        { "user", parse_nothing },
        { "nouser", parse_nothing },
        { "users", parse_nothing },
        { "owner", parse_nothing },
        { "group", parse_nothing },
        { "auto", parse_nothing },
        { "noauto", parse_nothing },
        { "nofail", parse_nothing },
        { "_netdev", parse_nothing },
        { "x-", parse_nothing },
        { "comment=", parse_nothing },
        /* A region is never a program of its owner's rights, nor a device: nosuid,nodev holds in any case. */
        { "suid", parse_nothing },
        { "nosuid", parse_nothing },
        { "dev", parse_nothing },
        { "nodev", parse_nothing },
        /* Held in any case. */
        { "default_permissions", parse_nothing },
};

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

/* 0, or -1 with the error set. */
static int parse_option(Parsing *parsing, const char *option) {
        if (!*option)
                return 0; /* of a list such as "ro,,noexec" */
        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                const char *name = table[i].name;
                size_t length = strlen(name);
                bool takes_value = name[length - 1] == '=';
                bool open_ended = takes_value || name[length - 1] == '-';

                if (open_ended ? g_str_has_prefix(option, name) : g_str_equal(option, name))
                        return table[i].parse(parsing->options, option + length, parsing->error) ? 0 : -1;
                if (takes_value && strlen(option) == length - 1 && strncmp(option, name, length - 1) == 0) {
                        g_set_error(parsing->error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                                    "option %s needs a value: %s=VALUE", option, option);
                        return -1;
                }
        }
        g_ptr_array_add(parsing->options->mount, g_strdup(option));
        return 0;
}

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
                return parse_option(parsing, argument);
        default:
                return 1;
        }
}

/* The mount goes by what mount(8) was given as its source, if that is anything, unless fsname= says otherwise. */
static void name_after_source(Options *options, const GPtrArray *arguments) {
        const char *source = arguments->len > 1 ? g_ptr_array_index(arguments, 0) : "";

        for (guint i = 0; i < options->mount->len; i++)
                if (g_str_has_prefix(g_ptr_array_index(options->mount, i), FSNAME))
                        return;
        if (*source)
                set_fsname(options, source);
}

static bool find_mountpoint(Options *options, GPtrArray *arguments, GError **error) {
        /* mount(8) gives the source before it: a name for the mount, and nothing besides. */
        const char *given = arguments->len > 0 ? g_ptr_array_index(arguments, arguments->len - 1) : NULL;
        struct statx st;

        if (!given || arguments->len > 2) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                            "%s: see regionfs --help", given ? "more than one MOUNTPOINT is given" :
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
