#include "regionctl/changes/setting.h"

#include "base/descriptor.h"
#include "base/size.h"

#include <regionfs/regionfs.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* The daemon hears of a close a moment after the client: how long, and how often, a seal is tried. */
#define SEAL_PATIENCE_US 100000
#define SEAL_INTERVAL_US 2000

struct SettingKind {
        const char *name;
        const char *allowed; /* behind "it takes" */
        gboolean of_directories;
        gboolean can_be_reset;
        gboolean (*parse)(const char *value, uint64_t *number);
        int (*apply)(const Setting *setting, const char *path); /* as system calls do */
};

static gboolean parse_lifetime(const char *value, uint64_t *number) {
        return g_str_equal(value, "kept") || g_str_equal(value, "handles");
}

static gboolean parse_allocation(const char *value, uint64_t *number) {
        return g_str_equal(value, "delayed") || g_str_equal(value, "committed");
}

static gboolean parse_length(const char *value, uint64_t *number) {
        return size_parse(value, number);
}

static gboolean parse_mode(const char *value, uint64_t *number) {
        char *end;

        if (!g_ascii_isdigit(*value))
                return FALSE;
        *number = g_ascii_strtoull(value, &end, 8);
        return !*end && *number <= 07777;
}

static gboolean parse_sealed(const char *value, uint64_t *number) {
        return g_str_equal(value, "1");
}

static int apply_rule(const Setting *setting, const char *path) {
        g_autofree char *attribute = g_strconcat(REGIONFS_ATTRIBUTE_PREFIX, setting->kind->name, NULL);

        return setting->value ? setxattr(path, attribute, setting->value, strlen(setting->value), 0) :
                                removexattr(path, attribute);
}

static int apply_length(const Setting *setting, const char *path) {
        return truncate(path, setting->number);
}

static int apply_mode(const Setting *setting, const char *path) {
        return chmod(path, setting->number);
}

static int apply_sealed(const Setting *setting, const char *path) {
        gint64 until = g_get_monotonic_time() + SEAL_PATIENCE_US;
        int result;

        while ((result = apply_rule(setting, path)) < 0 && errno == EBUSY && g_get_monotonic_time() < until)
                g_usleep(SEAL_INTERVAL_US);
        return result;
}

/* In the order of the alphabet, as people read it. */
static const SettingKind kinds[] = {
        { "allocation", "delayed or committed", TRUE, TRUE, parse_allocation, apply_rule },
        { "length", SIZE_ALLOWED, FALSE, FALSE, parse_length, apply_length },
        { "lifetime", "kept or handles", TRUE, TRUE, parse_lifetime, apply_rule },
        { "mode", "octal permissions from 0 to 7777", TRUE, FALSE, parse_mode, apply_mode },
        { "sealed", "1, as nothing unseals a region", FALSE, FALSE, parse_sealed, apply_sealed },
};

static const SettingKind *find_kind(const char *attribute) {
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (g_str_equal(kinds[i].name, attribute))
                        return &kinds[i];
        return NULL;
}

Status setting_init(Setting *setting, const char *attribute, const char *value, const char *given) {
        const SettingKind *kind = find_kind(attribute);

        if (!kind) {
                g_autofree char *names = setting_names(FALSE);

                return complain(STATUS_USAGE, "%s is not allowed: what can be set is %s", given, names);
        }
        *setting = (Setting){ .kind = kind, .value = value };
        if (kind->parse(value, &setting->number))
                return STATUS_DONE;
        return complain(STATUS_USAGE, "%s is not allowed: %s takes %s", given, attribute, kind->allowed);
}

Status setting_init_reset(Setting *setting, const char *attribute) {
        g_autofree char *names = setting_names(TRUE);

        *setting = (Setting){ .kind = find_kind(attribute) };
        if (setting->kind && setting->kind->can_be_reset)
                return STATUS_DONE;
        return complain(STATUS_USAGE, "--reset %s is not allowed: it takes %s", attribute, names);
}

Status setting_fits(const Setting *setting, mode_t mode, const char *name) {
        if (S_ISREG(mode) || (S_ISDIR(mode) && setting->kind->of_directories))
                return STATUS_DONE;
        return complain(STATUS_USAGE, "%s is not a region: %s can be set for regions%s alone", name,
                        setting->kind->name, setting->kind->of_directories ? " and directories" : "");
}

int setting_apply(const Setting *setting, int fd) {
        char path[DESCRIPTOR_PATH_MAX];

        return setting->kind->apply(setting, descriptor_path(fd, path)) < 0 ? -errno : 0;
}

Status setting_complain(const Setting *setting, int code, const char *what, const char *name) {
        if (code == EOPNOTSUPP && setting->kind->apply == apply_sealed)
                return complain(STATUS_FAILED,
                                "cannot %s %s: a persisted region's file can be written by its path, so it "
                                "cannot be sealed",
                                what, name);
        return complain_errno(code, what, name);
}

const char *setting_name(const Setting *setting) {
        return setting->kind->name;
}

char *setting_names(gboolean that_can_be_reset) {
        const char *names[G_N_ELEMENTS(kinds)];
        GString *list = g_string_new(NULL);
        size_t count = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (kinds[i].can_be_reset || !that_can_be_reset)
                        names[count++] = kinds[i].name;
        for (size_t i = 0; i < count; i++)
                g_string_append_printf(list, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " or ", names[i]);
        return g_string_free(list, FALSE);
}
