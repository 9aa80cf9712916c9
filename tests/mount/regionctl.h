#pragma once

/* What the tests of regionctl share: they call it as people do, from the shell. */

#include "fixture.h"

#include <regionfs/regionfs.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

/* How long something may take to come about, on a machine that may be busy with other things. */
#define PATIENCE_US 20000000

/* Runs a script that starts in the mount and has regionctl as $ctl: its exit status, and what it said if not NULL. */
static inline int in_shell(char **said, const char *script) {
        return run_command(said, "cd '%s'\nctl='%s'\n%s", fixture_mountpoint(), fixture_regionctl(), script);
}

/* The script must end with that status, and have said part of a text; nothing at all if that is NULL. */
static inline void expect(int status, const char *part, const char *script) {
        g_autofree char *said = NULL;
        int found = in_shell(&said, script);

        ck_assert_msg(found == status, "%s: status %d, not %d; %s", script, found, status, said);
        if (part)
                ck_assert_msg(strstr(said, part) != NULL, "%s: \"%s\" is not in: %s", script, part, said);
        else
                ck_assert_msg(!*said, "%s: it said: %s", script, said);
}

static inline void check_attribute(const char *name, const char *attribute, const char *expected) {
        g_autofree char *value = must_get(in_mount(name), attribute);

        ck_assert_msg(g_str_equal(value, expected), "%s of %s is %s, not %s", attribute, name, value, expected);
}

static inline struct stat must_stat(const char *name) {
        struct stat st;

        ck_assert_msg(lstat(in_mount(name), &st) == 0, "%s: %s", name, g_strerror(errno));
        return st;
}

/* How many names the mount's root has, hidden ones among them. */
static inline unsigned names(void) {
        g_autoptr(GDir) directory = g_dir_open(fixture_mountpoint(), 0, NULL);
        unsigned count = 0;

        ck_assert_ptr_nonnull(directory);
        while (g_dir_read_name(directory))
                count++;
        return count;
}

static inline fsblkcnt_t free_blocks(void) {
        struct statvfs st;

        must(statvfs(fixture_mountpoint(), &st));
        return st.f_bfree;
}

/* What was given up comes back in the kernel's own time. */
static inline void await_free_blocks(fsblkcnt_t expected) {
        for (int waited = 0; free_blocks() < expected; waited += 1000) {
                ck_assert_msg(waited < PATIENCE_US, "%lu blocks are free, not %lu", (unsigned long)free_blocks(),
                              (unsigned long)expected);
                g_usleep(1000);
        }
}

static inline void await_gone(const char *name) {
        for (int waited = 0; access(in_mount(name), F_OK) == 0; waited += 1000) {
                ck_assert_msg(waited < PATIENCE_US, "%s is still there", name);
                g_usleep(1000);
        }
}
