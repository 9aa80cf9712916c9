#pragma once

/*
 * A region that is being made, until it has its name. It is complete before, so that nobody finds it half done, and if
 * it is not finished nothing is left of it: an ordinary one has no name at all till then and goes with its handle; one
 * from a file (persisted.c) has a hidden name.
 */

#include "../descriptor.h"
#include "setting.h"

#include <signal.h>

/* What the region is to be. All is borrowed. */
typedef struct Plan {
        const char *name;
        const char *size;        /* as given; NULL: as its contents are */
        uint64_t length;         /* bytes, of size */
        Setting mode;            /* kind NULL: as umask(2) has it, or as the file's */
        Setting lifetime;        /* kind NULL: as the directory says */
        gboolean committed;
        const char *sealed_from; /* file with the contents, "-" for standard input; NULL */
        const char *from_file;   /* file that is to be the region's memory; NULL */
        gboolean wants_handle;   /* for a command */
} Plan;

typedef struct Draft {
        int fd;           /* owned: of the region; a handle where the plan wants one, else perhaps O_PATH */
        char *stub;       /* owned: path of the hidden name; NULL: none */
        sigset_t signals; /* as they were before the stub was made */
} Draft;

/* Makes the region but for its name. Says what is wrong otherwise. */
Status draft_make(Draft *draft, const Plan *plan);

/* Gives it the name. 0, or -errno: -EEXIST where the name is taken. */
int draft_publish(const Draft *draft, const char *name);

/* Takes away what has no name but the hidden one. A signal that came since the stub was made is delivered now. */
void draft_clear(Draft *draft);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Draft, draft_clear)

/*
 * Steps of making one, in this order: rules, the length (from what it is), and last the mode, as it may forget our own
 * rights. 0 or -errno. -EINTR where a signal waits that is held back.
 */
int draft_set_rules(const Draft *draft, const Plan *plan);
int draft_lengthen(const Draft *draft, uint64_t from, uint64_t to);
int draft_set_mode(const Draft *draft, mode_t mode);
