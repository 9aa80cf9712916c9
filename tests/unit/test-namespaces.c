#include "operations/namespaces.h"

#include "pool/region.h"
#include "unit-pool.h"

#include <gio/gio.h>

#define RACERS 8
#define RACES 100

static const RegionPolicy rules = { REGION_HANDLES, REGION_COMMITTED, false }; /* of the pool's root, if set */

static PoolSettings settings;
static Pool *pool; /* in a directory of the test's own */
static Credentials *credentials;

static void begin(void) {
        pool = unit_pool(&settings);
        credentials = credentials_new();
        ck_assert_int_eq(credentials_prepare_thread(), 0);
}

static void setup(void) {
        settings = (PoolSettings)POOL_SETTINGS_INIT;
        settings.directory = unit_directory(UNIT_TEMPORARY);
        begin();
}

static void setup_user(void) {
        settings = (PoolSettings)POOL_SETTINGS_INIT;
        settings.directory = unit_directory(UNIT_TEMPORARY);
        if (geteuid() == 0)
                ck_assert_int_eq(chown(settings.directory, UNIT_USER, UNIT_USER), 0);
        unit_become_user();
        begin();
}

static void teardown(void) {
        credentials_free(credentials);
        pool_free(pool);
        pool_settings_clear(&settings);
}

static Namespaces *new_namespaces(void) {
        g_autoptr(GError) error = NULL;
        Namespaces *namespaces = namespaces_new(pool, &error);

        ck_assert_msg(namespaces != NULL, "%s", error ? error->message : "no reason given");
        return namespaces;
}

static struct stat look_at(const char *name) {
        struct stat st;

