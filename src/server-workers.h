#pragma once

/* The threads that answer the requests of a session. For server.c alone. */

#include <glib.h>

struct fuse_session;

typedef struct Workers Workers;

/* Starts some; most: how many there may be, 0 for the default. session is borrowed. */
Workers *workers_new(struct fuse_session *session, unsigned most, GError **error);

/* Ends them: requests that come from now on are not answered. */
void workers_free(Workers *workers);

/* A descriptor that becomes readable when the mount has ended; the workers' own. */
int workers_ended(const Workers *workers);
