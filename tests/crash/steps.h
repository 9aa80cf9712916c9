#pragma once

/*
 * Every changing operation, killed at every step: what is tried, and how. A case sets a scene, has a client do one
 * thing in it, and says what the answer is; whatever else there is to see is compared with what is there when no server
 * dies.
 */

#include "fixture.h"

/* What a case may hold on to; given up after it. The working directory is an empty directory of the mount. */
typedef struct Scene {
        int fd[2];  /* or -1 */
        void *view; /* of SCENE_VIEW bytes, or NULL */
        char *file; /* the path of a file outside of the mount, or NULL */
} Scene;

#define SCENE_VIEW 8192

typedef enum Needs {
        NEEDS_ROOT = 1,   /* a daemon and clients with all rights */
        NEEDS_CACHED = 2, /* a server that takes reads and writes */
        NEEDS_PASSTHROUGH = 4,
        KEEPS_ALL = 8,   /* not everything that it changes is seen */
        TAKES_TIME = 16, /* the lifetimes have something to do afterwards */
} Needs;

typedef struct Case {
        const char *name;
        void (*set)(Scene *scene); /* NULL: nothing */
        int (*act)(Scene *scene);  /* 0 or -errno; no checks, as it runs in a thread of its own */
        int answer;
        unsigned needs;                                   /* Needs */
        void (*tell)(const Scene *scene, GString *text);  /* what else is to be the same; or NULL */
} Case;

/* Each ends with a case without a name. */
extern const Case steps_names[];
extern const Case steps_renames[];
extern const Case steps_data[];
extern const Case steps_attributes[];
extern const Case steps_rules[];
extern const Case steps_handles[];
extern const Case steps_ends[];
extern const Case steps_persisted[];
extern const Case steps_lookups[]; /* on a mount of a pool=DIR */

/* In this run's mode. */
bool case_is_possible(const Case *what);

/* Whether the next case is one for this run: the environment may say which part of all cases that has, as "0/4". */
bool case_is_next(void);

/* 0 or -errno of a call that returns -1. */
static inline int answer_of(int result) {
        return result < 0 ? -errno : 0;
}

/* Makes a region; its handle, which the scene may keep. */
int scene_open(const char *name, int flags);

/* A region with some contents, and nobody who has it open. */
void scene_make(const char *name);

/* Sets an attribute of regionfs, or fails the test. */
void scene_rule(const char *path, const char *attribute, const char *value);

/* Mounts on a pool=DIR, which scene_pool() is the path of; and unmounts. */
void scene_mount_pool(void);
void scene_unmount_pool(void);
const char *scene_pool(void);

/* Tells of scene->fd[0]: length, links, mode and contents. */
void tell_handle(const Scene *scene, GString *text);

/* Reads the directory d, and asks for each entry's node. */
int scene_read_directory(Scene *scene);
