/* Regions whose memory is a file outside. */
#include "steps.h"

#include <regionfs/regionfs.h>
#include <sys/xattr.h>

/* An empty region, and a file that it may be given. */
static void set_apart(Scene *scene) {
        scene->file = g_build_filename(fixture_directory(), "source", NULL);
        scene->fd[1] = must_open(scene->file, O_RDWR | O_CREAT | O_TRUNC, 0600);
        ck_assert_int_eq(write(scene->fd[1], "on disk", 7), 7);
        must(mknod("a", S_IFREG | 0600, 0));
}

static int persist(Scene *scene) {
        char number[16];

        g_snprintf(number, sizeof(number), "%d", scene->fd[1]);
        return answer_of(setxattr("a", REGIONFS_ATTRIBUTE_SOURCE, number, strlen(number), 0));
}

static void set(Scene *scene) {
        set_apart(scene);
        must(persist(scene));
}

static void set_open(Scene *scene) {
        set(scene);
        scene->fd[0] = must_open("a", O_RDWR, 0);
}

static void set_ending(Scene *scene) {
        set_open(scene);
        scene_rule("a", REGIONFS_ATTRIBUTE_LIFETIME, "handles");
}

static int open_appending(Scene *scene) {
        return answer_of(scene->fd[0] = open("a", O_RDWR | O_APPEND));
}

static int cut(Scene *scene) {
        return answer_of(truncate("a", 2));
}

static int take_name(Scene *scene) {
        return answer_of(unlink("a"));
}

static int close_it(Scene *scene) {
        int fd = scene->fd[0];

        scene->fd[0] = -1;
        return answer_of(close(fd));
}

static void tell_file(const Scene *scene, GString *text) {
        char found[64] = "";

        ck_assert_int_ge(pread(scene->fd[1], found, sizeof(found) - 1, 0), 0);
        g_string_append_printf(text, "file: \"%s\"\n", found);
}

const Case steps_persisted[] = {
        { "source", set_apart, persist, .tell = tell_file },
        { "open for appending of a persisted region", set, open_appending, .tell = tell_handle },
        { "truncate of a persisted region", set, cut, .tell = tell_file },
        { "unlink of a persisted region", set, take_name, .tell = tell_file },
        { "unlink of an open persisted region", set_open, take_name, .tell = tell_handle },
        { "release of a persisted region", set_open, close_it, .tell = tell_file },
        { "end of a persisted region", set_ending, close_it, .needs = TAKES_TIME, .tell = tell_file },
        { NULL },
};
