/* SQLite in WAL mode: its index is a view that all processes share, its database and log are files in the mount. */
#include "application.h"

#include <sys/sysmacros.h>

#define WRITERS 4
#define READERS 2
#define TRANSACTIONS 40
#define PROCESSES 5

/* In this test's mount. */
static bool is_mapped(const char *name) {
        struct stat st;

        must(stat(fixture_mountpoint(), &st));
        return run_command(NULL, "cat /proc/[0-9]*/maps 2>/dev/null | grep -q ' %02x:%02x [0-9]* */dev/shm/%s$'",
                           major(st.st_dev), minor(st.st_dev), name) == 0;
}

static void write_and_read(void) {
        pid_t writers[WRITERS], readers[READERS];

        application_run("wal\n", "sqlite3 -batch -bail /dev/shm/base 'PRAGMA journal_mode = WAL; "
                                 "CREATE TABLE entry (writer, number, text, PRIMARY KEY (writer, number)); "
                                 "CREATE TABLE total (writer PRIMARY KEY, entries, sum); "
                                 "INSERT INTO total VALUES (0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0);'");
        for (int i = 0; i < WRITERS; i++) {
                g_autofree char *output = g_strdup_printf("writer-%d", i);

                writers[i] = application_start(output, "sh sqlite-write.sh %d %d %d", i, TRANSACTIONS, PROCESSES);
        }
        for (int i = 0; i < READERS; i++) {
                g_autofree char *output = g_strdup_printf("reader-%d", i);

                readers[i] = application_start(output, "sh sqlite-read.sh stop");
        }
        eventually(is_mapped("base-shm"));
        for (int i = 0; i < WRITERS; i++) {
                g_autofree char *output = g_strdup_printf("writer-%d", i);
                g_autofree char *said = application_end(writers[i], output);

                ck_assert_str_eq(said, "");
        }
        application_run("", "touch stop");
        for (int i = 0; i < READERS; i++) {
                g_autofree char *output = g_strdup_printf("reader-%d", i);
                g_autofree char *said = application_end(readers[i], output);

                ck_assert_str_eq(said, "good\n");
        }
}

static void check_database(void) {
        const int entries = TRANSACTIONS * PROCESSES;
        g_autofree char *total = g_strdup_printf("ok\n%d|%d\n0\n", WRITERS * entries,
                                                 WRITERS * entries * (entries + 1) / 2);

        application_run(total, "sqlite3 -batch -bail /dev/shm/base 'PRAGMA integrity_check; "
                               "SELECT count(*), sum(number) FROM entry; "
                               "SELECT count(*) FROM entry WHERE text <> hex(zeroblob(200 + number %% 600));'");
        /* Whoever closes it alone puts the log into the database. Two that close it at once may both leave that. */
        application_run("base\n", "ls /dev/shm");
        /* What is in the file, and not in anyone's view of it. */
        application_run("ok\n", "cp /dev/shm/base copy && sqlite3 -batch copy 'PRAGMA integrity_check' && "
                                "cmp copy /dev/shm/base && rm /dev/shm/base");
}

START_TEST(many_processes_share_a_database) {
        write_and_read();
        check_database();
}
END_TEST

START_TEST(servers_die_under_it) {
        pid_t killer = application_start_killing(50);

        write_and_read();
        application_end_killing(killer);
        check_database();
}
END_TEST

/* A writer that dies in the middle of its transaction: others go on from the one before. */
START_TEST(a_killed_writer_has_written_nothing) {
        application_run("good\n", "sh sqlite-kill.sh 2>&1");
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = application_case(suite, "sqlite");

        tcase_add_test(tests, many_processes_share_a_database);
        tcase_add_test(tests, servers_die_under_it);
        tcase_add_test(tests, a_killed_writer_has_written_nothing);
}

int main(int argc, char **argv) {
        const Application application = {
                .name = "sqlite",
                .needs = (const Need[]){ { "sqlite3", "command -v sqlite3" }, { NULL } },
                .files = (const char *const[]){ "sqlite-write.sh", "sqlite-read.sh", "sqlite-kill.sh", NULL },
                .add = add,
        };

        return application_main(argc, argv, &application);
}
