/* Names that the kernel does not know yet: what is in a pool=DIR may have been made by others. */
#include "steps.h"

static char *in_pool(const char *name) {
        return g_build_filename(scene_pool(), "s", name, NULL);
}

static void set_file(Scene *scene) {
        g_autofree char *path = in_pool("a");

        must_write(path, "made by others");
}

static void set_link(Scene *scene) {
        g_autofree char *path = in_pool("a");

        must(symlink("elsewhere", path));
}

static void set_directory(Scene *scene) {
        g_autofree char *path = in_pool("d");

        must(mkdir(path, 0755));
        for (int i = 0; i < 5; i++) {
                char name[8];
                g_autofree char *below = NULL;

                g_snprintf(name, sizeof(name), "d/%d", i);
                below = in_pool(name);
                must_write(below, name);
        }
}

static int look_up(Scene *scene) {
        struct stat st;

        return answer_of(lstat("a", &st));
}

static int look_up_and_open(Scene *scene) {
        return answer_of(scene->fd[0] = open("a", O_RDWR));
}

static int take_name(Scene *scene) {
        return answer_of(unlink("a"));
}

const Case steps_lookups[] = {
        { "lookup", set_file, look_up, .needs = KEEPS_ALL },
        { "lookup of a link", set_link, look_up, .needs = KEEPS_ALL },
        { "lookup and open", set_file, look_up_and_open, .needs = KEEPS_ALL, .tell = tell_handle },
        { "lookup and unlink", set_file, take_name },
        { "readdir of unknown names", set_directory, scene_read_directory, .needs = KEEPS_ALL },
        { NULL },
};
