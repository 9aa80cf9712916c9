#include "operations/directory.h"

#include "unit.h"

#define FILES 3000

static char *path; /* the directory that is read */

/* Each test is run once in each base: file systems number their entries differently. */
static void setup_on(UnitBase base) {
        path = unit_directory(base);
}

static void setup_on_tmpfs(void) {
        setup_on(UNIT_TMPFS);
}

static void setup_on_temporary(void) {
        setup_on(UNIT_TEMPORARY);
}

static void teardown(void) {
        g_clear_pointer(&path, g_free);
}

static void add(const char *format, unsigned number) {
        g_autofree char *name = g_strdup_printf("%s-%04u", format, number);
        auto_descriptor fd = unit_create(path, name, 0);
}

static void take_away(const char *format, unsigned number) {
        g_autofree char *name = g_strdup_printf("%s/%s-%04u", path, format, number);

        ck_assert_int_eq(unlink(name), 0);
}

static void fill(const char *format, unsigned count) {
        for (unsigned i = 0; i < count; i++)
                add(format, i);
}

static Directory *open_it(void) {
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        return directory_new(fd);
}

/* Reads the entry at *position and goes on; false at the end. The name counts once more in seen. */
static bool next(Directory *directory, uint64_t *position, GHashTable *seen) {
        DirectoryEntry entry;
        int result = directory_read(directory, *position, &entry);

        ck_assert_msg(result == 0 || result == 1, "directory_read() says %d", result);
        if (result == 0)
                return false;
        if (seen) {
                unsigned count = GPOINTER_TO_UINT(g_hash_table_lookup(seen, entry.name));

                g_hash_table_insert(seen, g_strdup(entry.name), GUINT_TO_POINTER(count + 1));
        }
        *position = entry.next;
        directory_advance(directory, &entry);
        return true;
}

