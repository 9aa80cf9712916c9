#include "server/server-workers.h"

#include "base/descriptor.h"
#include "operations/credentials.h"
#include "server/server-session.h"

#include <gio/gio.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

/* Threads at first, and at most: one more whenever all are busy, so that long requests do not hold up short ones. */
#define WORKERS_FIRST 4u
#define WORKERS_MOST 64u

/* Bytes of a request that is no write: a name and an extended attribute. */
#define BUFFER_USED (80 * 1024)

/* What interrupts the wait for a request, and how often it is tried: nanoseconds. */
#define INTERRUPT SIGURG
#define INTERRUPT_AGAIN 10000000

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* as of Linux 5.14; without, pages come when they are needed */
#endif

typedef struct Worker {
        Workers *workers;
        pthread_t thread;
        uint64_t number; /* of its buffer */
        struct fuse_buf request; /* in the ledger */
} Worker;

struct Workers {
        const Operations *operations;
        struct fuse_session *session;
        Ledger *ledger;
        Requests *requests;
        guint most;
        int ended; /* owned: eventfd that says that a worker met the end of the mount */
        gint idle; /* how many wait for a request; atomic */
        guint first;      /* threads that are started at once */
        uint64_t in_hand; /* buffers up to here may hold what a dead server has received */

        GMutex lock;        /* protects what follows */
        GPtrArray *threads; /* owns the workers */
        bool stopping;
};

unsigned workers_most(unsigned wanted) {
        return wanted ? wanted : WORKERS_MOST;
}

static bool start_worker(Workers *workers);

/*
 * Where it receives. The pages are there before the kernel needs them: a request that it cannot hand out, because the
 * server is killed while it waits for one, it answers with EIO.
 */
static void take_buffer(Worker *worker) {
        const Workers *workers = worker->workers;
        LedgerHeader *header = ledger_header(workers->ledger);
        uint64_t number = workers->threads->len;

        worker->number = number;
        worker->request.mem = ledger_buffer(workers->ledger, number);
        worker->request.mem_size = LEDGER_BUFFER_SIZE;
        madvise(worker->request.mem, workers->operations->passthrough ? BUFFER_USED : LEDGER_BUFFER_SIZE,
                MADV_POPULATE_WRITE);
        if (number >= header->buffers)
                ledger_publish(&header->buffers, number + 1);
}

/* answered: by a dead server. */
static void carry_out(const Workers *workers, struct fuse_buf *request, bool answered) {
        if (requests_begin(workers->requests, request->mem) && !answered)
                operations_take_back(workers->operations);
        if (!answered && requests_is_hopeless(workers->requests))
                server_session_refuse(workers->session, request->mem);
        else if (!answered)
                fuse_session_process_buf(workers->session, request);
        /* First, so that forgets are not applied twice. */
        requests_clear_buffer(request->mem);
        requests_end(workers->requests);
}

/* This thread's part of what a dead server has received, where the kernel does not hand it out again. */
static void take_over(const Worker *worker) {
        const Workers *workers = worker->workers;

        for (uint64_t number = worker->number; number < workers->in_hand; number += workers->first) {
                struct fuse_buf request = { .mem = ledger_buffer(workers->ledger, number),
                                            .mem_size = LEDGER_BUFFER_SIZE };
                RequestsHead head;

                if (!requests_in_buffer(request.mem, &head))
                        continue;
                request.size = head.size;
                carry_out(workers, &request, !server_session_is_awaited(workers->session, head.unique));
        }
}

static void *work(void *data) {
        Worker *worker = data;
        Workers *workers = worker->workers;
        int size, result;

        result = credentials_prepare_thread();
        if (result < 0)
                g_error("cannot give a thread a umask of its own: %s", g_strerror(-result));
        take_over(worker);
        while (!fuse_session_exited(workers->session)) {
                requests_clear_buffer(worker->request.mem);
                size = fuse_session_receive_buf(workers->session, &worker->request);
                if (size == -EINTR || size == -EAGAIN)
                        continue;
                if (size <= 0)
                        break;
                if (g_atomic_int_dec_and_test(&workers->idle))
                        start_worker(workers);
                carry_out(workers, &worker->request, false);
                g_atomic_int_inc(&workers->idle);
        }
        if (eventfd_write(workers->ended, 1) < 0)
                g_warning("cannot tell that the mount has ended: %s", g_strerror(errno));
        return NULL;
}

