/* The attributes of regionfs. */
#include "steps.h"

#include <regionfs/regionfs.h>
#include <sys/mman.h>
#include <sys/xattr.h>

static int rule(const char *path, const char *attribute, const char *value) {
        return answer_of(setxattr(path, attribute, value, strlen(value), 0));
}

/* A close that is heard of later would be the last one, by which a region may end. */
static void set_file(Scene *scene) {
        scene_make("a");
        must_become_unused("a");
}

static void set_open(Scene *scene) {
        scene->fd[0] = scene_open("a", O_RDWR);
}

static void set_read(Scene *scene) {
        scene_make("a");
        scene->fd[0] = must_open("a", O_RDONLY, 0);
}

static void set_view(Scene *scene) {
        int fd = scene_open("a", O_RDWR);

        must(ftruncate(fd, SCENE_VIEW));
        scene->view = mmap(NULL, SCENE_VIEW, PROT_READ, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(scene->view, MAP_FAILED);
        must(close(fd));
}

static void set_directory(Scene *scene) {
        must(mkdir("d", 0700));
}

static void set_ending(Scene *scene) {
        set_file(scene);
        scene_rule("a", REGIONFS_ATTRIBUTE_LIFETIME, "handles");
}

static void set_committed(Scene *scene) {
        set_open(scene);
        scene_rule("a", REGIONFS_ATTRIBUTE_ALLOCATION, "committed");
}

static int end_with_handles(Scene *scene) {
        return rule("a", REGIONFS_ATTRIBUTE_LIFETIME, "handles");
}

static int keep(Scene *scene) {
        return rule("a", REGIONFS_ATTRIBUTE_LIFETIME, "kept");
}

static int reset(Scene *scene) {
        return answer_of(removexattr("a", REGIONFS_ATTRIBUTE_LIFETIME));
}

static int end_below(Scene *scene) {
        return rule("d", REGIONFS_ATTRIBUTE_LIFETIME, "handles");
}

static int commit(Scene *scene) {
        return rule("a", REGIONFS_ATTRIBUTE_ALLOCATION, "committed");
}

static int delay(Scene *scene) {
        return rule("a", REGIONFS_ATTRIBUTE_ALLOCATION, "delayed");
}

static int commit_below(Scene *scene) {
        return rule("d", REGIONFS_ATTRIBUTE_ALLOCATION, "committed");
}

static int seal(Scene *scene) {
        return rule("a", REGIONFS_ATTRIBUTE_SEALED, "1");
}

static int cut(Scene *scene) {
        return rule("a", REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "3");
}

static int extend(Scene *scene) {
        return rule("a", REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "20000");
}

const Case steps_rules[] = {
        { "lifetime handles", set_file, end_with_handles },
        { "lifetime handles of an open region", set_open, end_with_handles, .tell = tell_handle },
        { "lifetime handles of a viewed region", set_view, end_with_handles, .needs = TAKES_TIME },
        { "lifetime kept", set_ending, keep },
        { "lifetime removed", set_ending, reset },
        { "lifetime of a directory", set_directory, end_below },
        { "allocation committed", set_open, commit, .tell = tell_handle },
        { "allocation delayed", set_committed, delay, .tell = tell_handle },
        { "allocation of a directory", set_directory, commit_below },
        { "sealed", set_read, seal, .tell = tell_handle },
        { "logical_length to less", set_open, cut, .tell = tell_handle },
        { "logical_length to more", set_file, extend },
        { "logical_length of a committed region", set_committed, extend, .tell = tell_handle },
        { NULL },
};
