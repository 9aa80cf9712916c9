#pragma once

/* What the files of the server share. For server.c, server-first.c and server-follow.c alone. */

#include "operations/operations.h"
#include "registry/lifetime.h"
#include "server/server-workers.h"
#include "server/server.h"

/* Descriptors that are kept back: what ends the daemon needs some, also when clients have taken all others. */
#define RESERVE 16

typedef struct Server {
        const ServerPlace *place;
        bool follows;                 /* a server that has died */
        struct fuse_session *session; /* owned; has taken over the channel's descriptor */
        Registry *registry;           /* owned */
        Handles *handles;             /* owned */
        Requests *requests;           /* owned */
        Credentials *credentials;     /* owned */
        Lifetimes *lifetimes;         /* owned */
        Refresher *refresher;         /* owned */
        GArray *strays;               /* owned: descriptors (int) of regions to look at again */
        Operations operations;
        bool started;                 /* its gate is open */
        Workers *workers;             /* owned */
        int signals;                  /* owned: signalfd */
        int reserve[RESERVE];         /* owned */
} Server;

/* Has the lifetimes begin, once it is known whether there is passthrough. */
bool server_start_lifetimes(Server *server, GError **error);

/* server-first.c: settles with the kernel what is in force as long as the mount. */
bool server_settle(Server *server, GError **error);

/* server-follow.c: goes on in the mode of the dead server, with its session made anew, ... */
bool server_follow(Server *server, GError **error);

/* ... takes up what that had in hand, before there are threads, ... */
void server_take_requests(Server *server);

/* ... and looks at what it may have left undone, when there are. */
void server_settle_doubts(Server *server);

/* What dead servers had in hand, and nobody waits for any more: the thread's current request. data is the server. */
void server_abandon(void *data);

/*
 * Whether a descriptor that is found open beside those that are known is to stay open until then. data is the server.
 */
bool server_take_stray(void *data, int fd);
