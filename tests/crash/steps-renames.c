/* Names moved. */
#include "steps.h"

#include <stdio.h> /* renameat2 */

static int move(unsigned flags) {
        return answer_of(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", flags));
}

static void set_one(Scene *scene) {
        scene_make("a");
}

static void set_two(Scene *scene) {
        scene_make("a");
        scene_make("b");
        must(chmod("b", 0600));
}

static void set_target_open(Scene *scene) {
        scene_make("a");
        scene->fd[0] = scene_open("b", O_RDWR);
}

static void set_source_open(Scene *scene) {
        scene->fd[0] = scene_open("a", O_RDWR);
}

static void set_target_with_names(Scene *scene) {
        set_two(scene);
        must(link("b", "c"));
}

static void set_directories(Scene *scene) {
        must(mkdir("a", 0700));
        scene_make("a/x");
        must(mkdir("b", 0755));
}

static void set_full_target(Scene *scene) {
        set_directories(scene);
        scene_make("b/y");
}

static void set_kinds(Scene *scene) {
        must(mkdir("a", 0700));
        scene_make("a/x");
        scene_make("b");
}

static void set_elsewhere(Scene *scene) {
        must(mkdir("d", 0700));
        must(mkdir("e", 0700));
        must(mkdir("d/a", 0700));
        scene_make("d/a/x");
}

static int rename_plain(Scene *scene) {
        return move(0);
}

static int rename_exclusive(Scene *scene) {
        return move(RENAME_NOREPLACE);
}

static int rename_exchange(Scene *scene) {
        return move(RENAME_EXCHANGE);
}

static int rename_whiteout(Scene *scene) {
        return move(RENAME_WHITEOUT);
}

static int rename_elsewhere(Scene *scene) {
        return answer_of(rename("d/a", "e/b"));
}

const Case steps_renames[] = {
        { "rename", set_one, rename_plain },
        { "rename onto a file", set_two, rename_plain },
        { "rename onto an open file", set_target_open, rename_plain, .tell = tell_handle },
        { "rename of an open file", set_source_open, rename_plain, .tell = tell_handle },
        { "rename onto one of two names", set_target_with_names, rename_plain },
        { "rename onto an empty directory", set_directories, rename_plain },
        { "rename onto a full directory", set_full_target, rename_plain, -ENOTEMPTY, KEEPS_ALL },
        { "rename to another directory", set_elsewhere, rename_elsewhere },
        { "rename NOREPLACE", set_one, rename_exclusive },
        { "rename EXCHANGE", set_two, rename_exchange },
        { "rename EXCHANGE of unequal kinds", set_kinds, rename_exchange },
        { "rename EXCHANGE with an open file", set_target_open, rename_exchange, .tell = tell_handle },
        { "rename WHITEOUT", set_one, rename_whiteout, .needs = NEEDS_ROOT },
        { "rename WHITEOUT onto a file", set_two, rename_whiteout, .needs = NEEDS_ROOT },
        { NULL },
};
