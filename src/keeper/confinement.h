#pragma once

/*
 * What keeper and servers give up once the mount is there: capabilities, the ways to get new rights, and the system
 * calls that they have no use for. Nothing of it can be taken back; processes that they start inherit it.
 *
 * The keeper refuses what no version of this program should ever do. No more than that, as its servers, which may come
 * from a newer binary, cannot be allowed what it has been refused. Each server refuses all that it does not need.
 *
 * A server's refused call fails with ENOSYS, and the kernel logs it (audit, type 1326). It is not killed: a C library
 * that tries a call which this list does not know yet falls back to an older one upon ENOSYS, while a server that is
 * killed would take the same way again after each restart. Builds with the address sanitizer kill it (SIGSYS), so that
 * tests notice.
 */

#include <glib.h>
#include <stdbool.h>

typedef struct Confinement Confinement;

/* Works out what is to be refused; nothing is in force yet. io_uring: servers use it as their channel. */
Confinement *confinement_new(bool io_uring, GError **error);

void confinement_free(Confinement *confinement);

/*
 * For a process with one thread; false with a sentence in error. The server's comes after the keeper's, in a process
 * that the keeper has started. On a kernel without filters the keeper warns, and all go on without.
 */
bool confinement_enter_keeper(const Confinement *confinement, GError **error);
bool confinement_enter_server(const Confinement *confinement, GError **error);

/* As a server, but without any capability. */
bool confinement_enter_notifier(const Confinement *confinement, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Confinement, confinement_free)
