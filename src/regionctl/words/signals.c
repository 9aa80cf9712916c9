#include "regionctl/words/signals.h"

static const int kinds[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

void signals_hold(Signals *signals) {
        if (signals->on)
                return;
        sigemptyset(&signals->held);
        pthread_sigmask(SIG_SETMASK, NULL, &signals->before);
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
                struct sigaction action;

                /* One that is ignored would come to wait as well where it is held back, as after nohup(1). */
                if (sigismember(&signals->before, kinds[i]) || sigaction(kinds[i], NULL, &action) < 0 ||
                    action.sa_handler == SIG_IGN)
                        continue;
                sigaddset(&signals->held, kinds[i]);
        }
        pthread_sigmask(SIG_BLOCK, &signals->held, NULL);
        signals->on = TRUE;
}

gboolean signals_have_come(const Signals *signals) {
        sigset_t waiting;

        if (!signals->on || sigpending(&waiting) < 0)
                return FALSE;
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (sigismember(&waiting, kinds[i]) && sigismember(&signals->held, kinds[i]))
                        return TRUE;
        return FALSE;
}

void signals_release(Signals *signals) {
        if (signals->on)
                pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
        signals->on = FALSE;
}
