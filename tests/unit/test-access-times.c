#include "mount/access-times.h"

#include "unit.h"

#include <sys/mount.h>
#include <sys/statvfs.h>

static const struct {
        const char *options;
        unsigned flags;
        const char *name;
} cases[] = {
        { "", 0, "relatime" },
        { "size=1m,fsname=noatime", 0, "relatime" },
        { "noatime", MOUNT_ATTR_NOATIME, "noatime" },
        { "noatime,nodiratime", MOUNT_ATTR_NOATIME, "noatime" }, /* which says it all */
        { "nodiratime", MOUNT_ATTR_NODIRATIME, "relatime,nodiratime" },
        { "nodiratime,diratime", 0, "relatime" },
        { "strictatime", MOUNT_ATTR_STRICTATIME, "strictatime" },
        { "strictatime,nodiratime", MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NODIRATIME, "strictatime,nodiratime" },
        { "noatime,strictatime", MOUNT_ATTR_STRICTATIME, "strictatime" },
        { "strictatime,noatime", MOUNT_ATTR_NOATIME, "noatime" },
        { "strictatime,relatime", 0, "relatime" },
        { "noatime,atime", 0, "relatime" },
        { "ro,strictatime", MOUNT_ATTR_NOATIME, "noatime" },
        { "ro,strictatime,rw", MOUNT_ATTR_STRICTATIME, "strictatime" },
};

START_TEST(options_are_understood) {
        g_autoptr(GPtrArray) options = g_ptr_array_new();
        g_auto(GStrv) words = g_strsplit(cases[_i].options, ",", -1);
        unsigned flags, found = 12345;

        for (char **word = words; *word; word++)
                g_ptr_array_add(options, *word);
        flags = access_times_of_options(options);
        ck_assert_uint_eq(flags, cases[_i].flags);
        ck_assert_str_eq(access_times_name(flags), cases[_i].name);
        ck_assert_int_eq(access_times_find(cases[_i].name, &found), 0);
        ck_assert_uint_eq(found, flags);
}
END_TEST

START_TEST(mounts_are_understood) {
        ck_assert_uint_eq(access_times_of_mount(ST_RELATIME | ST_NOSUID), 0);
        ck_assert_uint_eq(access_times_of_mount(0), MOUNT_ATTR_STRICTATIME);
        ck_assert_uint_eq(access_times_of_mount(ST_NODIRATIME), MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NODIRATIME);
        ck_assert_uint_eq(access_times_of_mount(ST_NOATIME | ST_NODIRATIME), MOUNT_ATTR_NOATIME);
        ck_assert_uint_eq(access_times_of_mount(ST_RDONLY | ST_RELATIME), MOUNT_ATTR_NOATIME);
}
END_TEST

START_TEST(other_names_are_refused) {
        static const char *const bad[] = { "", "never", "Noatime", "noatime,nodiratime", "relatime,", " relatime" };
        unsigned flags = 12345;

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                ck_assert_int_eq(access_times_find(bad[i], &flags), -EINVAL);
        ck_assert_uint_eq(flags, 12345);
        ck_assert_int_eq(access_times_set(-1, 0), -EBADF);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("access-times");
        TCase *tcase = unit_case(suite, "rules");

        tcase_add_loop_test(tcase, options_are_understood, 0, G_N_ELEMENTS(cases));
        tcase_add_test(tcase, mounts_are_understood);
        tcase_add_test(tcase, other_names_are_refused);
        return unit_main(suite);
}
