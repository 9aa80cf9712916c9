/* Kernels, or containers, that lack something: it is named, or done without. */
#include "faults.h"

#include "holder.h"

#include <regionfs/regionfs.h>
#include <signal.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* The ioctl that registers a backing file; the message that asks for requests again, which is 16 bytes long. */
#define BACKING_OPEN "ioctl,1=0x4010e501"
#define RESEND "write,2=16:EINVAL"

static void mount_without(const char *rules, const char *options) {
        g_autofree char *before = on_a_kernel_without(rules);

        fixture_prepare();
        fixture_start(before, options);
}

static void crash(void) {
        pid_t server = fixture_server();

        must(kill(server, SIGKILL));
        eventually(process_is_gone(server));
}

START_TEST(what_it_cannot_do_without_is_named) {
        static const struct {
                const char *rule, *words;
        } cases[] = {
                { "fsopen:ENOSYS", "fsopen(2) came with Linux 5.2" },
                { "fsopen:EPERM", "CAP_SYS_ADMIN is needed" },
                { "openat2:ENOSYS", "openat2(2), of Linux 5.6" },
                { "openat2:EPERM", "openat2(2), of Linux 5.6" },
                { "unshare:EPERM", "unshare(2)" },
                { "memfd_create:ENOSYS", "memfd_create(2)" },
        };

        fixture_prepare();
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *before = on_a_kernel_without(cases[i].rule), *said = NULL;
                int status = run_command(&said, "%s %s %s", before, fixture_program(), fixture_mountpoint());

                ck_assert_msg(status == 1, "%s: status %d: %s", cases[i].rule, status, said);
                ck_assert_msg(strstr(said, cases[i].words), "%s: says %s", cases[i].rule, said);
                ck_assert_msg(strchr(said, '\n') == said + strlen(said) - 1, "%s: says %s", cases[i].rule, said);
                ck_assert(!is_mounted());
        }
        fixture_remove();
}
END_TEST

