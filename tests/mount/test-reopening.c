/* Regions that are opened again: what the kernel has kept of them meanwhile stands in nobody's way. */
#include "fixture.h"

#include <signal.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#define REGION_SIZE (8 << 20)

/* More than are kept. */
#define MANY 200

static uint64_t free_bytes(void) {
        struct statvfs st;

        must(statvfs(fixture_mountpoint(), &st));
        return (uint64_t)st.f_bfree * st.f_frsize;
}

/* A region that has been open, and has memory. */
static void make_used(const char *name) {
        int fd = must_open(in_mount(name), O_RDWR | O_CREAT, 0600);

        must(posix_fallocate(fd, 0, REGION_SIZE) == 0 ? 0 : -1);
        must(pwrite(fd, name, strlen(name), 0));
        must(close(fd));
        must_become_unused(in_mount(name));
        must(close(must_open(in_mount(name), O_RDONLY, 0)));
        must_become_unused(in_mount(name));
}

static void expect_contents(const char *name, const char *text) {
        int fd = must_open(in_mount(name), O_RDONLY, 0);
        char found[32] = "";

        must(pread(fd, found, strlen(text), 0));
        ck_assert_str_eq(found, text);
        must(close(fd));
}

START_TEST(memory_goes_with_the_name) {
        uint64_t before = free_bytes();

        make_used("a");
        ck_assert_uint_le(free_bytes(), before - REGION_SIZE);
        must(unlink(in_mount("a")));
        eventually(free_bytes() >= before - 65536);
}
END_TEST

START_TEST(memory_goes_with_what_takes_the_name) {
        uint64_t before = free_bytes();

        make_used("a");
        must_write(in_mount("b"), "other");
        must(rename(in_mount("b"), in_mount("a")));
        eventually(free_bytes() >= before - 65536);
        must_read(in_mount("a"), "other");
}
END_TEST

START_TEST(memory_goes_with_the_last_handle) {
        uint64_t before = free_bytes();

        make_used("a");
        must(setxattr(in_mount("a"), "user.regionfs.lifetime", "handles", 7, 0));
        must(close(must_open(in_mount("a"), O_RDONLY, 0)));
        eventually(access(in_mount("a"), F_OK) < 0);
        eventually(free_bytes() >= before - 65536);
}
END_TEST

START_TEST(rules_hold_for_who_comes_again) {
        make_used("a");
        must(setxattr(in_mount("a"), "user.regionfs.sealed", "1", 1, 0));
        must_fail(open(in_mount("a"), O_RDWR), EPERM);
        must_fail(open(in_mount("a"), O_RDONLY | O_TRUNC), EPERM);
        expect_contents("a", "a");
}
END_TEST

START_TEST(a_new_server_finds_them) {
        uint64_t before = free_bytes();

        make_used("a");
        make_used("b");
        must(kill(fixture_server(), SIGKILL));
        expect_contents("a", "a");
        must(unlink(in_mount("a")));
        must(unlink(in_mount("b")));
        eventually(free_bytes() >= before - 65536);
}
END_TEST

START_TEST(there_may_be_more_than_are_kept) {
        char name[16];

        for (int i = 0; i < MANY; i++) {
                g_snprintf(name, sizeof(name), "%d", i);
                must_write(in_mount(name), name);
        }
        for (int round = 0; round < 3; round++) {
                for (int i = 0; i < MANY; i++) {
                        g_snprintf(name, sizeof(name), "%d", i);
                        expect_contents(name, name);
                }
        }
        for (int i = 0; i < MANY; i++) {
                g_snprintf(name, sizeof(name), "%d", i);
                must(unlink(in_mount(name)));
        }
}
END_TEST

START_TEST(the_owner_may_change) {
        make_used("a");
        must(chown(in_mount("a"), 4711, 4711));
        expect_contents("a", "a");
        must(close(must_open(in_mount("a"), O_RDWR | O_TRUNC, 0)));
        must(chown(in_mount("a"), 0, 0));
        must_write(in_mount("a"), "again");
        must_read(in_mount("a"), "again");
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "reopening");

        tcase_add_test(tests, memory_goes_with_the_name);
        tcase_add_test(tests, memory_goes_with_what_takes_the_name);
        tcase_add_test(tests, memory_goes_with_the_last_handle);
        tcase_add_test(tests, rules_hold_for_who_comes_again);
        add_test_if(tests, a_new_server_finds_them, !fixture_over_uring(),
                    "goes on where a server has died, which io_uring does not");
        tcase_add_test(tests, there_may_be_more_than_are_kept);
        add_test_if(tests, the_owner_may_change, fixture_mode() != MODE_USER, "gives a region away, which takes root");
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "reopening", add);
}
