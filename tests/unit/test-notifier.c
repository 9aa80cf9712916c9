/* What the notifier writes to the channel, for which a socket stands in here; and who may die when. */
#include "kernel/notifier.h"

#include "unit.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* As in the kernel's <linux/fuse.h>. */
typedef struct Notice {
        uint32_t length;
        int32_t code;
        uint64_t unique;
        uint64_t parent;
        uint64_t node;
        uint32_t name_length;
        uint32_t padding;
        char name[NAME_MAX + 1];
} Notice;

#define NOTICE_SIZE offsetof(Notice, name)

static Notifier *notifier;
static int channel[2]; /* ours, and what the notifier takes for the kernel's */

static void setup(void) {
        notifier = notifier_new(NULL);
        ck_assert_ptr_nonnull(notifier);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel), 0);
}

static void teardown(void) {
        g_clear_pointer(&notifier, notifier_free);
        descriptor_clear(&channel[0]);
        descriptor_clear(&channel[1]);
}

static pid_t start(void) {
        pid_t process = fork();

        if (process == 0) {
                notifier_run(notifier, channel[1]);
                _exit(unit_descriptors() == 6 ? 0 : 1);
        }
        return process;
}

/* The next notice. */
static void expect(uint64_t parent, uint64_t node, const char *name) {
        struct pollfd there = { .fd = channel[0], .events = POLLIN };
        Notice notice;

        ck_assert_int_eq(poll(&there, 1, UNIT_TIMEOUT * 1000), 1);
        ck_assert_int_eq(recv(channel[0], &notice, sizeof(notice), 0), NOTICE_SIZE + strlen(name) + 1);
        ck_assert_uint_eq(notice.length, NOTICE_SIZE + strlen(name) + 1);
        ck_assert_int_eq(notice.code, 6);
        ck_assert_uint_eq(notice.unique, 0);
        ck_assert_uint_eq(notice.parent, parent);
        ck_assert_uint_eq(notice.node, node);
        ck_assert_uint_eq(notice.name_length, strlen(name));
        ck_assert_str_eq(notice.name, name);
}

/* The node of the next notice, which is to be expected yet. */
static uint64_t next_node(void) {
        struct pollfd there = { .fd = channel[0], .events = POLLIN };
        Notice notice = { 0 };

        ck_assert_int_eq(poll(&there, 1, UNIT_TIMEOUT * 1000), 1);
        ck_assert_int_ge(recv(channel[0], &notice, sizeof(notice), MSG_PEEK), NOTICE_SIZE);
        return notice.node;
}

static void expect_end(pid_t process) {
        int status;

        ck_assert_int_eq(waitpid(process, &status, 0), process);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
}

START_TEST(names_are_told_and_then_it_ends) {
        g_autofree char *longest = g_strnfill(NAME_MAX, 'x');
        pid_t process;

        /* Also what was told before it was there. */
        notifier_tell(notifier, 1, 2, "a");
        process = start();
        notifier_tell(notifier, 3, UINT64_MAX, longest);
        notifier_end(notifier);
        expect(1, 2, "a");
        expect(3, UINT64_MAX, longest);
        expect_end(process);
}
END_TEST

START_TEST(one_that_was_killed_is_followed) {
        pid_t process = start();

        notifier_tell(notifier, 1, 2, "a");
        expect(1, 2, "a");
        kill(process, SIGKILL);
        ck_assert_int_eq(waitpid(process, NULL, 0), process);
        notifier_tell(notifier, 1, 3, "b");
        process = start();
        /* It may have died before it had noted that this one was told. */
        if (next_node() == 2)
                expect(1, 2, "a");
        expect(1, 3, "b");
        notifier_end(notifier);
        expect_end(process);
}
END_TEST

START_TEST(it_ends_when_nobody_is_left_to_tell) {
        pid_t process = start();

        g_clear_pointer(&notifier, notifier_free);
        expect_end(process);
}
END_TEST

static unsigned warnings;

static void count_warning(const char *domain, GLogLevelFlags level, const char *message, gpointer data) {
        warnings++;
}

/* It was killed, and is not followed. */
START_TEST(who_tells_does_not_wait_for_good) {
        g_log_set_always_fatal(G_LOG_FATAL_MASK);
        g_log_set_default_handler(count_warning, NULL);
        for (int name = 0; name < 10000; name++)
                notifier_tell(notifier, 1, 2, "a");
        ck_assert_uint_eq(warnings, 1);
        notifier_end(notifier);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("notifier");
        TCase *tcase = unit_case(suite, "notifier");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, names_are_told_and_then_it_ends);
        tcase_add_test(tcase, one_that_was_killed_is_followed);
        tcase_add_test(tcase, who_tells_does_not_wait_for_good);
        tcase_add_test(tcase, it_ends_when_nobody_is_left_to_tell);
        return unit_main(suite);
}
