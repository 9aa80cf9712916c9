/*
 * Chromium without a screen: its processes hand pictures and messages to each other in shared memory. Where the kernel
 * has memfds that can never be executed it takes those, and else names in /dev/shm.
 */
#include "application.h"

#define BROWSER                                                                                                        \
        "timeout 120 chromium-headless-shell --no-sandbox --disable-gpu --user-data-dir=profile --window-size=800,600 "

/* What page.html says that its picture adds up to. */
static uint32_t sum_of_picture(void) {
        uint32_t sum = 0;

        for (int y = 0; y < 200; y++) {
                for (int x = 0; x < 800; x++) {
                        int i = x / 8;
                        const uint8_t drawn[] = { i * 2, 255 - i, i * 5 % 256, 255 };

                        for (int part = 0; part < 4; part++)
                                sum = sum * 31 + (y >= i && y < i + 100 ? drawn[part] : 0);
                }
        }
        return sum;
}

START_TEST(pages_are_drawn) {
        g_autofree char *expected = g_strdup_printf("<p id=\"sum\">sum %u</p>\n", sum_of_picture());
        int watch = application_watch();

        application_run(expected, BROWSER "--dump-dom \"file://$PWD/page.html\" 2>messages | grep '^<p'");
        ck_assert_uint_ge(application_made(watch, ".org.chromium."), 1);
        application_run(NULL, BROWSER "--screenshot=/dev/shm/picture.png \"file://$PWD/page.html\" 2>messages");
        ck_assert_uint_ge(application_made(watch, ".org.chromium."), 1);
        /* The same as with shared memory elsewhere. */
        application_run(NULL, BROWSER "--disable-dev-shm-usage --screenshot=picture.png \"file://$PWD/page.html\" "
                                      "2>messages");
        ck_assert_uint_eq(application_made(watch, ".org.chromium."), 0);
        application_run("PNG\n", "dd if=picture.png bs=1 skip=1 count=3 status=none && echo && "
                                 "cmp picture.png /dev/shm/picture.png && rm /dev/shm/picture.png");
        /* One of its processes may have ended just before it would have taken away the name that it had just made. */
        application_run("", "rm -f /dev/shm/.org.chromium.*");
        must(close(watch));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = application_case(suite, "chromium");

        tcase_add_test(tests, pages_are_drawn);
}

int main(int argc, char **argv) {
        const Application application = {
                .name = "chromium",
                .needs = (const Need[]){ { "chromium-headless-shell", "command -v chromium-headless-shell" },
                                         { NULL } },
                .files = (const char *const[]){ "page.html", NULL },
                .without_memfd = true,
                .add = add,
        };

        return application_main(argc, argv, &application);
}
