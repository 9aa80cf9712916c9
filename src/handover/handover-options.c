/* Options of a mount that was handed over: what they say of the mount itself stays as it was. */
#include "handover/handover.h"

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

static void say_differences(const Ledger *ledger, const Options *options) {
        g_auto(GStrv) arguments = recall(&ledger_keeper(ledger)->made);
        g_autofree char *differences = NULL;
        g_auto(Options) made = { 0 };

        if (!arguments[0] || !parse(ledger, &made, arguments, NULL))
                return;
        differences = options_find_differences(&made, options);
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
