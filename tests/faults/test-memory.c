/* The memory that a client may have (its control group's) is short: the client ends, and nobody else. */
#include "faults.h"

#include <regionfs/regionfs.h>
#include <signal.h>
#include <sys/wait.h>

#define MIB (1024 * 1024)

/* What a group may have, and how much more is written. */
#define LIMIT (16 * MIB)
#define WRITTEN 64

/* What the daemon's may have: it starts with less, and cannot hold what is written. */
#define LIMIT_OF_DAEMON (48 * MIB)

/* Where groups are made, and the file of the limit: version 2 or 1. NULL: memory cannot be limited here. */
static const char *find_groups(const char **limit) {
        g_autofree char *controllers = NULL;

        *limit = "memory.limit_in_bytes";
        if (access("/sys/fs/cgroup/memory/cgroup.procs", W_OK) == 0)
                return "/sys/fs/cgroup/memory";
        *limit = "memory.max";
        if (g_file_get_contents("/sys/fs/cgroup/cgroup.subtree_control", &controllers, NULL, NULL) &&
            strstr(controllers, "memory") && access("/sys/fs/cgroup", W_OK) == 0)
                return "/sys/fs/cgroup";
        return NULL;
}

static void set_limit(const char *group, int64_t bytes) {
        const char *limit;
        g_autofree char *file = NULL, *text = g_strdup_printf("%" G_GINT64_FORMAT, bytes);

        find_groups(&limit);
        file = g_build_filename(group, limit, NULL);
        must_write(file, text);
}

static char *make_group(int64_t bytes) {
        const char *limit, *groups = find_groups(&limit);
        char *group = g_strdup_printf("%s/regionfs-test-%d", groups, getpid());

        must(mkdir(group, 0755));
        set_limit(group, bytes);
        return group;
}

/* In a group, or where it is (NULL). */
static void write_much(void *data) {
        g_autofree char *procs = data ? g_build_filename(data, "cgroup.procs", NULL) : NULL, *zeros = g_malloc0(MIB);
        int fd;

        if (procs)
                must_write(procs, "0");
        fd = must_open(in_mount("large"), O_RDWR | O_CREAT, 0600);
        for (int i = 0; i < WRITTEN; i++)
                ck_assert_int_eq(write(fd, zeros, MIB), MIB);
}

START_TEST(a_client_reaches_the_limit_of_its_group) {
        g_autofree char *group = make_group(LIMIT);
        pid_t server = fixture_server(), client;
        struct stat st;
        int status;

        must_write(in_mount("kept"), "kept");
        client = start_process(write_much, group);
        must(waitpid(client, &status, 0));
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %#x", status);
        /* What was written stays, and the server has not been in it. */
        ck_assert_int_eq(fixture_server(), server);
        must_read(in_mount("kept"), "kept");
        must(stat(in_mount("large"), &st));
        ck_assert_int_gt(st.st_size, 0);
        ck_assert_int_lt(st.st_size, WRITTEN * MIB);
        eventually(number_of(in_mount("large"), REGIONFS_ATTRIBUTE_HANDLES) == 0);
        must_write(in_mount("other"), "other");
        must(unlink(in_mount("large")));
        eventually(rmdir(group) == 0);
}
END_TEST

static bool has_died(pid_t process) {
        return kill(process, 0) < 0 && errno == ESRCH;
}

/* Until there is an error, which there may be. */
static void write_what_fits(void *data) {
        g_autofree char *zeros = g_malloc0(MIB);
        int fd = must_open(in_mount("large"), O_RDWR | O_CREAT, 0600);

        for (int i = 0; i < WRITTEN; i++)
                if (write(fd, zeros, MIB) != MIB)
                        return;
}

/*
 * In cached mode what clients write is charged to the daemon. Servers are killed, and the keeper tries again until they
 * can live. The client has to wait for that, or is told that servers die of what it asks.
 */
START_TEST(the_daemon_reaches_the_limit_of_its_group) {
        g_autofree char *group = make_group(LIMIT_OF_DAEMON);
        g_autofree char *before = g_strdup_printf("echo 0 > %s/cgroup.procs; exec", group);
        pid_t server, client;
        struct stat st;
        int status;

        fixture_prepare();
        fixture_start(before, NULL);
        server = fixture_server();
        must_write(in_mount("kept"), "kept");
        fixture_expect("servers die of request");
        client = start_process(write_what_fits, NULL);
        eventually(has_died(server));
        g_usleep(G_USEC_PER_SEC);
        ck_assert_int_eq(waitpid(fixture_daemon(), &status, WNOHANG), 0);
        set_limit(group, 1024 * (int64_t)MIB);
        end_process(client);
        must_read(in_mount("kept"), "kept");
        run_process(write_what_fits, NULL);
        must(stat(in_mount("large"), &st));
        ck_assert_int_eq(st.st_size, WRITTEN * MIB);
        fixture_unmount();
        eventually(rmdir(group) == 0);
}
END_TEST

static void add(Suite *suite) {
        TCase *of_daemon;

        if (fixture_mode() == MODE_PASSTHROUGH) {
                tcase_add_test(add_case(suite, "memory"), a_client_reaches_the_limit_of_its_group);
                return;
        }
        of_daemon = tcase_create("of the daemon");
        tcase_add_test(of_daemon, the_daemon_reaches_the_limit_of_its_group);
        suite_add_tcase(suite, of_daemon);
}

int main(int argc, char **argv) {
        const char *limit;

        if (geteuid() == 0 && !find_groups(&limit)) {
                printf("1..0 # SKIP control groups of memory cannot be made here\n");
                return 0;
        }
        return fixture_main(argc, argv, "memory", add);
}
