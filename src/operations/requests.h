#pragma once

/*
 * Requests in hand: each is carried out once, whatever happens to the server that has taken it. Knows nothing of
 * libfuse, but what the kernel's requests look like.
 *
 * The kernel hands out again what a dead server has not answered, under the same number. So a request has a slot in the
 * ledger, from before it is begun until after it is answered, with what it has counted and what it was about to change.
 * When it comes again, the next server finds the slot by the number, takes back what was counted
 * (operations_take_back()), and begins anew; an operation that changes names finds its intent, and sees by the pool
 * whether the change has been made. Nobody else can have changed it meanwhile: the kernel keeps the directory locked
 * until the answer.
 *
 * A slot whose request does not come again was of one that had been answered: what it counted stands. Or the kernel
 * waited for an answer still, was about to hand it out again, and has dropped it, as its client was killed then: nobody
 * has what it counted. So the next server asks the kernel about each before it has them handed out again, and notes in
 * the slot what it waits for. That a request does not come again is certain when the kernel has handed out one that it
 * has not handed out before, as those come first.
 *
 * A kernel that does not hand out requests again (before Linux 6.9) leaves the buffers in which they were received, one
 * for each thread. They are carried on with from there, if the kernel still waits for an answer.
 *
 * Forgets have no answer, and do not come again. They are received where the next server can read them
 * (ledger_buffer()), and applied by it, from the first that was not.
 */

#include "registry/registry.h"

typedef struct Requests Requests;

/* With those that the ledger holds. registry (borrowed): where forgets that a dead server has received are applied. */
Requests *requests_new(Ledger *ledger, Registry *registry);
void requests_free(Requests *requests);

/* Before a buffer is received into: what it held is done with. */
void requests_clear_buffer(void *buffer);

/* What a request is, as any process sees it. */
typedef struct RequestsHead {
        uint64_t unique; /* its number */
        size_t size;     /* bytes of all of it */
        uint64_t operation, node;
} RequestsHead;

/* Whether a buffer holds one that is not done with. */
bool requests_in_buffer(const void *buffer, RequestsHead *head);

/* The kernel hands out again what dead servers have received: what their buffers hold is done with. */
void requests_clear_buffers(Requests *requests);

/* One that no buffer holds becomes the thread's current one. As of requests_begin(). */
bool requests_begin_left(Requests *requests, uint64_t unique);

/*
 * What dead servers had left to other threads is put back into buffers. The numbers (uint64_t) of those that were too
 * large to be kept; to be freed.
 */
GArray *requests_put_back(Requests *requests);

/*
 * The request that a buffer holds becomes the thread's current one. Whether a dead server has had it in hand, and it is
 * to be taken back: not where server after server has died of that. Then it is hopeless as well, and what it has
 * counted stays.
 */
bool requests_begin(Requests *requests, const void *buffer);

/*
 * Whether server after server has died, or was killed as it hung, with the current one in hand: it is to be answered
 * with an error, and named.
 */
bool requests_is_hopeless(const Requests *requests);

/* The thread's current one, if there is one still, is done with. */
void requests_end(Requests *requests);

/* Leaves the current one in hand, when it is answered from another thread; to be ended there. NULL: there is none. */
LedgerRequest *requests_leave(Requests *requests);
void requests_end_left(Requests *requests, LedgerRequest *request);

/* Calls back for each request that dead servers had in hand, as the thread's current one. Before there are threads. */
void requests_each_left(Requests *requests, void (*found)(void *data), void *data);

/*
 * Gives up what dead servers had in hand and the kernel does not hand out again, if that is certain now: those that
 * were awaited by calling back, as the thread's current one. Whether nothing more is to be given up.
 */
bool requests_give_up(Requests *requests, void (*dropped)(void *data), void *data);

/* The lowest backing id that a dead server may have got and not noted; 0: there is none. */
int requests_first_backing(const Ledger *ledger);

/* There is none any more. Before requests are begun. */
void requests_backings_given_up(const Ledger *ledger);

/* Calls back with each descriptor that requests of dead servers keep. */
void requests_descriptors(const Ledger *ledger, void (*found)(void *data, int fd), void *data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Requests, requests_free)
