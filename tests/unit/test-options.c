#include "unit-options.h"

START_TEST(options_may_come_in_several_words) {
        g_auto(Options) options;

        ck_assert(parse(&options, NULL, "-o", "mode=0,ro", directory, "-osize=1m", "-o", "mode=0700", NULL));
        ck_assert_uint_eq(options.pool.mode, 0700);
        ck_assert_uint_eq(options.pool.size, 1 << 20);
        ck_assert_uint_eq(options.mount->len, 1);
        ck_assert_str_eq(options.mountpoint, directory);
}
END_TEST

START_TEST(unknown_options_are_for_the_kernel) {
        static const char list[] = "ro,noatime,max_read=4096,sizes=1,x";
        g_auto(GStrv) kept = g_strsplit(list, ",", -1);
        g_auto(Options) options;

        accept(&options, list);
        ck_assert_uint_eq(options.mount->len, g_strv_length(kept));
        for (guint i = 0; i < options.mount->len; i++)
                ck_assert_str_eq(g_ptr_array_index(options.mount, i), kept[i]);
        ck_assert(!options.pool.noswap);
}
END_TEST

static const char *const dropped[] = {
        "defaults", "auto", "noauto", "nofail", "_netdev", "x-systemd.automount", "x-systemd.idle-timeout=60",
        "x-gvfs-show", "comment=of mine", "comment=", "suid", "nosuid", "dev", "nodev", "default_permissions",
};

START_TEST(words_of_fstab_are_dropped) {
        g_autofree char *list = g_strconcat("ro,", dropped[_i], ",size=1m", NULL);
        g_auto(Options) options;

        accept(&options, list);
        ck_assert_uint_eq(options.mount->len, 1);
        ck_assert_str_eq(g_ptr_array_index(options.mount, 0), "ro");
        ck_assert_uint_eq(options.pool.size, 1 << 20);
}
END_TEST

static const char *const hollow[] = { "", ",", "ro,", ",ro", "ro,,noatime" };

START_TEST(empty_options_are_no_options) {
        g_auto(Options) options;

        accept(&options, hollow[_i]);
        for (guint i = 0; i < options.mount->len; i++)
                ck_assert_str_ne(g_ptr_array_index(options.mount, i), "");
}
END_TEST

static const struct {
        const char *word;
        bool foreground, debug, help, version;
} words[] = {
        { "-f", true, false, false, false },     { "-d", true, true, false, false },
        { "--debug", true, true, false, false }, { "-odebug", true, true, false, false },
        { "-h", false, false, true, false },     { "--help", false, false, true, false },
        { "-V", false, false, false, true },     { "--version", false, false, false, true },
};

START_TEST(words_with_a_dash) {
        g_auto(Options) options;

        ck_assert(parse(&options, NULL, words[_i].word, directory, NULL));
        ck_assert_int_eq(options.foreground, words[_i].foreground);
        ck_assert_int_eq(options.debug, words[_i].debug);
        ck_assert_int_eq(options.help, words[_i].help);
        ck_assert_int_eq(options.version, words[_i].version);
        ck_assert_uint_eq(options.mount->len, 0);
}
END_TEST

START_TEST(help_and_version_need_no_mountpoint) {
        static const char *const asked[] = { "-h", "--help", "-V", "--version" };

        for (size_t i = 0; i < G_N_ELEMENTS(asked); i++) {
                g_auto(Options) options;

                ck_assert(parse(&options, NULL, asked[i], NULL));
                ck_assert(options.help || options.version);
                ck_assert_ptr_null(options.mountpoint);
        }
}
END_TEST

START_TEST(unknown_words_with_a_dash_are_refused) {
        static const char *const unknown[] = { "-x", "-fd", "-F", "--frobnicate", "--size=1m" };

        for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
                g_autoptr(GError) error = NULL;
                Options options;
                bool good = parse(&options, &error, unknown[i], directory, NULL);

                expect_error(good, &options, error, unknown[i]);
                expect_error(good, &options, error, "--help");
        }
}
END_TEST

START_TEST(list_of_options_must_follow) {
        g_autoptr(GError) error = NULL;
        Options options;
        bool good = parse(&options, &error, directory, "-o", NULL);

        expect_error(good, &options, error, "-o");
}
END_TEST

START_TEST(mountpoint_is_made_absolute) {
        g_autofree char *link = g_strconcat(directory, "/link", NULL);
        g_auto(Options) by_link;
        g_auto(Options) relative;

        ck_assert_int_eq(symlink(".", link), 0);
        ck_assert(parse(&by_link, NULL, link, NULL));
        ck_assert_str_eq(by_link.mountpoint, directory);
        ck_assert_int_eq(chdir(directory), 0);
        ck_assert(parse(&relative, NULL, ".", "-o", "pool=.", NULL));
        ck_assert_str_eq(relative.mountpoint, directory);
        ck_assert_str_eq(relative.pool.directory, directory);
}
END_TEST

/* What the mount is to go by, or NULL for the default. */
static const char *fsname(const Options *options) {
        const char *name = NULL;

        for (guint i = 0; i < options->mount->len; i++) {
                const char *option = g_ptr_array_index(options->mount, i);

                if (!g_str_has_prefix(option, "fsname="))
                        continue;
                ck_assert_msg(!name, "%s, and %s", option, name); /* the kernel takes one */
                name = strchr(option, '=') + 1;
        }
        return name;
}

