/* git: many small files, hard links, renames over names, packs that are read through views. */
#include "application.h"

START_TEST(repositories_are_whole) {
        application_run("good\n", "sh git.sh");
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = application_case(suite, "git");

        tcase_add_test(tests, repositories_are_whole);
}

int main(int argc, char **argv) {
        const Application application = {
                .name = "git",
                .needs = (const Need[]){ { "git", "command -v git" }, { NULL } },
                .files = (const char *const[]){ "git.sh", NULL },
                .add = add,
        };

        return application_main(argc, argv, &application);
}
