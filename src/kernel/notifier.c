#include "kernel/notifier.h"

#include "base/descriptor.h"
#include "kernel/wire.h"

#include <gio/gio.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

/* How long the end may take. */
#define PATIENCE_MS 10000

/* How long one who tells waits until there is room for it, in seconds. */
#define PATIENCE_TO_TELL 5

/* How many directories may be locked while names in others are told of. */
#define TELLERS_MOST 256
#define TELLER_STACK (256 * 1024)

/* How long is waited for a directory's lock at first, in microseconds; less where others are waited for already. */
#define PATIENCE_FOR_LOCK 50000

struct Notifier {
        int ours, theirs; /* owned: ends of a socket that keeps messages apart */
        gint deaf;        /* nobody takes what is told; atomic */
};

/* What goes through the socket: this, or one byte to ask for the end and to confirm it. */
typedef struct Message {
        struct fuse_notify_delete_out gone;
        char name[NAME_MAX + 1];
} Message;

G_STATIC_ASSERT(sizeof(Message) == NOTIFIER_MESSAGE_SIZE);

Notifier *notifier_open(const int ends[2]) {
        const struct timeval patience = { .tv_sec = PATIENCE_TO_TELL };
        Notifier *notifier = g_new0(Notifier, 1);

        notifier->ours = ends[0];
        notifier->theirs = ends[1];
        setsockopt(notifier->ours, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        return notifier;
}

void notifier_descriptors(const Notifier *notifier, int ends[2]) {
        ends[0] = notifier->ours;
        ends[1] = notifier->theirs;
}

Notifier *notifier_new(GError **error) {
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot make a socket: %s",
                            g_strerror(errno));
                return NULL;
        }
        return notifier_open(ends);
}

void notifier_free(Notifier *notifier) {
        if (!notifier)
                return;
        descriptor_clear(&notifier->ours);
        descriptor_clear(&notifier->theirs);
        g_free(notifier);
}

static void pass_on(int channel, Message *message) {
        struct fuse_out_header header = {
                .len = sizeof(header) + sizeof(message->gone) + message->gone.namelen + 1,
                .error = FUSE_NOTIFY_DELETE,
        };
        const struct iovec parts[] = {
                { .iov_base = &header, .iov_len = sizeof(header) },
                { .iov_base = message, .iov_len = header.len - sizeof(header) },
        };

        /* It knew nothing of the name, or is about to end. */
        if (writev(channel, parts, G_N_ELEMENTS(parts)) < 0 && errno != ENOENT && errno != ENOTCONN && errno != ENODEV)
                g_warning("cannot tell the kernel that a name has gone: %s", g_strerror(errno));
}

/* Everything but these two and what stderr and its like are. */
static void close_others(int one, int other) {
        int low = MIN(one, other), high = MAX(one, other);

        if (low > STDERR_FILENO + 1)
                close_range(STDERR_FILENO + 1, low - 1, 0);
        if (high > low + 1)
                close_range(low + 1, high - 1, 0);
        close_range(high + 1, ~0U, 0);
}

/* Passes on what concerns one directory at a time. */
typedef struct Teller {
        struct Tellers *all;
        GQueue *messages; /* owned; empty: it has nothing to do */
} Teller;

typedef struct Tellers {
        int channel;
        GMutex lock;        /* protects what follows */
        GCond changed;
        GPtrArray *tellers; /* of Teller; they are there until the process ends */
} Tellers;

static void *tell(void *data) {
        Teller *teller = data;
        Tellers *all = teller->all;

        g_mutex_lock(&all->lock);
        while (true) {
                Message *message = g_queue_peek_head(teller->messages);

                if (!message) {
                        g_cond_wait(&all->changed, &all->lock);
                        continue;
                }
                g_mutex_unlock(&all->lock);
                pass_on(all->channel, message);
                g_mutex_lock(&all->lock);
                g_free(g_queue_pop_head(teller->messages));
                g_cond_broadcast(&all->changed);
        }
        return NULL;
}

/* One that tells of the directory already, else one that has nothing to do. NULL: there is none, nor is to be. */
static Teller *find_teller(Tellers *all, uint64_t parent) {
        Teller *idle = NULL;

        for (guint i = 0; i < all->tellers->len; i++) {
                Teller *teller = g_ptr_array_index(all->tellers, i);
                const Message *first = g_queue_peek_head(teller->messages);

                if (first && first->gone.parent == parent)
                        return teller;
                if (!first)
                        idle = teller;
        }
        return idle;
}

