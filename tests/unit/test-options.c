#include "options.h"

#include "unit.h"

static char *directory; /* a mountpoint of the test's own */

static void setup(void) {
        directory = unit_directory(UNIT_TMPFS);
}

static void teardown(void) {
        g_clear_pointer(&directory, g_free);
}

/* Parses the command line of these words. */
static bool G_GNUC_NULL_TERMINATED parse(Options *options, GError **error, ...) {
        g_autoptr(GPtrArray) words = g_ptr_array_new();
        char *word;
        va_list rest;

        g_ptr_array_add(words, (gpointer) "regionfs");
        va_start(rest, error);
        while ((word = va_arg(rest, char *)))
                g_ptr_array_add(words, word);
        va_end(rest);
        g_ptr_array_add(words, NULL);
        return options_parse(options, words->len - 1, (char **)words->pdata, error);
}

/* Parses -o list with a good mountpoint, which has to go well. */
static void accept(Options *options, const char *list) {
        g_autoptr(GError) error = NULL;
        bool good = parse(options, &error, "-o", list, directory, NULL);

        ck_assert_msg(good, "%s: %s", list, error ? error->message : "no reason given");
        ck_assert_ptr_null(error);
        ck_assert_str_eq(options->mountpoint, directory);
}

static void expect_error(bool good, const Options *options, const GError *error, const char *text) {
        ck_assert_msg(!good, "accepted, where \"%s\" is expected", text);
        ck_assert_ptr_nonnull(error);
        ck_assert_msg(strstr(error->message, text), "\"%s\" is not in: %s", text, error->message);
        ck_assert_ptr_null(options->mountpoint);
        ck_assert_ptr_null(options->mount);
}

/* Parses -o list with a good mountpoint, which has to fail with both texts in one sentence. */
static void refuse(const char *list, const char *named, const char *allowed) {
        g_autoptr(GError) error = NULL;
        Options options;
        bool good = parse(&options, &error, "-o", list, directory, NULL);

        expect_error(good, &options, error, named);
        expect_error(good, &options, error, allowed);
        ck_assert_ptr_null(strchr(error->message, '\n'));
        ck_assert(!parse(&options, NULL, "-o", list, directory, NULL));
}

START_TEST(defaults) {
        g_auto(Options) options;

        ck_assert(parse(&options, NULL, directory, NULL));
        ck_assert_str_eq(options.mountpoint, directory);
        ck_assert(!options.foreground && !options.debug && !options.help && !options.version);
        ck_assert_int_eq(options.passthrough, PASSTHROUGH_AUTO);
        ck_assert(!options.io_uring && !options.unlisted);
        ck_assert_double_eq(options.attr_timeout, 1);
        ck_assert_ptr_null(options.pool.directory);
        ck_assert_uint_eq(options.watchdog, 0);
        ck_assert_uint_eq(options.pool.size, 0);
        ck_assert_uint_eq(options.pool.size_percent, 0);
        ck_assert_uint_eq(options.pool.nr_regions, 0);
        ck_assert_ptr_null(options.pool.huge);
        ck_assert_ptr_null(options.pool.mpol);
        ck_assert(!options.pool.noswap);
        ck_assert_uint_eq(options.pool.mode, (mode_t)-1);
        ck_assert_uint_eq(options.pool.uid, (uid_t)-1);
        ck_assert_uint_eq(options.pool.gid, (gid_t)-1);
        ck_assert_uint_eq(options.mount->len, 0);
}
END_TEST

START_TEST(watchdog) {
        static const char *const refused[] = { "watchdog=0", "watchdog=86401", "watchdog=-1", "watchdog=1s", "watchdog=1.5" };
        g_auto(Options) one, most;

        accept(&one, "watchdog=1");
        ck_assert_uint_eq(one.watchdog, 1);
        accept(&most, "watchdog=5,watchdog=86400");
        ck_assert_uint_eq(most.watchdog, 86400);
        for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
                refuse(refused[i], refused[i], "a whole number of seconds from 1 to 86400");
        refuse("watchdog", "watchdog", "needs a value");
}
END_TEST

