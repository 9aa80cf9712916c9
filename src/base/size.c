#include "base/size.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

bool size_parse(const char *text, uint64_t *bytes) {
        static const char units[] = "kmgt";
        const char *unit;
        guint64 number;
        char *end;

        if (!g_ascii_isdigit(*text))
                return false;
        errno = 0;
        number = g_ascii_strtoull(text, &end, 10);
        if (errno)
                return false;
        if (*end) {
                unit = strchr(units, g_ascii_tolower(*end));
                if (!unit || end[1])
                        return false;
                for (const char *step = units; step <= unit; step++) {
                        if (number > G_MAXINT64 / 1024)
                                return false;
                        number *= 1024;
                }
        }
        if (number > G_MAXINT64)
                return false;
        *bytes = number;
        return true;
}
