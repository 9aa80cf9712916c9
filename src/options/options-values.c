/* What may follow -o: each option's value, with what is allowed. */
#include "options/options-parts.h"

#include "base/size.h"
#include "pool/pool-limits.h"

#include <errno.h>
#include <gio/gio.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ATTR_TIMEOUT_MAX 86400.0 /* seconds */

typedef bool (*Parser)(Options *options, const char *value, GError **error);

static bool refuse(GError **error, const char *name, const char *value, const char *allowed) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "option %s=%s is not allowed: %s", name, value,
                    allowed);
        return false;
}

static bool parse_size(Options *options, const char *value, GError **error) {
        static const char allowed[] =
                "a size is a number of bytes from 1 to 2^63-1, with k, m, g or t behind it for powers "
                "of 1024, or a percentage of the machine's memory from 1% to 100%";
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

        if (!g_ascii_string_to_unsigned(value, 10, 1, POOL_LIMITS_REGIONS_MAX, &number, NULL))
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
void options_set_fsname(Options *options, const char *name) {
        for (guint i = options->mount->len; i > 0; i--)
                if (g_str_has_prefix(g_ptr_array_index(options->mount, i - 1), OPTIONS_FSNAME))
                        g_ptr_array_remove_index(options->mount, i - 1);
        g_ptr_array_add(options->mount, g_strconcat(OPTIONS_FSNAME, name, NULL));
}

static bool parse_fsname(Options *options, const char *value, GError **error) {
        if (!*value)
                return refuse(error, "fsname", value, "it takes the name that df(1) shows for the mount");
        options_set_fsname(options, value);
        return true;
}

/* As mount.fuse3(8) may say it: the type is ours already. */
static bool parse_subtype(Options *options, const char *value, GError **error) {
        return g_str_equal(value, "regionfs") ||
               refuse(error, "subtype", value, "it takes regionfs, which is what the mount's type is in any case");
}

/* As a tmpfs has it. */
static bool refuse_nr_inodes(Options *options, const char *value, GError **error) {
        return refuse(error, "nr_inodes", value, "nr_regions=N limits regions, with directories and all else in the pool");
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
        { "nr_inodes=", refuse_nr_inodes },
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

/* Whether a value follows where none is taken. */
static bool has_needless_value(const char *option, const char *name) {
        return g_str_has_prefix(option, name) && option[strlen(name)] == '=';
}

bool options_take(Options *options, const char *option, GError **error) {
        if (!*option)
                return true; /* of a list such as "ro,,noexec" */
        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                const char *name = table[i].name;
                size_t length = strlen(name);
                bool takes_value = name[length - 1] == '=';
                bool open_ended = takes_value || name[length - 1] == '-';

                if (open_ended ? g_str_has_prefix(option, name) : g_str_equal(option, name))
                        return table[i].parse(options, option + length, error);
                if (takes_value && strlen(option) == length - 1 && strncmp(option, name, length - 1) == 0) {
                        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "option %s needs a value: %s=VALUE",
                                    option, option);
                        return false;
                }
                if (!open_ended && has_needless_value(option, name))
                        return refuse(error, name, option + length + 1, "it takes no value");
        }
        g_ptr_array_add(options->mount, g_strdup(option));
        return true;
}