static const struct {
        const char *option;
        uint64_t size;
        unsigned percent;
} sizes[] = {
        { "size=1", 1, 0 },
        { "size=65536", 65536, 0 },
        { "size=9223372036854775807", INT64_MAX, 0 },
        { "size=4k", 4096, 0 },
        { "size=4K", 4096, 0 },
        { "size=3m", 3 << 20, 0 },
        { "size=3M", 3 << 20, 0 },
        { "size=2g", 2ULL << 30, 0 },
        { "size=5t", 5ULL << 40, 0 },
        { "size=8388607t", 8388607ULL << 40, 0 },
        { "size=1%", 0, 1 },
        { "size=100%", 0, 100 },
        { "size=10%,size=1m", 1 << 20, 0 }, /* the last one counts, of whichever kind */
        { "size=1m,size=10%", 0, 10 },
};

START_TEST(size) {
        g_auto(Options) options;

        accept(&options, sizes[_i].option);
        ck_assert_uint_eq(options.pool.size, sizes[_i].size);
        ck_assert_uint_eq(options.pool.size_percent, sizes[_i].percent);
        ck_assert_uint_eq(options.mount->len, 0);
}
END_TEST

/* What is refused, and a part of what the sentence says is allowed. */
static const struct {
        const char *option, *allowed;
} bad[] = {
        { "size", "size=VALUE" },
        { "size=", "number of bytes" },
        { "size=0", "from 1 on" },
        { "size=0k", "from 1 on" },
        { "size=0%", "from 1%" },
        { "size=101%", "to 100%" },
        { "size=5%%", "percentage" },
        { "size=-1", "number of bytes" },
        { "size=+1", "number of bytes" },
        { "size= 1", "number of bytes" },
        { "size=1 ", "k, m, g or t" },
        { "size=1kb", "k, m, g or t" },
        { "size=1p", "k, m, g or t" },
        { "size=0x10", "k, m, g or t" },
        { "size=1.5g", "k, m, g or t" },
        { "size=much", "number of bytes" },
        { "size=9223372036854775808", "number of bytes" },
        { "size=18446744073709551616", "number of bytes" },
        { "size=8388608t", "number of bytes" },
        { "size=18014398509481985k", "number of bytes" },
        { "size=18446744073709551615t", "number of bytes" },
        { "nr_regions", "nr_regions=VALUE" },
        { "nr_regions=", "whole number" },
        { "nr_regions=0", "from 1 to" },
        { "nr_regions=-1", "whole number" },
        { "nr_regions=1k", "whole number" },
        { "nr_regions=99999999999999999999", "whole number" },
        { "huge", "huge=VALUE" },
        { "huge=", "within_size" },
        { "huge=yes", "never, advise, within_size or always" },
        { "huge=Always", "never, advise, within_size or always" },
        { "mpol", "mpol=VALUE" },
        { "mpol=", "interleave:NODES" },
        { "mpol=spread:0", "interleave:NODES" },
        { "mode", "mode=VALUE" },
        { "mode=", "octal" },
        { "mode=8", "octal" },
        { "mode=0788", "octal" },
        { "mode=10000", "0 to 7777" },
        { "mode=-1", "octal" },
        { "mode=u+rwx", "octal" },
        { "mode=7777777777777777777777777", "0 to 7777" },
        { "uid", "uid=VALUE" },
        { "uid=", "name of a user" },
        { "uid=no-such-user-here", "name of a user" },
        { "uid=4294967295", "0 to 4294967294" },
        { "uid=-1", "number" },
        { "uid=1x", "number" },
        { "gid", "gid=VALUE" },
        { "gid=", "name of a group" },
        { "gid=no-such-group-here", "name of a group" },
        { "gid=4294967295", "0 to 4294967294" },
        { "gid=4294967296", "0 to 4294967294" },
        { "pool", "pool=VALUE" },
        { "pool=", "existing directory" },
        { "pool=/no/such/directory", "existing directory" },
        { "pool=/proc/self/status", "existing directory" },
        { "passthrough", "passthrough=VALUE" },
        { "passthrough=", "auto, require or off" },
        { "passthrough=on", "auto, require or off" },
        { "passthrough=of", "auto, require or off" },
        { "io_uring=", "no value" },
        { "io_uring=1", "no value" },
        { "comment", "comment=VALUE" },
        { "attr_timeout", "attr_timeout=VALUE" },
        { "attr_timeout=", "0 to 86400" },
        { "attr_timeout=-1", "0 to 86400" },
        { "attr_timeout=86401", "0 to 86400" },
        { "attr_timeout=nan", "a number of seconds" },
        { "attr_timeout=1s", "a number of seconds" },
        { "fsname", "fsname=VALUE" },
        { "fsname=", "df(1)" },
        { "subtype=", "it takes regionfs" },
        { "subtype=tmpfs", "it takes regionfs" },
};

