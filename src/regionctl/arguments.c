#include "arguments.h"

Status arguments_parse(char **arguments, const GOptionEntry *options, const Usage *usage) {
        g_autoptr(GOptionContext) context = g_option_context_new(usage->arguments);
        g_autofree char *program = g_strdup_printf("regionctl %s", arguments[0]);
        g_autoptr(GError) error = NULL;
        int count = g_strv_length(arguments);

        if (options)
                g_option_context_add_main_entries(context, options, NULL);
        g_option_context_set_summary(context, usage->summary);
        g_option_context_set_description(context, usage->details);
        g_set_prgname(program);
        if (g_option_context_parse(context, &count, &arguments, &error))
                return STATUS_DONE;
        return complain(STATUS_USAGE, "%s: see %s --help", error->message, program);
}

char **arguments_names(char **arguments) {
        return arguments + (arguments[1] && g_str_equal(arguments[1], "--") ? 2 : 1);
}