        ck_assert_msg(fstatat(pool->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0, "%s: %s", name, g_strerror(errno));
        return st;
}

static void expect(const char *name, uid_t uid, gid_t gid, mode_t mode) {
        struct stat st = look_at(name);

        ck_assert_uint_eq(st.st_mode, mode);
        ck_assert_uint_eq(st.st_uid, uid);
        ck_assert_uint_eq(st.st_gid, gid);
}

static void expect_rules(const char *name, const RegionPolicy *wanted) {
        auto_descriptor fd = openat(pool->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        RegionPolicy policy;

        ck_assert_int_eq(region_read_policy(fd, &policy), 0);
        ck_assert_int_eq(policy.lifetime, wanted->lifetime);
        ck_assert_int_eq(policy.allocation, wanted->allocation);
}

static void expect_made(void) {
        char text[64];
        ssize_t size = readlinkat(pool->fd, "Local", text, sizeof(text));

        expect("Global", geteuid(), getegid(), S_IFDIR | 01777);
        expect("Sessions", geteuid(), getegid(), S_IFDIR | 0711);
        ck_assert(S_ISLNK(look_at("Local").st_mode));
        ck_assert_int_eq(size, (ssize_t)strlen("Sessions"));
        ck_assert_mem_eq(text, "Sessions", size);
}

static unsigned count_names(const char *path) {
        g_autofree char *whole = g_build_filename(settings.directory, path, NULL);
        g_autoptr(GDir) directory = g_dir_open(whole, 0, NULL);
        unsigned count = 0;

        ck_assert_ptr_nonnull(directory);
        while (g_dir_read_name(directory))
                count++;
        return count;
}

static const mode_t masks[] = { 0, 022, 077, 0777 };

START_TEST(they_are_made_whatever_the_umask) {
        g_autoptr(Namespaces) namespaces = NULL;

        umask(masks[_i]);
        namespaces = new_namespaces();
        expect_made();
        ck_assert_uint_eq(count_names("."), 3);
        ck_assert_uint_eq(count_names("Sessions"), 0);
        expect_rules("Global", &(RegionPolicy){ 0 });
}
END_TEST

START_TEST(rules_are_the_roots) {
        g_autoptr(Namespaces) namespaces = NULL;

        ck_assert_int_eq(region_write_policy(pool->fd, &rules), 0);
        namespaces = new_namespaces();
        expect_made();
        expect_rules("Global", &rules);
        expect_rules("Sessions", &rules);
}
END_TEST

START_TEST(what_is_there_is_left) {
        g_autoptr(Namespaces) first = new_namespaces(), second = NULL;
        ino_t global = look_at("Global").st_ino, local = look_at("Local").st_ino, sessions = look_at("Sessions").st_ino;

        ck_assert_int_eq(mkdirat(pool->fd, "Global/something", 0755), 0);
        ck_assert_int_eq(fchmodat(pool->fd, "Global", 0755, 0), 0);
        ck_assert_int_eq(region_write_policy(pool->fd, &rules), 0);
        second = new_namespaces();
        ck_assert_uint_eq(look_at("Global").st_ino, global);
        ck_assert_uint_eq(look_at("Local").st_ino, local);
        ck_assert_uint_eq(look_at("Sessions").st_ino, sessions);
        expect("Global", geteuid(), getegid(), S_IFDIR | 0755);
        look_at("Global/something");
        expect_rules("Global", &(RegionPolicy){ 0 });
        ck_assert(namespaces_is_local(first, local));
        ck_assert(namespaces_is_local(second, local));
        ck_assert(namespaces_is_sessions(second, sessions));
}
END_TEST

START_TEST(what_is_missing_is_made) {
        static const char *const names[] = { "Global", "Sessions", "Local" };

        namespaces_free(new_namespaces());
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                ck_assert_int_eq(unlinkat(pool->fd, names[i], i < 2 ? AT_REMOVEDIR : 0), 0);
                namespaces_free(new_namespaces());
                expect_made();
        }
}
END_TEST

START_TEST(inodes_are_told_apart) {
        g_autoptr(Namespaces) namespaces = new_namespaces();
        ino_t global = look_at("Global").st_ino, local = look_at("Local").st_ino, sessions = look_at("Sessions").st_ino;

        ck_assert(namespaces_is_local(namespaces, local));
        ck_assert(!namespaces_is_local(namespaces, sessions));
        ck_assert(!namespaces_is_local(namespaces, global));
        ck_assert(namespaces_is_sessions(namespaces, sessions));
        ck_assert(!namespaces_is_sessions(namespaces, local));
        ck_assert(!namespaces_is_sessions(namespaces, global));
        ck_assert(!namespaces_is_local(NULL, local));
        ck_assert(!namespaces_is_sessions(NULL, sessions));
}
END_TEST

static void make_kind(const char *name, mode_t kind) {
        if (S_ISDIR(kind))
                ck_assert_int_eq(mkdirat(pool->fd, name, 0755), 0);
        else if (S_ISLNK(kind))
                ck_assert_int_eq(symlinkat(".", pool->fd, name), 0);
        else
                ck_assert_int_eq(mknodat(pool->fd, name, kind | 0644, 0), 0);
}

static const struct {
        const char *name;
        mode_t kind;
} others[] = {
        { "Global", S_IFREG },  { "Global", S_IFLNK },  { "Global", S_IFIFO },   { "Sessions", S_IFREG },
        { "Sessions", S_IFLNK }, { "Local", S_IFREG }, { "Local", S_IFDIR },
};

static void expect_refused(const char *name, const char *why, int code) {
        g_autofree char *sentence = g_strdup_printf("option namespaces: cannot make %s in the pool: %s", name, why);
        unsigned before = unit_descriptors();
        g_autoptr(GError) error = NULL;

        ck_assert_ptr_null(namespaces_new(pool, &error));
        ck_assert_ptr_nonnull(error);
        ck_assert_str_eq(error->message, sentence);
        ck_assert(g_error_matches(error, G_IO_ERROR, code));
        ck_assert_ptr_null(namespaces_new(pool, NULL));
        ck_assert_uint_eq(unit_descriptors(), before);
}

START_TEST(something_else_is_refused) {
        ino_t inode;

        make_kind(others[_i].name, others[_i].kind);
        inode = look_at(others[_i].name).st_ino;
        expect_refused(others[_i].name, "something else, or of another owner, has that name", G_IO_ERROR_EXISTS);
        ck_assert_uint_eq(look_at(others[_i].name).st_ino, inode);
}
END_TEST

START_TEST(pools_that_the_user_may_not_write_to_are_refused) {
        ck_assert_int_eq(fchmod(pool->fd, 0555), 0);
        expect_refused("Global", "Permission denied", G_IO_ERROR_PERMISSION_DENIED);
}
END_TEST

/* Who may ask root's daemon. */
static const struct {
        uid_t uid;
        gid_t gid;
        const char *link;
} clients[] = {
        { 0, 0, "Sessions/0" },
        { 64123, 64124, "Sessions/64123" },
        { 64124, 0, "Sessions/64124" },
        { 4294967294, 4294967293, "Sessions/4294967294" },
};

START_TEST(everyone_is_led_to_a_directory_of_his_own) {
        g_autoptr(Namespaces) namespaces = NULL;
        char link[NAMESPACES_LINK_MAX];

        ck_assert_int_eq(region_write_policy(pool->fd, &rules), 0);
        namespaces = new_namespaces();
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++) {
                umask(masks[i]);
                ck_assert_int_eq(namespaces_lead(namespaces, credentials, clients[i].uid, clients[i].gid, link), 0);
                ck_assert_str_eq(link, clients[i].link);
                expect(link, clients[i].uid, clients[i].gid, S_IFDIR | 0700);
                expect_rules(link, &rules);
        }
        ck_assert_uint_eq(count_names("Sessions"), G_N_ELEMENTS(clients));
}
END_TEST

