#include "fixture-run.h"

#include <errno.h>
#include <fts.h>
#include <glib.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long processes that are asked to end may take, before they are killed; and then. */
#define PATIENCE_US (10 * G_USEC_PER_SEC)

static char *directory;

/*
 * Where that is allowed, what a run mounts is for itself alone, and so is the memory that pools of users are in: runs
 * beside it see none of its mounts and pools, and it sees none of theirs.
 */
static void leave_others(void) {
        if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0)
                return;
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            (access("/dev/shm", F_OK) == 0 &&
             mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") < 0))
                g_error("cannot have a /dev/shm of our own: %s", g_strerror(errno));
}

void run_begin(uid_t user, gid_t group) {
        leave_others();
        /* Not g_get_tmp_dir(), which would give this one out from now on. */
        directory = g_build_filename(g_getenv("TMPDIR") ? g_getenv("TMPDIR") : "/tmp", "regionfs-XXXXXX", NULL);
        if (!g_mkdtemp(directory) || chmod(directory, 0755) < 0 || chown(directory, user, group) < 0)
                g_error("cannot make a directory to work in: %s", g_strerror(errno));
        g_setenv("TMPDIR", directory, true);
}

const char *run_directory(void) {
        return directory;
}

char *run_make_directory(const char *pattern) {
        char *path = g_build_filename(directory, pattern, NULL);

        if (!g_mkdtemp_full(path, 0755))
                g_error("cannot make %s: %s", path, g_strerror(errno));
        return path;
}

/* Whether a process was started in this run: its environment says so. */
static bool is_of_run(const char *process) {
        g_autofree char *path = g_build_filename("/proc", process, "environ", NULL), *environment = NULL;
        g_autofree char *setting = g_strconcat("TMPDIR=", directory, NULL);
        gsize length;

        if (!g_ascii_isdigit(*process) || atoi(process) == getpid() ||
            !g_file_get_contents(path, &environment, &length, NULL))
                return false;
        for (gsize at = 0; at < length; at += strlen(environment + at) + 1)
                if (g_str_has_prefix(environment + at, setting))
                        return true;
        return false;
}

/* Those that are left are sent the signal; how many there are. */
static unsigned signal_processes(int number) {
        g_autoptr(GDir) processes = g_dir_open("/proc", 0, NULL);
        unsigned count = 0;
        const char *name;

        while (processes && (name = g_dir_read_name(processes))) {
                if (!is_of_run(name))
                        continue;
                count++;
                if (number)
                        kill(atoi(name), number);
        }
        return count;
}

static bool await_processes(void) {
        gint64 until = g_get_monotonic_time() + PATIENCE_US;

        while (signal_processes(0) > 0) {
                if (g_get_monotonic_time() > until)
                        return false;
                g_usleep(20000);
        }
        return true;
}

/* Whether there were none. */
static bool end_processes(void) {
        unsigned left;

        /* One that has just been asked to end may still be about it. */
        for (int waits = 0; signal_processes(0) > 0 && waits < 50; waits++)
                g_usleep(20000);
        left = signal_processes(SIGTERM);
        if (left == 0)
                return true;
        g_printerr("tests have left %u processes, which are ended\n", left);
        signal_processes(SIGCONT);
        if (!await_processes()) {
                signal_processes(SIGKILL);
                await_processes();
        }
        return false;
}

/* The last one that was mounted in the directory, to be freed; NULL: there is none. */
static char *last_mount(void) {
        g_autofree char *prefix = g_strconcat(directory, "/", NULL);
        FILE *mounts = setmntent("/proc/self/mounts", "re");
        const struct mntent *entry;
        char *last = NULL;

        while (mounts && (entry = getmntent(mounts))) {
                if (!g_str_has_prefix(entry->mnt_dir, prefix))
                        continue;
                g_free(last);
                last = g_strdup(entry->mnt_dir);
        }
        if (mounts)
                endmntent(mounts);
        return last;
}

static bool unmount(const char *path) {
        const char *arguments[] = { "fusermount3", "-u", "-z", "--", path, NULL };
        int status;

        return umount2(path, MNT_DETACH) == 0 || (g_spawn_sync(NULL, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH,
                                                               NULL, NULL, NULL, NULL, &status, NULL) &&
                                                  status == 0);
}

/* Whether there were none. */
static bool end_mounts(void) {
        for (bool none = true;; none = false) {
                g_autofree char *path = last_mount();

                if (!path)
                        return none;
                g_printerr("tests have left a mount on %s, which is taken away\n", path);
                if (!unmount(path))
                        return false;
        }
}

static void remove_files(void) {
        char *roots[] = { directory, NULL };
        FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
        FTSENT *entry;

        while (tree && (entry = fts_read(tree))) {
                if (entry->fts_info == FTS_D)
                        chmod(entry->fts_accpath, 0700);
                else
                        remove(entry->fts_accpath);
        }
        if (tree)
                fts_close(tree);
}

bool run_end(void) {
        bool clean = end_processes();

        clean = end_mounts() && clean;
        remove_files();
        g_unsetenv("TMPDIR");
        g_clear_pointer(&directory, g_free);
        return clean;
}
