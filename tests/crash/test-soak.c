/* A short soak, on a mount. */
#include "../mount/fixture.h"

#include <stdlib.h>

/* In the environment: the path of the program, and what it is to do. */
#define SOAK "SOAK"
#define SOAK_ARGUMENTS "SOAK_ARGUMENTS"

START_TEST(nothing_is_lost_doubled_or_leaked) {
        g_autofree char *said = NULL;
        int status = run_command(&said, "exec '%s' %s %s '%s'", g_getenv(SOAK), g_getenv(SOAK_ARGUMENTS),
                                 fixture_mode() == MODE_USER ? "--shared-pool" : "", fixture_mountpoint());

        ck_assert_msg(status == 0, "%s", said);
}
END_TEST

static void add(Suite *suite) {
        tcase_add_test(add_case(suite, "soak"), nothing_is_lost_doubled_or_leaked);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "soak", add);
}
