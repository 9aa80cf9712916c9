#pragma once

/* The command line of regionfs. */

#include "pool/pool.h"
#include "pool/region.h"

typedef enum OptionsPassthrough {
        PASSTHROUGH_AUTO,    /* where the kernel and our rights allow it */
        PASSTHROUGH_REQUIRE, /* or do not start */
        PASSTHROUGH_OFF,
} OptionsPassthrough;

typedef struct Options {
        char *mountpoint;      /* owned: absolute */
        bool foreground;
        bool debug;
        bool allow_root;
        unsigned max_threads;  /* 0: unset */
        unsigned watchdog;     /* seconds; 0: none */
        bool help, version;    /* asked for: there may be no mountpoint then */
        bool remount;          /* change the mount that is there: see remount.h */
        bool again;            /* as of options_parse_again() */
        OptionsPassthrough passthrough;
        bool namespaces;
        bool unlisted;         /* our own attributes are not listed */
        double attr_timeout;   /* how long the attributes of regions are remembered, in seconds */
        bool io_uring;         /* where it can be had */
        int lifetime, allocation; /* RegionLifetime, RegionAllocation of new regions; -1: unset */
        PoolSettings pool;
        GPtrArray *mount;      /* owned: all other options, each "name" or "name=value", for the kernel to judge */
} Options;

/* error is a sentence that names the option and what is allowed. */
bool options_parse(Options *options, int argc, char **argv, GError **error);

/*
 * The same for a mount that is there already, on that mountpoint: no path is looked at, as nobody may answer, and paths
 * may be of another working directory.
 */
bool options_parse_again(Options *options, const char *mountpoint, int argc, char **argv, GError **error);
void options_clear(Options *options);

/* Names of what the two say differently of the mount and the pool, to be freed; NULL: nothing. */
char *options_find_differences(const Options *made, const Options *now);

/* The text of --help; static. */
const char *options_help(void);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)
