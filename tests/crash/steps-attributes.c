/* What stat(2) shows, and extended attributes of clients. */
#include "steps.h"

#include <sys/xattr.h>

static void set_file(Scene *scene) {
        scene_make("a");
}

static void set_attribute(Scene *scene) {
        scene_make("a");
        must(setxattr("a", "user.x", "old", 3, 0));
}

static void set_handle(Scene *scene) {
        scene->fd[0] = scene_open("a", O_RDWR);
}

static int change_mode(Scene *scene) {
        return answer_of(chmod("a", 0604));
}

static int change_mode_of_handle(Scene *scene) {
        return answer_of(fchmod(scene->fd[0], 02750));
}

static int change_owner(Scene *scene) {
        return answer_of(chown("a", 1234, 4321));
}

static int change_times(Scene *scene) {
        /* Read in the future, so that looking at the contents does not change it. */
        const struct timespec times[2] = { { 4000000000, 1 }, { 2000, 2 } };

        return answer_of(utimensat(AT_FDCWD, "a", times, 0));
}

static void tell_times(const Scene *scene, GString *text) {
        struct stat st;

        must(stat("a", &st));
        g_string_append_printf(text, "%lld.%ld %lld.%ld\n", (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
                               (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static int set(Scene *scene) {
        return answer_of(setxattr("a", "user.x", "new", 3, 0));
}

static int add(Scene *scene) {
        return answer_of(setxattr("a", "user.x", "new", 3, XATTR_CREATE));
}

static int replace(Scene *scene) {
        return answer_of(setxattr("a", "user.x", "new", 3, XATTR_REPLACE));
}

static int take(Scene *scene) {
        return answer_of(removexattr("a", "user.x"));
}

/* As in <linux/posix_acl_xattr.h>: version; tag, permissions and id of each entry. */
static const struct Acl {
        uint32_t version;
        struct {
                uint16_t tag, permissions;
                uint32_t id;
        } entries[5];
} acl = { 2, { { 1, 6, -1 }, { 2, 4, 1234 }, { 4, 4, -1 }, { 16, 4, -1 }, { 32, 0, -1 } } };

static int set_acl(Scene *scene) {
        return answer_of(setxattr("a", "system.posix_acl_access", &acl, sizeof(acl), 0));
}

static int take_acl(Scene *scene) {
        return answer_of(removexattr("a", "system.posix_acl_access"));
}

static void set_with_acl(Scene *scene) {
        scene_make("a");
        must(set_acl(scene));
}

static int set_default_acl(Scene *scene) {
        return answer_of(setxattr("d", "system.posix_acl_default", &acl, sizeof(acl), 0));
}

static void set_directory(Scene *scene) {
        must(mkdir("d", 0755));
}

const Case steps_attributes[] = {
        { "chmod", set_file, change_mode },
        { "chmod by handle", set_handle, change_mode_of_handle, .tell = tell_handle },
        { "chown", set_file, change_owner, .needs = NEEDS_ROOT },
        { "utimensat", set_file, change_times, .needs = KEEPS_ALL, .tell = tell_times },
        { "setxattr", set_file, set },
        { "setxattr over another", set_attribute, set },
        { "setxattr CREATE", set_file, add },
        { "setxattr CREATE of what is there", set_attribute, add, -EEXIST, KEEPS_ALL },
        { "setxattr REPLACE", set_attribute, replace },
        { "setxattr REPLACE of what is not there", set_file, replace, -ENODATA, KEEPS_ALL },
        { "removexattr", set_attribute, take },
        { "removexattr of what is not there", set_file, take, -ENODATA, KEEPS_ALL },
        { "setxattr of an ACL", set_file, set_acl, .needs = NEEDS_ROOT },
        { "setxattr of a default ACL", set_directory, set_default_acl, .needs = NEEDS_ROOT },
        { "removexattr of an ACL", set_with_acl, take_acl, .needs = NEEDS_ROOT },
        { NULL },
};
