/*
 * PostgreSQL: workers of a query, and what its processes share besides, are in shared memory by name
 * (dynamic_shared_memory_type=posix). Its data is on disk.
 */
#include "application.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#define CLIENT "-h \"$PWD\" -U owner postgres "
#define SQL "psql -X -q -A -t " CLIENT

static pid_t server;

static void start_server(void) {
        server = application_start("server", "exec postgres -D data -k \"$PWD\"");
        eventually(run_command(NULL, "grep -q 'ready to accept connections' %s/home/server", fixture_directory()) == 0);
}

static void stop_server(void) {
        g_autofree char *said = NULL;

        must(kill(server, SIGINT));
        said = application_end(server, "server");
        ck_assert_msg(!g_regex_match_simple("PANIC|could not [a-z]* shared memory", said, 0, 0), "%s", said);
}

static void make_cluster(void) {
        /* It tries POSIX shared memory, and takes it if that works. */
        application_run("selecting dynamic shared memory implementation ... posix\n",
                        "initdb -D data -U owner -A trust -N --no-locale -E UTF8 >initdb 2>&1 || cat initdb; "
                        "grep 'dynamic shared memory' initdb");
        application_run("", "cat >>data/postgresql.conf <<END\n"
                            "listen_addresses = ''\n"
                            "dynamic_shared_memory_type = posix\n"
                            "shared_buffers = 32MB\n"
                            "fsync = off\n"
                            "max_worker_processes = 16\n"
                            "max_parallel_workers = 16\n"
                            "max_parallel_workers_per_gather = 4\n"
                            "max_parallel_maintenance_workers = 2\n"
                            "min_parallel_table_scan_size = 0\n"
                            "min_parallel_index_scan_size = 0\n"
                            "parallel_setup_cost = 0\n"
                            "parallel_tuple_cost = 0\n"
                            "jit = off\n"
                            "END\n");
}

static void run_queries(void) {
        application_run("Parallel Hash Join\nWorkers Launched\n97|t|t|t\n0\n0\n97\n0\nt\n100000\n50000|t\n",
                        SQL "-f postgresql-load.sql");
}

/* Clients that write in small transactions, and others whose workers check that those are whole. */
static void run_clients(void) {
        application_run("", "pgbench -i -q -s 2 " CLIENT " >initial 2>&1 || cat initial");
        application_run("", "pgbench -c 3 -j 2 -T 3 " CLIENT " >writers 2>&1 & writers=$!; "
                            "pgbench -c 2 -n -f postgresql-query.sql -T 3 " CLIENT " >readers 2>&1 & readers=$!; "
                            "wait $writers && wait $readers || cat writers readers");
        application_run("t|t|t|t\n", SQL "-c 'SELECT sum(delta) = (SELECT sum(abalance) FROM pgbench_accounts), "
                                         "sum(delta) = (SELECT sum(tbalance) FROM pgbench_tellers), "
                                         "sum(delta) = (SELECT sum(bbalance) FROM pgbench_branches), "
                                         "count(*) > 50 FROM pgbench_history'");
}

START_TEST(workers_and_clients_share_memory) {
        int watch = application_watch();

        make_cluster();
        ck_assert_uint_ge(application_made(watch, "PostgreSQL."), 1);
        start_server();
        /* What it keeps while it runs. */
        ck_assert_uint_ge(application_made(watch, "PostgreSQL."), 1);
        run_queries();
        ck_assert_uint_ge(application_made(watch, "PostgreSQL."), 10);
        run_clients();
        ck_assert_uint_ge(application_made(watch, "PostgreSQL."), 10);
        stop_server();
        must(close(watch));
}
END_TEST

START_TEST(servers_of_the_mount_die_under_it) {
        pid_t killer;

        make_cluster();
        killer = application_start_killing(250);
        start_server();
        run_queries();
        run_clients();
        application_end_killing(killer);
        stop_server();
}
END_TEST

/* How many of the names are there; or, where there are no names yet, of all, which become the names. */
static guint count_segments(GHashTable *names) {
        bool fill = g_hash_table_size(names) == 0;
        DIR *stream = opendir(fixture_mountpoint());
        struct dirent *entry;
        guint found = 0;

        ck_assert_ptr_nonnull(stream);
        while ((entry = readdir(stream))) {
                if (fill && g_str_has_prefix(entry->d_name, "PostgreSQL."))
                        g_hash_table_add(names, g_strdup(entry->d_name));
                found += g_hash_table_contains(names, entry->d_name);
        }
        closedir(stream);
        return found;
}

static bool answers(void) {
        g_autofree char *said = application_end(application_start("answer", SQL "-c 'SELECT 7 * 6' || true"), "answer");

        return g_str_equal(said, "42\n");
}

static bool some_are_left(void) {
        return run_command(NULL, "readlink /proc/[0-9]*/cwd | grep -qx %s/home/data", fixture_directory()) == 0;
}

START_TEST(segments_of_killed_processes_go) {
        g_autoptr(GHashTable) of_query = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GHashTable) of_server = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autofree char *said = NULL;
        pid_t query;
        int status;

        make_cluster();
        start_server();
        run_queries();
        query = application_start("query", SQL "-c 'SELECT count(*) FROM whole a, whole b WHERE a.id + b.id = 1' "
                                               "|| true");
        application_run("", "until worker=$(" SQL "-c \"SELECT pid FROM pg_stat_activity WHERE backend_type = "
                            "'parallel worker' LIMIT 1\") && [ -n \"$worker\" ]; do sleep 0.1; done; "
                            "echo $worker >worker");
        ck_assert_uint_ge(count_segments(of_query), 2);
        application_run("", "kill -9 $(cat worker)");
        said = application_end(query, "query");
        ck_assert_msg(strstr(said, "crash of another server process"), "%s", said);
        eventually(answers());
        ck_assert_uint_eq(count_segments(of_query), 0);

        ck_assert_uint_ge(count_segments(of_server), 1);
        must(kill(server, SIGKILL));
        must(waitpid(server, &status, 0));
        eventually(!some_are_left());
        ck_assert_uint_ge(count_segments(of_server), 1);
        start_server();
        ck_assert_uint_eq(count_segments(of_server), 0);
        application_run("50000|2500000000\n", SQL "-c 'SELECT count(*), sum(id) FROM whole'");
        stop_server();
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = application_case(suite, "postgresql");

        tcase_add_test(tests, workers_and_clients_share_memory);
        tcase_add_test(tests, servers_of_the_mount_die_under_it);
        tcase_add_test(tests, segments_of_killed_processes_go);
}

int main(int argc, char **argv) {
        const Application application = {
                .name = "postgresql",
                .needs = (const Need[]){ { "postgresql", "command -v initdb && command -v pgbench" }, { NULL } },
                .files = (const char *const[]){ "postgresql-load.sql", "postgresql-query.sql", NULL },
                .add = add,
        };

        return application_main(argc, argv, &application);
}
