/* The daemon may have so many descriptors and no more: who would take the last ones is refused, and nobody else. */
#include "faults.h"

#include <dirent.h>
#include <regionfs/regionfs.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#define LIMIT 200

static void mount_limited(int limit) {
        g_autofree char *before = g_strdup_printf("ulimit -n %d; exec", limit);

        fixture_prepare();
        fixture_start(before, NULL);
}

/* What a client may do at the limit to regions that are there, which takes no descriptor for long. */
static void check_others_go_on(int held) {
        g_autofree char *value = NULL;
        struct statvfs fs;
        struct stat st;

        ck_assert_int_eq(pwrite(held, "held", 4, 0), 4);
        must(fstat(held, &st));
        must(ftruncate(held, 100));
        must(fsync(held));
        must(stat(in_mount("known"), &st));
        must_fail(access(in_mount("missing"), F_OK), ENOENT);
        must(chmod(in_mount("known"), 0640));
        must(mknod(in_mount("made"), S_IFREG | 0600, 0));
        must(setxattr(in_mount("made"), "user.own", "1", 1, 0));
        value = must_get(in_mount("made"), "user.own");
        must(link(in_mount("made"), in_mount("linked")));
        must(rename(in_mount("linked"), in_mount("renamed")));
        must(truncate(in_mount("made"), 4096));
        must(statvfs(fixture_mountpoint(), &fs));
        must(stat(in_mount("renamed"), &st));
        ck_assert_int_eq(st.st_nlink, 2);
        must(unlink(in_mount("renamed")));
        must(unlink(in_mount("made")));
}


/* How a client takes descriptors of the daemon: its own one, or -1. */
typedef int (*Take)(int number);

static int take_nameless(int number) {
        return open(fixture_mountpoint(), O_RDWR | O_TMPFILE, 0600);
}

static int take_directory(int number) {
        return open(fixture_mountpoint(), O_RDONLY | O_DIRECTORY);
}

static int take_created(int number) {
        char name[16];

        g_snprintf(name, sizeof(name), "%d", number);
        return open(in_mount(name), O_RDWR | O_CREAT | O_EXCL, 0600);
}

static int take_opened(int number) {
        return open(in_mount("known"), O_RDONLY);
}

static const struct {
        Take take;
        bool passthrough; /* it takes one there too */
} ways[] = {
        { take_nameless, true },
        { take_directory, true },
        { take_created, false },
        { take_opened, false },
};

static bool works(Take take, int number) {
        int fd = take(number);

        if (fd >= 0)
                must(close(fd));
        return fd >= 0;
}

START_TEST(who_takes_too_many_is_refused) {
        int taken[LIMIT], count = 0, held;
        char name[16];
        uint64_t regions;

        mount_limited(LIMIT);
        must_write(in_mount("known"), "known");
        held = must_open(in_mount("held"), O_RDWR | O_CREAT, 0600);
        while (count < LIMIT && (taken[count] = ways[_i].take(count)) >= 0)
                count++;
        ck_assert_int_lt(count, LIMIT);
        ck_assert_int_eq(errno, EMFILE);
        ck_assert_int_gt(count, LIMIT / 4);
        /* Nothing is half made. */
        regions = 2 + (ways[_i].take == take_created ? count : 0);
        ck_assert_uint_eq(number_of(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS), regions);
        g_snprintf(name, sizeof(name), "%d", count);
        must_fail(access(in_mount(name), F_OK), ENOENT);

        for (int crashes = 0; crashes < 3; crashes++) {
                pid_t server = fixture_server();

                check_others_go_on(held);
                /* Requests that were in hand when it was refused have given theirs back. */
                while (count > 0 && count < LIMIT && (taken[count] = ways[_i].take(count)) >= 0)
                        count++;
                ck_assert_int_lt(count, LIMIT);
                must(kill(server, SIGKILL));
                eventually(fixture_server() != server);
                check_others_go_on(held);
        }
        for (int i = 0; i < count; i++)
                must(close(taken[i]));
        eventually(works(ways[_i].take, count));
        must_read(in_mount("known"), "known");
        must(close(held));
        fixture_unmount();
}
END_TEST

