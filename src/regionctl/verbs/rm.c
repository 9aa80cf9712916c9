/* regionctl rm: removes regions. */
#include "regionctl/facts/mount.h"
#include "regionctl/verbs/verbs.h"
#include "regionctl/words/arguments.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static const Usage usage = {
        .arguments = "NAME...",
        .summary = "Removes the names of regions. Who has one open, or a view of it, keeps it until the end.",
        .details = "Examples:\n"
                   "  regionctl rm /run/regions/a /run/regions/b\n"
                   "  regionctl rm --force /run/regions/perhaps\n",
};

/* No name, and no directory for it either. */
static gboolean is_missing(int code) {
        return code == ENOENT || code == ENOTDIR;
}

/* data: whether it is no failure if there is none, a gboolean. */
static Status remove_region(const char *path, void *data) {
        const gboolean *force = data;
        g_auto(Mount) mount = MOUNT_INIT;
        struct stat st;
        Status status;

        if (*force && *path && lstat(path, &st) < 0 && is_missing(errno))
                return STATUS_DONE;
        status = mount_find(&mount, path);
        if (status != STATUS_DONE)
                return status;
        if (unlink(path) == 0 || (*force && is_missing(errno)))
                return STATUS_DONE;
        if (errno == EISDIR)
                return complain(STATUS_FAILED, "cannot remove %s: it is a directory (rmdir removes those)", path);
        if (errno == EPERM)
                return complain(STATUS_NOT_ALLOWED,
                                "cannot remove %s: %s (where the directory is sticky, the owner of the region or of the "
                                "directory, and root, alone may do so)",
                                path, g_strerror(errno));
        return complain_errno(errno, "remove", path);
}

int verb_rm(char **arguments) {
        gboolean force = FALSE;
        const GOptionEntry options[] = {
                { "force", 'f', 0, G_OPTION_ARG_NONE, &force, "It is no failure if there is no such region", NULL },
                { NULL },
        };
        Status status = arguments_parse(arguments, options, &usage);

        if (status != STATUS_DONE)
                return status;
        if (!arguments[1])
                return complain(STATUS_USAGE, "rm needs the NAME of a region: see regionctl rm --help");
        return arguments_each(arguments + 1, remove_region, &force);
}
