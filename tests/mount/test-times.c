/* When a region was made. */
#include "persisted.h"

#include <sys/stat.h>

static struct statx_timestamp birth_of(const char *path) {
        struct statx stx;

        must(statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &stx));
        ck_assert_msg(stx.stx_mask & STATX_BTIME, "%s has no time of birth", path);
        return stx.stx_btime;
}

static int64_t nanoseconds(struct statx_timestamp time) {
        return time.tv_sec * G_GINT64_CONSTANT(1000000000) + time.tv_nsec;
}

/* File systems may go by the coarse clock, which is behind the other. */
static int64_t now(clockid_t clock) {
        struct timespec time;

        must(clock_gettime(clock, &time));
        return time.tv_sec * G_GINT64_CONSTANT(1000000000) + time.tv_nsec;
}

static void check_birth(const char *name, int64_t earliest, int64_t latest) {
        int64_t birth = nanoseconds(birth_of(in_mount(name)));

        ck_assert_int_ge(birth, earliest);
        ck_assert_int_le(birth, latest);
}

START_TEST(all_kinds_are_born) {
        int64_t before = now(CLOCK_REALTIME_COARSE), after;

        must_write(in_mount("region"), "text");
        must(mkdir(in_mount("directory"), 0755));
        must(symlink("region", in_mount("link")));
        must(mkfifo(in_mount("pipe"), 0600));
        after = now(CLOCK_REALTIME);
        check_birth("region", before, after);
        check_birth("directory", before, after);
        check_birth("link", before, after);
        check_birth("pipe", before, after);
}
END_TEST

START_TEST(birth_does_not_change) {
        static const struct timespec times[2] = { { 1000000000, 1 }, { 1500000000, 2 } };
        int64_t birth;
        struct stat st;

        must_write(in_mount("a"), "first");
        birth = nanoseconds(birth_of(in_mount("a")));
        g_usleep(20000);
        must_write(in_mount("a"), "second");
        must(chmod(in_mount("a"), 0600));
        must(utimensat(AT_FDCWD, in_mount("a"), times, 0));
        must(rename(in_mount("a"), in_mount("b")));
        ck_assert_int_eq(nanoseconds(birth_of(in_mount("b"))), birth);
        must(stat(in_mount("b"), &st));
        ck_assert_int_eq(st.st_mtim.tv_nsec, 2);
        must_write(in_mount("a"), "another");
        ck_assert_int_gt(nanoseconds(birth_of(in_mount("a"))), birth);
}
END_TEST

/* statx(2) and stat(2) are different questions to the server. */
START_TEST(all_else_is_as_of_stat) {
        struct statx stx;
        struct stat st;

        must_write(in_mount("a"), "thirteen char");
        must(link(in_mount("a"), in_mount("b")));
        must(chmod(in_mount("a"), 0640));
        must(stat(in_mount("a"), &st));
        must(statx(AT_FDCWD, in_mount("a"), AT_STATX_FORCE_SYNC, STATX_BASIC_STATS | STATX_BTIME, &stx));
        ck_assert_uint_eq(stx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
        ck_assert_uint_eq(stx.stx_ino, st.st_ino);
        ck_assert_uint_eq(stx.stx_mode, st.st_mode);
        ck_assert_uint_eq(stx.stx_nlink, 2);
        ck_assert_uint_eq(stx.stx_uid, st.st_uid);
        ck_assert_uint_eq(stx.stx_gid, st.st_gid);
        ck_assert_uint_eq(stx.stx_size, 13);
        ck_assert_uint_eq(stx.stx_blocks, st.st_blocks);
        ck_assert_uint_eq(stx.stx_blksize, st.st_blksize);
        ck_assert_int_eq(stx.stx_atime.tv_sec, st.st_atim.tv_sec);
        ck_assert_uint_eq(stx.stx_atime.tv_nsec, st.st_atim.tv_nsec);
        ck_assert_int_eq(stx.stx_mtime.tv_sec, st.st_mtim.tv_sec);
        ck_assert_uint_eq(stx.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
        ck_assert_int_eq(stx.stx_ctime.tv_sec, st.st_ctim.tv_sec);
        ck_assert_uint_eq(stx.stx_ctime.tv_nsec, st.st_ctim.tv_nsec);
        /* And what it says is what the kernel believes from then on. */
        must(truncate(in_mount("a"), 5));
        must(statx(AT_FDCWD, in_mount("a"), AT_STATX_FORCE_SYNC, STATX_BASIC_STATS | STATX_BTIME, &stx));
        ck_assert_uint_eq(stx.stx_size, 5);
        must_read(in_mount("b"), "thirt");
}
END_TEST

static void check_created(const char *name) {
        struct statx_timestamp birth = birth_of(in_mount(name));
        g_autofree char *wanted = g_strdup_printf("%lld.%09u", (long long)birth.tv_sec, birth.tv_nsec);
        g_autofree char *created = must_get(in_mount(name), REGIONFS_ATTRIBUTE_CREATED);

        ck_assert_str_eq(created, wanted);
}

START_TEST(birth_is_as_of_the_attribute) {
        g_autofree char *path = beside("file");
        int fd = must_open(path, O_RDWR | O_CREAT, 0600);

        must(ftruncate(fd, 100));
        g_usleep(20000);
        make_persisted(in_mount("persisted"), fd);
        must_write(in_mount("a"), "text");
        check_created("a");
        check_created("persisted");
        must(close(fd));
        must(unlink(path));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "times");

        tcase_add_test(tests, all_kinds_are_born);
        tcase_add_test(tests, birth_does_not_change);
        tcase_add_test(tests, all_else_is_as_of_stat);
        tcase_add_test(tests, birth_is_as_of_the_attribute);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "times", add);
}
