#include "pool/source.h"
#include "pool/stored.h"

#include "unit.h"


#define ORIGIN "origin"
#define SIZE 13 /* of the file */

static char *directory; /* of the test's own */
static char *path;      /* of "file" in it */
static int node;        /* on the region's own file in the pool */

static void setup(void) {
        auto_descriptor file = -1;

        directory = unit_directory(UNIT_TEMPORARY);
        path = g_build_filename(directory, "file", NULL);
        node = unit_create(directory, "node", 0);
        file = unit_create(directory, "file", SIZE);
}

static void teardown(void) {
        descriptor_clear(&node);
        g_clear_pointer(&path, g_free);
        g_clear_pointer(&directory, g_free);
}

static Source *new_source(int access) {
        int fd = open(path, O_PATH | O_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        return source_new(fd, access);
}

static void keep(int access) {
        g_autoptr(Source) source = new_source(access);

        ck_assert_int_eq(source_keep(source, node), 0);
}

/* What is kept is found again. */
static Source *restore(void) {
        Source *source = NULL;

        ck_assert_int_eq(source_restore(node, &source), 0);
        ck_assert_ptr_nonnull(source);
        ck_assert(source_is_there(source));
        return source;
}

/* It is kept, but its file is not found, which is told. */
static Source *restore_lost(void) {
        Source *source = NULL;

        g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*is not at *any more*cannot be opened");
        ck_assert_int_eq(source_restore(node, &source), 0);
        g_test_assert_expected_messages();
        ck_assert_ptr_nonnull(source);
        ck_assert(!source_is_there(source));
        return source;
}

static char *beside(const char *name) {
        return g_build_filename(directory, name, NULL);
}

/* Opens it; 0, or -errno. */
static int try_open(const Source *source, int flags) {
        auto_descriptor fd = source_open(source, flags);

        return MIN(fd, 0);
}

static void check_path(const Source *source, const char *wanted) {
        char found[PATH_MAX];
        int length;

        memset(found, '!', sizeof(found));
        length = source_path(source, found);
        ck_assert_str_eq(found, wanted);
        ck_assert_int_eq(length, (int)strlen(wanted));
}

static void check_file(const Source *source, ino_t inode) {
        auto_descriptor fd = source_open(source, O_RDONLY);
        struct stat st;

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(fstat(fd, &st), 0);
        ck_assert_uint_eq(st.st_ino, inode);
}

static ino_t inode_of(const char *of) {
        struct stat st;

        ck_assert_int_eq(lstat(of, &st), 0);
        return st.st_ino;
}

START_TEST(nothing_is_restored_where_nothing_is_kept) {
        Source *source = (Source *)&node;

        ck_assert_int_eq(source_restore(node, &source), 0);
        ck_assert_ptr_null(source);
}
END_TEST

START_TEST(the_same_file_is_found_again) {
        int access = _i ? O_RDWR : O_RDONLY;
        g_autoptr(Source) source = NULL;

        keep(access);
        source = restore();
        ck_assert_int_eq(source_is_writable(source), access == O_RDWR);
        check_path(source, path);
        check_file(source, inode_of(path));
}
END_TEST

START_TEST(a_changed_file_is_the_same_one) {
        g_autoptr(Source) source = NULL;
        ino_t inode = inode_of(path);

        keep(O_RDWR);
        ck_assert_int_eq(truncate(path, 5), 0);
        ck_assert_int_eq(chmod(path, 0640), 0);
        source = restore();
        check_file(source, inode);
}
END_TEST

START_TEST(the_last_one_kept_counts) {
        g_autofree char *longer = beside("a file with a longer name");
        g_autoptr(Source) source = NULL;
        g_autofree char *first = path;
        auto_descriptor fd = unit_create(directory, "a file with a longer name", 1);

        path = longer;
        keep(O_RDWR);
        path = first;
        keep(O_RDONLY);
        source = restore();
        check_path(source, path);
        ck_assert(!source_is_writable(source));
        path = NULL;
}
END_TEST

START_TEST(a_node_reached_by_path_alone_will_do) {
        g_autofree char *name = beside("node");
        auto_descriptor fd = open(name, O_PATH | O_CLOEXEC);
        g_autoptr(Source) kept = new_source(O_RDWR), source = NULL;

        ck_assert_int_eq(source_keep(kept, fd), 0);
        ck_assert_int_eq(source_restore(fd, &source), 0);
        ck_assert(source && source_is_there(source));
}
END_TEST

/* Waits until what is made has another time of creation than the file: with its inode number it would be the same. */
static void let_time_pass(void) {
        struct timespec now;
        struct statx stx;

        ck_assert_int_eq(statx(AT_FDCWD, path, 0, STATX_BTIME, &stx), 0);
        do
                ck_assert_int_eq(clock_gettime(CLOCK_REALTIME_COARSE, &now), 0);
        while (now.tv_sec == stx.stx_btime.tv_sec && now.tv_nsec <= stx.stx_btime.tv_nsec);
}

/* What may have become of the file. */
static void replace(void) {
        auto_descriptor fd = -1;

        let_time_pass();
        ck_assert_int_eq(unlink(path), 0);
        fd = unit_create(directory, "file", SIZE);
}

static void replace_by_rename(void) {
        g_autofree char *other = beside("other");
        auto_descriptor fd = unit_create(directory, "other", SIZE);

        ck_assert_int_eq(rename(other, path), 0);
}

static void delete(void) {
        ck_assert_int_eq(unlink(path), 0);
}

static void move(void) {
        g_autofree char *other = beside("other");

        ck_assert_int_eq(rename(path, other), 0);
}

static void link_to_it(void) {
        g_autofree char *other = beside("other");

        ck_assert_int_eq(rename(path, other), 0);
        ck_assert_int_eq(symlink("other", path), 0);
}

static void make_directory(void) {
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(mkdir(path, 0755), 0);
}

static void make_fifo(void) {
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(mkfifo(path, 0644), 0);
}

static void (*const losses[])(void) = {
        replace, replace_by_rename, delete, move, link_to_it, make_directory, make_fifo,
};

START_TEST(another_file_is_not_taken_for_it) {
        g_autoptr(Source) source = NULL;
        struct stat st = { .st_size = 4711, .st_blocks = 17, .st_ctim.tv_sec = 1 }, before = st;

        keep(O_RDWR);
        losses[_i]();
        source = restore_lost();
        ck_assert_int_eq(try_open(source, O_RDONLY), -ESTALE);
        ck_assert_int_eq(try_open(source, O_RDWR), -ESTALE);
        ck_assert_int_eq(try_open(source, O_PATH), -ESTALE);
        ck_assert(source_is_writable(source));
        check_path(source, path);
        source_stat(source, &st);
        ck_assert_mem_eq(&st, &before, sizeof(st));
        ck_assert(source_owned_by(source, 0));
        ck_assert(!source_owned_by(source, UNIT_USER));
}
END_TEST

START_TEST(what_is_moved_back_is_found) {
        g_autofree char *other = beside("other");
        g_autoptr(Source) source = NULL, lost = NULL;

        keep(O_RDWR);
        move();
        lost = restore_lost();
        ck_assert_int_eq(rename(other, path), 0);
        source = restore();
        check_path(source, path);
}
END_TEST

START_TEST(what_is_no_origin_leads_nowhere) {
        static const char text[100] = "";
        g_autoptr(Source) source = NULL;
        size_t size = _i;

        ck_assert_int_eq(stored_set(node, ORIGIN, text, size), 0);
        source = restore_lost();
        ck_assert_int_eq(source_open(source, O_RDONLY), -ESTALE);
}
END_TEST

START_TEST(access_is_what_it_was_made_with) {
        g_autoptr(Source) reading = new_source(O_RDONLY), writing = new_source(O_RDWR);

        ck_assert(source_is_there(reading));
        ck_assert(!source_is_writable(reading));
        ck_assert_int_eq(try_open(reading, O_RDONLY), 0);
        ck_assert_int_eq(try_open(reading, O_PATH), 0);
        ck_assert_int_eq(try_open(reading, O_WRONLY), -EACCES);
        ck_assert_int_eq(try_open(reading, O_RDWR), -EACCES);
        ck_assert(source_is_writable(writing));
        ck_assert_int_eq(try_open(writing, O_RDONLY), 0);
        ck_assert_int_eq(try_open(writing, O_PATH), 0);
        ck_assert_int_eq(try_open(writing, O_WRONLY), 0);
        ck_assert_int_eq(try_open(writing, O_RDWR), 0);
}
END_TEST

START_TEST(open_gives_what_is_asked_for) {
        static const int asked[] = { O_RDONLY, O_WRONLY, O_RDWR, O_PATH, O_WRONLY | O_APPEND };
        g_autoptr(Source) source = new_source(O_RDWR);

        for (size_t i = 0; i < G_N_ELEMENTS(asked); i++) {
                auto_descriptor fd = source_open(source, asked[i]);

                ck_assert_int_ge(fd, 0);
                ck_assert_int_eq(fcntl(fd, F_GETFL) & (O_ACCMODE | O_PATH | O_APPEND), asked[i]);
                ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        }
}
END_TEST

START_TEST(errors_of_opening_are_passed_on) {
        g_autoptr(Source) source = new_source(O_RDWR);

        ck_assert_int_eq(chmod(path, 0400), 0);
        unit_become_user();
        ck_assert_int_eq(try_open(source, O_RDWR), -EACCES);
        ck_assert_int_eq(try_open(source, O_RDONLY), geteuid() == UNIT_USER ? -EACCES : 0);
        ck_assert_int_eq(try_open(source, O_PATH), 0);
}
END_TEST

/* What is not the source's is left. */
static void check_stat(const struct stat *st, const struct stat *region, const struct stat *contents) {
        ck_assert_int_eq(st->st_size, contents->st_size);
        ck_assert_int_eq(st->st_blocks, contents->st_blocks);
        ck_assert_int_eq(st->st_blksize, contents->st_blksize);
        ck_assert_mem_eq(&st->st_atim, &contents->st_atim, sizeof(st->st_atim));
        ck_assert_mem_eq(&st->st_mtim, &contents->st_mtim, sizeof(st->st_mtim));
        ck_assert_uint_eq(st->st_dev, region->st_dev);
        ck_assert_uint_eq(st->st_ino, region->st_ino);
        ck_assert_uint_eq(st->st_mode, region->st_mode);
        ck_assert_uint_eq(st->st_nlink, region->st_nlink);
        ck_assert_uint_eq(st->st_uid, region->st_uid);
        ck_assert_uint_eq(st->st_gid, region->st_gid);
}

/* Seconds and nanoseconds that the region's own time of change is away from the file's. */
static const struct {
        int seconds, nanoseconds;
        bool own; /* is the later one */
} changes[] = {
        { -1000, 0, false }, { 1000, 0, true }, { 0, -1, false }, { 0, 1, true }, { -1, 1, false }, { 1, -1, true },
};

START_TEST(contents_are_the_files_and_all_else_the_regions) {
        static const struct timespec times[] = { { 1000000, 123 }, { 2000000, 456 } };
        g_autoptr(Source) source = new_source(O_RDWR);
        const struct timespec *wanted;
        struct stat region, contents, st;

        ck_assert_int_eq(truncate(path, 100000), 0);
        ck_assert_int_eq(chmod(path, 0604), 0);
        ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
        /* With room on both sides. */
        do
                ck_assert_int_eq(chmod(path, 0640), 0);
        while (stat(path, &contents) == 0 && (contents.st_ctim.tv_nsec == 0 || contents.st_ctim.tv_nsec == 999999999));
        ck_assert_int_eq(fstat(node, &region), 0);
        region.st_blksize = 17;
        region.st_ctim.tv_sec = contents.st_ctim.tv_sec + changes[_i].seconds;
        region.st_ctim.tv_nsec = contents.st_ctim.tv_nsec + changes[_i].nanoseconds;
        st = region;
        source_stat(source, &st);
        check_stat(&st, &region, &contents);
        wanted = changes[_i].own ? &region.st_ctim : &contents.st_ctim;
        ck_assert_int_eq(st.st_ctim.tv_sec, wanted->tv_sec);
        ck_assert_int_eq(st.st_ctim.tv_nsec, wanted->tv_nsec);
}
END_TEST

START_TEST(owner_is_the_files) {
        g_autoptr(Source) source = new_source(O_RDWR);

        ck_assert(source_owned_by(source, 0));
        ck_assert(source_owned_by(source, geteuid()));
        ck_assert(!source_owned_by(source, geteuid() + 1));
        if (geteuid() != 0)
                return;
        ck_assert_int_eq(chown(path, UNIT_USER, 0), 0);
        ck_assert(source_owned_by(source, 0));
        ck_assert(source_owned_by(source, UNIT_USER));
        ck_assert(!source_owned_by(source, UNIT_USER + 1));
}
END_TEST

START_TEST(path_is_where_the_file_is_now) {
        g_autofree char *other = beside("other"), *gone = g_strconcat(other, " (deleted)", NULL);
        g_autoptr(Source) source = new_source(O_RDWR);

        check_path(source, path);
        move();
        check_path(source, other);
        ck_assert_int_eq(unlink(other), 0);
        check_path(source, gone);
        /* It is there, without a name. */
        ck_assert(source_is_there(source));
        ck_assert_int_eq(try_open(source, O_RDWR), 0);
}
END_TEST

START_TEST(descriptors_are_taken_over) {
        unsigned before = unit_descriptors();
        int fd = open(path, O_PATH | O_CLOEXEC);
        Source *source = source_new(fd, O_RDONLY);

        ck_assert(unit_is_open(fd));
        source_free(source);
        ck_assert(!unit_is_open(fd));
        source_free(NULL);
        keep(O_RDWR);
        source_free(restore());
        ck_assert_int_eq(unlink(path), 0);
        source_free(restore_lost());
        ck_assert_uint_eq(unit_descriptors(), before);
}
END_TEST

int main(void) {
        Suite *suite;
        TCase *tcase;

        if (!unit_keeps_attributes()) {
                printf("1..0 # SKIP the file system of temporary files keeps no user attributes\n");
                return EXIT_SUCCESS;
        }
        suite = suite_create("source");
        tcase = unit_case(suite, "kept");
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, nothing_is_restored_where_nothing_is_kept);
        tcase_add_loop_test(tcase, the_same_file_is_found_again, 0, 2);
        tcase_add_test(tcase, a_changed_file_is_the_same_one);
        tcase_add_test(tcase, the_last_one_kept_counts);
        tcase_add_test(tcase, a_node_reached_by_path_alone_will_do);
        tcase_add_loop_test(tcase, another_file_is_not_taken_for_it, 0, G_N_ELEMENTS(losses));
        tcase_add_test(tcase, what_is_moved_back_is_found);
        tcase_add_loop_test(tcase, what_is_no_origin_leads_nowhere, 0, 4);

        tcase = unit_case(suite, "use");
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, access_is_what_it_was_made_with);
        tcase_add_test(tcase, open_gives_what_is_asked_for);
        tcase_add_test(tcase, errors_of_opening_are_passed_on);
        tcase_add_loop_test(tcase, contents_are_the_files_and_all_else_the_regions, 0, G_N_ELEMENTS(changes));
        tcase_add_test(tcase, owner_is_the_files);
        tcase_add_test(tcase, path_is_where_the_file_is_now);
        tcase_add_test(tcase, descriptors_are_taken_over);
        return unit_main(suite);
}
