/* regionctl top: the regions of a directory, as they change. */
#include "arguments.h"
#include "board.h"
#include "mount.h"
#include "terminal.h"
#include "verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Seconds. */
#define DELAY_MIN 0.1
#define DELAY_MAX 86400

static const Usage usage = {
        .arguments = "[DIR]",
        .summary = "Shows the regions of a directory (default: the one that you are in) and below, again each second.",
        .details = "Keys:\n"
                   "  n l p r h a   order by name, logical, padded, resident, handles, age\n"
                   "  R             the other way round\n"
                   "  arrows, page up and down, home, end   scroll\n"
                   "  q, ^C         quit\n"
                   "\n"
                   "Examples:\n"
                   "  regionctl top /run/regions\n"
                   "  regionctl top --delay 0.2\n",
};

/* Until someone quits. 0, or -errno where it cannot be read any more. */
static int show(Terminal *terminal, Board *board, double delay) {
        gint64 interval = delay * G_USEC_PER_SEC;
        gint64 next = g_get_monotonic_time() + interval;

        for (;;) {
                int result, key;

                board_draw(board);
                switch (terminal_wait(terminal, next, &key)) {
                case TERMINAL_TIME:
                        result = board_read(board);
                        if (result < 0)
                                return result;
                        next = g_get_monotonic_time() + interval;
                        break;
                case TERMINAL_KEY:
                        if (key == 'q' || key == 'Q')
                                return 0;
                        board_key(board, key);
                        break;
                case TERMINAL_REDRAW:
                        break;
                case TERMINAL_END:
                        return 0;
                }
        }
}

static Status run(const char *path, double delay) {
        g_auto(Mount) mount = MOUNT_INIT;
        g_autoptr(GError) error = NULL;
        Status status = mount_find(&mount, path);
        Terminal *terminal;
        Board board;
        char *absolute;
        int result;

        if (status != STATUS_DONE)
                return status;
        absolute = realpath(path, NULL);
        if (!absolute)
                return complain_errno(errno, "list", path);
        board_init(&board, &mount, absolute);
        /* What cannot be read at all is said while the screen is still as it was. */
        result = board_read(&board);
        terminal = result < 0 ? NULL : terminal_enter(&error);
        if (terminal) {
                result = show(terminal, &board, delay);
                terminal_leave(terminal);
        }
        if (error)
                status = complain(STATUS_USAGE, "%s; regionctl ls -l prints the same once", error->message);
        else if (result < 0)
                status = complain_errno(-result, "list", path);
        board_clear(&board);
        free(absolute);
        return status;
}

int verb_top(char **arguments) {
        double delay = 1;
        const GOptionEntry options[] = {
                { "delay", 'd', 0, G_OPTION_ARG_DOUBLE, &delay, "How long to wait before it is read again", "SECONDS" },
                { NULL },
        };
        Status status = arguments_parse(arguments, options, &usage);
        char **paths;

        if (status != STATUS_DONE)
                return status;
        paths = arguments_names(arguments);
        if (paths[0] && paths[1])
                return complain(STATUS_USAGE, "top shows one DIR: see regionctl top --help");
        if (!(delay >= DELAY_MIN && delay <= DELAY_MAX))
                return complain(STATUS_USAGE, "--delay takes seconds from %g to %d", DELAY_MIN, DELAY_MAX);
        if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
                return complain(STATUS_USAGE, "top needs a terminal; regionctl ls -l prints the same once");
        return run(paths[0] ? paths[0] : ".", delay);
}
