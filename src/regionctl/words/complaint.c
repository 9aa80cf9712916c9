#include "regionctl/words/complaint.h"

#include "regionctl/words/text.h"

#include <errno.h>
#include <stdio.h>

static const struct {
        int code;
        Status status;
        const char *way_out; /* behind the errno's own text; NULL: none */
} table[] = {
        { ENOENT, STATUS_NOT_FOUND, "regionctl ls shows what is there" },
        { EEXIST, STATUS_EXISTS, "choose another name, or remove it with regionctl rm" },
        { ENOSPC, STATUS_NO_ROOM, "regionctl status shows how much room the pool has" },
        { EDQUOT, STATUS_NO_ROOM, NULL },
        { ENOMEM, STATUS_NO_ROOM, NULL },
        { EACCES, STATUS_NOT_ALLOWED, "the modes of the region and its directory decide: regionctl ls -l" },
        { EPERM, STATUS_NOT_ALLOWED, "the owner and root alone may do so, and nobody once a region is sealed" },
        { EROFS, STATUS_NOT_ALLOWED, NULL },
        { EBUSY, STATUS_BUSY, "regionctl stat shows who uses it" },
        { ESTALE, STATUS_NOT_FOUND, NULL },
        { ENAMETOOLONG, STATUS_FAILED, "a name has 255 bytes at most, a path 4095" },
        { ENOTCONN, STATUS_FAILED, "no regionfs serves the mount any more: umount it" },
        { ECONNABORTED, STATUS_FAILED, "no regionfs serves the mount any more: umount it" },
};

Status status_of_errno(int code) {
        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                if (table[i].code == code)
                        return table[i].status;
        return STATUS_FAILED;
}

Status complain(Status status, const char *format, ...) {
        g_autofree char *message = NULL, *shown = NULL;
        va_list list;

        va_start(list, format);
        message = g_strdup_vprintf(format, list);
        va_end(list);
        /* Others' names are in it, which are not to work the terminal. Not g_printerr(), which changes the text. */
        shown = text_escape(message);
        fprintf(stderr, "regionctl: %s\n", shown);
        return status;
}

Status complain_errno(int code, const char *what, const char *path) {
        const char *way_out = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                if (table[i].code == code)
                        way_out = table[i].way_out;
        return complain(status_of_errno(code), "cannot %s %s: %s%s%s%s", what, path, g_strerror(code),
                        way_out ? " (" : "", way_out ? way_out : "", way_out ? ")" : "");
}
