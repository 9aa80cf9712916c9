#pragma once

/*
 * Lifetimes: ends regions whose policy is REGION_HANDLES when their last handle and their last view are gone. Knows
 * nothing of FUSE.
 *
 * The registry knows of handles. Views outlive their handles unseen where the kernel serves them (passthrough), but
 * each is an open file of the pool to the kernel, which tells two things of it:
 *
 *   whether there is one    A lease for writing is granted on a file that nobody else has open or mapped, and on no
 *                           other (fcntl(2), F_SETLEASE).
 *   when it goes            A fanotify mark on the file reports each close, the last munmap(2), exit(2) or kill(2) of a
 *                           mapping process among them.
 *
 * So with the last handle the region is marked, and tested; if it is in use, it is tested again after each close. The
 * test itself must not report a close, or it would go on for ever. It uses the descriptor that comes with each report,
 * whose own close the kernel does not report; and it is only ever started by a report. Therefore marking is followed by
 * an open and close of our own, which makes the first one. (inotify(7) has no such descriptors, and cannot tell our
 * closes from those of others.)
 *
 * A race with a new open has one winner, because the test runs while the registry keeps handles off the node: the
 * opener waits, and then has the region with its data, or learns that it has ended.
 *
 * Without passthrough a handle lives as long as its views, and the last release is the end.
 *
 * One thread does all of this, so that nothing of it holds up an operation.
 */

#include "pool/pool.h"
#include "registry/registry.h"

#include <fcntl.h>

typedef struct Lifetimes Lifetimes;

/* A name of node id has gone from node id parent; both are known. From a thread of our own, without locks. */
typedef void (*LifetimesNameGone)(void *data, uint64_t parent, uint64_t id, const char *name);

/* Whether the end of views can be watched for, which passthrough takes: 0 or -errno. */
int lifetimes_can_watch(Ledger *ledger);

/*
 * passthrough: views outlive handles. All is borrowed. What is watched for already is found in the ledger. NULL with
 * error where the kernel lacks what it takes.
 */
Lifetimes *lifetimes_new(const Pool *pool, Registry *registry, Ledger *ledger, bool passthrough,
                         LifetimesNameGone name_gone, void *data, GError **error);

/*
 * Ends the thread, when all that was to be considered is done. What comes later is done by lifetimes_free(), without
 * name_gone: to be called while that can still be taken.
 */
void lifetimes_stop(Lifetimes *lifetimes);
void lifetimes_free(Lifetimes *lifetimes);

/*
 * The region has lost its last handle, or has got the rule while a view without a handle is left; the node is known
 * yet. Returns at once.
 */
void lifetimes_consider(Lifetimes *lifetimes, uint64_t id);

/* Tells the descriptors of reports from all others (fcntl(2), F_GETFL). */
#define LIFETIMES_REPORT_FLAG O_NOATIME

/*
 * What fd (taken over, open for reading) is on is looked at, as if it had just been closed: also if this server dies
 * from here on. With passthrough alone.
 */
void lifetimes_look_again(Lifetimes *lifetimes, int fd);

/*
 * What fd (open for reading; stays the caller's) is on is looked at, once it is closed, by whoever has lifetimes on
 * this ledger then. 0 or -errno.
 */
int lifetimes_leave(const Ledger *ledger, int fd);

/*
 * The region, whose node is known, has got the rule just now, and has no handle but a view: it ends with that. One that
 * nobody uses does not end by this alone. Returns at once.
 */
void lifetimes_begin(Lifetimes *lifetimes, uint64_t id);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lifetimes, lifetimes_free)
