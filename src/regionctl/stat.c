/* regionctl stat: all about single regions. */
#include "account.h"
#include "arguments.h"
#include "mount.h"
#include "verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const Usage usage = {
        .arguments = "NAME...",
        .summary = "Tells all about regions: lengths and rules, which parts have memory, and who has them open or mapped.",
        .details = "Examples:\n"
                   "  regionctl stat /run/regions/a\n"
                   "  regionctl stat --json /run/regions/a |\n"
                   "    python3 -c 'import json, sys; print(json.load(sys.stdin)[0][\"users\"])'\n",
};

/* first: nothing was told before. */
static Status tell(const char *name, JsonBuilder *builder, bool first) {
        g_auto(Account) account = ACCOUNT_INIT;
        g_auto(Mount) mount = MOUNT_INIT;
        Status status = mount_find(&mount, name);
        char *path;

        if (status != STATUS_DONE)
                return status;
        if (!account_take(&account, name, mount.device))
                return errno == EXDEV ? complain(STATUS_USAGE, "%s leads out of the mount %s", name, mount.root) :
                                        complain_errno(errno, "look at", name);
        path = realpath(name, NULL);
        account.info->name = g_strdup(name);
        account.info->path = g_strdup(path ? path : name);
        free(path);
        if (builder) {
                account_add(&account, builder);
                return STATUS_DONE;
        }
        if (!first)
                printf("\n");
        account_print(&account);
        return STATUS_DONE;
}

int verb_stat(char **arguments) {
        g_autoptr(JsonBuilder) builder = NULL;
        gboolean json = FALSE;
        const GOptionEntry options[] = {
                { "json", 0, 0, G_OPTION_ARG_NONE, &json, "An array of objects, for programs", NULL },
                { NULL },
        };
        Status status = arguments_parse(arguments, options, &usage);
        char **names;

        if (status != STATUS_DONE)
                return status;
        names = arguments_names(arguments);
        if (!*names)
                return complain(STATUS_USAGE, "stat needs the NAME of a region: see regionctl stat --help");
        if (json) {
                builder = json_builder_new();
                json_builder_begin_array(builder);
        }
        for (char **name = names; *name; name++) {
                Status of_this = tell(*name, builder, name == names);

                if (status == STATUS_DONE)
                        status = of_this;
        }
        if (json) {
                json_builder_end_array(builder);
                object_print(builder);
        }
        return status;
}