/* Names, data and rules work, as far as a quick look tells. */
static void check_works(void) {
        int fd;

        must(mkdir(in_mount("d"), 0700));
        must_write(in_mount("a"), "text");
        fd = must_open(in_mount("a"), O_RDWR, 0);
        must(rename(in_mount("a"), in_mount("d/b")));
        must_read(in_mount("d/b"), "text");
        must(ftruncate(fd, 2));
        must_read(in_mount("d/b"), "te");
        must(unlink(in_mount("d/b")));
        ck_assert_int_eq(pwrite(fd, "s", 1, 2), 1);
        must(setxattr(in_mount("d"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        must(close(must_open(in_mount("d/c"), O_RDWR | O_CREAT, 0600)));
        eventually(access(in_mount("d/c"), F_OK) < 0);
        must(close(fd));
        must(rmdir(in_mount("d")));
}

START_TEST(without_passthrough_it_says_so_and_serves_in_cached_mode) {
        static const struct {
                const char *rule, *words;
        } cases[] = {
                { BACKING_OPEN ":ENOTTY", "cached mode (this kernel takes no backing files)" },
                { BACKING_OPEN ":EPERM", "cached mode (passthrough needs CAP_SYS_ADMIN" },
                { "fanotify_init:ENOSYS", "cached mode (fanotify(7) does not tell" },
                { "fanotify_init:EPERM", "cached mode (fanotify(7) does not tell" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *before = on_a_kernel_without(cases[i].rule), *said = NULL;

                mount_without(cases[i].rule, NULL);
                ck_assert_msg(has_logged(cases[i].words), "%s: %s", cases[i].rule, fixture_log());
                ck_assert_uint_eq(number_of(fixture_mountpoint(), REGIONFS_ATTRIBUTE_PASSTHROUGH), 0);
                check_works();
                fixture_unmount();

                fixture_prepare();
                ck_assert_int_eq(run_command(&said, "%s %s -o passthrough=require %s", before, fixture_program(),
                                             fixture_mountpoint()), 1);
                ck_assert_msg(strstr(said, "option passthrough=require cannot be met"), "%s", said);
                fixture_remove();
        }
}
END_TEST

static guint count_descriptors(void) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd", fixture_daemon());
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        guint count = 0;

        while (directory && g_dir_read_name(directory))
                count++;
        return count;
}

START_TEST(other_calls_are_done_without) {
        static const char *const rules[] = {
                "name_to_handle_at:EOPNOTSUPP", "open_by_handle_at:EPERM", "close_range:ENOSYS", "pidfd_open:ENOSYS",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
                guint before;

                mount_without(rules[i], NULL);
                check_works();
                crash();
                check_works();
                before = count_descriptors();
                for (int crashes = 0; crashes < 5; crashes++)
                        crash();
                check_works();
                eventually(count_descriptors() <= before);
                fixture_unmount();
        }
}
END_TEST

#define LENGTH (512 * 1024 * 1024)

static void allocate(void *data) {
        int fd = *(int *)data;

        must(fallocate(fd, 0, 0, LENGTH));
}

/* What the server was about when it died is carried on with: nobody waits for good. */
START_TEST(requests_are_not_lost_where_the_kernel_does_not_repeat_them) {
        Holder *holder;
        struct stat st;
        pid_t client;
        int fd;

        mount_without(RESEND, "size=1g,huge=never");
        fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);
        for (int i = 0; i < 5; i++) {
                must(ftruncate(fd, 0));
                holder = holder_new(HOLDER_FALLOCATE, 1);
                client = start_process(allocate, &fd);
                holder_wait(holder, 1);
                crash();
                end_process(client);
                holder_free(holder);
                must(fstat(fd, &st));
                ck_assert_int_eq(st.st_size, LENGTH);
                ck_assert_int_eq(st.st_blocks, LENGTH / 512);
        }
        must(close(fd));
        must(unlink(in_mount("a")));
        fixture_unmount();
}
END_TEST

/* Changes names and lengths in a directory of its own, each of which must go well exactly once. */
static void change(void *data) {
        const char *base = data;
        g_autofree char *first = g_build_filename(base, "first", NULL),
                        *second = g_build_filename(base, "second", NULL);

        must(mkdir(base, 0700));
        for (int i = 0; i < 500; i++) {
                g_autofree char *length = g_strdup_printf("%d", i);
                struct stat st;
                int fd;

                must(mknod(first, S_IFREG | 0600, 0));
                must_fail(mknod(first, S_IFREG | 0600, 0), EEXIST);
                must(link(first, second));
                must(unlink(first));
                must(setxattr(second, REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, length, strlen(length), 0));
                must(setxattr(second, "user.once", "1", 1, XATTR_CREATE));
                must(removexattr(second, "user.once"));
                must(rename(second, first));
                fd = must_open(first, O_WRONLY | O_APPEND, 0);
                ck_assert_int_eq(write(fd, "x", 1), 1);
                must(close(fd));
                must(stat(first, &st));
                ck_assert_int_eq(st.st_size, i + 1);
                must(unlink(first));
        }
        must(rmdir(base));
}

START_TEST(changes_are_made_once_where_the_kernel_does_not_repeat_requests) {
        pid_t clients[3];
        char name[16];
        int left = G_N_ELEMENTS(clients), crashes = 0, status;

        mount_without(RESEND, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++) {
                g_snprintf(name, sizeof(name), "%zu", i);
                clients[i] = start_process(change, (void *)in_mount(name));
        }
        while (left > 0) {
                g_usleep(g_random_int_range(1000, 50000));
                crash();
                /* A request that is in hand for all of them is refused after ten within a second. */
                if (++crashes % 9 == 0)
                        g_usleep(G_USEC_PER_SEC + G_USEC_PER_SEC / 10);
                for (size_t i = 0; i < G_N_ELEMENTS(clients); i++) {
                        if (!clients[i] || waitpid(clients[i], &status, WNOHANG) != clients[i])
                                continue;
                        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "client %zu: %#x", i, status);
                        clients[i] = 0;
                        left--;
                }
        }
        ck_assert_uint_gt(number_of(fixture_mountpoint(), REGIONFS_ATTRIBUTE_RESTARTS), 3);
        eventually(number_of(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS) == 0);
        fixture_unmount();
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("kernel");

        tcase_add_test(tests, what_it_cannot_do_without_is_named);
        add_test_if(tests, without_passthrough_it_says_so_and_serves_in_cached_mode, fixture_mode() == MODE_PASSTHROUGH,
                    "is about passthrough mode");
        tcase_add_test(tests, other_calls_are_done_without);
        add_test_if(tests, requests_are_not_lost_where_the_kernel_does_not_repeat_them, holder_works(),
                    "needs ptrace(2)");
        tcase_add_test(tests, changes_are_made_once_where_the_kernel_does_not_repeat_requests);
        suite_add_tcase(suite, tests);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "kernel", add);
}
