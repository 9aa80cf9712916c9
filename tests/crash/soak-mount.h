#pragma once

/* The file system that is soaked: a regionfs, or any other to compare with. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Mount {
        char *root;    /* the topmost directory of the file system, owned */
        bool regionfs; /* and else it has neither server nor regionfs's attributes */
        bool passthrough;
} Mount;

void mount_init(Mount *mount, const char *directory);
void mount_clear(Mount *mount);

/* Of a regionfs: the process that serves it, and how many regions there are; -1 if it does not say. */
pid_t mount_server(const Mount *mount);
int64_t mount_regions(const Mount *mount);
