#include "refresher.h"

#include "descriptor.h"
#include "visitor.h"

#include <fcntl.h>
#include <limits.h>

struct Refresher {
        const Pool *pool;
        const Channel *channel;
        int fd;
        GThread *thread;
        GAsyncQueue *jobs; /* owned: of Job */

        GMutex lock; /* protects what follows */
        bool stopped;
        GHashTable *hinted; /* owned: paths that are going to be looked at, though nobody waits for it */
};

typedef struct Job {
        char *path; /* owned: in the mount; NULL: the end */
        RefresherDone done; /* NULL: a hint */
        void *data;
} Job;

/* From here on another one is not in vain. */
static void take_hint(Refresher *refresher, const Job *job) {
        if (job->done)
                return;
        g_mutex_lock(&refresher->lock);
        g_hash_table_remove(refresher->hinted, job->path);
        g_mutex_unlock(&refresher->lock);
}

static gpointer run(gpointer data) {
        Refresher *refresher = data;

        for (;;) {
                Job *job = g_async_queue_pop(refresher->jobs);
                bool end = !job->path;

                if (!end) {
                        take_hint(refresher, job);
                        /* A directory that its owner has closed to himself hides the region from us too: no harm. */
                        visitor_look(job->path, refresher->fd);
                        if (job->done)
                                job->done(job->data);
                }
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
        refresher->hinted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
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
        g_hash_table_unref(refresher->hinted);
        g_mutex_clear(&refresher->lock);
        g_free(refresher);
}

static bool push(Refresher *refresher, const char *name, RefresherDone done, void *data) {
        g_autofree char *mountpoint = channel_find(refresher->channel);
        g_autofree char *path = mountpoint ? g_build_filename(mountpoint, name, NULL) : NULL;
        bool pushed = false;
        Job *job;

        g_mutex_lock(&refresher->lock);
        if (path && !refresher->stopped && (done || g_hash_table_add(refresher->hinted, g_strdup(path)))) {
                job = g_new0(Job, 1);
                *job = (Job){ g_steal_pointer(&path), done, data };
                g_async_queue_push(refresher->jobs, job);
                pushed = true;
        }
        g_mutex_unlock(&refresher->lock);
        return pushed;
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

        if (find_name(refresher->pool, fd, name) < 0 || !push(refresher, name, done, data))
                done(data);
}

void refresher_hint(Refresher *refresher, int fd) {
        char name[PATH_MAX];

        if (find_name(refresher->pool, fd, name) == 0)
                push(refresher, name, NULL, NULL);
}
