#pragma once

/*
 * What the unit tests share: the runner, and places to work in that are removed at the end, however the tests end.
 *
 * Each test runs in a process of its own, so that it may give up its rights. A warning in the log fails it.
 */

#include "base/descriptor.h"

#include <check.h>
#include <fcntl.h>
#include <fts.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* The user and group that root's tests become. Nobody's, so that no daemon has a pool as this user. */
#define UNIT_USER 64123

#define UNIT_TIMEOUT 60 /* seconds that one test may take: for sanitizers on a busy machine */

typedef enum UnitBase {
        UNIT_TMPFS,     /* as pools are */
        UNIT_TEMPORARY, /* where temporary files go, on whatever file system that is */
        UNIT_BASES,
} UnitBase;

static char *unit_roots[UNIT_BASES]; /* one directory in each base */

static inline void unit_remove_tree(char *path) {
        char *roots[] = { path, NULL };
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

/* A new empty directory, mode 0755; the caller owns the string. */
static inline char *unit_directory(UnitBase base) {
        char *path = g_build_filename(unit_roots[base], "XXXXXX", NULL);

        ck_assert_ptr_nonnull(g_mkdtemp_full(path, 0755));
        return path;
}

/* Creates directory/name with size bytes of text: a descriptor for reading and writing that the caller owns. */
static inline int unit_create(const char *directory, const char *name, size_t size) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_autofree char *text = g_malloc(size + 1);
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

        memset(text, 'x', size);
        ck_assert_msg(fd >= 0, "cannot create %s: %s", path, g_strerror(errno));
        ck_assert_int_eq(write(fd, text, size), (ssize_t)size);
        return fd;
}

/* How many descriptors this process has open. */
static inline unsigned unit_descriptors(void) {
        g_autoptr(GDir) directory = g_dir_open("/proc/self/fd", 0, NULL);
        unsigned count = 0;

        ck_assert_ptr_nonnull(directory);
        while (g_dir_read_name(directory))
                count++;
        return count;
}

/* Whether there are user attributes in UNIT_TEMPORARY. */
static inline bool unit_keeps_attributes(void) {
        g_autofree char *path = NULL;
        auto_descriptor fd = g_file_open_tmp("regionfs-unit-XXXXXX", &path, NULL);

        if (fd < 0)
                return false;
        unlink(path);
        return fsetxattr(fd, "user.unit", "x", 1, 0) == 0;
}

/* Root that may do what root may; in a container it may not. */
static inline bool unit_is_root(void) {
        static const cap_value_t needed[] = { CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID, CAP_DAC_READ_SEARCH };
        cap_t capabilities = cap_get_proc();
        bool root = geteuid() == 0;

        for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
                cap_flag_value_t have = CAP_CLEAR;

                if (capabilities)
                        cap_get_flag(capabilities, needed[i], CAP_EFFECTIVE, &have);
                root = root && have == CAP_SET;
        }
        cap_free(capabilities);
        return root;
}

/* From here on the test is an ordinary user: UNIT_USER if it was root. */
static inline void unit_become_user(void) {
        if (geteuid() != 0)
                return;
        ck_assert_int_eq(setgroups(0, NULL), 0);
        ck_assert_int_eq(setgid(UNIT_USER), 0);
        ck_assert_int_eq(setuid(UNIT_USER), 0);
        /* As of a process that the user has started: the leak sanitizer looks into it. */
        ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1), 0);
}

static inline TCase *unit_case(Suite *suite, const char *name) {
        TCase *tcase = tcase_create(name);

        tcase_set_timeout(tcase, UNIT_TIMEOUT);
        suite_add_tcase(suite, tcase);
        return tcase;
}

/* check cannot skip a test: what only root can run is left out, visibly. */
#define unit_add_root_test(tcase, test)                                                                                \
        do {                                                                                                           \
                if (unit_is_root())                                                                                    \
                        tcase_add_test(tcase, test);                                                                   \
                else                                                                                                   \
                        printf("# left out, as it needs root: %s\n", #test);                                           \
        } while (0)

/* Runs the suite, which it frees. The program's exit code. */
static inline int unit_main(Suite *suite) {
        const char *const bases[UNIT_BASES] = { [UNIT_TMPFS] = "/dev/shm", [UNIT_TEMPORARY] = g_get_tmp_dir() };
        SRunner *runner = srunner_create(suite);
        int failed;

        g_log_writer_default_set_use_stderr(TRUE);
        g_log_set_always_fatal(G_LOG_LEVEL_WARNING | G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
        umask(022);
        for (int i = 0; i < UNIT_BASES; i++) {
                unit_roots[i] = g_build_filename(bases[i], "regionfs-unit-XXXXXX", NULL);
                if (!g_mkdtemp_full(unit_roots[i], 0711))
                        g_error("cannot make a directory in %s: %s", bases[i], g_strerror(errno));
        }
        fflush(stdout);

        srunner_set_fork_status(runner, CK_FORK);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);

        for (int i = 0; i < UNIT_BASES; i++) {
                unit_remove_tree(unit_roots[i]);
                g_clear_pointer(&unit_roots[i], g_free);
        }
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* A descriptor to be given away. */
static inline int unit_any_descriptor(void) {
        int fd = open("/dev/null", O_PATH | O_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        return fd;
}

static inline bool unit_is_open(int fd) {
        return fcntl(fd, F_GETFD) >= 0;
}