static Teller *add_teller(Tellers *all) {
        Teller *teller;
        pthread_t thread;
        pthread_attr_t small;

        if (all->tellers->len >= TELLERS_MOST)
                return NULL;
        teller = g_new0(Teller, 1);
        teller->all = all;
        teller->messages = g_queue_new();
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, TELLER_STACK);
        if (pthread_create(&thread, &small, tell, teller) == 0) {
                pthread_detach(thread);
                g_ptr_array_add(all->tellers, teller);
        } else {
                g_queue_free(teller->messages);
                g_clear_pointer(&teller, g_free);
        }
        pthread_attr_destroy(&small);
        return teller;
}

/*
 * Has the message passed on. Waits until that is done, so that it stays in the socket until then, but not for long:
 * whoever keeps one directory locked does not keep names in others from going. A teller that waits has all that
 * concerns its directory; what it has is lost with this process.
 */
static void pass_on_in_time(Tellers *all, const Message *message) {
        gint64 until;
        Teller *teller;
        bool busy;

        g_mutex_lock(&all->lock);
        while (!(teller = find_teller(all, message->gone.parent)) && !(teller = add_teller(all)))
                g_cond_wait(&all->changed, &all->lock);
        busy = !g_queue_is_empty(teller->messages);
        g_queue_push_tail(teller->messages, g_memdup2(message, sizeof(*message)));
        g_cond_broadcast(&all->changed);
        until = g_get_monotonic_time() + PATIENCE_FOR_LOCK / MAX(all->tellers->len, 1);
        while (!busy && !g_queue_is_empty(teller->messages) && g_cond_wait_until(&all->changed, &all->lock, until))
                ;
        g_mutex_unlock(&all->lock);
}

/* What is left when it is asked for the end; who asks does not wait for good. */
static void wait_for_tellers(Tellers *all) {
        g_mutex_lock(&all->lock);
        for (guint i = 0; i < all->tellers->len; i++) {
                const Teller *teller = g_ptr_array_index(all->tellers, i);

                while (!g_queue_is_empty(teller->messages))
                        g_cond_wait(&all->changed, &all->lock);
        }
        g_mutex_unlock(&all->lock);
}

void notifier_run(Notifier *notifier, int channel) {
        Tellers tellers = { .channel = channel, .tellers = g_ptr_array_new() };
        Message message;
        ssize_t size;

        close_others(notifier->theirs, channel);
        notifier->ours = -1;
        /* Taken when it has been passed on: to be told twice does no harm. */
        while ((size = recv(notifier->theirs, &message, sizeof(message), MSG_PEEK)) != 0) {
                if (size < 0 && errno == EINTR)
                        continue;
                if (size < 0)
                        return;
                if (size > 1)
                        pass_on_in_time(&tellers, &message);
                recv(notifier->theirs, &message, sizeof(message), 0);
                if (size == 1) {
                        wait_for_tellers(&tellers);
                        send(notifier->theirs, "", 1, MSG_NOSIGNAL);
                        return;
                }
        }
}

void notifier_tell(Notifier *notifier, uint64_t parent, uint64_t id, const char *name) {
        Message message = { .gone = { .parent = parent, .child = id, .namelen = strlen(name) } };
        bool deaf = g_atomic_int_get(&notifier->deaf), told;

        g_strlcpy(message.name, name, sizeof(message.name));
        told = send(notifier->ours, &message, offsetof(Message, name) + message.gone.namelen + 1,
                    MSG_NOSIGNAL | (deaf ? MSG_DONTWAIT : 0)) > 0;
        /* Once, however many names go: it was killed, and no keeper is left to start another. */
        if (!told && !deaf)
                g_warning("the kernel is not told of names that have gone: %s", g_strerror(errno));
        g_atomic_int_set(&notifier->deaf, !told);
}

void notifier_end(Notifier *notifier) {
        struct pollfd answer = { .fd = notifier->ours, .events = POLLIN };
        char byte;

        /* Its answer may be there, where there was no keeper any more to start another one. */
        if (g_atomic_int_get(&notifier->deaf))
                return;
        if (send(notifier->ours, "", 1, MSG_NOSIGNAL) < 0 || poll(&answer, 1, PATIENCE_MS) <= 0 ||
            recv(notifier->ours, &byte, 1, MSG_DONTWAIT) < 0)
                g_warning("names that have gone may not have been forgotten");
}
