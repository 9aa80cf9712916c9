/* Root's data path: no request reaches the daemon. */
#include "fixture.h"

#include <sys/mman.h>

#define MIB (1024 * 1024)

/* How many requests of a kind the daemon's log of requests holds. */
static int requests(const char *kind) {
        g_autofree char *log = fixture_log();
        g_autofree char *line = g_strdup_printf("opcode: %s (", kind);
        int count = 0;

        for (const char *found = strstr(log, line); found; found = strstr(found + 1, line))
                count++;
        return count;
}

START_TEST(a_gibibyte_makes_no_request) {
        enum { CHUNKS = 1024 };
        g_autofree char *data = g_malloc(MIB);
        unsigned char *view;
        int fd, reader;

        fixture_mount("debug,size=2g");
        memset(data, 'd', MIB);
        fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);
        for (int i = 0; i < CHUNKS; i++)
                ck_assert_int_eq(write(fd, data, MIB), MIB);
        reader = must_open(in_mount("a"), O_RDONLY, 0);
        for (int i = 0; i < CHUNKS; i++) {
                ck_assert_int_eq(read(reader, data, MIB), MIB);
                ck_assert_int_eq(data[i], 'd');
        }
        view = mmap(NULL, (size_t)CHUNKS * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(view, MAP_FAILED);
        for (size_t i = 0; i < (size_t)CHUNKS * MIB; i += 4096) {
                ck_assert_uint_eq(view[i], 'd');
                view[i] = 'v';
        }
        must(msync(view, (size_t)CHUNKS * MIB, MS_SYNC));
        ck_assert_int_eq(pread(reader, data, MIB, 512 * (off_t)MIB), MIB);
        ck_assert_int_eq(data[4096], 'v');
        ck_assert_int_eq(data[4097], 'd');
        must(close(fd));
        must(close(reader));

        /* The log tells of what did reach it, so the rest can be believed. */
        ck_assert_int_eq(requests("CREATE"), 1);
        ck_assert_int_eq(requests("OPEN"), 1);
        ck_assert_int_eq(requests("READ"), 0);
        ck_assert_int_eq(requests("WRITE"), 0);
        ck_assert_int_eq(requests("FLUSH"), 0);
        ck_assert_int_le(requests("GETXATTR"), 2);
        must(munmap(view, (size_t)CHUNKS * MIB));
}
END_TEST

START_TEST(cached_data_does_make_requests) {
        fixture_mount("debug,passthrough=off");
        must_write(in_mount("a"), "a");
        ck_assert_int_eq(requests("WRITE"), 1);
}
END_TEST

START_TEST(it_can_be_required) {
        g_autofree char *log = NULL;

        fixture_mount("passthrough=require");
        must_write(in_mount("a"), "a");
        must_read(in_mount("a"), "a");
        log = fixture_log();
        ck_assert_ptr_nonnull(strstr(log, "in passthrough mode"));
}
END_TEST

START_TEST(handles_of_all_kinds_mix) {
        enum { HANDLES = 300 };
        static const int kinds[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_APPEND, O_RDONLY | O_DIRECT };
        int fds[HANDLES];

        fixture_mount(NULL);
        must_write(in_mount("a"), "a");
        for (int round = 0; round < 5; round++) {
                for (int i = 0; i < HANDLES; i++)
                        fds[i] = must_open(in_mount("a"), kinds[i % G_N_ELEMENTS(kinds)], 0);
                ck_assert_int_eq(write(fds[3], "x", 1), 1);
                for (int i = 0; i < HANDLES; i++)
                        must(close(fds[i]));
        }
        must_read(in_mount("a"), "axxxxx");
}
END_TEST

static void open_and_close(void *data) {
        for (int i = 0; i < 2000; i++) {
                int fd = must_open(in_mount("a"), i % 2 ? O_RDWR : O_RDONLY, 0);
                char byte;

                ck_assert_int_eq(pread(fd, &byte, 1, 0), 1);
                must(close(fd));
        }
}

START_TEST(opening_at_once_agrees_on_a_backing_file) {
        pid_t processes[6];

        fixture_mount(NULL);
        must_write(in_mount("a"), "a");
        for (size_t i = 0; i < G_N_ELEMENTS(processes); i++)
                processes[i] = start_process(open_and_close, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(processes); i++)
                end_process(processes[i]);
}
END_TEST

START_TEST(an_overlay_stacks_on_the_mount) {
        fixture_mount(NULL);
        ck_assert_int_eq(run_command(NULL,
                                     "cd %s && mkdir lower upper work && printf low >lower/a && "
                                     "mkdir %s/merged && mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work,"
                                     "userxattr %s/merged && cat %s/merged/a && printf up >%s/merged/b && cat upper/b; "
                                     "status=$?; umount %s/merged; rmdir %s/merged; rm -rf lower upper work; exit $status",
                                     fixture_mountpoint(), fixture_directory(), fixture_directory(), fixture_directory(),
                                     fixture_directory(), fixture_directory(), fixture_directory()),
                         0);
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("passthrough");

        tcase_add_checked_fixture(tests, NULL, fixture_unmount);
        tcase_add_test(tests, a_gibibyte_makes_no_request);
        tcase_add_test(tests, cached_data_does_make_requests);
        tcase_add_test(tests, it_can_be_required);
        tcase_add_test(tests, handles_of_all_kinds_mix);
        tcase_add_test(tests, opening_at_once_agrees_on_a_backing_file);
        tcase_add_test(tests, an_overlay_stacks_on_the_mount);
        suite_add_tcase(suite, tests);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "passthrough", add);
}