START_TEST(source_may_come_first) {
        static const char *const sources[] = { "regionfs", "none", "", "/no/such/thing" };

        for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) {
                g_auto(Options) options;

                ck_assert(parse(&options, NULL, sources[i], directory, "-o", "ro", NULL));
                ck_assert_str_eq(options.mountpoint, directory);
                ck_assert_int_eq(g_strcmp0(fsname(&options), *sources[i] ? sources[i] : NULL), 0);
        }
}
END_TEST

START_TEST(fsname_counts_more_than_the_source) {
        g_auto(Options) one, several, none;

        ck_assert(parse(&one, NULL, "-ofsname=a b", "source", directory, NULL));
        ck_assert_str_eq(fsname(&one), "a b");
        ck_assert(parse(&several, NULL, "source", directory, "-o", "fsname=a,ro,fsname=b,fsname=c", NULL));
        ck_assert_str_eq(fsname(&several), "c");
        accept(&none, "subtype=regionfs,ro");
        ck_assert_ptr_null(fsname(&none));
        ck_assert_uint_eq(none.mount->len, 1);
}
END_TEST

START_TEST(remount_is_noted) {
        g_auto(Options) made, changed;

        accept(&made, "ro");
        ck_assert(!made.remount);
        accept(&changed, "remount,ro");
        ck_assert(changed.remount);
        ck_assert_uint_eq(changed.mount->len, 1);
}
END_TEST

START_TEST(bad_mountpoints_are_refused) {
        g_autofree char *missing = g_strconcat(directory, "/missing", NULL);
        g_autofree char *file = g_strconcat(directory, "/file", NULL);
        auto_descriptor fd = unit_create(directory, "file", 0);
        const struct {
                const char *first, *second, *third, *text;
        } cases[] = {
                { NULL, NULL, NULL, "MOUNTPOINT is missing" },
                { "", NULL, NULL, "MOUNTPOINT is missing" },
                { missing, NULL, NULL, missing },
                { directory, missing, NULL, missing },
                { file, NULL, NULL, "not a directory" },
                { "none", directory, directory, "more than one" },
                { directory, "none", directory, "more than one" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                Options options;
                bool good = parse(&options, &error, "-ohuge=never,ro", cases[i].first ? cases[i].first : "-f",
                                  cases[i].second ? cases[i].second : "-f", cases[i].third, NULL);

                expect_error(good, &options, error, cases[i].text);
        }
}
END_TEST

START_TEST(help_names_all_options) {
        static const char *const names[] = { "-f",    "-d",    "--debug", "--help", "--version", "size=", "nr_regions=",
                                             "huge=", "mode=", "noswap",  "mpol=",  "uid=",      "gid=",  "pool=",
                                             "passthrough=", "io_uring", "remount", "unlisted", "attr_timeout=" };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                ck_assert_msg(strstr(options_help(), names[i]), "%s is not in the help", names[i]);
}
END_TEST

/* Nobody may answer on the mountpoint, and paths may be of another directory. */
START_TEST(no_path_is_looked_at_again) {
        char *given[] = { (char *)"regionfs", (char *)"-o", (char *)"pool=not/there,max_threads=3", (char *)"nor/this",
                          NULL };
        g_auto(Options) options = { 0 };
        g_autoptr(GError) error = NULL;

        ck_assert(!options_parse(&options, 4, given, NULL));
        ck_assert_msg(options_parse_again(&options, "/known", 4, given, &error), "%s", error ? error->message : "");
        ck_assert_str_eq(options.mountpoint, "/known");
        ck_assert_str_eq(options.pool.directory, "not/there");
        ck_assert_uint_eq(options.max_threads, 3);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("options");
        TCase *tcase;

        tcase = unit_case(suite, "words");
        tcase_add_checked_fixture(tcase, given_begin, given_end);
        tcase_add_test(tcase, options_may_come_in_several_words);
        tcase_add_test(tcase, unknown_options_are_for_the_kernel);
        tcase_add_loop_test(tcase, words_of_fstab_are_dropped, 0, G_N_ELEMENTS(dropped));
        tcase_add_loop_test(tcase, empty_options_are_no_options, 0, G_N_ELEMENTS(hollow));
        tcase_add_loop_test(tcase, words_with_a_dash, 0, G_N_ELEMENTS(words));
        tcase_add_test(tcase, help_and_version_need_no_mountpoint);
        tcase_add_test(tcase, unknown_words_with_a_dash_are_refused);
        tcase_add_test(tcase, list_of_options_must_follow);
        tcase_add_test(tcase, help_names_all_options);

        tcase = unit_case(suite, "mountpoint");
        tcase_add_checked_fixture(tcase, given_begin, given_end);
        tcase_add_test(tcase, mountpoint_is_made_absolute);
        tcase_add_test(tcase, source_may_come_first);
        tcase_add_test(tcase, fsname_counts_more_than_the_source);
        tcase_add_test(tcase, remount_is_noted);
        tcase_add_test(tcase, bad_mountpoints_are_refused);
        tcase_add_test(tcase, no_path_is_looked_at_again);
        return unit_main(suite);
}
