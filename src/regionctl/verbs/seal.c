/* regionctl seal: makes the contents and length of regions final. */
#include "regionctl/changes/setting.h"
#include "regionctl/changes/target.h"
#include "regionctl/verbs/verbs.h"
#include "regionctl/words/arguments.h"

static const Usage usage = {
        .arguments = "NAME...",
        .summary = "Makes contents and length of regions final, which nobody may have open for writing.",
        .details = "Nothing unseals a region. Its names can still be changed and removed.\n"
                   "\n"
                   "Examples:\n"
                   "  regionctl seal /run/regions/table\n"
                   "  regionctl seal /run/regions/table || regionctl stat /run/regions/table\n",
};

/* data: the Setting that seals. */
static Status seal(const char *name, void *data) {
        const Setting *setting = data;
        g_auto(Target) target = TARGET_INIT;
        Status status = target_find(&target, name);
        int result;

        if (status == STATUS_DONE)
                status = setting_fits(setting, target.st.st_mode, name);
        if (status != STATUS_DONE)
                return status;
        result = setting_apply(setting, target.fd);
        return result < 0 ? setting_complain(setting, -result, "seal", name) : STATUS_DONE;
}

int verb_seal(char **arguments) {
        Setting setting;
        Status status = arguments_parse(arguments, NULL, &usage);

        if (status == STATUS_DONE)
                status = setting_init(&setting, "sealed", "1", "sealed=1");
        if (status != STATUS_DONE)
                return status;
        if (!arguments[1])
                return complain(STATUS_USAGE, "seal needs the NAME of a region: see regionctl seal --help");
        return arguments_each(arguments + 1, seal, &setting);
}
