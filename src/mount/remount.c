#include "mount/remount.h"

#include "mount/access-times.h"
#include "mount/remount-limits.h"

#include <errno.h>
#include <gio/gio.h>
#include <regionfs/regionfs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ATIME (MS_NOATIME | MS_RELATIME | MS_STRICTATIME)

/* What statvfs(3) tells of. */
#define TOLD (ATIME | MS_RDONLY | MS_NOEXEC | MS_NODIRATIME | MS_SYNCHRONOUS | MS_NOSYMFOLLOW)

#ifndef ST_NOSYMFOLLOW
#define ST_NOSYMFOLLOW 8192 /* the C library lacks it */
#endif

static const struct {
        const char *name;
        unsigned long set, clear;
} flags[] = {
        { "ro", .set = MS_RDONLY },
        { "rw", .clear = MS_RDONLY },
        { "noexec", .set = MS_NOEXEC },
        { "exec", .clear = MS_NOEXEC },
        { "noatime", .set = MS_NOATIME, .clear = ATIME },
        { "relatime", .set = MS_RELATIME, .clear = ATIME },
        { "strictatime", .set = MS_STRICTATIME, .clear = ATIME },
        { "atime", .clear = MS_NOATIME },
        { "nodiratime", .set = MS_NODIRATIME },
        { "diratime", .clear = MS_NODIRATIME },
        { "nosymfollow", .set = MS_NOSYMFOLLOW },
        { "symfollow", .clear = MS_NOSYMFOLLOW },
        { "lazytime", .set = MS_LAZYTIME },
        { "nolazytime", .clear = MS_LAZYTIME },
        { "sync", .set = MS_SYNCHRONOUS },
        { "async", .clear = MS_SYNCHRONOUS },
        { "dirsync", .set = MS_DIRSYNC },
};

/* What mount(8) finds in /proc/mounts and says again; with "=" at the end where a value follows. */
static const char *const settled[] = {
        "allow_other", "blksize=", "fsname=", "group_id=", "max_read=", "rootmode=", "user_id=",
};

static bool take_option(const char *option, unsigned long *wanted, GError **error) {
        for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
                if (!g_str_equal(option, flags[i].name))
                        continue;
                *wanted = (*wanted & ~flags[i].clear) | flags[i].set;
                return true;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(settled); i++)
                if (g_str_has_suffix(settled[i], "=") ? g_str_has_prefix(option, settled[i]) :
                                                        g_str_equal(option, settled[i]))
                        return true;
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "option %s is not allowed with remount: it takes ro, rw, exec, noexec, and the other flags of mount(8)",
                    option);
        return false;
}

/* The process id that /proc tells as the parent of a process, or 0. */
static int parent_of(int process) {
        g_autofree char *path = g_strdup_printf("/proc/%d/status", process), *status = NULL;
        const char *parent;

        if (!g_file_get_contents(path, &status, NULL, NULL))
                return 0;
        parent = strstr(status, "\nPPid:");
        return parent ? atoi(parent + strlen("\nPPid:")) : 0;
}

/* The arguments that the daemon was started with, by its keeper; to be freed. None where that cannot be found. */
static GPtrArray *read_arguments(const char *mountpoint) {
        GPtrArray *arguments = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *path = NULL, *line = NULL;
        char server[16] = "";
        gsize size = 0;

        if (getxattr(mountpoint, REGIONFS_ATTRIBUTE_SERVER_PID, server, sizeof(server) - 1) > 0)
                path = g_strdup_printf("/proc/%d/cmdline", parent_of(atoi(server)));
        if (path)
                g_file_get_contents(path, &line, &size, NULL);
        for (gsize i = 0; i < size; i += strlen(line + i) + 1)
                g_ptr_array_add(arguments, g_strdup(line + i));
        return arguments;
}

/* The options among the arguments, behind those that are there. */
static void append_options(GPtrArray *arguments, char **given) {
        for (; *given; given++) {
                if (!g_str_has_prefix(*given, "-o"))
                        continue;
                g_ptr_array_add(arguments, g_strdup(*given));
                if (g_str_equal(*given, "-o") && given[1])
                        g_ptr_array_add(arguments, g_strdup(*++given));
        }
}

/* With those that another run of the daemon, but not remounting, takes up. To be freed; empty: none. */
static char *find_differences(const Options *made, const Options *now) {
        const struct {
                const char *name;
                bool differs;
        } of_run[] = {
                { "unlisted", made->unlisted != now->unlisted },
                { "attr_timeout", made->attr_timeout != now->attr_timeout },
                { "max_threads", made->max_threads != now->max_threads },
                { "watchdog", made->watchdog != now->watchdog },
        };
        g_autofree char *of_mount = options_find_differences(made, now);
        GString *names = g_string_new(of_mount);

        for (size_t i = 0; i < G_N_ELEMENTS(of_run); i++)
                if (of_run[i].differs)
                        g_string_append_printf(names, "%s%s", names->len ? ", " : "", of_run[i].name);
        return g_string_free(names, FALSE);
}

/*
 * What is given now is compared as if it had been said when the daemon was started: it may well be the same, as in
 * fstab(5).
 */
