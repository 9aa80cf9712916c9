/* The memory that a client may have (its control group's) is short: the client ends, and nobody else. */
#include "faults.h"

#include <regionfs/regionfs.h>
#include <signal.h>
#include <sys/wait.h>

#define MIB (1024 * 1024)

/* What a group may have, and how much more is written. */
#define LIMIT (16 * MIB)
#define WRITTEN 64

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

static char *make_group(void) {
        const char *limit, *groups = find_groups(&limit);
        char *group = g_strdup_printf("%s/regionfs-test-%d", groups, getpid());
        g_autofree char *file = g_build_filename(group, limit, NULL), *bytes = g_strdup_printf("%d", LIMIT);

        must(mkdir(group, 0755));
        must_write(file, bytes);
        return group;
}

static void write_much(void *data) {
        g_autofree char *procs = g_build_filename(data, "cgroup.procs", NULL), *zeros = g_malloc0(MIB);
        int fd;

        must_write(procs, "0");
        fd = must_open(in_mount("large"), O_RDWR | O_CREAT, 0600);
        for (int i = 0; i < WRITTEN; i++)
                ck_assert_int_eq(write(fd, zeros, MIB), MIB);
}

START_TEST(a_client_reaches_the_limit_of_its_group) {
        g_autofree char *group = make_group();
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

static void add(Suite *suite) {
        tcase_add_test(add_case(suite, "memory"), a_client_reaches_the_limit_of_its_group);
}

int main(int argc, char **argv) {
        const char *limit;

        if (geteuid() == 0 && !find_groups(&limit)) {
                printf("1..0 # SKIP control groups of memory cannot be made here\n");
                return 0;
        }
        return fixture_main(argc, argv, "memory", add);
}