static GHashTable *new_seen(void) {
        return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static unsigned times(GHashTable *seen, const char *format, unsigned number) {
        g_autofree char *name = g_strdup_printf("%s-%04u", format, number);

        return GPOINTER_TO_UINT(g_hash_table_lookup(seen, name));
}

START_TEST(each_entry_is_read_once) {
        g_autoptr(GHashTable) seen = new_seen();
        Directory *directory;
        uint64_t position = 0;
        unsigned entries = 0;

        fill("file", FILES);
        directory = open_it();
        while (next(directory, &position, seen))
                entries++;
        ck_assert_uint_eq(entries, FILES + 2);
        for (unsigned i = 0; i < FILES; i++)
                ck_assert_uint_eq(times(seen, "file", i), 1);
        ck_assert(g_hash_table_contains(seen, "."));
        ck_assert(g_hash_table_contains(seen, ".."));
        directory_free(directory);
}
END_TEST

START_TEST(one_pass_needs_no_seek) {
        Directory *directory;
        uint64_t position = 0;
        off_t kernel = 0;
        unsigned reads = 0;

        fill("file", FILES);
        directory = open_it();
        while (next(directory, &position, NULL)) {
                off_t now = lseek(directory_fd(directory), 0, SEEK_CUR);

                /* The kernel's position changes with each buffer, and not with each entry. */
                reads += now != kernel;
                kernel = now;
        }
        ck_assert_uint_gt(reads, 1);
        ck_assert_uint_lt(reads, FILES / 10);
        directory_free(directory);
}
END_TEST

START_TEST(asking_again_gives_the_same_entry) {
        Directory *directory;
        DirectoryEntry entry, again;
        uint64_t position = 0;

        fill("file", FILES);
        directory = open_it();
        for (;;) {
                g_autofree char *name = NULL;

                if (directory_read(directory, position, &entry) != 1)
                        break;
                name = g_strdup(entry.name);
                ck_assert_int_eq(directory_read(directory, position, &again), 1);
                ck_assert_str_eq(again.name, name);
                ck_assert_uint_eq(again.next, entry.next);
                ck_assert_uint_eq(again.inode, entry.inode);
                position = again.next;
                directory_advance(directory, &again);
        }
        ck_assert_int_eq(directory_read(directory, position, &entry), 0);
        directory_free(directory);
}
END_TEST

/* Reads through it and keeps each position with the name that stands there. */
static void remember(Directory *directory, GArray *positions, GPtrArray *names) {
        uint64_t position = 0;
        DirectoryEntry entry;

        while (directory_read(directory, position, &entry) == 1) {
                g_array_append_val(positions, position);
                g_ptr_array_add(names, g_strdup(entry.name));
                position = entry.next;
                directory_advance(directory, &entry);
        }
        ck_assert_uint_gt(names->len, 2);
}

static void expect_at(Directory *directory, uint64_t position, const char *name) {
        DirectoryEntry entry;

        ck_assert_int_eq(directory_read(directory, position, &entry), 1);
        ck_assert_str_eq(entry.name, name);
}

START_TEST(positions_stay_good) {
        g_autoptr(GArray) positions = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        Directory *directory;

        fill("file", FILES);
        directory = open_it();
        remember(directory, positions, names);
        ck_assert_uint_eq(names->len, FILES + 2);

        /* Back by steps from the end, with what was buffered and without. */
        for (guint i = names->len; i-- > 0;)
                if (i % 37 == 0 || i < 50)
                        expect_at(directory, g_array_index(positions, uint64_t, i), g_ptr_array_index(names, i));
        for (guint i = 0; i < names->len; i += 101)
                expect_at(directory, g_array_index(positions, uint64_t, i), g_ptr_array_index(names, i));
        directory_free(directory);
}
END_TEST

START_TEST(positions_stay_good_while_others_come_and_go) {
        g_autoptr(GArray) positions = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        Directory *directory;

        fill("stay", FILES / 2);
        fill("go", FILES / 2);
        directory = open_it();
        remember(directory, positions, names);
        for (unsigned i = 0; i < FILES / 2; i++) {
                take_away("go", i);
                add("come", i);
        }
        for (guint i = 0; i < names->len; i++) {
                const char *name = g_ptr_array_index(names, i);

                if (i % 7 == 0 && g_str_has_prefix(name, "stay"))
                        expect_at(directory, g_array_index(positions, uint64_t, i), name);
        }
        directory_free(directory);
}
END_TEST

START_TEST(rewinding_sees_what_is_new) {
        g_autoptr(GHashTable) after = new_seen();
        Directory *directory;
        DirectoryEntry entry;
        uint64_t position = 0;

        /* Few enough to be buffered at once: a rewind must not be answered from there. */
        fill("file", 10);
        directory = open_it();
        ck_assert_int_eq(directory_read(directory, position, &entry), 1);
        add("new", 1);
        take_away("file", 5);
        while (next(directory, &position, after))
                ;
        ck_assert_uint_eq(times(after, "new", 1), 1);
        ck_assert_uint_eq(times(after, "file", 4), 1);
        ck_assert_uint_eq(times(after, "file", 5), 0);

        add("new", 2);
        position = 0;
        while (next(directory, &position, after))
                ;
        ck_assert_uint_eq(times(after, "new", 2), 1);
        ck_assert_uint_eq(times(after, "new", 1), 2);
        directory_free(directory);
}
END_TEST

START_TEST(entries_that_stay_are_read_once_while_others_come_and_go) {
        g_autoptr(GHashTable) seen = new_seen();
        Directory *directory;
        uint64_t position = 0;
        unsigned entries = 0;

        for (unsigned i = 0; i < FILES; i++) {
                add("stay", i);
                add("go", i);
        }
        directory = open_it();
        while (next(directory, &position, seen)) {
                if (entries < FILES) {
                        take_away("go", FILES - 1 - entries);
                        add("come", entries);
                }
                entries++;
                ck_assert_uint_lt(entries, 4 * FILES);
        }
        for (unsigned i = 0; i < FILES; i++) {
                ck_assert_uint_eq(times(seen, "stay", i), 1);
                ck_assert_uint_le(times(seen, "go", i), 1);
                ck_assert_uint_le(times(seen, "come", i), 1);
        }
        directory_free(directory);
}
END_TEST

START_TEST(end_stays_the_end) {
        Directory *directory;
        DirectoryEntry entry;
        uint64_t position = 0;

        fill("file", 5);
        directory = open_it();
        while (next(directory, &position, NULL))
                ;
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(directory_read(directory, position, &entry), 0);
        /* Also after it was elsewhere. */
        ck_assert_int_eq(directory_read(directory, 0, &entry), 1);
        ck_assert_int_eq(directory_read(directory, position, &entry), 0);
        directory_free(directory);
}
END_TEST

START_TEST(entries_tell_type_and_inode) {
        g_autofree char *link = g_strconcat(path, "/link", NULL);
        g_autofree char *sub = g_strconcat(path, "/sub", NULL);
        auto_descriptor fd = unit_create(path, "file", 13);
        Directory *directory;
        DirectoryEntry entry;
        uint64_t position = 0;
        unsigned entries = 0;

        ck_assert_int_eq(symlink("file", link), 0);
        ck_assert_int_eq(mkdir(sub, 0755), 0);
        directory = open_it();
        while (directory_read(directory, position, &entry) == 1) {
                struct stat st;

                ck_assert_int_eq(fstatat(directory_fd(directory), entry.name, &st, AT_SYMLINK_NOFOLLOW), 0);
                ck_assert_uint_eq(entry.type, st.st_mode & S_IFMT);
                if (!g_str_equal(entry.name, ".."))
                        ck_assert_uint_eq(entry.inode, st.st_ino);
                position = entry.next;
                directory_advance(directory, &entry);
                entries++;
        }
        ck_assert_uint_eq(entries, 5);
        directory_free(directory);
}
END_TEST

START_TEST(bad_positions_are_errors_and_do_no_harm) {
        g_autofree char *name = NULL;
        Directory *directory;
        DirectoryEntry entry;
        uint64_t position = 0;

        fill("file", 10);
        directory = open_it();
        ck_assert(next(directory, &position, NULL));
        ck_assert_int_eq(directory_read(directory, position, &entry), 1);
        name = g_strdup(entry.name);
        ck_assert_int_eq(directory_read(directory, UINT64_MAX, &entry), -EINVAL);
        expect_at(directory, position, name);
        directory_free(directory);
}
END_TEST

START_TEST(bad_descriptors_are_errors) {
        auto_descriptor file = unit_create(path, "file", 13);
        Directory *directory = directory_new(-1);
        DirectoryEntry entry;

        ck_assert_int_eq(directory_read(directory, 0, &entry), -EBADF);
        ck_assert_int_eq(directory_read(directory, 5, &entry), -EBADF);
        directory_free(directory);

        directory = open_it();
        close(directory_fd(directory));
        ck_assert_int_eq(directory_read(directory, 0, &entry), -EBADF);
        directory_free(directory);

        directory = directory_new(fcntl(file, F_DUPFD_CLOEXEC, 0));
        ck_assert_int_eq(directory_read(directory, 0, &entry), -ENOTDIR);
        directory_free(directory);

        directory = directory_new(open(path, O_PATH | O_CLOEXEC));
        ck_assert_int_eq(directory_read(directory, 0, &entry), -EBADF);
        directory_free(directory);
        directory_free(NULL);
}
END_TEST

START_TEST(removed_directory_is_an_error_or_empty) {
        Directory *directory = open_it();
        DirectoryEntry entry;

        ck_assert_int_eq(rmdir(path), 0);
        ck_assert_int_le(directory_read(directory, 0, &entry), 0);
        directory_free(directory);
}
END_TEST

START_TEST(descriptor_is_taken_over) {
        unsigned before = unit_descriptors();
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        Directory *directory = directory_new(fd);

        ck_assert_int_eq(directory_fd(directory), fd);
        directory_free(directory);
        ck_assert_uint_eq(unit_descriptors(), before);
}
END_TEST

/* Reads all of it, while another thread does the same: how many entries it saw. */
static gpointer read_under_lock(gpointer data) {
        Directory *directory = data;
        uint64_t position = 0;
        unsigned entries = 0;
        bool more = true;

        while (more) {
                directory_lock(directory);
                /* A few at a time, as a request does. */
                for (int i = 0; i < 7 && more; i++) {
                        more = next(directory, &position, NULL);
                        entries += more;
                }
                directory_unlock(directory);
        }
        return GUINT_TO_POINTER(entries);
}

START_TEST(two_readers_share_a_stream) {
        GThread *threads[2];
        Directory *directory;

        fill("file", FILES / 10);
        directory = open_it();
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
                threads[i] = g_thread_new("reader", read_under_lock, directory);
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
                ck_assert_uint_eq(GPOINTER_TO_UINT(g_thread_join(threads[i])), FILES / 10 + 2);
        directory_free(directory);
}
END_TEST

static void add_tests(TCase *tcase) {
        tcase_add_test(tcase, each_entry_is_read_once);
        tcase_add_test(tcase, one_pass_needs_no_seek);
        tcase_add_test(tcase, asking_again_gives_the_same_entry);
        tcase_add_test(tcase, positions_stay_good);
        tcase_add_test(tcase, positions_stay_good_while_others_come_and_go);
        tcase_add_test(tcase, rewinding_sees_what_is_new);
        tcase_add_test(tcase, entries_that_stay_are_read_once_while_others_come_and_go);
        tcase_add_test(tcase, end_stays_the_end);
        tcase_add_test(tcase, entries_tell_type_and_inode);
        tcase_add_test(tcase, bad_positions_are_errors_and_do_no_harm);
        tcase_add_test(tcase, bad_descriptors_are_errors);
        tcase_add_test(tcase, removed_directory_is_an_error_or_empty);
        tcase_add_test(tcase, descriptor_is_taken_over);
        tcase_add_test(tcase, two_readers_share_a_stream);
}

int main(void) {
        Suite *suite = suite_create("directory");
        TCase *tcase;

        tcase = unit_case(suite, "tmpfs");
        tcase_add_checked_fixture(tcase, setup_on_tmpfs, teardown);
        add_tests(tcase);

        tcase = unit_case(suite, "temporary");
        tcase_add_checked_fixture(tcase, setup_on_temporary, teardown);
        add_tests(tcase);
        return unit_main(suite);
}
