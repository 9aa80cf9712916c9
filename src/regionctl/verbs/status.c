/* regionctl status: how regionfs mounts are. */
#include "regionctl/display/object.h"
#include "regionctl/facts/mounts.h"
#include "regionctl/facts/pool-status.h"
#include "regionctl/facts/probe.h"
#include "regionctl/verbs/verbs.h"
#include "regionctl/words/arguments.h"
#include "regionctl/words/text.h"

#include <stdio.h>

static const Usage usage = {
        .arguments = "[PATH...]",
        .summary = "Tells how the regionfs mounts are that the paths lie in (default: all mounts).",
        .details = "Examples:\n"
                   "  regionctl status\n"
                   "  regionctl status --json /run/regions |\n"
                   "    python3 -c 'import json, sys; print(json.load(sys.stdin)[0][\"regions\"])'\n"
                   "\n"
                   "Exit status 1 if a mount does not answer within 5 seconds, or nobody serves it.\n",
};

static void print_status(const Mount *mount, const PoolStatus *pool) {
        g_autofree char *root = text_escape(mount->root);
        g_autofree char *used = text_size(pool->used, true), *size = text_size(pool->size, true);
        g_autofree char *available = text_size(pool->available, true);
        g_autofree char *regions = text_size(pool->regions, false), *server = text_size(pool->server_pid, false);
        g_autofree char *version = text_escape(mount->version ? mount->version : "-");

        printf("%s\n", root);
        printf("  pool       %s of %s used (%u%%), %s available\n", used, size,
               (unsigned)(pool->size ? pool->used * 100.0 / pool->size + 0.5 : 0), available);
        printf("  regions    %s; files of all kinds: %" G_GUINT64_FORMAT " of at most %" G_GUINT64_FORMAT "\n", regions,
               pool->files, pool->files_limit);
        printf("  data path  %s\n", pool->passthrough < 0 ? "-" :
                                    pool->passthrough     ? "passthrough: straight to the memory" :
                                                            "cached: through the page cache");
        printf("  server     regionfs %s, process %s\n", version, server);
        printf("  channel    FUSE connection %u%s\n", pool->channel, pool->io_uring > 0 ? ", over io_uring" : "");
}

static void print_object(ObjectArray *array, const Mount *mount, const PoolStatus *pool) {
        g_autoptr(JsonBuilder) builder = json_builder_new();

        json_builder_begin_object(builder);
        object_add_text(builder, "mount", mount->root);
        object_add_size(builder, "pool_size", pool->size);
        object_add_size(builder, "pool_used", pool->used);
        object_add_size(builder, "pool_available", pool->available);
        object_add_number(builder, "regions", pool->regions);
        object_add_number(builder, "files", pool->files);
        object_add_number(builder, "files_limit", pool->files_limit);
        object_add_flag(builder, "passthrough", pool->passthrough);
        object_add_flag(builder, "io_uring", pool->io_uring);
        object_add_text(builder, "version", mount->version);
        object_add_number(builder, "server_pid", pool->server_pid);
        object_add_number(builder, "channel", pool->channel);
        json_builder_end_object(builder);
        object_array_print(array, builder);
}

/* All of what is asked of a mount. */
static void ask(const char *path) {
        g_auto(Mount) mount = MOUNT_INIT;
        PoolStatus pool;

        if (!mounts_refuse(path) && mount_find(&mount, path) == STATUS_DONE)
                pool_status_read(&pool, &mount);
}

/* data: the array for JSON, or NULL. */
static Status tell_answering(const char *path, void *data) {
        g_auto(Mount) mount = MOUNT_INIT;
        Status status = mount_find(&mount, path);
        PoolStatus pool;
        int result;

        if (status != STATUS_DONE)
                return status;
        result = pool_status_read(&pool, &mount);
        if (result < 0)
                return complain_errno(-result, "ask", path);
        if (data)
                print_object(data, &mount, &pool);
        else
                print_status(&mount, &pool);
        return STATUS_DONE;
}

static Status tell(const char *path, void *data) {
        return probe(path, ask) ? tell_answering(path, data) : STATUS_FAILED;
}

/* Of the mounts that there are, those that are someone else's are no failure. */
static Status tell_all(ObjectArray *array) {
        Status status = STATUS_DONE, of_rest;
        g_autoptr(GPtrArray) usable = g_ptr_array_new();
        g_autoptr(GPtrArray) mounts = NULL;
        g_autoptr(GError) error = NULL;

        mounts = mounts_list(&error);
        if (!mounts)
                return complain(STATUS_FAILED, "%s", error->message);
        for (guint i = 0; i < mounts->len; i++) {
                const char *path = mounts->pdata[i];

                if (!probe(path, ask))
                        status = STATUS_FAILED;
                else if (mounts_refuse(path))
                        complain(STATUS_DONE, "%s is left out: only the user who mounted it may use it", path);
                else
                        g_ptr_array_add(usable, mounts->pdata[i]);
        }
        if (mounts->len == 0 && !array)
                complain(STATUS_DONE, "there is no regionfs mount");
        g_ptr_array_add(usable, NULL);
        of_rest = arguments_each((char **)usable->pdata, tell_answering, array);
        return status == STATUS_DONE ? of_rest : status;
}

int verb_status(char **arguments) {
        ObjectArray array = OBJECT_ARRAY_INIT;
        gboolean json = FALSE;
        const GOptionEntry options[] = {
                { "json", 0, 0, G_OPTION_ARG_NONE, &json, "An array of objects, for programs", NULL },
                { NULL },
        };
        Status status = arguments_parse(arguments, options, &usage);

        if (status != STATUS_DONE)
                return status;
        status = arguments[1] ? arguments_each(arguments + 1, tell, json ? &array : NULL) :
                                tell_all(json ? &array : NULL);
        if (json)
                object_array_end(&array);
        return status;
}
