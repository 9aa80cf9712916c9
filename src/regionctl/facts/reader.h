#pragma once

/*
 * Reads a snapshot in a process of its own, as a mount may take long to answer, or for ever, and then even signals do
 * not end who waits for it.
 */

#include "regionctl/facts/snapshot.h"

typedef struct Reader {
        pid_t process;     /* 0: none */
        int fd;            /* owned: what it says; can be polled. -1: nothing is being read */
        GByteArray *bytes; /* owned: so far */
} Reader;

#define READER_INIT { 0, -1, NULL }

/* Begins to read. What is passed is borrowed for this call alone. 0 or -errno. */
int reader_start(Reader *reader, const Mount *mount, const char *path);

/* Takes what there is, waiting for something if there is nothing: 1 when the snapshot is whole, 0 before, or -errno. */
int reader_take(Reader *reader, Snapshot *snapshot);

/* Gives up, and does not wait for the process. */
void reader_stop(Reader *reader);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Reader, reader_stop)
