/* regionctl wait: waits for a region to come or to go. */
#include "base/descriptor.h"
#include "regionctl/facts/mount.h"
#include "regionctl/verbs/verbs.h"
#include "regionctl/words/arguments.h"

#include <limits.h>
#include <poll.h>
#include <regionfs/regionfs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

/* Seconds: a century is as good as for ever, and can be reckoned with. */
#define TIMEOUT_MAX 3155760000.0

static const Usage usage = {
        .arguments = "NAME",
        .summary = "Waits until there is a region of this name, or, with --gone, until there is none.",
        .details = "The directory has to be there, and to stay where it is. To see a region go takes the right to\n"
                   "read it.\n"
                   "\n"
                   "Examples:\n"
                   "  regionctl wait /run/regions/a && cat /run/regions/a\n"
                   "  regionctl wait /run/regions/job --gone --timeout 2.5 || echo it still runs\n",
};

/*
 * What the kernel tells of a directory and of a region. That a region ends by itself is told of the region, and not of
 * its directory.
 */
#define OF_DIRECTORY                                                                                                   \
        (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define OF_REGION (IN_DELETE_SELF | IN_ATTRIB | IN_DONT_FOLLOW)

/* What is being waited for. */
typedef struct Wait {
        const char *path;
        gboolean gone;
        gint64 until; /* monotonic time in microseconds; G_MAXINT64: for ever */
        char *directory, *name; /* owned: of path */
        int events;             /* owned: inotify */
        int of_directory;       /* watch */
        int server;             /* owned: pidfd, as nobody is told of the end of a mount's server; -1 if there is none */
        pid_t process;          /* of the server, as named last */
} Wait;

#define WAIT_INIT { .events = -1, .server = -1, .until = G_MAXINT64 }

static void wait_clear(Wait *wait) {
        g_free(wait->directory);
        g_free(wait->name);
        descriptor_clear(&wait->events);
        descriptor_clear(&wait->server);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Wait, wait_clear)

/* What reading events tells beyond that something has changed. */
typedef enum News {
        NEWS_NONE = 0,
        NEWS_NAME_GONE = 1 << 0,
        NEWS_REMOVED = 1 << 1, /* the directory */
        NEWS_MOVED = 1 << 2,
        NEWS_UNMOUNTED = 1 << 3,
} News;

static News news_of(const Wait *wait, const struct inotify_event *event) {
        News news = NEWS_NONE;

        if (event->wd != wait->of_directory)
                return news;
        if ((event->mask & (IN_DELETE | IN_MOVED_FROM)) && g_str_equal(event->name, wait->name))
                news |= NEWS_NAME_GONE;
        if (event->mask & IN_DELETE_SELF)
                news |= NEWS_REMOVED;
        if (event->mask & IN_MOVE_SELF)
                news |= NEWS_MOVED;
        if (event->mask & IN_UNMOUNT)
                news |= NEWS_UNMOUNTED;
        return news;
}

/* What has happened, without waiting for it. */
static News read_events(const Wait *wait) {
        char buffer[64 * (sizeof(struct inotify_event) + NAME_MAX + 1)]
                __attribute__((aligned(__alignof__(struct inotify_event))));
        News news = NEWS_NONE;
        ssize_t size;

        while ((size = read(wait->events, buffer, sizeof(buffer))) > 0) {
                const struct inotify_event *event;

                for (char *at = buffer; at < buffer + size; at += sizeof(*event) + event->len) {
                        event = (const struct inotify_event *)at;
                        news |= news_of(wait, event);
                }
        }
        return news;
}

/*
 * Whom the mount names as its server. That may be of another pid namespace: then what is watched tells nothing, or
 * wakes for nothing. 0, or -ENOTCONN where there is none any more: what the kernel still knows of names does not tell
 * that.
 */
static int watch_server(Wait *wait, const Mount *mount) {
        char value[32];
        ssize_t size = getxattr(mount->root, REGIONFS_ATTRIBUTE_SERVER_PID, value, sizeof(value) - 1);
        pid_t process;

        descriptor_clear(&wait->server);
        if (size < 0 && (errno == ENOTCONN || errno == ECONNABORTED))
                return -ENOTCONN;
        if (size <= 0)
                return 0;
        value[size] = '\0';
        process = g_ascii_strtoll(value, NULL, 10);
        /* One that has ended and is named again is none that this process knows. */
        if (process > 0 && process != wait->process)
                wait->server = syscall(SYS_pidfd_open, process, 0);
        wait->process = process;
        return 0;
}

/* Until there are events, or the server has ended: 1, or 0 when the time is up, or -errno. */
static int await_events(Wait *wait, const Mount *mount) {
        struct pollfd polled[] = {
                { .fd = wait->events, .events = POLLIN },
                { .fd = wait->server, .events = POLLIN },
        };
        gint64 left = MAX(wait->until - g_get_monotonic_time(), 0);
        struct timespec timeout = { left / G_USEC_PER_SEC, left % G_USEC_PER_SEC * 1000 };
        int result = ppoll(polled, G_N_ELEMENTS(polled), wait->until == G_MAXINT64 ? NULL : &timeout, NULL);

        if (result < 0)
                return -errno;
        /* There may be another: then the mount goes on, which looking again tells. */
        if (polled[1].revents && watch_server(wait, mount) < 0)
                return -ENOTCONN;
        return result > 0;
}

static gboolean is_missing(int code) {
        return code == ENOENT || code == ESTALE;
}

/* Whether it is as it is waited for; -errno where that cannot be seen. Watched before it is looked for. */
static int is_reached(const Wait *wait) {
        struct stat st;

        if (wait->gone && inotify_add_watch(wait->events, wait->path, OF_REGION) < 0 && !is_missing(errno))
                return -errno;
        if (lstat(wait->path, &st) == 0)
                return !wait->gone;
        return is_missing(errno) ? wait->gone : -errno;
}

static Status lost_directory(const Wait *wait, News news) {
        if (news & NEWS_REMOVED)
                return complain(STATUS_NOT_FOUND, "the directory %s has been removed", wait->directory);
        if (news & NEWS_MOVED)
                return complain(STATUS_NOT_FOUND, "the directory %s has been moved away", wait->directory);
        return complain(STATUS_FAILED, "the regionfs mount with %s has ended", wait->directory);
}

static Status unwatchable(int code, const char *path) {
        if (code == ENOSPC)
                return complain(STATUS_FAILED, "cannot watch %s: the user has no watch left (sysctl "
                                               "fs.inotify.max_user_watches)", path);
        return complain_errno(code, "watch", path);
}

static Status wait_for(Wait *wait, const Mount *mount) {
        News news = NEWS_NONE;
        bool late = false;

        for (;;) {
                int result = is_reached(wait);

                if (result > 0 || (wait->gone && (news & (NEWS_NAME_GONE | NEWS_REMOVED | NEWS_UNMOUNTED))))
                        return STATUS_DONE;
                if (news & (NEWS_REMOVED | NEWS_MOVED | NEWS_UNMOUNTED))
                        return lost_directory(wait, news);
                /* When the time is up it is looked for once more. */
                if (result == 0 && late)
                        return complain(STATUS_TIMEOUT, "%s is %s: the time is up", wait->path,
                                        wait->gone ? "still there" : "not there");
                if (result == 0)
                        result = await_events(wait, mount);
                if (result < 0)
                        return unwatchable(-result, wait->path);
                late = result == 0;
                news = read_events(wait);
        }
}

static Status watch(Wait *wait) {
        g_autofree char *parent = g_path_get_dirname(wait->path);

        wait->name = g_path_get_basename(wait->path);
        wait->directory = g_canonicalize_filename(parent, NULL);
        wait->events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (wait->events < 0)
                return complain_errno(errno, "watch", wait->directory);
        wait->of_directory = inotify_add_watch(wait->events, wait->directory, OF_DIRECTORY);
        return wait->of_directory < 0 ? unwatchable(errno, wait->directory) : STATUS_DONE;
}

static Status take_timeout(Wait *wait, const char *timeout) {
        double seconds;
        char *end;

        if (!timeout)
                return STATUS_DONE;
        seconds = g_ascii_strtod(timeout, &end);
        if (!g_ascii_isdigit(*timeout) || *end || !(seconds <= TIMEOUT_MAX))
                return complain(STATUS_USAGE,
                                "--timeout=%s is not allowed: it takes a number of seconds from 0 to %.0f, such as 2.5",
                                timeout, TIMEOUT_MAX);
        wait->until = g_get_monotonic_time() + (gint64)(seconds * G_USEC_PER_SEC);
        return STATUS_DONE;
}

static Status take_path(Wait *wait, char **arguments) {
        wait->path = arguments[1];
        if (!wait->path)
                return complain(STATUS_USAGE, "wait needs the NAME of a region: see regionctl wait --help");
        if (arguments[2])
                return complain(STATUS_USAGE, "wait waits for one region, so %s is too much", arguments[2]);
        if (!*wait->path || g_str_has_suffix(wait->path, "/"))
                return complain(STATUS_USAGE, "\"%s\" is not allowed: it takes the path of a region", wait->path);
        return STATUS_DONE;
}

int verb_wait(char **arguments) {
        g_autofree char *timeout = NULL;
        g_auto(Wait) wait = WAIT_INIT;
        g_auto(Mount) mount = MOUNT_INIT;
        const GOptionEntry options[] = {
                { "gone", 'g', 0, G_OPTION_ARG_NONE, &wait.gone, "Until there is no such region", NULL },
                { "timeout", 't', 0, G_OPTION_ARG_STRING, &timeout,
                  "Give up after so long, with exit status 8; fractions are allowed", "SECONDS" },
                { NULL },
        };
        Status status = arguments_parse(arguments, options, &usage);

        if (status == STATUS_DONE)
                status = take_timeout(&wait, timeout);
        if (status == STATUS_DONE)
                status = take_path(&wait, arguments);
        if (status == STATUS_DONE)
                status = mount_find(&mount, wait.path);
        if (status == STATUS_DONE)
                status = watch(&wait);
        if (status != STATUS_DONE)
                return status;
        if (watch_server(&wait, &mount) < 0)
                return complain_errno(ENOTCONN, "watch", wait.path);
        return wait_for(&wait, &mount);
}