START_TEST(a_user_is_led_to_one_too) {
        g_autofree char *wanted = g_strdup_printf("Sessions/%u", geteuid());
        g_autoptr(Namespaces) namespaces = NULL;
        char link[NAMESPACES_LINK_MAX];

        ck_assert_int_eq(region_write_policy(pool->fd, &rules), 0);
        namespaces = new_namespaces();
        umask(masks[_i]);
        ck_assert_int_eq(namespaces_lead(namespaces, credentials, geteuid(), getegid(), link), 0);
        ck_assert_str_eq(link, wanted);
        expect(link, geteuid(), getegid(), S_IFDIR | 0700);
        expect_rules(link, &rules);
}
END_TEST

START_TEST(the_directory_is_made_once) {
        g_autoptr(Namespaces) namespaces = new_namespaces();
        char link[NAMESPACES_LINK_MAX];
        ino_t inode;

        ck_assert_int_eq(namespaces_lead(namespaces, credentials, geteuid(), getegid(), link), 0);
        inode = look_at(link).st_ino;
        ck_assert_int_eq(fchmodat(pool->fd, link, 0750, 0), 0);
        ck_assert_int_eq(namespaces_lead(namespaces, credentials, geteuid(), getegid(), link), 0);
        ck_assert_uint_eq(look_at(link).st_ino, inode);
        expect(link, geteuid(), getegid(), S_IFDIR | 0750);
        /* One that was removed is made again. */
        ck_assert_int_eq(unlinkat(pool->fd, link, AT_REMOVEDIR), 0);
        ck_assert_int_eq(namespaces_lead(namespaces, credentials, geteuid(), getegid(), link), 0);
        expect(link, geteuid(), getegid(), S_IFDIR | 0700);
}
END_TEST

START_TEST(errors_of_making_it_are_passed_on) {
        g_autoptr(Namespaces) namespaces = new_namespaces();
        char link[NAMESPACES_LINK_MAX];

        ck_assert_int_eq(unlinkat(pool->fd, "Sessions", AT_REMOVEDIR), 0);
        ck_assert_int_eq(namespaces_lead(namespaces, credentials, geteuid(), getegid(), link), -ENOENT);
}
END_TEST

