/* Lifetimes under many users at once: races, random holders, many leftover views. */
#include "lifetime.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>

/* Opens and closes the region until it is gone, and each time finds its data. */
static void race(void *data) {
        for (int i = 0; i < 300; i++) {
                char found[4];
                int fd = open(in_mount("a"), O_RDWR);

                if (fd < 0) {
                        ck_assert_msg(errno == ENOENT, "open: %s", g_strerror(errno));
                        fd = open(in_mount("a"), O_RDWR | O_CREAT, 0600);
                        ck_assert_msg(fd >= 0, "create or open: %s", g_strerror(errno));
                        flock(fd, LOCK_EX);
                        must(fsetxattr(fd, REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
                        ck_assert_int_eq(pwrite(fd, "data", 4, 0), 4);
                } else {
                        flock(fd, LOCK_EX);
                        if (pread(fd, found, 4, 0) == 4) /* else its maker has not come to it yet */
                                ck_assert_mem_eq(found, "data", 4);
                }
                must(close(fd));
        }
}

START_TEST(racing_openers_have_it_whole_or_not_at_all) {
        pid_t processes[4];

        for (size_t i = 0; i < G_N_ELEMENTS(processes); i++)
                processes[i] = start_process(race, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(processes); i++)
                end_process(processes[i]);
        for (int waited = 0; is_there("a") && waited < PATIENCE_US; waited += 1000)
                g_usleep(1000);
        /* The last maker may not have come to giving it the rule: then it is given now. */
        if (is_there("a")) {
                setxattr(in_mount("a"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0);
                close(open(in_mount("a"), O_RDONLY));
        }
        check_gone("a");
}
END_TEST

/* One way to use a region, until told to go. */
typedef struct Holder {
        int kind; /* 0: handle, 1: writable view, 2: read-only view, 3: view in a fork */
        pid_t process;
        int end; /* a byte tells the process to go */
} Holder;

static void start_holder(Holder *holder, const char *name) {
        int ready[2], end[2];
        char byte;

        must(pipe2(ready, O_CLOEXEC));
        must(pipe2(end, O_CLOEXEC));
        holder->end = end[1];
        holder->process = check_fork();
        if (holder->process == 0) {
                int fd = must_open(in_mount(name), holder->kind == 2 ? O_RDONLY : O_RDWR, 0);

                if (holder->kind > 0) {
                        map(fd, holder->kind == 2 ? PROT_READ : PROT_READ | PROT_WRITE);
                        must(close(fd));
                }
                if (holder->kind == 3 && fork() > 0)
                        _exit(write(ready[1], "", 1) == 1 ? 0 : 1); /* the copy stays */
                if (holder->kind != 3 && write(ready[1], "", 1) != 1)
                        _exit(1);
                _exit(read(end[0], &byte, 1) == 1 ? 0 : 1);
        }
        close(end[0]);
        close(ready[1]);
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        close(ready[0]);
}

static void end_holder(Holder *holder) {
        if (holder->kind != 3 && g_random_boolean())
                must(kill(holder->process, SIGKILL));
        else
                ck_assert_int_eq(write(holder->end, "", 1), 1);
        must(close(holder->end));
        must(waitpid(holder->process, NULL, 0));
}

START_TEST(random_holders_keep_it_to_the_last) {
        const int rounds = atoi(g_getenv("REGIONFS_TEST_ROUNDS") ? g_getenv("REGIONFS_TEST_ROUNDS") : "1000");

        for (int round = 0; round < rounds; round++) {
                int count = g_random_int_range(1, 5);
                Holder holders[5];
                int fd = new_region("a");

                for (int i = 0; i < count; i++) {
                        holders[i].kind = g_random_int_range(0, 4);
                        start_holder(&holders[i], "a");
                }
                must(close(fd));
                for (int i = 0; i < count; i++) {
                        g_usleep(g_random_int_range(0, 2000));
                        ck_assert_msg(is_there("a"), "gone in round %d with %d holders left", round, count - i);
                        end_holder(&holders[i]);
                }
                check_gone("a");
        }
}
END_TEST

START_TEST(many_leftover_views_cost_a_mark_each) {
        /* Without passthrough each keeps a handle, and so a descriptor: fewer than a daemon may have as a rule. */
        const int regions = fixture_mode() == MODE_PASSTHROUGH ? 10000 : 2000;
        g_autofree char *listing = g_strdup_printf("/proc/%d/fd", fixture_daemon());
        g_autofree char **views = g_new(char *, regions);
        guint before = count_entries(listing);
        char name[16];

        for (int i = 0; i < regions; i++) {
                int fd;

                g_snprintf(name, sizeof(name), "%d", i);
                fd = new_region(name);
                views[i] = map(fd, PROT_READ | PROT_WRITE);
                must(close(fd));
        }
        /* Some are looked at for a while, in case that they are about to go. */
        if (fixture_mode() == MODE_PASSTHROUGH)
                eventually(count_entries(listing) <= before + 10);
        for (int i = 0; i < regions; i++) {
                g_snprintf(name, sizeof(name), "%d", i);
                ck_assert(is_there(name));
                must(munmap(views[i], 8192));
        }
        for (int i = 0; i < regions; i++) {
                g_snprintf(name, sizeof(name), "%d", i);
                for (int waited = 0; is_there(name); waited += 1000) {
                        ck_assert_msg(waited < PATIENCE_US, "%s is still there", name);
                        g_usleep(1000);
                }
        }
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "lifetime-many");

        tcase_add_test(tests, racing_openers_have_it_whole_or_not_at_all);
        tcase_add_test(tests, random_holders_keep_it_to_the_last);
        add_test_if(tests, many_leftover_views_cost_a_mark_each, fixture_mode() != MODE_USER, "needs root");
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "lifetime-many", add);
}
