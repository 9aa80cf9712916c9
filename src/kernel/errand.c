#include "kernel/errand.h"

#include "base/descriptor.h"

#include <poll.h>
#include <sys/wait.h>

/* Descriptors that a call may need. */
#define NEEDED_MAX 4

struct Errands {
        gint places;   /* for so many more; atomic */
        int patience;
        gint stopping; /* atomic */

        GMutex lock;   /* protects what follows */
        GArray *left;  /* pid_t: not waited for any more, each with its place */
};

Errands *errands_new(unsigned most) {
        Errands *errands = g_new0(Errands, 1);

        errands->places = most;
        errands->patience = -1;
        g_mutex_init(&errands->lock);
        errands->left = g_array_new(FALSE, FALSE, sizeof(pid_t));
        return errands;
}

void errands_free(Errands *errands) {
        if (!errands)
                return;
        g_array_unref(errands->left);
        g_mutex_clear(&errands->lock);
        g_free(errands);
}

void errands_stop(Errands *errands) {
        g_atomic_int_set(&errands->stopping, 1);
}

void errands_restrict(Errands *errands, unsigned most, int patience) {
        errands->places = most;
        errands->patience = patience;
}

/* Places of those that have come to their end meanwhile. */
static void look_after(Errands *errands) {
        g_mutex_lock(&errands->lock);
        for (guint i = errands->left->len; i-- > 0;) {
                if (waitpid(g_array_index(errands->left, pid_t, i), NULL, WNOHANG) == 0)
                        continue;
                g_array_remove_index_fast(errands->left, i);
                g_atomic_int_inc(&errands->places);
        }
        g_mutex_unlock(&errands->lock);
}

bool errands_begin(Errands *errands) {
        look_after(errands);
        if (g_atomic_int_add(&errands->places, -1) > 0)
                return true;
        g_atomic_int_inc(&errands->places);
        return false;
}

void errands_end(Errands *errands) {
        g_atomic_int_inc(&errands->places);
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
        if (!errands_begin(errands))
                return -EBUSY;
        if (pipe2(ends, O_CLOEXEC) < 0) {
                result = -errno;
                errands_end(errands);
                return result;
        }
        answer = ends[0];
        theirs = ends[1];
        process = fork();
        if (process == 0)
                carry_out(call, data, needed, count, theirs);
        if (process < 0) {
                result = -errno;
                errands_end(errands);
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
        errands_end(errands);
        return result;
}