static bool start_worker(Workers *workers) {
        Worker *worker = NULL;

        g_mutex_lock(&workers->lock);
        if (!workers->stopping && workers->threads->len < workers->most) {
                worker = g_new0(Worker, 1);
                worker->workers = workers;
                take_buffer(worker);
                g_atomic_int_inc(&workers->idle);
                if (pthread_create(&worker->thread, NULL, work, worker) == 0) {
                        g_ptr_array_add(workers->threads, worker);
                } else {
                        g_atomic_int_add(&workers->idle, -1);
                        g_clear_pointer(&worker, g_free);
                }
        }
        g_mutex_unlock(&workers->lock);
        return worker;
}

static void take_interrupt(int signal) {
}

/*
 * Has a thread that waits for a request see that there is to be none; and again, as it may be about to wait only. Joins
 * it.
 */
static void interrupt(const Worker *worker) {
        struct timespec until;

        do {
                pthread_kill(worker->thread, INTERRUPT);
                clock_gettime(CLOCK_REALTIME, &until);
                until.tv_nsec += INTERRUPT_AGAIN;
                until.tv_sec += until.tv_nsec / 1000000000;
                until.tv_nsec %= 1000000000;
        } while (pthread_timedjoin_np(worker->thread, NULL, &until) == ETIMEDOUT);
}

static void stop(Workers *workers) {
        g_mutex_lock(&workers->lock);
        workers->stopping = true;
        g_mutex_unlock(&workers->lock);

        /* From here on nobody adds to the array. */
        for (guint i = 0; i < workers->threads->len; i++) {
                Worker *worker = g_ptr_array_index(workers->threads, i);

                interrupt(worker);
                g_free(worker);
        }
        g_ptr_array_set_size(workers->threads, 0);
}

static uint64_t count_in_hand(const Ledger *ledger) {
        uint64_t number = ledger_header(ledger)->buffers;
        RequestsHead head;

        while (number > 0 && !requests_in_buffer(ledger_buffer(ledger, number - 1), &head))
                number--;
        return number;
}

Workers *workers_new(const Operations *operations, Ledger *ledger, Requests *requests, unsigned most, GError **error) {
        const struct sigaction interrupted = { .sa_handler = take_interrupt };
        Workers *workers = g_new0(Workers, 1);
        guint started = 0;

        sigaction(INTERRUPT, &interrupted, NULL);
        workers->operations = operations;
        workers->session = operations->session;
        workers->ledger = ledger;
        workers->requests = requests;
        workers->most = workers_most(most);
        workers->in_hand = count_in_hand(ledger);
        workers->first = MIN(MAX(WORKERS_FIRST, workers->in_hand), workers->most);
        g_mutex_init(&workers->lock);
        workers->threads = g_ptr_array_new();
        workers->ended = eventfd(0, EFD_CLOEXEC);
        while (workers->ended >= 0 && started < workers->first && start_worker(workers))
                started++;
        /* What dead servers have received is shared out among the first. */
        if (started > 0 && (started == workers->first || !workers->in_hand))
                return workers;
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "cannot start a thread");
        workers_free(workers);
        return NULL;
}

void workers_free(Workers *workers) {
        if (!workers)
                return;
        fuse_session_exit(workers->session);
        stop(workers);
        g_ptr_array_unref(workers->threads);
        descriptor_clear(&workers->ended);
        g_mutex_clear(&workers->lock);
        g_free(workers);
}

int workers_ended(const Workers *workers) {
        return workers->ended;
}
