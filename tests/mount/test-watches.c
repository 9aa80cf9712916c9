/* inotify(7): what happens to regions is told to who watches them, or their directory. */
#include "fixture.h"

#include <sys/inotify.h>

/* Everything that another process does to a region, from its making to its end. */
static void do_everything(void *data) {
        int fd = must_open(in_mount("d/a"), O_RDWR | O_CREAT | O_EXCL, 0600);

        ck_assert_int_eq(write(fd, "text", 4), 4);
        must(close(fd));
        must(chmod(in_mount("d/a"), 0644));
        must_read(in_mount("d/a"), "text");
        must(rename(in_mount("d/a"), in_mount("d/b")));
        must(truncate(in_mount("d/b"), 2));
        must(unlink(in_mount("d/b")));
}

/* Appends "event name" for each event that is there. */
static void read_events(int watch, GString *events) {
        static const struct {
                uint32_t mask;
                const char *name;
        } names[] = {
                { IN_CREATE, "create" }, { IN_MODIFY, "modify" }, { IN_CLOSE_WRITE, "close" },
                { IN_ATTRIB, "attributes" }, { IN_ACCESS, "read" }, { IN_MOVED_FROM, "from" },
                { IN_MOVED_TO, "to" }, { IN_DELETE, "delete" }, { IN_DELETE_SELF, "gone" },
        };
        _Alignas(struct inotify_event) char buffer[8192];
        ssize_t length;

        while ((length = read(watch, buffer, sizeof(buffer))) > 0) {
                for (char *at = buffer; at < buffer + length;) {
                        const struct inotify_event *event = (const struct inotify_event *)at;

                        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                                if (event->mask & names[i].mask)
                                        g_string_append_printf(events, "%s %s\n", names[i].name,
                                                               event->len ? event->name : "");
                        }
                        at += sizeof(*event) + event->len;
                }
        }
}

START_TEST(a_directory_tells_what_becomes_of_its_regions) {
        int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        g_autoptr(GString) events = g_string_new(NULL);

        must(watch);
        must(mkdir(in_mount("d"), 0755));
        must(inotify_add_watch(watch, in_mount("d"), IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_ACCESS |
                                                         IN_MOVE | IN_DELETE));
        run_process(do_everything, NULL);
        read_events(watch, events);
        ck_assert_str_eq(events->str, "create a\nmodify a\nclose a\nattributes a\nread a\nfrom a\nto b\n"
                                      "modify b\ndelete b\n");
        must(close(watch));
}
END_TEST

START_TEST(a_region_tells_of_its_end) {
        int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        g_autoptr(GString) events = g_string_new(NULL);

        must(watch);
        must_write(in_mount("a"), "text");
        must(inotify_add_watch(watch, in_mount("a"), IN_MODIFY | IN_DELETE_SELF));
        must(truncate(in_mount("a"), 100));
        must(unlink(in_mount("a")));
        read_events(watch, events);
        ck_assert_str_eq(events->str, "modify \ngone \n");
        must(close(watch));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "watches");

        tcase_add_test(tests, a_directory_tells_what_becomes_of_its_regions);
        tcase_add_test(tests, a_region_tells_of_its_end);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "watches", add);
}
