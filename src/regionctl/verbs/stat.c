/* regionctl stat: all about single regions. */
#include "regionctl/display/account.h"
#include "regionctl/facts/mount.h"
#include "regionctl/verbs/verbs.h"
#include "regionctl/words/arguments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const Usage usage = {
        .arguments = "NAME...",
        .summary =
                "Tells all about regions: lengths and rules, which parts have memory, and who has them open or mapped.",
        .details = "Examples:\n"
                   "  regionctl stat /run/regions/a\n"
                   "  regionctl stat --json /run/regions/a |\n"
                   "    python3 -c 'import json, sys; print(json.load(sys.stdin)[0][\"users\"])'\n",
};

/* What all of them share. */
typedef struct Telling {
        gboolean json;
        ObjectArray array;
        Names *names;
        bool begun; /* something has been told */
} Telling;

static void print(Telling *telling, const Account *account) {
        if (telling->json) {
                g_autoptr(JsonBuilder) builder = json_builder_new();

                account_add(account, builder, telling->names);
                object_array_print(&telling->array, builder);
                return;
        }
        if (telling->begun)
                printf("\n");
        telling->begun = true;
        account_print(account);
}

static Status tell(const char *name, void *data) {
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
        print(data, &account);
        return STATUS_DONE;
}

int verb_stat(char **arguments) {
        Telling telling = { .array = OBJECT_ARRAY_INIT };
        const GOptionEntry options[] = {
                { "json", 0, 0, G_OPTION_ARG_NONE, &telling.json, "An array of objects, for programs", NULL },
                { NULL },
        };
        Status status = arguments_parse(arguments, options, &usage);

        if (status != STATUS_DONE)
                return status;
        if (!arguments[1])
                return complain(STATUS_USAGE, "stat needs the NAME of a region: see regionctl stat --help");
        telling.names = names_new();
        status = arguments_each(arguments + 1, tell, &telling);
        if (telling.json)
                object_array_end(&telling.array);
        names_free(telling.names);
        return status;
}
