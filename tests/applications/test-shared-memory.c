/* Python's multiprocessing: shared memory, lists, arrays, locks. */
#include "application.h"

START_TEST(python_shares_memory) {
        int watch = application_watch();

        application_run("good\n", "python3 -W error shared-memory.py");
        /*
         * At least what the script makes: two for each of its two ways to start processes, and locks and arrays
         * besides.
         */
        ck_assert_uint_ge(application_made(watch, ""), 8);
        must(close(watch));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = application_case(suite, "shared-memory");

        tcase_add_test(tests, python_shares_memory);
}

int main(int argc, char **argv) {
        const Application application = {
                .name = "shared-memory",
                .needs = (const Need[]){ { "python3", "command -v python3" }, { NULL } },
                .files = (const char *const[]){ "shared-memory.py", NULL },
                .add = add,
        };

        return application_main(argc, argv, &application);
}