START_TEST(bad_values_are_refused_by_name) {
        g_autofree char *name = g_strndup(bad[_i].option, strcspn(bad[_i].option, "="));
        g_autofree char *named = g_strdup_printf("option %s", name);
        g_autofree char *later = g_strdup_printf("huge=always,pool=/,mpol=local,ro,%s,noswap", bad[_i].option);

        refuse(bad[_i].option, named, bad[_i].allowed);
        refuse(later, named, bad[_i].allowed);
}
END_TEST

START_TEST(good_values) {
        g_auto(Options) options;

        accept(&options, "nr_regions=1000,huge=advise,noswap,mpol=interleave:0-3,mode=1770,uid=64123,gid=4294967294,"
                         "pool=/usr/..,passthrough=require,io_uring,unlisted,attr_timeout=0.25");
        ck_assert_uint_eq(options.pool.nr_regions, 1000);
        ck_assert_str_eq(options.pool.huge, "advise");
        ck_assert(options.pool.noswap);
        ck_assert_str_eq(options.pool.mpol, "interleave:0-3");
        ck_assert_uint_eq(options.pool.mode, 01770);
        ck_assert_uint_eq(options.pool.uid, 64123);
        ck_assert_uint_eq(options.pool.gid, 4294967294);
        ck_assert_str_eq(options.pool.directory, "/");
        ck_assert_int_eq(options.passthrough, PASSTHROUGH_REQUIRE);
        ck_assert(options.io_uring);
        ck_assert(options.unlisted);
        ck_assert_double_eq(options.attr_timeout, 0.25);
        ck_assert_uint_eq(options.mount->len, 0);
}
END_TEST

START_TEST(last_of_a_repeated_option_counts) {
        g_auto(Options) options;

        accept(&options, "nr_regions=1,huge=never,mpol=local,mode=0,uid=1,gid=1,pool=/usr,passthrough=off,"
                         "nr_regions=2,huge=within_size,mpol=bind:0\\,2,mode=07777,uid=root,gid=root,pool=/,"
                         "passthrough=auto");
        ck_assert_uint_eq(options.pool.nr_regions, 2);
        ck_assert_str_eq(options.pool.huge, "within_size");
        ck_assert_str_eq(options.pool.mpol, "bind:0,2");
        ck_assert_uint_eq(options.pool.mode, 07777);
        ck_assert_uint_eq(options.pool.uid, 0);
        ck_assert_uint_eq(options.pool.gid, 0);
        ck_assert_str_eq(options.pool.directory, "/");
        ck_assert_int_eq(options.passthrough, PASSTHROUGH_AUTO);
}
END_TEST

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
        static const char list[] = "ro,noatime,max_read=4096,sizes=1,noswap=1,x";
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
                { missing, NULL, NULL, missing },
                { directory, missing, NULL, missing },
                { "", NULL, NULL, "cannot mount on" },
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

START_TEST(clearing_twice_does_nothing) {
        Options options;

        accept(&options, "huge=never,mpol=local,pool=/,ro");
        options_clear(&options);
        ck_assert_ptr_null(options.mountpoint);
        ck_assert_ptr_null(options.mount);
        ck_assert_ptr_null(options.pool.huge);
        ck_assert_ptr_null(options.pool.mpol);
        ck_assert_ptr_null(options.pool.directory);
        options_clear(&options);
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
        char *given[] = { (char *)"regionfs", (char *)"-o", (char *)"pool=not/there,max_threads=3", (char *)"nor/this", NULL };
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

        tcase = unit_case(suite, "values");
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, defaults);
        tcase_add_test(tcase, watchdog);
        tcase_add_loop_test(tcase, size, 0, G_N_ELEMENTS(sizes));
        tcase_add_loop_test(tcase, bad_values_are_refused_by_name, 0, G_N_ELEMENTS(bad));
        tcase_add_test(tcase, good_values);
        tcase_add_test(tcase, last_of_a_repeated_option_counts);
        tcase_add_test(tcase, clearing_twice_does_nothing);

        tcase = unit_case(suite, "words");
        tcase_add_checked_fixture(tcase, setup, teardown);
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
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, mountpoint_is_made_absolute);
        tcase_add_test(tcase, source_may_come_first);
        tcase_add_test(tcase, fsname_counts_more_than_the_source);
        tcase_add_test(tcase, remount_is_noted);
        tcase_add_test(tcase, bad_mountpoints_are_refused);
        tcase_add_test(tcase, no_path_is_looked_at_again);
        return unit_main(suite);
}