/* Regions without names, which somebody has open, take one each. */
START_TEST(open_regions_keep_their_names_at_the_limit) {
        int taken[LIMIT], count = 0;
        char name[16];

        mount_limited(LIMIT);
        must_write(in_mount("known"), "known");
        for (; count < LIMIT; count++) {
                g_snprintf(name, sizeof(name), "%d", count);
                taken[count] = open(in_mount(name), O_RDWR | O_CREAT, 0600);
                if (taken[count] < 0 || unlink(in_mount(name)) < 0)
                        break;
        }
        ck_assert_int_eq(errno, EMFILE);
        ck_assert_int_lt(count, LIMIT);
        if (taken[count] >= 0) {
                must(access(in_mount(name), F_OK));
                ck_assert_int_eq(write(taken[count], "x", 1), 1);
                must(close(taken[count]));
        }
        for (int i = 0; i < count; i++) {
                ck_assert_int_eq(write(taken[i], "x", 1), 1);
                must(close(taken[i]));
        }
        eventually(unlink(in_mount("known")) == 0);
        fixture_unmount();
}
END_TEST

/* What is kept of directories makes requests cheaper, and is in nobody's way. */
START_TEST(many_directories_leave_descriptors) {
        char name[16];
        int fd;

        mount_limited(LIMIT / 2);
        must_write(in_mount("known"), "known");
        for (int i = 0; i < LIMIT; i++) {
                g_snprintf(name, sizeof(name), "d%d", i);
                must(mkdir(in_mount(name), 0700));
                must(access(in_mount(name), F_OK));
        }
        fd = open(fixture_mountpoint(), O_RDWR | O_TMPFILE, 0600);
        must(fd);
        must(close(fd));
        must(unlink(in_mount("known")));
        must(rmdir(in_mount(name)));
        fixture_unmount();
}
END_TEST

START_TEST(persisted_regions_leave_descriptors) {
        g_autofree char *path = NULL;
        int file, held, count = 0, result = 0;
        char name[16];

        mount_limited(LIMIT);
        path = g_build_filename(fixture_directory(), "file", NULL);
        must_write(in_mount("known"), "known");
        held = must_open(in_mount("held"), O_RDWR | O_CREAT, 0600);
        file = must_open(path, O_RDWR | O_CREAT, 0600);
        for (; count < LIMIT && result == 0; count++) {
                g_autofree char *number = g_strdup_printf("%d", file);

                g_snprintf(name, sizeof(name), "p%d", count);
                must(mknod(in_mount(name), S_IFREG | 0600, 0));
                result = setxattr(in_mount(name), REGIONFS_ATTRIBUTE_SOURCE, number, strlen(number), 0);
        }
        ck_assert_int_eq(result, -1);
        ck_assert_int_eq(errno, EMFILE);
        ck_assert_int_gt(count, LIMIT / 4);
        check_others_go_on(held);
        must(unlink(in_mount("p0")));
        must(close(file));
        must(close(held));
        must(unlink(path));
        fixture_unmount();
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("descriptors");

        for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
                if (fixture_mode() != MODE_PASSTHROUGH || ways[i].passthrough)
                        tcase_add_loop_test(tests, who_takes_too_many_is_refused, i, i + 1);
                else
                        leave_out("who_takes_too_many_is_refused", "takes none in passthrough mode");
        }
        tcase_add_test(tests, open_regions_keep_their_names_at_the_limit);
        if (fixture_mode() == MODE_USER)
                leave_out("many_directories_leave_descriptors",
                          "needs file handles, without which each directory takes one");
        else
                tcase_add_test(tests, many_directories_leave_descriptors);
        tcase_add_test(tests, persisted_regions_leave_descriptors);
        suite_add_tcase(suite, tests);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "descriptors", add);
}
