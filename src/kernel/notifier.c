#include "kernel/notifier.h"

#include "base/descriptor.h"
#include "kernel/wire.h"

#include <gio/gio.h>
#include <limits.h>
#include <poll.h>
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

void notifier_run(Notifier *notifier, int channel) {
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
                        pass_on(channel, &message);
                recv(notifier->theirs, &message, sizeof(message), 0);
                if (size == 1) {
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
