/* Contents and lengths. */
#include "steps.h"

#include <regionfs/regionfs.h>

static void set_closed(Scene *scene) {
        scene_make("a");
}

static void set_open(Scene *scene) {
        scene->fd[0] = scene_open("a", O_RDWR);
}

static void set_appending(Scene *scene) {
        scene->fd[0] = scene_open("a", O_RDWR | O_APPEND);
}

static void set_committed(Scene *scene) {
        set_open(scene);
        scene_rule("a", REGIONFS_ATTRIBUTE_ALLOCATION, "committed");
}

static void set_pair(Scene *scene) {
        set_open(scene);
        scene->fd[1] = scene_open("b", O_RDWR);
        must(ftruncate(scene->fd[1], 0));
}

static int cut(Scene *scene) {
        return answer_of(truncate("a", 3));
}

static int extend(Scene *scene) {
        return answer_of(truncate("a", 20000));
}

static int cut_open(Scene *scene) {
        return answer_of(ftruncate(scene->fd[0], 3));
}

static int extend_open(Scene *scene) {
        return answer_of(ftruncate(scene->fd[0], 20000));
}

static int allocate(Scene *scene) {
        return answer_of(fallocate(scene->fd[0], 0, 0, 30000));
}

static int reserve(Scene *scene) {
        return answer_of(fallocate(scene->fd[0], FALLOC_FL_KEEP_SIZE, 0, 30000));
}

static int punch(Scene *scene) {
        return answer_of(fallocate(scene->fd[0], FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 4096));
}

static int zero(Scene *scene) {
        return answer_of(fallocate(scene->fd[0], FALLOC_FL_ZERO_RANGE, 0, 4096));
}

static int write_over(Scene *scene) {
        ssize_t written = pwrite(scene->fd[0], "over", 4, 2);

        return written == 4 ? 0 : answer_of(written);
}

static int append(Scene *scene) {
        ssize_t written = write(scene->fd[0], "appended", 8);

        return written == 8 ? 0 : answer_of(written);
}

static int copy(Scene *scene) {
        loff_t from = 1, to = 100;
        ssize_t copied = copy_file_range(scene->fd[0], &from, scene->fd[1], &to, 5, 0);

        return copied == 5 ? 0 : answer_of(copied);
}

static int open_cut(Scene *scene) {
        return answer_of(scene->fd[0] = open("a", O_RDWR | O_TRUNC));
}

static void tell_blocks(const Scene *scene, GString *text) {
        struct stat st;

        tell_handle(scene, text);
        must(fstat(scene->fd[0], &st));
        g_string_append_printf(text, "blocks %lld\n", (long long)st.st_blocks);
}

const Case steps_data[] = {
        { "truncate to less", set_closed, cut },
        { "truncate to more", set_closed, extend },
        { "truncate by handle to less", set_open, cut_open, .tell = tell_handle },
        { "truncate by handle to more", set_open, extend_open, .tell = tell_handle },
        { "truncate of a committed region", set_committed, extend_open, .tell = tell_blocks },
        { "fallocate", set_open, allocate, .tell = tell_blocks },
        { "fallocate of a committed region", set_committed, allocate, .tell = tell_blocks },
        { "fallocate KEEP_SIZE", set_open, reserve, .needs = KEEPS_ALL, .tell = tell_blocks },
        { "fallocate PUNCH_HOLE", set_open, punch, .tell = tell_blocks },
        { "fallocate PUNCH_HOLE of a committed region", set_committed, punch, -EOPNOTSUPP, KEEPS_ALL, tell_blocks },
        { "fallocate ZERO_RANGE", set_open, zero, -EOPNOTSUPP, KEEPS_ALL, tell_blocks },
        { "write", set_open, write_over, .needs = NEEDS_CACHED, .tell = tell_handle },
        { "write at the end", set_appending, append, .needs = NEEDS_CACHED, .tell = tell_handle },
        { "copy_file_range", set_pair, copy, .needs = NEEDS_CACHED },
        { "open O_TRUNC", set_closed, open_cut, .tell = tell_handle },
        { NULL },
};
