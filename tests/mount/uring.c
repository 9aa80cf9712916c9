#include "uring.h"

#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define SWITCH "/sys/module/fuse/parameters/enable_uring"

/* Mounts once, and prints what the daemon says of io_uring. $1: the program. */
static const char attempt[] = "directory=$(mktemp -d)\n"
                              "\"$1\" -f -o io_uring \"$directory\" 2>\"$directory.log\" &\n"
                              "for i in $(seq 200); do\n"
                              "        kill -0 $! || break\n"
                              "        grep -q io_uring \"$directory.log\" && break\n"
                              "        sleep 0.05\n"
                              "done\n"
                              "kill $!; wait $!\n"
                              "grep io_uring \"$directory.log\"\n"
                              "rm \"$directory.log\"; rmdir \"$directory\"\n";

/* That the switch was off, and has been turned on here. */
static bool switched;

static bool set_switch(const char *value) {
        int fd = open(SWITCH, O_WRONLY | O_CLOEXEC);
        bool good = fd >= 0 && write(fd, value, 1) == 1;

        if (fd >= 0)
                close(fd);
        return good;
}

char *uring_begin(const char *program) {
        char *arguments[] = { (char *)"/bin/sh", (char *)"-c", (char *)attempt, (char *)"sh", (char *)program, NULL };
        g_autofree char *before = NULL;
        g_autofree char *said = NULL;

        if (!g_file_get_contents(SWITCH, &before, NULL, NULL))
                return g_strdup("the kernel has no FUSE over io_uring: there is no " SWITCH);
        if (*before != 'Y' && !(switched = set_switch("Y")))
                return g_strdup("FUSE over io_uring is not enabled, and " SWITCH " cannot be set");
        if (!g_spawn_sync(NULL, arguments, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &said, NULL, NULL, NULL))
                return g_strdup("there is no /bin/sh");
        if (strstr(said, "over io_uring"))
                return NULL;
        return g_strdelimit(g_strdup(*said ? g_strchomp(said) : "regionfs does not start over io_uring"), "\n", ' ');
}

void uring_end(void) {
        if (switched)
                set_switch("N");
        switched = false;
}
