#pragma once

/*
 * A region that is being made, until it has its name. It is complete before, so that nobody finds it half done, and if
 * it is not finished nothing is left of it: an ordinary one has no name at all till then and goes with its handle; one
 * from a file (persisted.c) has a hidden name.
 */

#include "base/descriptor.h"
#include "regionctl/changes/setting.h"
#include "regionctl/words/signals.h"

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
        int fd;          /* owned: of the region; a handle where the plan wants one, else perhaps O_PATH */
        char *stub;      /* owned: path of the hidden name; NULL: none */
        Signals signals; /* held back while there is a stub, and from when it has its name */
        gboolean done;   /* it has its name, and no command is to have the signals */
} Draft;

#define DRAFT_INIT { .fd = -1, .signals = SIGNALS_INIT }

/* Makes the region but for its name. Says what is wrong otherwise. */
Status draft_make(Draft *draft, const Plan *plan);

/*
 * Gives it the name. 0, or -errno: -EEXIST where the name is taken, -EINTR where a signal has come. After 0 none ends
 * regionctl any more, unless a command is to be run: either there is a region and the status says so, or neither.
 */
int draft_publish(Draft *draft, const Plan *plan);

/* Says that it cannot be made, for a -errno. Not for -EINTR: the signal, which draft_clear() lets through, tells. */
Status draft_complain(int result, const Plan *plan);

/* Takes away what has no name but the hidden one. A signal that was held back is delivered now. */
void draft_clear(Draft *draft);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Draft, draft_clear)

/*
 * Steps of making one, in this order: rules, the length (from what it is), and last the mode, as it may forget our own
 * rights. 0 or -errno. -EINTR where a signal has come that is held back.
 */
int draft_set_rules(const Draft *draft, const Plan *plan);
int draft_lengthen(const Draft *draft, uint64_t from, uint64_t to);
int draft_set_mode(const Draft *draft, mode_t mode);
