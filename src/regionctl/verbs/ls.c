/* regionctl ls: lists regions. */
#include "regionctl/display/columns.h"
#include "regionctl/display/object.h"
#include "regionctl/facts/listing.h"
#include "regionctl/facts/mount.h"
#include "regionctl/verbs/verbs.h"
#include "regionctl/words/arguments.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static const Usage usage = {
        .arguments = "[DIR|NAME...]",
        .summary = "Lists the regions of directories (default: the one that you are in), or single ones.",
        .details = "Names of directories end with a slash. \"-\" stands for what you may not know of a region without the\n"
                   "right to read it. No region is opened.\n"
                   "\n"
                   "Examples:\n"
                   "  regionctl ls /run/regions\n"
                   "  regionctl ls -lH --sort resident /run/regions\n"
                   "  regionctl ls -R --json /run/regions |\n"
                   "    python3 -c 'import json, sys; print(len(json.load(sys.stdin)))'\n",
};

typedef struct Ls {
        gboolean details, human, json, recursive, reverse;
        ListingKey key;
        bool alone; /* what is in a directory is shown without the directory's own name */
        GPtrArray *regions;
        Names *names;
} Ls;

/* No more than is shown, as each costs a question. */
static unsigned wanted(const Ls *ls) {
        if (ls->json)
                return REGION_ALL;
        return ls->details ? REGION_ALL & ~(1U << REGION_SOURCE) : listing_key_wants(ls->key);
}

/* Each directory on the way down takes a descriptor. */
static void raise_descriptor_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
}

static int list_directory(const Ls *ls, int fd, dev_t device, const char *shown, Status *status) {
        g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
        char *path = realpath(link, NULL);
        const ListingRequest request = {
                .wanted = wanted(ls),
                .device = device,
                .recursive = ls->recursive,
        };
        int result = path ? listing_read(ls->regions, fd, shown, path, &request, status) : -errno;

        free(path);
        return result;
}

static int list_one(const Ls *ls, const char *name) {
        RegionInfo *info = region_info_read(AT_FDCWD, name, wanted(ls));
        g_autofree char *directory = g_path_get_dirname(name), *base = g_path_get_basename(name);
        char *parent;

        if (!info)
                return -errno;
        parent = realpath(directory, NULL);
        info->name = g_strdup(name);
        info->path = g_build_filename(parent ? parent : directory, base, NULL);
        free(parent);
        g_ptr_array_add(ls->regions, info);
        return 0;
}

/* data: Ls. */
static Status list(const char *path, void *data) {
        const Ls *ls = data;
        g_auto(Mount) mount = MOUNT_INIT;
        g_autofree char *below = g_str_has_suffix(path, "/") ? g_strdup(path) : g_strconcat(path, "/", NULL);
        Status status = mount_find(&mount, path);
        int fd, result;

        if (status != STATUS_DONE)
                return status;
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
                result = list_directory(ls, fd, mount.device, ls->alone ? "" : below, &status);
                close(fd);
        } else {
                result = errno == ENOTDIR || errno == ENOENT ? list_one(ls, path) : -errno;
        }
        return result < 0 ? complain_errno(-result, "list", path) : status;
}

static void print_json(const Ls *ls) {
        ObjectArray array = OBJECT_ARRAY_INIT;

        for (guint i = 0; i < ls->regions->len; i++) {
                g_autoptr(JsonBuilder) builder = json_builder_new();

                object_begin_region(builder, ls->regions->pdata[i], ls->names);
                json_builder_end_object(builder);
                object_array_print(&array, builder);
        }
        object_array_end(&array);
}

static void print(const Ls *ls) {
        bool escape = isatty(STDOUT_FILENO);

        listing_sort(ls->regions, ls->key, ls->reverse);
        if (ls->json) {
                print_json(ls);
        } else if (ls->details) {
                g_autoptr(Table) table = columns_for_ls(ls->regions, ls->names, ls->human);

                table_print(table, "");
        } else {
                for (guint i = 0; i < ls->regions->len; i++) {
                        g_autofree char *name = columns_name(ls->regions->pdata[i], escape);

                        puts(name);
                }
        }
}

int verb_ls(char **arguments) {
        Ls ls = { .key = LISTING_NAME };
        g_autofree char *sort = NULL;
        const GOptionEntry options[] = {
                { "long", 'l', 0, G_OPTION_ARG_NONE, &ls.details, "All about each region, in columns", NULL },
                { "human", 'H', 0, G_OPTION_ARG_NONE, &ls.human, "Sizes as 4.0K, 2.5M, ... (powers of 1024)", NULL },
                { "json", 0, 0, G_OPTION_ARG_NONE, &ls.json, "An array of objects, for programs", NULL },
                { "recursive", 'R', 0, G_OPTION_ARG_NONE, &ls.recursive, "Also what is in directories below", NULL },
                { "sort", 's', 0, G_OPTION_ARG_STRING, &sort,
                  "Order by name (default), logical, padded, resident, handles or age, the largest first", "KEY" },
                { "reverse", 'r', 0, G_OPTION_ARG_NONE, &ls.reverse, "The other way round", NULL },
                { NULL },
        };
        Status status = arguments_parse(arguments, options, &usage);

        if (status != STATUS_DONE)
                return status;
        if (sort)
                ls.key = listing_key(sort);
        if (ls.key == LISTING_KEYS)
                return complain(STATUS_USAGE, "--sort takes name, logical, padded, resident, handles or age, and not %s", sort);
        raise_descriptor_limit();
        ls.alone = !arguments[1] || !arguments[2];
        ls.regions = g_ptr_array_new_with_free_func((GDestroyNotify)region_info_free);
        ls.names = names_new();
        status = arguments[1] ? arguments_each(arguments + 1, list, &ls) : list(".", &ls);
        /* There are no titles over nothing where that is no answer. */
        if (status == STATUS_DONE || ls.regions->len > 0 || ls.json)
                print(&ls);
        names_free(ls.names);
        g_ptr_array_unref(ls.regions);
        return status;
}
