#include "base/context.h"

#include <errno.h>
#include <gio/gio.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* What the kernel says of the last call that failed on the context, or the errno's text. */
static char *explain(int context, int code) {
        char text[512];
        ssize_t size = read(context, text, sizeof(text) - 1);

        if (size <= 2)
                return g_strdup(g_strerror(code));
        text[size] = '\0';
        return g_strdup(g_strchomp(text + 2)); /* after the severity: "e " */
}

bool context_set(int context, const char *name, const char *value, GError **error) {
        g_autofree char *why = NULL;

        if (fsconfig(context, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, name, value, 0) == 0)
                return true;
        why = explain(context, errno);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "option %s%s%s is not allowed: the kernel says: %s%s",
                    name, value ? "=" : "", value ? value : "", why,
                    strstr(why, "Unknown parameter") ? " (see regionfs --help)" : "");
        return false;
}

bool context_set_number(int context, const char *name, uint64_t number, GError **error) {
        g_autofree char *value = g_strdup_printf("%" PRIu64, number);

        return context_set(context, name, value, error);
}

int context_mount(int context, unsigned attributes, const char *what, GError **error) {
        g_autofree char *why = NULL;
        int mount;

        if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0) {
                mount = fsmount(context, FSMOUNT_CLOEXEC, attributes);
                if (mount >= 0)
                        return mount;
        }
        why = explain(context, errno);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "cannot make %s: %s", what, why);
        return -1;
}
