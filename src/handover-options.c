/* Options of a mount that was handed over: what they say of the mount itself stays as it was. */
#include "handover.h"

#include <string.h>

static void note(LedgerArguments *room, char **arguments) {
        size_t size = 0;

        ledger_publish(&room->size, 0);
        for (unsigned i = 0; arguments[i]; i++) {
                size_t length = strlen(arguments[i]) + 1;

                if (length > sizeof(room->text) - size)
                        return;
                memcpy(room->text + size, arguments[i], length);
                size += length;
        }
        ledger_publish(&room->size, size);
}

/* To be freed. */
static char **recall(const LedgerArguments *room) {
        GPtrArray *arguments = g_ptr_array_new();
        size_t size = MIN(room->size, sizeof(room->text));

        for (size_t i = 0; i < size; i += strlen(g_ptr_array_index(arguments, arguments->len - 1)) + 1)
                g_ptr_array_add(arguments, g_strndup(room->text + i, size - i));
        g_ptr_array_add(arguments, NULL);
        return (char **)g_ptr_array_free(arguments, FALSE);
}

static bool parse(const Ledger *ledger, Options *options, char **arguments, GError **error) {
        const char *mountpoint = ledger_keeper(ledger)->mountpoint;

        return options_parse_again(options, mountpoint, g_strv_length(arguments), arguments, error);
}

void handover_note_arguments(const Ledger *ledger, char **arguments) {
        note(&ledger_keeper(ledger)->made, arguments);
        note(&ledger_keeper(ledger)->accepted, arguments);
}

static bool are_same(const GPtrArray *one, const GPtrArray *other) {
        for (guint i = 0; i < MAX(one->len, other->len); i++)
                if (i >= MIN(one->len, other->len) ||
                    !g_str_equal(g_ptr_array_index(one, i), g_ptr_array_index(other, i)))
                        return false;
        return true;
}

/* Names of what the two say differently of the mount and the pool, to be freed; NULL: nothing. */
static char *find_differences(const Options *made, const Options *now) {
        const PoolSettings *one = &made->pool, *other = &now->pool;
        const struct {
                const char *name;
                bool differs;
        } settled[] = {
                { "pool", g_strcmp0(one->directory, other->directory) != 0 },
                { "size", one->size != other->size || one->size_percent != other->size_percent },
                { "nr_regions", one->nr_regions != other->nr_regions },
                { "huge", g_strcmp0(one->huge, other->huge) != 0 },
                { "noswap", one->noswap != other->noswap },
                { "mpol", g_strcmp0(one->mpol, other->mpol) != 0 },
                { "mode", one->mode != other->mode },
                { "uid", one->uid != other->uid },
                { "gid", one->gid != other->gid },
                { "passthrough", made->passthrough != now->passthrough },
                { "lifetime", made->lifetime != now->lifetime },
                { "allocation", made->allocation != now->allocation },
                { "namespaces", made->namespaces != now->namespaces },
                { "io_uring", made->io_uring != now->io_uring },
                { "allow_root", made->allow_root != now->allow_root },
                { "those of mount(8)", !are_same(made->mount, now->mount) },
        };
        GString *names = g_string_new(NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(settled); i++)
                if (settled[i].differs)
                        g_string_append_printf(names, "%s%s", names->len ? ", " : "", settled[i].name);
        return g_string_free(names, names->len == 0);
}

static void say_differences(const Ledger *ledger, const Options *options) {
        g_auto(GStrv) arguments = recall(&ledger_keeper(ledger)->made);
        g_autofree char *differences = NULL;
        g_auto(Options) made = { 0 };

        if (!arguments[0] || !parse(ledger, &made, arguments, NULL))
                return;
        differences = find_differences(&made, options);
        if (differences)
                g_warning("these options stay as they were when the mount was made, until it is made anew: %s",
                          differences);
}

/* As far as they were settled with the mount. */
static void settle(const Ledger *ledger, Options *options) {
        options->namespaces = ledger_keeper(ledger)->namespaces;
        options->passthrough = ledger_header(ledger)->passthrough ? PASSTHROUGH_AUTO : PASSTHROUGH_OFF;
}

char **handover_read_options(const Ledger *ledger, Options *options, char **argv, GError **error) {
        g_auto(GStrv) arguments = NULL;
        g_autoptr(GError) refused = NULL;

        if (parse(ledger, options, argv, &refused)) {
                note(&ledger_keeper(ledger)->accepted, argv);
                arguments = g_strdupv(argv);
        } else {
                arguments = recall(&ledger_keeper(ledger)->accepted);
                if (!arguments[0] || !parse(ledger, options, arguments, NULL)) {
                        g_propagate_error(error, g_steal_pointer(&refused));
                        return NULL;
                }
                g_warning("%s: going on with the options of before", refused->message);
        }
        say_differences(ledger, options);
        settle(ledger, options);
        return g_steal_pointer(&arguments);
}
