/* Two Java programs with a MappedByteBuffer of the same region, and its FileLock. */
#include "application.h"

START_TEST(two_programs_share_a_view) {
        pid_t writer, reader;
        g_autofree char *writer_said = NULL;
        g_autofree char *reader_said = NULL;

        application_run(NULL, "javac -d . Pair.java");
        writer = application_start("writer", "java Pair write");
        reader = application_start("reader", "java Pair read");
        writer_said = application_end(writer, "writer");
        reader_said = application_end(reader, "reader");
        ck_assert_str_eq(writer_said, "good\n");
        ck_assert_str_eq(reader_said, "good\n");
        application_run("1048576\n", "stat -c %%s /dev/shm/pair && rm /dev/shm/pair");
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = application_case(suite, "java");

        tcase_add_test(tests, two_programs_share_a_view);
}

int main(int argc, char **argv) {
        const Application application = {
                .name = "java",
                .needs = (const Need[]){ { "default-jdk-headless", "command -v java && command -v javac" }, { NULL } },
                .files = (const char *const[]){ "Pair.java", NULL },
                .add = add,
        };

        return application_main(argc, argv, &application);
}
