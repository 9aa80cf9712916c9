#include "kernel/errand.h"

#include "base/descriptor.h"

#include <poll.h>
#include <sys/wait.h>

/* Descriptors that a call may need. */
#define NEEDED_MAX 4

/* How long one waits until there is a place, in microseconds. */
#define PATIENCE_FOR_PLACE 200000

struct Errands {
        int patience;
        gint stopping; /* atomic */

        GMutex lock;      /* protects what follows */
        GCond changed;    /* there is a place */
        unsigned places;  /* for so many more */
        unsigned waiters; /* for a place: so many more may */
        GArray *left;     /* pid_t: not waited for any more, each with its place */
};

/* Half as many may wait for a place as there are. */
static void settle(Errands *errands, unsigned most) {
        errands->places = most;
        errands->waiters = most / 2;
}

Errands *errands_new(unsigned most) {
        Errands *errands = g_new0(Errands, 1);

        settle(errands, most);
        errands->patience = -1;
        g_mutex_init(&errands->lock);
        g_cond_init(&errands->changed);
        errands->left = g_array_new(FALSE, FALSE, sizeof(pid_t));
        return errands;
}

void errands_free(Errands *errands) {
        if (!errands)
                return;
        g_array_unref(errands->left);
        g_cond_clear(&errands->changed);
        g_mutex_clear(&errands->lock);
        g_free(errands);
}

void errands_stop(Errands *errands) {
        g_atomic_int_set(&errands->stopping, 1);
}

void errands_restrict(Errands *errands, unsigned most, int patience) {
        settle(errands, most);
        errands->patience = patience;
}

/* Places of those that have come to their end meanwhile; the lock is held. */
static void look_after(Errands *errands) {
        for (guint i = errands->left->len; i-- > 0;) {
                if (waitpid(g_array_index(errands->left, pid_t, i), NULL, WNOHANG) == 0)
                        continue;
                g_array_remove_index_fast(errands->left, i);
                errands->places++;
        }
}

/* Most end soon: what is only many at once does not fail. */
static bool take_place(Errands *errands) {
        gint64 until = g_get_monotonic_time() + PATIENCE_FOR_PLACE;
        bool taken;

        g_mutex_lock(&errands->lock);
        look_after(errands);
        if (errands->places == 0 && errands->waiters > 0) {
                errands->waiters--;
                while (errands->places == 0 && g_cond_wait_until(&errands->changed, &errands->lock, until))
                        ;
                errands->waiters++;
        }
        taken = errands->places > 0;
        errands->places -= taken;
        g_mutex_unlock(&errands->lock);
        return taken;
}

static void give_place(Errands *errands) {
        g_mutex_lock(&errands->lock);
        errands->places++;
        g_cond_signal(&errands->changed);
        g_mutex_unlock(&errands->lock);
}

/* All but these and what stderr and its like are. Sorts them. */
static void close_others(int *kept, size_t count) {
        int next = STDERR_FILENO + 1;

        for (size_t i = 1; i < count; i++)
                for (size_t at = i; at > 0 && kept[at] < kept[at - 1]; at--) {
                        int lower = kept[at];

                        kept[at] = kept[at - 1];
                        kept[at - 1] = lower;
                }
        for (size_t i = 0; i < count; i++) {
                if (kept[i] > next)
                        close_range(next, kept[i] - 1, 0);
                next = MAX(next, kept[i] + 1);
        }
        close_range(next, ~0U, 0);
}

/* Between fork() and _exit(). */
G_NORETURN static void carry_out(ErrandCall call, void *data, const int *needed, size_t count, int answer) {
        int kept[NEEDED_MAX + 1] = { answer };
        int64_t result;

        for (size_t i = 0; i < count; i++)
                kept[i + 1] = needed[i];
        close_others(kept, count + 1);
        result = call(data);
        _exit(write(answer, &result, sizeof(result)) == sizeof(result) ? 0 : 1);
}

/* Until there is an answer, or it is of no use to wait. */
static bool await(const Errands *errands, int patience, int answer) {
        struct pollfd source = { .fd = answer, .events = POLLIN };
        int ready;

        do
                ready = poll(&source, 1, patience);
        while (ready < 0 && errno == EINTR && !g_atomic_int_get(&errands->stopping));
        return ready > 0;
}

static void leave(Errands *errands, pid_t process) {
        g_mutex_lock(&errands->lock);
        g_array_append_val(errands->left, process);
        g_mutex_unlock(&errands->lock);
}

int64_t errands_run(Errands *errands, int patience, ErrandCall call, void *data, const int *needed, size_t count) {
        auto_descriptor answer = -1, theirs = -1;
        int64_t result = -EIO;
        int ends[2];
        pid_t process;

        g_return_val_if_fail(count <= NEEDED_MAX, -EINVAL);
        if (!take_place(errands))
                return -EBUSY;
        if (pipe2(ends, O_CLOEXEC) < 0) {
                result = -errno;
                give_place(errands);
                return result;
        }
        answer = ends[0];
        theirs = ends[1];
        process = fork();
        if (process == 0)
                carry_out(call, data, needed, count, theirs);
        if (process < 0) {
                result = -errno;
                give_place(errands);
                return result;
        }
        descriptor_clear(&theirs);
        if (!await(errands, patience >= 0 ? patience : errands->patience, answer)) {
                leave(errands, process);
                return -EBUSY;
        }
        if (read(answer, &result, sizeof(result)) != sizeof(result))
                result = -EIO;
        waitpid(process, NULL, 0);
        give_place(errands);
        return result;
}
