#pragma once

/* What the rooms of the keeper share. For keeper*.c alone. */

#include "base/manager.h"
#include "handover/replacement.h"
#include "keeper/confinement.h"
#include "keeper/keeper.h"
#include "kernel/notifier.h"
#include "server/server.h"

#include <signal.h>

typedef struct Keeper {
        ServerPlace place;
        Pool *pool;             /* owned; place borrows this and what follows */
        Namespaces *namespaces; /* owned; NULL: none */
        Ledger *ledger;         /* owned */
        Channel *channel;       /* owned */
        Notifier *notifier;     /* owned */
        pid_t notifies;         /* the notifier's process; 0: none */
        Watchdog *watchdog;     /* owned; NULL: none */
        Confinement *confinement; /* owned */
        bool notifier_is_old;   /* its program is the one before: it is to be replaced */
        int lifeline;           /* owned: see guard.h; -1: there is no guard */
        Background *background; /* borrowed, or NULL: none, or told already */
        bool served;            /* a server has taken requests */
        Manager *manager;       /* owned, or NULL: no service manager */
        GArray *given;          /* borrowed: what its store gave (int), or NULL: nothing that is to be taken out of it */
        uint64_t begun;         /* requests, when the last server died */
        gint64 died;            /* when that was: monotonic, microseconds */
        unsigned in_vain;       /* servers that died one after the other without having taken one */
        gint64 vain_since;      /* when the first of them died that nobody had killed */
        sigset_t signals;       /* that are waited for */
        int end;                /* the signal that asks to end, or 0 */
        Replacement replacement;
} Keeper;

void keeper_clear(Keeper *keeper);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Keeper, keeper_clear)

/*
 * keeper-start.c: makes all that the keeper owns, the mount last; or finds it in the ledger, as another keeper has left
 * it.
 */
bool keeper_prepare(Keeper *keeper, const Options *options, GError **error);
bool keeper_take_over(Keeper *keeper, const Options *options, GError **error);

/* Counts a server of another keeper's, which has died with that. */
void keeper_count_lost(Keeper *keeper);

/* keeper-children.c: the process, or -1 with errno. */
pid_t keeper_start_server(Keeper *keeper);
void keeper_start_notifier(Keeper *keeper);

/* Takes note of children that have ended. Whether the server is one of them: *status is how, as of waitpid(2). */
bool keeper_reap(Keeper *keeper, pid_t server, int *status);

/*
 * keeper-change.c, when no server runs. Mounts afresh, after a server that took the connection with it; see renewal.h.
 * Whether that went well.
 */
bool keeper_renew(Keeper *keeper);

/* A descriptor that is about to be closed is not the keeper's any more: the number may become that of a server's. */
void keeper_disown(Keeper *keeper, int fd);

/* Does not return if another program waits for this one to fail. */
void keeper_give_back(const Keeper *keeper);

/* Whatever is there of the program before goes: the mount is this one's, or nobody's any more. */
void keeper_settle_in(Keeper *keeper);

/*
 * Becomes the program that was asked, or leaves the mount to the service manager. Returns where that fails; false: and
 * the mount has gone.
 */
bool keeper_hand_over(Keeper *keeper);
