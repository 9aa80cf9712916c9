/* What may follow -o: see options-values.c. */
#include "unit-options.h"

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
        static const char *const refused[] = { "watchdog=0", "watchdog=86401", "watchdog=-1", "watchdog=1s",
                                               "watchdog=1.5" };
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
        { "size=0", "from 1 to 2^63-1" },
        { "size=0k", "from 1 to 2^63-1" },
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
        { "size=8388608t", "to 2^63-1" },
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
        { "namespaces=1", "no value" },
        { "noswap=", "no value" },
        { "nodev=1", "no value" },
        { "nr_inodes=100", "nr_regions=N limits regions" },
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

int main(void) {
        Suite *suite = suite_create("options-values");
        TCase *tcase = unit_case(suite, "values");

        tcase_add_checked_fixture(tcase, given_begin, given_end);
        tcase_add_test(tcase, defaults);
        tcase_add_test(tcase, watchdog);
        tcase_add_loop_test(tcase, size, 0, G_N_ELEMENTS(sizes));
        tcase_add_loop_test(tcase, bad_values_are_refused_by_name, 0, G_N_ELEMENTS(bad));
        tcase_add_test(tcase, good_values);
        tcase_add_test(tcase, last_of_a_repeated_option_counts);
        tcase_add_test(tcase, clearing_twice_does_nothing);
        return unit_main(suite);
}
