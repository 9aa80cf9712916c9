/* Reading directories. */
#include "fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#define STAYING 2000

/* Files of that name with the numbers from 0 on behind it. */
static void make_files(const char *prefix, int count) {
        for (int i = 0; i < count; i++) {
                g_autofree char *name = g_strdup_printf("%s%d", prefix, i);

                must(close(must_open(in_mount(name), O_WRONLY | O_CREAT | O_EXCL, 0600)));
        }
}

/* Counts how often each staying file is met in one pass, and checks that nothing else is doubled. */
static void check_pass(DIR *directory, int staying) {
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        struct dirent *entry;
        int found = 0;

        while ((entry = readdir(directory))) {
                ck_assert_msg(g_hash_table_add(seen, g_strdup(entry->d_name)), "%s comes twice", entry->d_name);
                found += g_str_has_prefix(entry->d_name, "stays-");
        }
        ck_assert_int_eq(found, staying);
        ck_assert(g_hash_table_contains(seen, "."));
        ck_assert(g_hash_table_contains(seen, ".."));
}

START_TEST(every_entry_is_met_once) {
        DIR *directory;

        make_files("stays-", STAYING);
        directory = opendir(fixture_mountpoint());
        check_pass(directory, STAYING);
        rewinddir(directory);
        make_files("stays-too-", 10);
        rewinddir(directory);
        check_pass(directory, STAYING + 10);
        closedir(directory);
}
END_TEST

START_TEST(positions_stay_good) {
        enum { EVERY = 50 };
        long positions[STAYING / EVERY + 1];
        char names[STAYING / EVERY + 1][32];
        struct dirent *entry;
        DIR *directory;
        int count = 0;

        make_files("stays-", STAYING);
        directory = opendir(fixture_mountpoint());
        for (int i = 0;; i++) {
                long position = telldir(directory);

                entry = readdir(directory);
                if (!entry)
                        break;
                if (i % EVERY == 0) {
                        positions[count] = position;
                        g_strlcpy(names[count++], entry->d_name, sizeof(names[0]));
                }
        }
        ck_assert_int_ge(count, STAYING / EVERY);
        /* Others come in between. */
        make_files("comes-", 100);
        for (int i = count - 1; i >= 0; i--) {
                seekdir(directory, positions[i]);
                entry = readdir(directory);
                ck_assert_ptr_nonnull(entry);
                ck_assert_str_eq(entry->d_name, names[i]);
        }
        closedir(directory);
}
END_TEST

static void churn(void *data) {
        for (int i = 0;; i++) {
                g_autofree char *name = g_strdup_printf("goes-%d", i % 300);

                if (i / 300 % 2)
                        unlink(in_mount(name));
                else
                        close(open(in_mount(name), O_WRONLY | O_CREAT, 0600));
        }
}

START_TEST(coming_and_going_loses_and_doubles_nothing) {
        pid_t other;

        make_files("stays-", STAYING);
        other = start_process(churn, NULL);
        for (int i = 0; i < 30; i++) {
                DIR *directory = opendir(fixture_mountpoint());

                check_pass(directory, STAYING);
                closedir(directory);
        }
        must(kill(other, SIGKILL));
        must(waitpid(other, NULL, 0));
}
END_TEST

START_TEST(entries_tell_type_and_inode) {
        struct dirent *entry;
        struct stat st;
        DIR *directory;

        make_files("file", 1);
        must(mkdir(in_mount("directory"), 0700));
        must(symlink("file", in_mount("link")));
        directory = opendir(fixture_mountpoint());
        while ((entry = readdir(directory))) {
                must(fstatat(dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW));
                ck_assert_uint_eq(DTTOIF(entry->d_type), st.st_mode & S_IFMT);
                if (!g_str_equal(entry->d_name, "..")) /* of the root: outside the mount */
                        ck_assert_uint_eq(entry->d_ino, st.st_ino);
        }
        closedir(directory);
}
END_TEST

START_TEST(removing_while_reading_empties) {
        struct dirent *entry;
        DIR *directory;

        must(mkdir(in_mount("d"), 0700));
        make_files("d/stays-", 1000);
        directory = opendir(in_mount("d"));
        while ((entry = readdir(directory)))
                if (entry->d_name[0] != '.')
                        must(unlinkat(dirfd(directory), entry->d_name, 0));
        closedir(directory);
        must(rmdir(in_mount("d")));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "directories");

        tcase_add_test(tests, every_entry_is_met_once);
        tcase_add_test(tests, positions_stay_good);
        tcase_add_test(tests, coming_and_going_loses_and_doubles_nothing);
        tcase_add_test(tests, entries_tell_type_and_inode);
        tcase_add_test(tests, removing_while_reading_empties);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "directories", add);
}
