#include "fixture.h"

#include <mntent.h>
#include <regionfs/regionfs.h>
#include <signal.h>
#include <stdlib.h>

bool has_logged(const char *words) {
        g_autofree char *log = fixture_log();

        return strstr(log, words);
}

uint64_t number_of(const char *path, const char *attribute) {
        g_autofree char *value = must_get(path, attribute);

        return g_ascii_strtoull(value, NULL, 10);
}

int restarts(void) {
        return number_of(fixture_mountpoint(), REGIONFS_ATTRIBUTE_RESTARTS);
}

/* type: of file system; NULL: any. */
static int count_mounts(const char *path, const char *type) {
        FILE *mounts = setmntent("/proc/self/mounts", "re");
        const struct mntent *entry;
        int count = 0;

        ck_assert_ptr_nonnull(mounts);
        while ((entry = getmntent(mounts)))
                count += g_str_equal(entry->mnt_dir, path) && (!type || g_str_equal(entry->mnt_type, type));
        endmntent(mounts);
        return count;
}

int mounts_on(const char *path) {
        return count_mounts(path, "fuse.regionfs");
}

bool is_mounted(void) {
        return count_mounts(fixture_mountpoint(), NULL) > 0;
}

bool is_stopped(pid_t process) {
        g_autofree char *path = g_strdup_printf("/proc/%d/task", process);
        GDir *threads = g_dir_open(path, 0, NULL);
        bool stopped = threads;
        const char *thread;

        while (threads && (thread = g_dir_read_name(threads))) {
                g_autofree char *of_thread = g_build_filename(path, thread, "status", NULL), *status = NULL;

                stopped &= g_file_get_contents(of_thread, &status, NULL, NULL) && strstr(status, "State:\tT");
        }
        if (threads)
                g_dir_close(threads);
        return stopped;
}

/* Those that this test has stopped. */
static pid_t stopped[8];

/* A test that fails may wait for them as it ends: for what it has open to be closed. */
static void continue_stopped(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(stopped); i++)
                if (stopped[i] && is_stopped(stopped[i]))
                        kill(stopped[i], SIGCONT);
}

void stop_process(pid_t process) {
        static size_t count;

        if (count == 0)
                atexit(continue_stopped);
        stopped[count++ % G_N_ELEMENTS(stopped)] = process;
        must(kill(process, SIGSTOP));
        eventually(is_stopped(process));
}

bool process_is_gone(pid_t process) {
        return kill(process, 0) < 0 && errno == ESRCH;
}

bool waits_in(pid_t process, long call) {
        g_autofree char *path = g_strdup_printf("/proc/%d/syscall", process), *text = NULL;
        char *end;

        /* "running", or the call's number and more. */
        return g_file_get_contents(path, &text, NULL, NULL) && strtol(text, &end, 10) == call && end != text;
}

bool waits_for_lock(pid_t process) {
        g_autofree char *number = g_strdup_printf(" %d ", process), *locks = NULL;
        g_auto(GStrv) lines = NULL;

        ck_assert(g_file_get_contents("/proc/locks", &locks, NULL, NULL));
        lines = g_strsplit(locks, "\n", -1);
        for (char **line = lines; *line; line++)
                if (strstr(*line, "->") && strstr(*line, number))
                        return true;
        return false;
}
