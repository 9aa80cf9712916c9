/* regionctl rm: removes regions. */
#include "arguments.h"
#include "mount.h"
#include "verbs.h"

#include <errno.h>
#include <unistd.h>

static const Usage usage = {
        .arguments = "NAME...",
        .summary = "Removes the names of regions. Who has one open, or a view of it, keeps it until the end.",
        .details = "Examples:\n"
                   "  regionctl rm /run/regions/a /run/regions/b\n"
                   "  regionctl rm --force /run/regions/perhaps\n",
};

static Status remove_region(const char *path, gboolean force) {
        g_auto(Mount) mount = MOUNT_INIT;
        Status status = mount_find(&mount, path);

        if (status != STATUS_DONE)
                return status;
        if (unlink(path) == 0 || (force && errno == ENOENT))
                return STATUS_DONE;
        return complain_errno(errno, "remove", path);
}

int verb_rm(char **arguments) {
        gboolean force = FALSE;
        const GOptionEntry options[] = {
                { "force", 'f', 0, G_OPTION_ARG_NONE, &force, "It is no failure if there is no such region", NULL },
                { NULL },
        };
        Status status = arguments_parse(arguments, options, &usage);
        char **paths;

        if (status != STATUS_DONE)
                return status;
        paths = arguments_names(arguments);
        if (!*paths)
                return complain(STATUS_USAGE, "rm needs the NAME of a region: see regionctl rm --help");
        /* All that can be removed are; the first failure tells the status. */
        for (char **path = paths; *path; path++) {
                Status of_this = remove_region(*path, force);

                if (status == STATUS_DONE)
                        status = of_this;
        }
        return status;
}
