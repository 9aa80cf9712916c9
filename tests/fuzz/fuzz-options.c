/* The command line: one argument a line. */
#include "options/options.h"

#include "fuzz.h"

#include <string.h>

/* More than this is only slower. */
#define SIZE_MAX_USED 4096

int LLVMFuzzerInitialize(int *argc, char ***argv) {
        fuzz_quieten();
        return 0;
}

static void check(const Options *options) {
        const PoolSettings *pool = &options->pool;

        fuzz_check(options->help || options->version || g_path_is_absolute(options->mountpoint));
        fuzz_check(options->max_threads <= 1024);
        fuzz_check(pool->mode == (mode_t)-1 || pool->mode <= 07777);
        fuzz_check(pool->size <= G_MAXINT64 && pool->size_percent <= 100 && !(pool->size && pool->size_percent));
        fuzz_check(options->lifetime >= -1 && options->lifetime <= REGION_HANDLES);
        fuzz_check(options->allocation >= -1 && options->allocation <= REGION_COMMITTED);
        for (guint i = 0; i < options->mount->len; i++)
                fuzz_check(*(const char *)g_ptr_array_index(options->mount, i));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
        g_autofree char *text = g_strndup((const char *)bytes, MIN(size, SIZE_MAX_USED));
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        g_autoptr(GPtrArray) arguments = g_ptr_array_new();
        g_autoptr(GError) error = NULL;
        g_auto(Options) options = { 0 };

        g_ptr_array_add(arguments, (gpointer) "regionfs");
        for (char **line = lines; *line; line++)
                if (**line)
                        g_ptr_array_add(arguments, *line);
        g_ptr_array_add(arguments, NULL);
        if (options_parse(&options, arguments->len - 1, (char **)arguments->pdata, &error)) {
                fuzz_check(!error);
                check(&options);
        } else {
                fuzz_check(error && *error->message && !options.mountpoint && !options.mount);
        }
        return 0;
}
