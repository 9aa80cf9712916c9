#include "regionctl/words/arguments.h"

#include "regionctl/words/output.h"

#include <stdlib.h>

/* GOption leaves it where a name behind it begins with a dash. */
static void drop_separator(char **arguments) {
        while (*arguments && !g_str_equal(*arguments, "--"))
                arguments++;
        for (; *arguments; arguments++)
                arguments[0] = arguments[1];
}

static void print_help(GOptionContext *context) {
        g_autofree char *text = g_option_context_get_help(context, TRUE, NULL);

        g_print("%s", text);
}

Status arguments_parse(char **arguments, const GOptionEntry *options, const Usage *usage) {
        g_autoptr(GOptionContext) context = g_option_context_new(usage->arguments);
        g_autofree char *program = g_strdup_printf("regionctl %s", arguments[0]);
        g_autoptr(GError) error = NULL;
        int count = g_strv_length(arguments);
        gboolean help = FALSE;
        const GOptionEntry help_options[] = {
                { "help", 'h', 0, G_OPTION_ARG_NONE, &help, "Tell this", NULL },
                { NULL },
        };

        /* Not by GOption, which says that all is well even if nobody could be told. */
        g_option_context_set_help_enabled(context, FALSE);
        if (options)
                g_option_context_add_main_entries(context, options, NULL);
        g_option_context_add_main_entries(context, help_options, NULL);
        g_option_context_set_summary(context, usage->summary);
        g_option_context_set_description(context, usage->details);
        g_set_prgname(program);
        if (!g_option_context_parse(context, &count, &arguments, &error))
                return complain(STATUS_USAGE, "%s: see %s --help", error->message, program);
        if (help) {
                print_help(context);
                g_clear_pointer(&context, g_option_context_free);
                g_clear_pointer(&program, g_free);
                exit(output_finish(STATUS_DONE));
        }
        drop_separator(arguments);
        return STATUS_DONE;
}

Status arguments_each(char **names, Status (*each)(const char *name, void *data), void *data) {
        Status status = STATUS_DONE;

        for (char **name = names; *name; name++) {
                Status of_this = each(*name, data);

                if (status == STATUS_DONE)
                        status = of_this;
        }
        return status;
}
