#include "regionctl/words/text.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

bool text_is_unicode(void) {
        return g_get_charset(NULL);
}

char *text_size(guint64 bytes, bool human) {
        static const char units[] = "KMGTPE";
        guint64 unit = 1, tenths;
        int which = -1;

        if (bytes == TEXT_UNKNOWN)
                return g_strdup("-");
        if (!human || bytes < 1024)
                return g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
        /* Rounding up to 1024 of a unit makes one of the next. */
        do {
                unit *= 1024;
                which++;
        } while (bytes > unit * 1023 && units[which + 1]);
        tenths = bytes / unit * 10 + (bytes % unit * 10 + unit - 1) / unit;
        if (tenths < 100)
                return g_strdup_printf("%u.%u%c", (unsigned)(tenths / 10), (unsigned)(tenths % 10), units[which]);
        return g_strdup_printf("%u%c", (unsigned)((tenths + 9) / 10), units[which]);
}

char *text_age(gint64 seconds) {
        static const struct {
                gint64 seconds;
                char unit;
        } units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' } };

        if (seconds < 0)
                return g_strdup("-");
        for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
                if (seconds >= units[i].seconds)
                        return g_strdup_printf("%" G_GINT64_FORMAT "%c", seconds / units[i].seconds, units[i].unit);
        return g_strdup_printf("%us", (unsigned)seconds);
}

char *text_user(uid_t user) {
        const struct passwd *entry = getpwuid(user);

        return entry ? g_strdup(entry->pw_name) : g_strdup_printf("%u", user);
}

char *text_group(gid_t group) {
        const struct group *entry = getgrgid(group);

        return entry ? g_strdup(entry->gr_name) : g_strdup_printf("%u", group);
}

char *text_mode(mode_t mode) {
        char text[] = "?rwxrwxrwx";

        text[0] = S_ISREG(mode)  ? '-' :
                  S_ISDIR(mode)  ? 'd' :
                  S_ISLNK(mode)  ? 'l' :
                  S_ISFIFO(mode) ? 'p' :
                  S_ISSOCK(mode) ? 's' :
                  S_ISCHR(mode)  ? 'c' :
                  S_ISBLK(mode)  ? 'b' :
                                   '?';
        for (int i = 0; i < 9; i++)
                if (!(mode & (0400 >> i)))
                        text[i + 1] = '-';
        if (mode & S_ISUID)
                text[3] = mode & S_IXUSR ? 's' : 'S';
        if (mode & S_ISGID)
                text[6] = mode & S_IXGRP ? 's' : 'S';
        if (mode & S_ISVTX)
                text[9] = mode & S_IXOTH ? 't' : 'T';
        return g_strdup(text);
}

/* Bytes of the character at text if it can be shown as it is; else 0. */
static size_t shown_bytes(const char *text, bool unicode) {
        gunichar character;

        if (*text == '\\')
                return 0;
        if ((unsigned char)*text < 0x80)
                return g_ascii_isprint(*text);
        if (!unicode)
                return 0;
        character = g_utf8_get_char_validated(text, -1);
        if (character >= (gunichar)-2 || !g_unichar_isprint(character))
                return 0;
        return g_utf8_next_char(text) - text;
}

char *text_escape(const char *bytes) {
        GString *text = g_string_new(NULL);
        bool unicode = text_is_unicode();

        while (*bytes) {
                size_t shown = shown_bytes(bytes, unicode);

                g_string_append_len(text, bytes, shown);
                bytes += shown;
                if (shown)
                        continue;
                if (*bytes == '\\')
                        g_string_append(text, "\\\\");
                else if (*bytes == '\n')
                        g_string_append(text, "\\n");
                else if (*bytes == '\t')
                        g_string_append(text, "\\t");
                else
                        g_string_append_printf(text, "\\%03o", (unsigned char)*bytes);
                bytes++;
        }
        return g_string_free(text, FALSE);
}

static int character_width(const char *text) {
        gunichar character = g_utf8_get_char(text);

        return g_unichar_iszerowidth(character) ? 0 : g_unichar_iswide(character) ? 2 : 1;
}

int text_width(const char *text) {
        int width = 0;

        for (; *text; text = g_utf8_next_char(text))
                width += character_width(text);
        return width;
}

size_t text_fit(const char *text, int columns) {
        const char *at = text;

        for (; *at; at = g_utf8_next_char(at)) {
                columns -= character_width(at);
                if (columns < 0)
                        break;
        }
        return at - text;
}