/* Several threads that the same users' requests have come to. */
typedef struct Race {
        const Namespaces *namespaces;
        gint waiting; /* for the round to begin; atomic */
} Race;

/* All begin a round together. How many times it went wrong. */
static gpointer race(gpointer data) {
        Race *shared = data;
        guint wrong = credentials_prepare_thread() != 0;

        for (unsigned round = 0; round < RACES; round++) {
                uid_t uid = geteuid() == 0 ? 1000 + round : geteuid();
                g_autofree char *wanted = g_strdup_printf("Sessions/%u", uid);
                char link[NAMESPACES_LINK_MAX];
                struct stat st;

                g_atomic_int_inc(&shared->waiting);
                while (g_atomic_int_get(&shared->waiting) < (gint)((round + 1) * RACERS))
                        g_thread_yield();
                wrong += namespaces_lead(shared->namespaces, credentials, uid, getegid(), link) != 0 ||
                         !g_str_equal(link, wanted) || fstatat(pool->fd, link, &st, 0) < 0 || st.st_uid != uid ||
                         st.st_mode != (S_IFDIR | 0700);
        }
        return GUINT_TO_POINTER(wrong);
}

START_TEST(requests_may_come_at_once) {
        g_autoptr(Namespaces) namespaces = NULL;
        Race shared = { .waiting = 0 };
        GThread *threads[RACERS];
        guint wrong = 0;

        ck_assert_int_eq(region_write_policy(pool->fd, &rules), 0);
        shared.namespaces = namespaces = new_namespaces();
        for (int i = 0; i < RACERS; i++)
                threads[i] = g_thread_new("race", race, &shared);
        for (int i = 0; i < RACERS; i++)
                wrong += GPOINTER_TO_UINT(g_thread_join(threads[i]));
        ck_assert_uint_eq(wrong, 0);
        ck_assert_uint_eq(count_names("Sessions"), geteuid() == 0 ? RACES : 1);
        for (uid_t uid = 1000; uid < 1000 + RACES && geteuid() == 0; uid++) {
                g_autofree char *name = g_strdup_printf("Sessions/%u", uid);

                expect_rules(name, &rules);
        }
}
END_TEST

int main(void) {
        Suite *suite;
        TCase *tcase;

        if (!unit_keeps_attributes()) {
                printf("1..0 # SKIP the file system of temporary files keeps no user attributes\n");
                return EXIT_SUCCESS;
        }
        suite = suite_create("namespaces");
        tcase = unit_case(suite, "root");
        tcase_add_checked_fixture(tcase, setup, teardown);
        unit_add_root_test(tcase, rules_are_the_roots);
        unit_add_root_test(tcase, what_is_there_is_left);
        unit_add_root_test(tcase, everyone_is_led_to_a_directory_of_his_own);
        unit_add_root_test(tcase, requests_may_come_at_once);

        tcase = unit_case(suite, "user");
        tcase_add_checked_fixture(tcase, setup_user, teardown);
        tcase_add_loop_test(tcase, they_are_made_whatever_the_umask, 0, G_N_ELEMENTS(masks));
        tcase_add_test(tcase, rules_are_the_roots);
        tcase_add_test(tcase, what_is_there_is_left);
        tcase_add_test(tcase, what_is_missing_is_made);
        tcase_add_test(tcase, inodes_are_told_apart);
        tcase_add_loop_test(tcase, something_else_is_refused, 0, G_N_ELEMENTS(others));
        tcase_add_test(tcase, pools_that_the_user_may_not_write_to_are_refused);
        tcase_add_loop_test(tcase, a_user_is_led_to_one_too, 0, G_N_ELEMENTS(masks));
        tcase_add_test(tcase, the_directory_is_made_once);
        tcase_add_test(tcase, errors_of_making_it_are_passed_on);
        tcase_add_test(tcase, requests_may_come_at_once);
        return unit_main(suite);
}
