/*
 * LMDB: all read through views of the environment, its lock is in a view too; writers write by calls or through views.
 */
#include "application.h"

static void share(const char *by) {
        application_run("good\n", "/usr/bin/python3 lmdb-share.py %s", by);
        application_run("data.mdb\nlock.mdb\n", "ls /dev/shm/environment");
        /* Another program finds the same: in the environment, and in a copy of it. */
        application_run("  Entries: 501\n", "mdb_stat /dev/shm/environment | grep Entries");
        application_run("", "mkdir /dev/shm/copy compact && mdb_copy /dev/shm/environment /dev/shm/copy && "
                            "mdb_copy -c /dev/shm/environment compact && "
                            "mdb_dump /dev/shm/environment >dump && [ $(grep -c '^ ' dump) = 1002 ] && "
                            "for name in /dev/shm/copy compact; do "
                            "mdb_dump $name >again && cmp dump again || exit 1; done");
        application_run("", "rm -r /dev/shm/environment /dev/shm/copy");
}

START_TEST(readers_see_what_is_written_by_calls) {
        share("call");
}
END_TEST

START_TEST(readers_see_what_is_written_through_views) {
        share("view");
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = application_case(suite, "lmdb");

        tcase_add_test(tests, readers_see_what_is_written_by_calls);
        tcase_add_test(tests, readers_see_what_is_written_through_views);
}

int main(int argc, char **argv) {
        const Application application = {
                .name = "lmdb",
                .needs = (const Need[]){ { "python3-lmdb", "/usr/bin/python3 -c 'import lmdb'" },
                                         { "lmdb-utils", "command -v mdb_copy" },
                                         { NULL } },
                .files = (const char *const[]){ "lmdb-share.py", NULL },
                .add = add,
        };

        return application_main(argc, argv, &application);
}
