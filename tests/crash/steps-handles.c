/* Handles begun and ended: of regions, directories, and of regions without a name. */
#include "steps.h"

#include <regionfs/regionfs.h>
#include <sys/xattr.h>

static void set_file(Scene *scene) {
        scene_make("a");
}

static void set_open(Scene *scene) {
        scene->fd[0] = scene_open("a", O_RDWR);
}

static void set_opened_twice(Scene *scene) {
        scene->fd[0] = scene_open("a", O_RDWR);
        scene->fd[1] = must_open("a", O_RDONLY, 0);
}

static void set_sealed(Scene *scene) {
        scene_make("a");
        /* The last writer's handle is released behind its back. */
        for (int waits = 0; setxattr("a", REGIONFS_ATTRIBUTE_SEALED, "1", 1, 0) < 0; waits++) {
                ck_assert_int_lt(waits, 1000);
                g_usleep(1000);
        }
}

static void set_unlinked(Scene *scene) {
        scene->fd[0] = scene_open("a", O_RDWR);
        must(unlink("a"));
}

static void set_nameless(Scene *scene) {
        must(scene->fd[0] = open(".", O_RDWR | O_TMPFILE, 0600));
        ck_assert_int_eq(write(scene->fd[0], "nameless", 8), 8);
}

static void set_directory(Scene *scene) {
        must(mkdir("d", 0700));
        for (int i = 0; i < 5; i++) {
                char name[8];

                g_snprintf(name, sizeof(name), "d/%d", i);
                must(mknod(name, S_IFREG | 0600, 0));
        }
}

static void set_open_directory(Scene *scene) {
        set_directory(scene);
        scene->fd[0] = must_open("d", O_RDONLY | O_DIRECTORY, 0);
}

static int open_reading(Scene *scene) {
        return answer_of(scene->fd[0] = open("a", O_RDONLY));
}

static int open_writing(Scene *scene) {
        return answer_of(scene->fd[0] = open("a", O_RDWR));
}

static int open_again(Scene *scene) {
        return answer_of(scene->fd[1] = open("a", O_RDWR));
}

static int close_it(Scene *scene) {
        int fd = scene->fd[0];

        scene->fd[0] = -1;
        return answer_of(close(fd));
}

static int open_directory(Scene *scene) {
        return answer_of(scene->fd[0] = open("d", O_RDONLY | O_DIRECTORY));
}

const Case steps_handles[] = {
        { "open for reading", set_file, open_reading, .tell = tell_handle },
        { "open for writing", set_file, open_writing, .tell = tell_handle },
        { "open once more", set_open, open_again, .tell = tell_handle },
        { "open for writing of a sealed region", set_sealed, open_writing, -EPERM, KEEPS_ALL },
        { "release", set_open, close_it },
        { "release of one of two", set_opened_twice, close_it },
        { "release of an unlinked region", set_unlinked, close_it, .needs = KEEPS_ALL },
        { "release of a tmpfile", set_nameless, close_it, .needs = KEEPS_ALL },
        { "opendir", set_directory, open_directory, .needs = KEEPS_ALL },
        { "readdir", set_directory, scene_read_directory, .needs = KEEPS_ALL },
        { "releasedir", set_open_directory, close_it, .needs = KEEPS_ALL },
        { NULL },
};
