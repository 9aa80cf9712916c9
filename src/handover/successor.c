#include "handover/successor.h"

#include "ledger/ledger.h"
#include "options/options.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUESTION "--takes-over="

/* None that a program which knows nothing of the question ends with. */
enum { YES = 93, NO = 94 };

static bool is_same(const char *path, const char *other) {
        struct stat one, two;

        return stat(path, &one) == 0 && stat(other, &two) == 0 && one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

char *successor_find_path(void) {
        /* As it was given to execve(2). */
        const char *given = (const char *)(uintptr_t)getauxval(AT_EXECFN);
        g_autofree char *path = given ? g_canonicalize_filename(given, NULL) : NULL;

        /*
         * One that was started by a descriptor, or is the interpreter of another, has no better path than the kernel's.
         */
        if (path && !g_str_has_prefix(path, "/dev/fd/") && !g_str_has_prefix(path, "/proc/") &&
            is_same(path, "/proc/self/exe"))
                return g_steal_pointer(&path);
        return g_file_read_link("/proc/self/exe", NULL);
}

pid_t successor_ask(const Successor *successor) {
        unsigned count = g_strv_length(successor->arguments);
        g_autofree char *question = g_strdup_printf(QUESTION "%" G_GINT64_MODIFIER "x", ledger_format());
        g_autofree char **arguments = g_new0(char *, count + 2);
        sigset_t none;
        pid_t process;

        arguments[0] = successor->arguments[0];
        arguments[1] = question;
        for (unsigned i = 1; i < count; i++)
                arguments[i + 1] = successor->arguments[i];
        process = fork();
        if (process != 0)
                return process;
        /* At once: a region's descriptor would make it look used, and the channel's keep the mount. */
        close_range(STDERR_FILENO + 1, ~0U, 0);
        setpgid(0, 0);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execv(successor->path, arguments);
        _exit(EXIT_FAILURE);
}

bool successor_agrees(int status) {
        return WIFEXITED(status) && WEXITSTATUS(status) == YES;
}

bool successor_is_asked(int argc, char **argv) {
        return argc > 1 && g_str_has_prefix(argv[1], QUESTION);
}

int successor_answer(int argc, char **argv) {
        guint64 format = g_ascii_strtoull(argv[1] + strlen(QUESTION), NULL, 16);
        g_auto(Options) options = { 0 };
        g_autoptr(GError) error = NULL;

        if (format != ledger_format()) {
                g_printerr("regionfs: this version (%s) cannot go on with what the running one has kept\n",
                           REGIONFS_VERSION);
                return NO;
        }
        memmove(&argv[1], &argv[2], (argc - 1) * sizeof(*argv));
        if (options_parse_again(&options, "/", argc - 1, argv, &error))
                return YES;
        g_printerr("regionfs: %s\n", error->message);
        return NO;
}

void successor_become(const Successor *successor) {
        execv(successor->path, successor->arguments);
}
