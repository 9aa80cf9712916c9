#include "steps.h"

#include <sys/xattr.h>

bool case_is_possible(const Case *what) {
        return !(what->needs & NEEDS_ROOT && fixture_mode() == MODE_USER) &&
               !(what->needs & NEEDS_CACHED && fixture_mode() == MODE_PASSTHROUGH) &&
               !(what->needs & NEEDS_PASSTHROUGH && fixture_mode() != MODE_PASSTHROUGH);
}

bool case_is_next(void) {
        const char *text = g_getenv("STEPS_PART");
        static unsigned number;
        unsigned part = 0, parts = 1;

        if (text && (sscanf(text, "%u/%u", &part, &parts) != 2 || part >= parts))
                g_error("STEPS_PART=%s is not allowed: it is a number below another one, such as 0/4", text);
        return number++ % parts == part;
}

int scene_open(const char *name, int flags) {
        int fd = must_open(name, flags | O_CREAT | O_EXCL, 0640);

        ck_assert_int_eq(write(fd, "some contents", 13), 13);
        return fd;
}

void scene_make(const char *name) {
        must(close(scene_open(name, O_RDWR)));
}

void scene_rule(const char *path, const char *attribute, const char *value) {
        must(setxattr(path, attribute, value, strlen(value), 0));
}

void tell_handle(const Scene *scene, GString *text) {
        char found[64] = "";
        struct stat st;

        must(fstat(scene->fd[0], &st));
        g_string_append_printf(text, "handle: %o links %u length %lld", st.st_mode, (unsigned)st.st_nlink,
                               (long long)st.st_size);
        if (pread(scene->fd[0], found, sizeof(found) - 1, 0) < 0)
                g_strlcpy(found, g_strerror(errno), sizeof(found));
        g_string_append_printf(text, " \"%s\"\n", found);
}

static char *pool;

void scene_mount_pool(void) {
        g_autofree char *option = NULL;

        pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        ck_assert_ptr_nonnull(pool);
        option = g_strdup_printf("pool=%s", pool);
        fixture_mount(option);
}

void scene_unmount_pool(void) {
        fixture_unmount();
        must(rmdir(pool));
        g_clear_pointer(&pool, g_free);
}

const char *scene_pool(void) {
        return pool;
}

int scene_read_directory(Scene *scene) {
        GDir *directory = g_dir_open("d", 0, NULL);
        const char *name;
        struct stat st;
        int count = 0;

        if (!directory)
                return -EIO;
        while ((name = g_dir_read_name(directory))) {
                g_autofree char *path = g_build_filename("d", name, NULL);

                count += stat(path, &st) == 0;
        }
        g_dir_close(directory);
        return count == 5 ? 0 : -EBADMSG;
}
