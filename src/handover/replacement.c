#include "handover/replacement.h"

#include "base/log.h"
#include "server/server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* For an answer; and for what a server has in hand, which the next one does over again if it takes longer. */
#define PATIENCE_ANSWER (5 * G_USEC_PER_SEC)
#define PATIENCE_SERVER (2 * G_USEC_PER_SEC)

void replacement_fail(Replacement *replacement, const char *format, ...) {
        g_autofree char *reason = NULL, *message = NULL;
        va_list arguments;

        va_start(arguments, format);
        reason = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        message = g_strdup_printf("%s: this regionfs %s", reason,
                                  replacement->to_store ? "ends, and its mount with it" : "goes on");
        log_warn_aside(message);
        if (replacement->to_store)
                raise(SIGTERM);
        *replacement = (Replacement){ .successor = replacement->successor };
}

void replacement_begin(Replacement *replacement, bool to_store) {
        replacement->wanted = true;
        replacement->to_store |= to_store;
}

static void ask(Replacement *replacement) {
        replacement->wanted = false;
        if (replacement->asked || replacement->agreed)
                return;
        replacement->asked = successor_ask(replacement->successor);
        if (replacement->asked < 0)
                replacement_fail(replacement, "cannot run %s: %s", replacement->successor->path, g_strerror(errno));
        else
                replacement->until = g_get_monotonic_time() + PATIENCE_ANSWER;
}

void replacement_restarted(Replacement *replacement) {
        replacement->yielding = false;
}

/* The process, and what it has started. */
static void give_up_asking(Replacement *replacement) {
        kill(-replacement->asked, SIGKILL);
        kill(replacement->asked, SIGKILL);
        replacement_fail(replacement, "%s does not answer", replacement->successor->path);
}

void replacement_look(Replacement *replacement, pid_t server) {
        bool late = replacement->until && g_get_monotonic_time() >= replacement->until;

        if (replacement->wanted)
                ask(replacement);
        if (replacement->asked && late) {
                give_up_asking(replacement);
        } else if (replacement->agreed && !replacement->yielding) {
                kill(server, SERVER_YIELD);
                replacement->yielding = true;
                replacement->until = g_get_monotonic_time() + PATIENCE_SERVER;
        } else if (replacement->yielding && late) {
                kill(server, SIGKILL);
                replacement->until = 0;
        }
}

void replacement_take_end(Replacement *replacement, pid_t process, int status) {
        if (process != replacement->asked)
                return;
        replacement->asked = 0;
        replacement->until = 0;
        replacement->agreed = successor_agrees(status);
        if (!replacement->agreed)
                replacement_fail(replacement, "%s cannot go on in this one's place",
                                 replacement->successor->path);
}

int64_t replacement_patience(const Replacement *replacement) {
        return replacement->until ? MAX(replacement->until - g_get_monotonic_time(), 0) : -1;
}
