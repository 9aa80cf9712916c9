/* Regions that end with their last user: by the lifetimes' thread, when the client has had its answer. */
#include "steps.h"

#include <regionfs/regionfs.h>
#include <sys/mman.h>

static void set_ending(Scene *scene) {
        scene->fd[0] = scene_open("a", O_RDWR);
        scene_rule("a", REGIONFS_ATTRIBUTE_LIFETIME, "handles");
}

static void set_two_names(Scene *scene) {
        set_ending(scene);
        must(mkdir("d", 0700));
        must(link("a", "d/b"));
}

static void set_view(Scene *scene) {
        set_ending(scene);
        must(ftruncate(scene->fd[0], SCENE_VIEW));
        scene->view = mmap(NULL, SCENE_VIEW, PROT_READ | PROT_WRITE, MAP_SHARED, scene->fd[0], 0);
        ck_assert_ptr_ne(scene->view, MAP_FAILED);
}

static void set_view_alone(Scene *scene) {
        set_view(scene);
        must(close(scene->fd[0]));
        scene->fd[0] = -1;
}

static void set_unlinked(Scene *scene) {
        set_ending(scene);
        must(unlink("a"));
}

static void set_two_handles(Scene *scene) {
        set_ending(scene);
        scene->fd[1] = must_open("a", O_RDONLY, 0);
}

static int close_it(Scene *scene) {
        int fd = scene->fd[0];

        scene->fd[0] = -1;
        return answer_of(close(fd));
}

static int unmap_it(Scene *scene) {
        void *view = scene->view;

        scene->view = NULL;
        return answer_of(munmap(view, SCENE_VIEW));
}

const Case steps_ends[] = {
        { "end with the last handle", set_ending, close_it, .needs = TAKES_TIME },
        { "end of a region of two names", set_two_names, close_it, .needs = TAKES_TIME },
        { "end with the last view", set_view_alone, unmap_it, .needs = TAKES_TIME },
        { "no end while a view is left", set_view, close_it, .needs = NEEDS_PASSTHROUGH | TAKES_TIME },
        { "no end while a handle is left", set_two_handles, close_it, .needs = TAKES_TIME },
        { "end of an unlinked region", set_unlinked, close_it, .needs = TAKES_TIME | KEEPS_ALL },
        { NULL },
};
