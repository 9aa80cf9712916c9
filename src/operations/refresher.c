#include "operations/refresher.h"

#include "base/descriptor.h"
#include "kernel/visitor.h"

#include <fcntl.h>
#include <limits.h>

/* How long refresher_tell_now() waits. */
#define PATIENCE (G_USEC_PER_SEC / 10)

struct Refresher {
        const Pool *pool;
        const Channel *channel;
        int fd;
        GThread *thread;
        GAsyncQueue *jobs; /* owned: of Job */

        GMutex lock; /* protects what follows */
        bool stopped;
};

typedef struct Job {
        char *path; /* owned: in the mount, to look at; or NULL */
        uint64_t node; /* to tell of */
        off_t length;
        RefresherDone done; /* NULL: the end */
        void *data;
} Job;

static gpointer run(gpointer data) {
        const Refresher *refresher = data;

        for (;;) {
                Job *job = g_async_queue_pop(refresher->jobs);
                bool end = !job->done;

                /* A directory that its owner has closed to himself hides the region from us too: no harm. */
                if (job->path)
                        visitor_look(job->path);
                else if (!end)
                        visitor_tell_length(job->node, job->length, refresher->fd);
                if (!end)
                        job->done(job->data);
                g_free(job->path);
                g_free(job);
                if (end)
                        return NULL;
        }
}

Refresher *refresher_new(const Pool *pool, const Channel *channel, int fd) {
        Refresher *refresher = g_new0(Refresher, 1);

        refresher->pool = pool;
        refresher->channel = channel;
        refresher->fd = fd;
        refresher->jobs = g_async_queue_new();
        g_mutex_init(&refresher->lock);
        refresher->thread = g_thread_new("refresher", run, refresher);
        return refresher;
}

void refresher_stop(Refresher *refresher) {
        if (!refresher->thread)
                return;
        /* Behind the end nothing is queued any more. */
        g_mutex_lock(&refresher->lock);
        refresher->stopped = true;
        g_async_queue_push(refresher->jobs, g_new0(Job, 1));
        g_mutex_unlock(&refresher->lock);
        g_thread_join(g_steal_pointer(&refresher->thread));
}

void refresher_free(Refresher *refresher) {
        if (!refresher)
                return;
        refresher_stop(refresher);
        g_async_queue_unref(refresher->jobs);
        g_mutex_clear(&refresher->lock);
        g_free(refresher);
}

/* What it has is the queue's from here on. */
static void push(Refresher *refresher, Job job) {
        bool stopped;

        g_mutex_lock(&refresher->lock);
        stopped = refresher->stopped;
        if (!stopped)
                g_async_queue_push(refresher->jobs, g_memdup2(&job, sizeof(job)));
        g_mutex_unlock(&refresher->lock);
        if (!stopped)
                return;
        job.done(job.data);
        g_free(job.path);
}

/* A name that the region has now; fd may have been opened by another one, or by none (O_TMPFILE). */
static int find_name(const Pool *pool, int fd, char name[PATH_MAX]) {
        g_auto(PoolRef) ref = POOL_REF_INIT;
        auto_descriptor again = -1;
        struct stat st;

        if (pool_tell_name(pool, fd, name) == 0)
                return 0;
        if (pool_identify(pool, fd, &ref, &st) < 0 || st.st_nlink == 0)
                return -ENOENT;
        if (!pool->by_handle)
                return pool_find_name(pool, ref.inode, name);
        again = pool_open(pool, &ref, O_PATH);
        return again < 0 ? again : pool_tell_name(pool, again, name);
}

void refresher_look(Refresher *refresher, int fd, RefresherDone done, void *data) {
        char name[PATH_MAX];
        bool named = find_name(refresher->pool, fd, name) == 0;
        g_autofree char *mountpoint = named ? channel_find(refresher->channel) : NULL;

        if (mountpoint)
                push(refresher, (Job){ .path = g_build_filename(mountpoint, name, NULL), .done = done, .data = data });
        else
                done(data);
}

void refresher_tell(Refresher *refresher, uint64_t node, off_t length, RefresherDone done, void *data) {
        if (length > 0)
                push(refresher, (Job){ .node = node, .length = length, .done = done, .data = data });
        else
                done(data);
}

/* Someone who waits for a job; and the job, which may last longer. */
typedef struct Waiter {
        GMutex lock;
        GCond end;
        bool over; /* one of the two has gone */
} Waiter;

/* Whoever goes last frees it. Called with the lock. */
static void leave(Waiter *waiter) {
        bool last = waiter->over;

        waiter->over = true;
        g_cond_signal(&waiter->end);
        g_mutex_unlock(&waiter->lock);
        if (!last)
                return;
        g_mutex_clear(&waiter->lock);
        g_cond_clear(&waiter->end);
        g_free(waiter);
}

static void end_wait(void *data) {
        Waiter *waiter = data;

        g_mutex_lock(&waiter->lock);
        leave(waiter);
}

void refresher_tell_now(Refresher *refresher, uint64_t node, off_t length) {
        gint64 until = g_get_monotonic_time() + PATIENCE;
        Waiter *waiter = g_new0(Waiter, 1);

        g_mutex_init(&waiter->lock);
        g_cond_init(&waiter->end);
        refresher_tell(refresher, node, length, end_wait, waiter);
        g_mutex_lock(&waiter->lock);
        while (!waiter->over && g_cond_wait_until(&waiter->end, &waiter->lock, until))
                ;
        leave(waiter);
}