static void say_what_stays(const char *mountpoint, char **given, bool limits) {
        g_autoptr(GPtrArray) arguments = read_arguments(mountpoint);
        g_auto(Options) made = { 0 }, now = { 0 };
        g_autofree char *names = NULL;

        if (!options_parse_again(&made, mountpoint, arguments->len, (char **)arguments->pdata, NULL))
                return;
        append_options(arguments, given);
        if (!options_parse_again(&now, mountpoint, arguments->len, (char **)arguments->pdata, NULL))
                return;
        g_ptr_array_set_size(made.mount, 0);
        g_ptr_array_set_size(now.mount, 0);
        if (limits) {
                made.pool.size = now.pool.size;
                made.pool.size_percent = now.pool.size_percent;
                made.pool.nr_regions = now.pool.nr_regions;
        }
        names = find_differences(&made, &now);
        if (*names)
                g_printerr("regionfs: these options stay as they were when the mount was made, until it is made anew: %s\n",
                           names);
}

/* Of a pool that has no mount of its own, or a daemon that does not know of them, nothing is wanted. */
static bool set_access_times(const char *mountpoint, unsigned wanted) {
        const char *name = access_times_name(wanted);

        return setxattr(mountpoint, REGIONFS_ATTRIBUTE_ACCESS_TIMES, name, strlen(name), 0) == 0 || errno == ENODATA ||
               errno == EINVAL;
}

/* False with errno. */
static bool change_flags(const char *mountpoint, unsigned long wanted) {
        struct statvfs fs;
        bool changed;
        int reason;

        if (statvfs(mountpoint, &fs) < 0)
                return false;
        if (geteuid() == 0 && wanted & MS_RDONLY && !(fs.f_flag & ST_RDONLY) &&
            !set_access_times(mountpoint, MOUNT_ATTR_NOATIME))
                return false;
        changed = mount(NULL, mountpoint, NULL, wanted, NULL) == 0;
        reason = errno;
        if (geteuid() == 0 && statvfs(mountpoint, &fs) == 0 && !(fs.f_flag & ST_RDONLY) &&
            !set_access_times(mountpoint, access_times_of_mount(fs.f_flag)))
                return false;
        errno = reason;
        return changed;
}

/* As mount(2) has them, of what statvfs(3) tells: all but lazytime and dirsync. */
static unsigned long flags_of(const struct statvfs *fs) {
        static const struct {
                unsigned long told, flag;
        } known[] = {
                { ST_RDONLY, MS_RDONLY },         { ST_NOEXEC, MS_NOEXEC },   { ST_NOATIME, MS_NOATIME },
                { ST_NODIRATIME, MS_NODIRATIME }, { ST_RELATIME, MS_RELATIME }, { ST_SYNCHRONOUS, MS_SYNCHRONOUS },
                { ST_NOSYMFOLLOW, MS_NOSYMFOLLOW },
        };
        unsigned long found = fs->f_flag & (ST_NOATIME | ST_RELATIME) ? 0 : MS_STRICTATIME;

        for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
                if (fs->f_flag & known[i].told)
                        found |= known[i].flag;
        return found;
}

/*
 * All or nothing. Nothing can be set through a mount that is read-only: it is set before it becomes so, or when it no
 * longer is.
 */
static bool change(const char *mountpoint, unsigned long wanted, const RemountLimits *present,
                   const RemountLimits *limits, GError **error) {
        struct statvfs before;
        bool told = statvfs(mountpoint, &before) == 0;
        bool late = told && before.f_flag & ST_RDONLY && !(wanted & MS_RDONLY);
        int reason;

        if (!late && !remount_limits_set(mountpoint, present, limits, error))
                return false;
        if (change_flags(mountpoint, wanted)) {
                if (!late || remount_limits_set(mountpoint, present, limits, error))
                        return true;
                change_flags(mountpoint, (wanted & ~TOLD) | flags_of(&before));
                return false;
        }
        reason = errno;
        if (!late)
                remount_limits_set(mountpoint, limits, present, NULL);
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(reason), "cannot remount %s: %s%s", mountpoint,
                    g_strerror(reason),
                    reason == EPERM                         ? " (it takes root)" :
                    reason == EBUSY && wanted & MS_RDONLY ? " (someone has a region open for writing)" :
                                                            "");
        return false;
}

/*
 * Of a mount that is made, and what is to stay. mount(8) says all flags that are to be, of exec and the like by leaving
 * out their opposites, and always ro or rw; who says neither means one change.
 */
static unsigned long flags_before(const Options *options) {
        unsigned long made = MS_REMOUNT | MS_NOSUID | MS_NODEV;
        struct statvfs fs;

        for (guint i = 0; i < options->mount->len; i++) {
                const char *option = g_ptr_array_index(options->mount, i);

                if (g_str_equal(option, "ro") || g_str_equal(option, "rw"))
                        return made;
        }
        return statvfs(options->mountpoint, &fs) == 0 ? made | flags_of(&fs) : made;
}

bool remount(const Options *options, char **arguments, GError **error) {
        unsigned long wanted = flags_before(options);
        RemountLimits present = { 0 }, limits = { 0 };
        bool limited;

        for (guint i = 0; i < options->mount->len; i++)
                if (!take_option(g_ptr_array_index(options->mount, i), &wanted, error))
                        return false;
        if (getxattr(options->mountpoint, REGIONFS_ATTRIBUTE_VERSION, NULL, 0) < 0) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_MOUNTED,
                            "cannot remount %s: no regionfs is mounted there", options->mountpoint);
                return false;
        }
        limited = remount_limits_read(options->mountpoint, &present);
        if (limited)
                limits = remount_limits_of(&options->pool);
        if (!change(options->mountpoint, wanted, &present, &limits, error))
                return false;
        say_what_stays(options->mountpoint, arguments, limited);
        return true;
}
