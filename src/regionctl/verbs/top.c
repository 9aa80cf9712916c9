/* regionctl top: the regions of a directory, as they change. */
#include "regionctl/display/board.h"
#include "regionctl/facts/mount.h"
#include "regionctl/facts/reader.h"
#include "regionctl/verbs/verbs.h"
#include "regionctl/words/arguments.h"
#include "regionctl/words/terminal.h"

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

/* 0, or -errno where there is nothing to be shown. */
static int read_first(Board *board, const Mount *mount) {
        g_auto(Snapshot) snapshot = SNAPSHOT_INIT;
        g_auto(Reader) reader = READER_INIT;
        int result = reader_start(&reader, mount, board->path);

        while (result == 0)
                result = reader_take(&reader, &snapshot);
        if (result < 0)
                return result;
        board_take(board, &snapshot);
        return 0;
}

/* Takes what the reader has; 1 when that is all. */
static int read_on(Board *board, Reader *reader) {
        g_auto(Snapshot) snapshot = SNAPSHOT_INIT;
        int result = reader_take(reader, &snapshot);

        if (result > 0)
                board_take(board, &snapshot);
        return result;
}

/* Until someone quits. 0, or -errno where it cannot be read any more. Keys are heard while it is read. */
static int show(Terminal *terminal, Board *board, const Mount *mount, double delay) {
        gint64 interval = delay * G_USEC_PER_SEC, next = g_get_monotonic_time() + interval;
        g_auto(Reader) reader = READER_INIT;
        bool changed = true;

        for (;;) {
                int result = 0, key;

                if (changed)
                        board_draw(board);
                changed = true;
                switch (terminal_wait(terminal, reader.fd < 0 ? next : G_MAXINT64, reader.fd, &key)) {
                case TERMINAL_TIME:
                        result = reader_start(&reader, mount, board->path);
                        changed = false;
                        break;
                case TERMINAL_INPUT:
                        result = read_on(board, &reader);
                        changed = result > 0;
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
                if (result < 0)
                        return result;
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
        board_init(&board, absolute);
        /* What cannot be read at all is said while the screen is still as it was. */
        result = read_first(&board, &mount);
        terminal = result < 0 ? NULL : terminal_enter(&error);
        if (terminal) {
                result = show(terminal, &board, &mount, delay);
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

static Status take_delay(double *delay, const char *text) {
        char *end;

        if (!text)
                return STATUS_DONE;
        *delay = g_ascii_strtod(text, &end);
        if (!g_ascii_isdigit(*text) || *end || !(*delay >= DELAY_MIN && *delay <= DELAY_MAX))
                return complain(STATUS_USAGE, "--delay=%s is not allowed: it takes a number of seconds from %g to %d",
                                text, DELAY_MIN, DELAY_MAX);
        return STATUS_DONE;
}

int verb_top(char **arguments) {
        g_autofree char *given = NULL;
        double delay = 1;
        const GOptionEntry options[] = {
                { "delay", 'd', 0, G_OPTION_ARG_STRING, &given, "How long to wait before it is read again", "SECONDS" },
                { NULL },
        };
        Status status = arguments_parse(arguments, options, &usage);

        if (status != STATUS_DONE)
                return status;
        if (arguments[1] && arguments[2])
                return complain(STATUS_USAGE, "top shows one DIR: see regionctl top --help");
        status = take_delay(&delay, given);
        if (status != STATUS_DONE)
                return status;
        if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
                return complain(STATUS_USAGE, "top needs a terminal; regionctl ls -l prints the same once");
        return run(arguments[1] ? arguments[1] : ".", delay);
}
