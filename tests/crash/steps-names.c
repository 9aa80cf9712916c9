/* Names made and taken away. */
#include "steps.h"

#include <regionfs/regionfs.h>

static int create(Scene *scene) {
        return answer_of(scene->fd[0] = open("a", O_RDWR | O_CREAT | O_EXCL, 0640));
}

static void set_rules(Scene *scene) {
        scene_rule(".", REGIONFS_ATTRIBUTE_ALLOCATION, "committed");
        scene_rule(".", REGIONFS_ATTRIBUTE_LIFETIME, "handles");
}

static int make_file(Scene *scene) {
        return answer_of(mknod("a", S_IFREG | 0640, 0));
}

static int make_fifo(Scene *scene) {
        return answer_of(mkfifo("a", 0640));
}

static int make_directory(Scene *scene) {
        return answer_of(mkdir("a", 0750));
}

static int make_link(Scene *scene) {
        return answer_of(symlink("target", "a"));
}

static void set_file(Scene *scene) {
        scene_make("a");
}

static void set_open_file(Scene *scene) {
        scene->fd[0] = scene_open("a", O_RDWR);
}

static void set_two_names(Scene *scene) {
        scene_make("a");
        must(link("a", "b"));
}

static void set_directory(Scene *scene) {
        must(mkdir("a", 0700));
}

static void set_open_directory(Scene *scene) {
        must(mkdir("a", 0700));
        scene->fd[0] = must_open("a", O_RDONLY | O_DIRECTORY, 0);
}

static void set_full_directory(Scene *scene) {
        must(mkdir("a", 0700));
        scene_make("a/b");
}

static int add_name(Scene *scene) {
        return answer_of(link("a", "b"));
}

static int take_name(Scene *scene) {
        return answer_of(unlink("a"));
}

static int take_directory(Scene *scene) {
        return answer_of(rmdir("a"));
}

static int make_nameless(Scene *scene) {
        return answer_of(scene->fd[0] = open(".", O_RDWR | O_TMPFILE, 0640));
}

static void set_nameless(Scene *scene) {
        must(scene->fd[0] = open(".", O_RDWR | O_TMPFILE, 0640));
        ck_assert_int_eq(write(scene->fd[0], "nameless", 8), 8);
}

static int name_nameless(Scene *scene) {
        char path[64];

        g_snprintf(path, sizeof(path), "/proc/self/fd/%d", scene->fd[0]);
        return answer_of(linkat(AT_FDCWD, path, AT_FDCWD, "a", AT_SYMLINK_FOLLOW));
}

static int look_for_nothing(Scene *scene) {
        return answer_of(access("a", F_OK));
}

const Case steps_names[] = {
        { "create", NULL, create, .tell = tell_handle },
        { "create with rules", set_rules, create, .tell = tell_handle },
        { "mknod", NULL, make_file },
        { "mknod with rules", set_rules, make_file },
        { "mknod of a pipe", NULL, make_fifo },
        { "mkdir", NULL, make_directory },
        { "mkdir with rules", set_rules, make_directory },
        { "symlink", NULL, make_link },
        { "link", set_file, add_name },
        { "unlink", set_file, take_name },
        { "unlink while open", set_open_file, take_name, .tell = tell_handle },
        { "unlink one of two", set_two_names, take_name },
        { "rmdir", set_directory, take_directory },
        { "rmdir while open", set_open_directory, take_directory },
        { "rmdir of what is not empty", set_full_directory, take_directory, -ENOTEMPTY, KEEPS_ALL },
        { "tmpfile", NULL, make_nameless, .needs = KEEPS_ALL, .tell = tell_handle },
        { "link of a tmpfile", set_nameless, name_nameless, .tell = tell_handle },
        { "lookup of nothing", NULL, look_for_nothing, -ENOENT, KEEPS_ALL },
        { NULL },
};
