#pragma once

/*
 * The extended attributes that regionfs itself answers: one table row each, behind the prefix of
 * <regionfs/regionfs.h>, which describes what they mean. Knows nothing of FUSE.
 *
 * Calls return -errno as getxattr(2) and setxattr(2) do.
 */

#include "kernel/errand.h"
#include "operations/caller.h"
#include "registry/lifetime.h"
#include "registry/registry.h"

#define ATTRIBUTES_VALUE_MAX PATH_MAX

/* What is asked. All of it is borrowed. */
typedef struct AttributeTarget {
        Registry *registry;
        uint64_t id;     /* of the node in the registry */
        int fd;          /* open on the node, O_PATH included */
        const Source *source; /* of a persisted region, or NULL */
        Lifetimes *lifetimes; /* who ends regions; NULL: nobody does */
        Errands *errands; /* who changes the contents of a persisted region; NULL: it is done here */
        Caller caller;   /* who asks */
        bool passthrough;
        bool own_pool;   /* with a mount of its own */
        bool rings;      /* requests come over io_uring */
        bool again;      /* asked before, when a server died: it may have been carried out in part */
} AttributeTarget;

/* Whether the name is one of regionfs's own, known or not. */
bool attributes_own(const char *name);

/* The value's length, without the terminating NUL that follows it. */
int attributes_get(const AttributeTarget *target, const char *name, char value[ATTRIBUTES_VALUE_MAX]);

/* flags as of setxattr(2). 1 where the region's length may have changed, else 0. */
int attributes_set(const AttributeTarget *target, const char *name, const char *value, size_t size, int flags);

/* Of a listed one this changes nothing; a rule is reset to its initial value; -EPERM for others. */
int attributes_remove(const AttributeTarget *target, const char *name);

/* Appends the names that are listed, each with its terminating NUL. */
int attributes_list(const AttributeTarget *target, GString *names);
