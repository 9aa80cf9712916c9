#include "regionctl/words/terminal.h"

#include <errno.h>
#include <ncurses.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* How long after ESC the rest of a key may come, in milliseconds. */
#define ESCAPE_DELAY 25

struct Terminal {
        SCREEN *screen;
        int signals; /* signalfd(2) */
        sigset_t before;
        int ended_by; /* signal, or 0 */
};

static const int handled[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT };

/* Never comes to run, as the signals are blocked. */
static void stay_out(int number) {
}

Terminal *terminal_enter(GError **error) {
        Terminal *terminal = g_new0(Terminal, 1);
        void (*at_stop)(int);
        sigset_t signals;

        sigemptyset(&signals);
        for (size_t i = 0; i < G_N_ELEMENTS(handled); i++)
                sigaddset(&signals, handled[i]);
        /* Before ncurses changes the terminal, so that no signal finds it changed. */
        sigprocmask(SIG_BLOCK, &signals, &terminal->before);
        terminal->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
        /* Where it finds no handler, ncurses ignores SIGTSTP while it draws, which loses one that is pending. */
        at_stop = signal(SIGTSTP, stay_out);
        if (terminal->signals >= 0)
                terminal->screen = newterm(NULL, stdout, stdin);
        signal(SIGTSTP, at_stop);
        if (!terminal->screen) {
                const char *type = g_getenv("TERM");

                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot use the terminal (of type %s)",
                            type ? type : "unknown");
                terminal_leave(terminal);
                return NULL;
        }
        /* ncurses has put handlers of its own in. */
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGWINCH, SIG_DFL);
        set_escdelay(ESCAPE_DELAY);
        cbreak();
        noecho();
        keypad(stdscr, TRUE);
        nodelay(stdscr, TRUE);
        curs_set(0);
        return terminal;
}

void terminal_leave(Terminal *terminal) {
        int ended_by = terminal->ended_by;

        if (terminal->screen) {
                endwin();
                delscreen(terminal->screen);
        }
        if (terminal->signals >= 0)
                close(terminal->signals);
        if (ended_by && ended_by != SIGINT)
                raise(ended_by);
        /* What has come meanwhile, that one too, is delivered here. */
        sigprocmask(SIG_SETMASK, &terminal->before, NULL);
        g_free(terminal);
}

/* As if SIGTSTP had its way; comes back with SIGCONT. */
static void stop(void) {
        const struct timespec at_once = { 0, 0 };
        sigset_t stopping, continuing;

        endwin();
        sigemptyset(&stopping);
        sigaddset(&stopping, SIGTSTP);
        sigemptyset(&continuing);
        sigaddset(&continuing, SIGCONT);
        raise(SIGTSTP);
        sigprocmask(SIG_UNBLOCK, &stopping, NULL);
        sigprocmask(SIG_BLOCK, &stopping, NULL);
        sigtimedwait(&continuing, NULL, &at_once);
}

/* The next refresh() draws all of it anew, and takes the terminal again after endwin(). */
static void expect_redraw(void) {
        struct winsize size;

        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col)
                resizeterm(size.ws_row, size.ws_col);
        clearok(stdscr, TRUE);
}

/* Whether there was a signal; *event then says what comes of it. */
static bool take_signal(Terminal *terminal, TerminalEvent *event) {
        struct signalfd_siginfo info;

        if (read(terminal->signals, &info, sizeof(info)) != sizeof(info))
                return false;
        switch (info.ssi_signo) {
        case SIGTSTP:
                stop();
                break;
        case SIGCONT:
                /* After a SIGSTOP: whoever had the terminal meanwhile has set it to his own liking. */
                endwin();
                break;
        case SIGWINCH:
                break;
        default:
                terminal->ended_by = info.ssi_signo;
                *event = TERMINAL_END;
                return true;
        }
        expect_redraw();
        *event = TERMINAL_REDRAW;
        return true;
}

TerminalEvent terminal_wait(Terminal *terminal, gint64 until, int other, int *key) {
        struct pollfd polled[] = {
                { .fd = terminal->signals, .events = POLLIN },
                { .fd = STDIN_FILENO, .events = POLLIN },
                { .fd = other, .events = POLLIN },
        };

        for (;;) {
                gint64 left = until - g_get_monotonic_time();
                TerminalEvent event;

                if (take_signal(terminal, &event))
                        return event;
                /* What has been read may be several keys. That of a new size was told by the signal. */
                *key = getch();
                if (*key == KEY_RESIZE)
                        continue;
                if (*key != ERR)
                        return TERMINAL_KEY;
                if (left <= 0)
                        return TERMINAL_TIME;
                if (poll(polled, G_N_ELEMENTS(polled), MIN(left / 1000 + 1, G_MAXINT)) < 0) {
                        if (errno != EINTR)
                                return TERMINAL_END;
                        continue;
                }
                if ((polled[1].revents & (POLLHUP | POLLERR)) && !(polled[0].revents & POLLIN))
                        return TERMINAL_END;
                /* Keys and signals come first, however much there is to read. */
                if (!polled[0].revents && !polled[1].revents && polled[2].revents)
                        return TERMINAL_INPUT;
        }
}
