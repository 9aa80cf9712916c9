/* regionctl set: changes what regions, and what is made in directories, are to be. */
#include "regionctl/changes/setting.h"
#include "regionctl/changes/target.h"
#include "regionctl/verbs/verbs.h"
#include "regionctl/words/arguments.h"

#include <string.h>

static const Usage usage = {
        .arguments = "NAME... [ATTRIBUTE=VALUE...]",
        .summary = "Changes attributes of regions, in the order given; of a directory, what is made in it starts with.",
        .details = "Attributes:\n"
                   "  allocation=delayed|committed  when memory comes: with the first touch, or with the length\n"
                   "  length=SIZE                   bytes, with k, m, g or t for powers of 1024; not of a directory\n"
                   "  lifetime=kept|handles         ends when it is removed, or with its last handle and view\n"
                   "  mode=MODE                     permissions, octal\n"
                   "  sealed=1                      contents and length are final; not of a directory\n"
                   "\n"
                   "Nothing is changed unless all names and values are good. A NAME with \"=\" in it is written with\n"
                   "a slash before that, as in ./a=b.\n"
                   "\n"
                   "Examples:\n"
                   "  regionctl set /run/regions/a lifetime=handles allocation=committed length=1m\n"
                   "  regionctl set /run/regions/a /run/regions/b mode=0640\n"
                   "  regionctl set --reset lifetime /run/regions/a\n",
};

/* All that is to be done: each setting to each target. */
typedef struct Change {
        GArray *settings; /* Setting */
        GArray *targets;  /* Target */
} Change;

static void clear_target(gpointer target) {
        target_clear(target);
}

static void change_init(Change *change) {
        change->settings = g_array_new(FALSE, FALSE, sizeof(Setting));
        change->targets = g_array_new(FALSE, FALSE, sizeof(Target));
        g_array_set_clear_func(change->targets, clear_target);
}

static void change_clear(Change *change) {
        g_array_unref(change->settings);
        g_array_unref(change->targets);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Change, change_clear)

static gboolean is_setting(const char *argument) {
        const char *equals = strchr(argument, '=');

        return equals && !memchr(argument, '/', equals - argument);
}

static Status add_resets(Change *change, char **attributes) {
        for (char **attribute = attributes; attribute && *attribute; attribute++) {
                Setting setting;
                Status status = setting_init_reset(&setting, *attribute);

                if (status != STATUS_DONE)
                        return status;
                g_array_append_val(change->settings, setting);
        }
        return STATUS_DONE;
}

static Status add_setting(Change *change, const char *argument) {
        const char *equals = strchr(argument, '=');
        g_autofree char *attribute = g_strndup(argument, equals - argument);
        Setting setting;
        Status status = setting_init(&setting, attribute, equals + 1, argument);

        if (status == STATUS_DONE)
                g_array_append_val(change->settings, setting);
        return status;
}

static Status add_target(Change *change, const char *name) {
        Target target = TARGET_INIT;
        Status status = target_find(&target, name);

        g_array_append_val(change->targets, target);
        for (guint i = 0; i < change->settings->len && status == STATUS_DONE; i++)
                status = setting_fits(&g_array_index(change->settings, Setting, i), target.st.st_mode, name);
        return status;
}

static Status gather(Change *change, char **arguments) {
        Status status = STATUS_DONE;

        for (char **argument = arguments; *argument && status == STATUS_DONE; argument++)
                if (is_setting(*argument))
                        status = add_setting(change, *argument);
        for (char **argument = arguments; *argument && status == STATUS_DONE; argument++)
                if (!is_setting(*argument))
                        status = add_target(change, *argument);
        if (status != STATUS_DONE)
                return status;
        if (change->targets->len == 0)
                return complain(STATUS_USAGE, "set needs the NAME of a region or directory: see regionctl set --help");
        if (change->settings->len == 0)
                return complain(STATUS_USAGE, "set needs an ATTRIBUTE=VALUE, or --reset: see regionctl set --help");
        return STATUS_DONE;
}

static Status apply(const Change *change, const Target *target) {
        for (guint i = 0; i < change->settings->len; i++) {
                const Setting *setting = &g_array_index(change->settings, Setting, i);
                int result = setting_apply(setting, target->fd);

                if (result < 0) {
                        g_autofree char *what = g_strdup_printf("set %s of", setting_name(setting));

                        return setting_complain(setting, -result, what, target->name);
                }
        }
        return STATUS_DONE;
}

int verb_set(char **arguments) {
        g_auto(GStrv) resets = NULL;
        const GOptionEntry options[] = {
                { "reset", 'r', 0, G_OPTION_ARG_STRING_ARRAY, &resets,
                  "Back to the first value: lifetime (kept) or allocation (delayed); may be repeated", "ATTRIBUTE" },
                { NULL },
        };
        g_auto(Change) change;
        Status status = arguments_parse(arguments, options, &usage);

        change_init(&change);
        if (status == STATUS_DONE)
                status = add_resets(&change, resets);
        if (status == STATUS_DONE)
                status = gather(&change, arguments + 1);
        if (status != STATUS_DONE)
                return status;
        /* What can be changed is; the first failure tells the status. */
        for (guint i = 0; i < change.targets->len; i++) {
                Status of_this = apply(&change, &g_array_index(change.targets, Target, i));

                if (status == STATUS_DONE)
                        status = of_this;
        }
        return status;
}
