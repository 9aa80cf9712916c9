/* A request that each server dies of: it is not tried for ever, and nobody else notices. */
#include "crash.h"

#include "holder.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define PAGE 4096

/* As of regionfs(8). */
#define DEATHS 10

/* More than it takes. */
#define MANY 1000

#define REFUSED "servers die of request "

static int set_length(void) {
        return truncate(in_mount("d/a"), 16 * PAGE);
}

static bool length_is_set(void) {
        struct stat st;

        must(stat(in_mount("d/a"), &st));
        return st.st_size == 16 * PAGE && st.st_blocks == 16 * PAGE / 512;
}

static int make_directory(void) {
        return mkdir(in_mount("d/new"), 0700);
}

static bool directory_is_made(void) {
        return access(in_mount("d/new"), F_OK) == 0;
}

static int create(void) {
        return open(in_mount("d/b"), O_RDWR | O_CREAT | O_EXCL, 0600);
}

static bool is_created(void) {
        return access(in_mount("d/b"), F_OK) == 0;
}

static int set_attribute(void) {
        return setxattr(in_mount("d/a"), "user.own", "x", 1, XATTR_CREATE);
}

static bool attribute_is_set(void) {
        return getxattr(in_mount("d/a"), "user.own", NULL, 0) >= 0;
}

static int move(void) {
        return rename(in_mount("d/c"), in_mount("d/moved"));
}

static bool is_moved(void) {
        return access(in_mount("d/c"), F_OK) < 0 && access(in_mount("d/moved"), F_OK) == 0;
}

static int remove_name(void) {
        return unlink(in_mount("d/e"));
}

static bool name_is_removed(void) {
        return access(in_mount("d/e"), F_OK) < 0;
}

static const struct {
        HolderOperation operation;
        int (*call)(void);
        bool (*done)(void);
} calls[] = {
        { HOLDER_SETATTR, set_length, length_is_set },     { HOLDER_MKDIR, make_directory, directory_is_made },
        { HOLDER_CREATE, create, is_created },             { HOLDER_SETXATTR, set_attribute, attribute_is_set },
        { HOLDER_RENAME, move, is_moved },                 { HOLDER_UNLINK, remove_name, name_is_removed },
};

/* A region of one page that has its memory, and what else the calls are about. */
static void make_regions(void) {
        must(mkdir(in_mount("d"), 0700));
        must_write(in_mount("d/a"), "");
        must(setxattr(in_mount("d/a"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed", 9, 0));
        must(truncate(in_mount("d/a"), PAGE));
        must_write(in_mount("d/c"), "c");
        must_write(in_mount("d/e"), "e");
}

static void call_in_vain(void *data) {
        int (*const *call)(void) = data;

        must_fail((*call)(), EIO);
}

static void call_well(void *data) {
        int (*const *call)(void) = data;

        must((*call)());
}

/* Others go on while one server after the other dies. */
static void use_otherwise(unsigned round) {
        g_autofree char *name = g_strdup_printf("other-%u", round);

        must_write(in_mount(name), name);
        must_read(in_mount(name), name);
        must(unlink(in_mount(name)));
}

static bool has_ended(pid_t process) {
        siginfo_t ended = { 0 };

        must(waitid(P_PID, process, &ended, WEXITED | WNOHANG | WNOWAIT));
        return ended.si_pid == process;
}

typedef struct Kills {
        unsigned count;
        gint64 first, last; /* when */
} Kills;

/* Kills servers that have the client's request in hand, until it is answered or as often as said. */
static Kills kill_servers(const Holder *holder, pid_t client, unsigned most, void (*meanwhile)(unsigned round)) {
        Kills kills = { 0 };

        while (kills.count < most) {
                while (holder_held(holder) == kills.count) {
                        if (has_ended(client))
                                return kills;
                        g_usleep(500);
                }
                if (meanwhile)
                        meanwhile(kills.count);
                must(kill(holder_wait(holder, kills.count + 1), SIGKILL));
                kills.last = g_get_monotonic_time();
                if (kills.count++ == 0)
                        kills.first = kills.last;
        }
        return kills;
}

/* A machine that is too slow for ten deaths in a second takes more. */
static void check_kills(const Kills *kills) {
        ck_assert_uint_ge(kills->count, DEATHS);
        if (kills->last - kills->first < G_USEC_PER_SEC)
                ck_assert_uint_eq(kills->count, DEATHS);
}

START_TEST(it_is_answered_with_an_error) {
        g_autofree char *named = g_strdup_printf("(operation %d on node ", calls[_i].operation);
        Holder *holder;
        pid_t client;
        Kills kills;

        fixture_expect(REFUSED);
        make_regions();
        holder = holder_new(calls[_i].operation, MANY);
        client = start_process(call_in_vain, (void *)&calls[_i].call);
        kills = kill_servers(holder, client, MANY, NULL);
        end_process(client);
        holder_free(holder);
        check_kills(&kills);
        ck_assert(has_logged(REFUSED));
        ck_assert(has_logged(named));
        ck_assert(!calls[_i].done());
        ck_assert_int_eq(restarts(), kills.count);
        must(calls[_i].call());
        ck_assert(calls[_i].done());
}
END_TEST

START_TEST(before_that_it_is_answered_rightly) {
        Holder *holder;
        pid_t client;

        make_regions();
        holder = holder_new(calls[_i].operation, DEATHS - 1);
        client = start_process(call_well, (void *)&calls[_i].call);
        ck_assert_uint_eq(kill_servers(holder, client, DEATHS - 1, NULL).count, DEATHS - 1);
        end_process(client);
        holder_free(holder);
        ck_assert(!has_logged(REFUSED));
        ck_assert(calls[_i].done());
        ck_assert_int_eq(restarts(), DEATHS - 1);
}
END_TEST

START_TEST(others_go_on) {
        int (*call)(void) = set_length;
        Holder *holder;
        pid_t client;
        Kills kills;

        fixture_expect(REFUSED);
        make_regions();
        holder = holder_new(HOLDER_SETATTR, MANY);
        client = start_process(call_in_vain, &call);
        kills = kill_servers(holder, client, MANY, use_otherwise);
        end_process(client);
        holder_free(holder);
        check_kills(&kills);
        ck_assert(!length_is_set());
        use_otherwise(0);
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "hopeless");

        tcase_add_loop_test(tests, it_is_answered_with_an_error, 0, G_N_ELEMENTS(calls));
        tcase_add_loop_test(tests, before_that_it_is_answered_rightly, 0, G_N_ELEMENTS(calls));
        tcase_add_test(tests, others_go_on);
}

int main(int argc, char **argv) {
        if (!holder_works()) {
                printf("1..0 # SKIP ptrace(2) is not permitted\n");
                return 0;
        }
        return fixture_main(argc, argv, "hopeless", add);
}
