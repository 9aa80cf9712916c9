/*
 * The pool of an ordinary user. As root, the tests become one whom no daemon has, so that they meet no pool but their
 * own; and all but one have a runtime directory of their own, so that neither do they when they run twice at once.
 */
#include "pool/pool.h"

#include "unit-pool.h"

#include <signal.h>
#include <sys/wait.h>

#define RACERS 4
#define RACES 200

static char *runtime; /* stands for the user's XDG_RUNTIME_DIR */
static char *prefix;  /* of the names of this user's pools */

static void setup(void) {
        runtime = unit_directory(UNIT_TMPFS);
        if (geteuid() == 0)
                ck_assert_int_eq(chown(runtime, UNIT_USER, UNIT_USER), 0);
        ck_assert(g_setenv("XDG_RUNTIME_DIR", runtime, TRUE));
}

static void setup_user(void) {
        setup();
        unit_become_user();
        prefix = g_strdup_printf("regionfs-%u-", (unsigned)geteuid());
}

static void teardown(void) {
        g_clear_pointer(&runtime, g_free);
        g_clear_pointer(&prefix, g_free);
}

static Pool *new_pool(void) {
        const PoolSettings settings = POOL_SETTINGS_INIT;
        Pool *pool = unit_pool(&settings);

        ck_assert_int_eq(pool->kind, POOL_PRIVATE_DIRECTORY);
        ck_assert_ptr_nonnull(pool->path);
        return pool;
}

static bool exists(const char *path) {
        return access(path, F_OK) == 0;
}

static unsigned pools(void) {
        g_autoptr(GDir) directory = g_dir_open(runtime, 0, NULL);
        const char *name;
        unsigned count = 0;

        ck_assert_ptr_nonnull(directory);
        while ((name = g_dir_read_name(directory)))
                count += g_str_has_prefix(name, prefix);
        return count;
}

/* A directory next to the pools, that is none of them. The caller owns the string. */
static char *new_precious(void) {
        char *path = g_build_filename(runtime, "precious", NULL);
        auto_descriptor fd = -1;

        ck_assert_int_eq(mkdir(path, 0755), 0);
        fd = unit_create(path, "region", 13);
        return path;
}

/* A tree whose owner has taken all rights away, from the inside out. */
static void fill(const char *path) {
        static const char *const directories[] = { "a", "a/b", "a/b/c", "empty" };

        for (size_t i = 0; i < G_N_ELEMENTS(directories); i++) {
                g_autofree char *directory = g_build_filename(path, directories[i], NULL);
                auto_descriptor fd = -1;

                ck_assert_int_eq(mkdir(directory, 0700), 0);
                if (!g_str_equal(directories[i], "empty"))
                        fd = unit_create(directory, "region", 4096);
        }
        for (size_t i = G_N_ELEMENTS(directories); i-- > 0;) {
                g_autofree char *directory = g_build_filename(path, directories[i], NULL);

                ck_assert_int_eq(chmod(directory, 0), 0);
        }
}

START_TEST(is_private) {
        unsigned before = unit_descriptors();
        Pool *pool = new_pool();
        g_autofree char *begin = g_build_filename(runtime, prefix, NULL);
        g_autofree char *path = g_strdup(pool->path);
        struct stat by_path, st;

        ck_assert(g_str_has_prefix(path, begin));
        ck_assert_int_eq(lstat(path, &by_path), 0);
        ck_assert_int_eq(fstat(pool->fd, &st), 0);
        ck_assert_uint_eq(st.st_ino, by_path.st_ino);
        ck_assert_uint_eq(st.st_dev, by_path.st_dev);
        ck_assert_uint_eq(st.st_dev, pool->device);
        ck_assert(S_ISDIR(st.st_mode));
        ck_assert_uint_eq(st.st_mode & 07777, 0700);
        ck_assert_uint_eq(st.st_uid, geteuid());
        ck_assert_uint_eq(st.st_gid, getegid());
        ck_assert_int_eq(fcntl(pool->fd, F_GETFD), FD_CLOEXEC);
        ck_assert_int_eq(pool->mount_fd, -1);

        pool_free(pool);
        ck_assert(!exists(path));
        ck_assert_uint_eq(pools(), 0);
        ck_assert_uint_eq(unit_descriptors(), before);
}
END_TEST

/* "/proc" is there, but no tmpfs; a runtime directory that is not there is not made. */
static const char *const unusable[] = { NULL, "", "/proc", "/no/such/directory" };

START_TEST(is_in_shared_memory_without_a_runtime_directory) {
        g_autofree char *begin = g_strconcat("/dev/shm/", prefix, NULL);
        g_autofree char *path = NULL;
        Pool *pool;
        struct stat st;

        if (unusable[_i])
                g_setenv("XDG_RUNTIME_DIR", unusable[_i], TRUE);
        else
                g_unsetenv("XDG_RUNTIME_DIR");
        pool = new_pool();
        path = g_strdup(pool->path);
        ck_assert_msg(g_str_has_prefix(path, begin), "the pool is %s", path);
        ck_assert_int_eq(lstat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0700);
        pool_free(pool);
        ck_assert(!exists(path));
}
END_TEST

START_TEST(is_not_where_the_user_may_not_write) {
        Pool *pool;

        ck_assert_int_eq(chmod(runtime, 0500), 0);
        pool = new_pool();
        ck_assert(g_str_has_prefix(pool->path, "/dev/shm/"));
        ck_assert(!g_str_has_prefix(pool->path, runtime));
        pool_free(pool);
        ck_assert_int_eq(chmod(runtime, 0700), 0);
}
END_TEST

START_TEST(is_removed_with_what_is_in_it) {
        Pool *pool = new_pool();
        g_autofree char *path = g_strdup(pool->path);
        g_autofree char *link = g_build_filename(path, "link", NULL);
        g_autofree char *precious = new_precious();
        g_autofree char *kept = g_build_filename(precious, "region", NULL);

        fill(path);
        /* What a link leads to is not in it. */
        ck_assert_int_eq(symlink(precious, link), 0);
        pool_free(pool);
        ck_assert(!exists(path));
        ck_assert(exists(kept));
}
END_TEST

START_TEST(is_removed_without_rights_on_itself) {
        Pool *pool = new_pool();
        g_autofree char *path = g_strdup(pool->path);

        fill(path);
        ck_assert_int_eq(fchmod(pool->fd, 0), 0);
        pool_free(pool);
        ck_assert(!exists(path));
}
END_TEST

START_TEST(takes_a_mode) {
        PoolSettings settings = POOL_SETTINGS_INIT;
        Pool *pool;
        struct stat st;

        settings.mode = 0750;
        pool = unit_pool(&settings);
        ck_assert_int_eq(fstat(pool->fd, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0750);
        pool_free(pool);
        ck_assert_uint_eq(pools(), 0);
}
END_TEST

START_TEST(takes_no_limits_and_no_owner) {
        const PoolSettings none = POOL_SETTINGS_INIT;
        PoolSettings settings = none;

        (settings = none, settings.size = 4096);
        unit_pool_refused(&settings, "option size ");
        (settings = none, settings.size_percent = 10);
        unit_pool_refused(&settings, "option size ");
        (settings = none, settings.nr_regions = 10);
        unit_pool_refused(&settings, "option nr_regions ");
        (settings = none, settings.huge = (char *)"never");
        unit_pool_refused(&settings, "option huge ");
        (settings = none, settings.mpol = (char *)"local");
        unit_pool_refused(&settings, "option mpol ");
        (settings = none, settings.noswap = true);
        unit_pool_refused(&settings, "option noswap ");
        unit_pool_refused(&settings, "without root");
        (settings = none, settings.uid = geteuid());
        unit_pool_refused(&settings, "uid");
        (settings = none, settings.gid = getegid());
        unit_pool_refused(&settings, "gid");
        ck_assert_uint_eq(pools(), 0);
}
END_TEST

/* A process of its own with a pool, until it is killed. *path is the pool's; the caller's to free. */
static pid_t hold_pool(char **path) {
        char name[4096] = "";
        int channel[2];
        ssize_t size;
        pid_t holder;

        ck_assert_int_eq(pipe2(channel, O_CLOEXEC), 0);
        holder = fork();
        ck_assert_int_ge(holder, 0);
        if (holder == 0) {
                const PoolSettings settings = POOL_SETTINGS_INIT;
                Pool *pool;

                prctl(PR_SET_PDEATHSIG, SIGKILL);
                pool = pool_new(&settings, NULL);
                if (!pool || write(channel[1], pool->path, strlen(pool->path)) < 0)
                        _exit(1);
                for (;;)
                        pause();
        }
        close(channel[1]);
        size = read(channel[0], name, sizeof(name) - 1);
        close(channel[0]);
        ck_assert_int_gt(size, 0);
        *path = g_strdup(name);
        ck_assert(exists(*path));
        return holder;
}

static void kill_holder(pid_t holder) {
        ck_assert_int_eq(kill(holder, SIGKILL), 0);
        ck_assert_int_eq(waitpid(holder, NULL, 0), holder);
}

START_TEST(abandoned_ones_are_removed_and_others_are_not) {
        g_autofree char *abandoned = NULL;
        g_autofree char *used = NULL;
        pid_t dead = hold_pool(&abandoned);
        pid_t alive = hold_pool(&used);
        Pool *pool;

        fill(abandoned);
        fill(used);
        pool = new_pool();
        ck_assert(exists(abandoned));
        ck_assert(exists(used));
        ck_assert_uint_eq(pools(), 3);
        pool_free(pool);

        kill_holder(dead);
        ck_assert(exists(abandoned));
        pool = new_pool();
        ck_assert(!exists(abandoned));
        ck_assert(exists(used));
        ck_assert_uint_eq(pools(), 2);

        kill_holder(alive);
        pool_free(pool);
        pool = new_pool();
        ck_assert(!exists(used));
        pool_free(pool);
        ck_assert_uint_eq(pools(), 0);
}
END_TEST

/* pool-directory.c: whatever a killed daemon left behind, the user's next daemon removes. */
START_TEST(abandoned_ones_without_rights_are_removed) {
        g_autofree char *abandoned = NULL;
        pid_t dead = hold_pool(&abandoned);
        Pool *pool;

        ck_assert_int_eq(chmod(abandoned, 0), 0);
        kill_holder(dead);
        pool = new_pool();
        ck_assert(!exists(abandoned));
        pool_free(pool);
}
END_TEST

START_TEST(two_of_one_process_do_not_disturb_each_other) {
        Pool *one = new_pool();
        Pool *two = new_pool();
        g_autofree char *path = g_strdup(one->path);

        ck_assert_str_ne(one->path, two->path);
        pool_free(two);
        ck_assert(exists(path));
        two = new_pool();
        ck_assert(exists(path));
        pool_free(one);
        ck_assert(!exists(path));
        ck_assert(exists(two->path));
        pool_free(two);
}
END_TEST

START_TEST(what_only_looks_like_one_is_left) {
        g_autofree char *precious = new_precious();
        g_autofree char *link = g_strconcat(runtime, "/", prefix, "link", NULL);
        g_autofree char *other_user = g_strconcat(runtime, "/regionfs-1-abcdef", NULL);
        g_autofree char *kept = g_build_filename(precious, "region", NULL);

        ck_assert_int_eq(symlink(precious, link), 0);
        ck_assert_int_eq(mkdir(other_user, 0700), 0);
        pool_free(new_pool());
        ck_assert(exists(kept));
        ck_assert(exists(link));
        ck_assert(exists(other_user));
        ck_assert_int_eq(unlink(link), 0);
}
END_TEST

/* In /dev/shm anyone may make a directory of any name. */
START_TEST(what_belongs_to_others_is_left) {
        g_autofree char *foreign = g_strdup_printf("%s/regionfs-%u-abcdef", runtime, UNIT_USER);
        g_autofree char *region = g_build_filename(foreign, "region", NULL);
        auto_descriptor fd = -1;

        ck_assert_int_eq(mkdir(foreign, 0777), 0);
        ck_assert_int_eq(chmod(foreign, 0777), 0);
        fd = unit_create(foreign, "region", 13);
        unit_become_user();
        pool_free(new_pool());
        ck_assert(exists(region));
}
END_TEST

/* Makes and frees pools: 0, or 1 if one could not be made or was taken away meanwhile. */
static int race(void) {
        for (int i = 0; i < RACES; i++) {
                const PoolSettings settings = POOL_SETTINGS_INIT;
                g_autoptr(GError) error = NULL;
                Pool *pool = pool_new(&settings, &error);
                auto_descriptor fd = -1;

                if (!pool) {
                        g_printerr("in round %d: %s\n", i, error->message);
                        return 1;
                }
                fd = openat(pool->fd, "region", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                if (fd < 0 || !exists(pool->path)) {
                        g_printerr("in round %d: the pool %s is gone\n", i, pool->path);
                        return 1;
                }
                pool_free(pool);
        }
        return 0;
}

START_TEST(daemons_that_start_at_once_do_not_disturb_each_other) {
        pid_t racers[RACERS];
        int failed = 0;

        for (int i = 0; i < RACERS; i++) {
                racers[i] = fork();
                ck_assert_int_ge(racers[i], 0);
                if (racers[i] == 0) {
                        prctl(PR_SET_PDEATHSIG, SIGKILL);
                        _exit(race());
                }
        }
        for (int i = 0; i < RACERS; i++) {
                int status;

                ck_assert_int_eq(waitpid(racers[i], &status, 0), racers[i]);
                failed += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
        }
        ck_assert_int_eq(failed, 0);
        ck_assert_uint_eq(pools(), 0);
}
END_TEST

int main(void) {
        Suite *suite;
        TCase *tcase;

        /* Root without a root's rights cannot become a user, nor have a pool. */
        if (geteuid() == 0 && !unit_is_root()) {
                printf("1..0 # SKIP needs to be an ordinary user, or root that can become one\n");
                return EXIT_SUCCESS;
        }
        suite = suite_create("pool-directory");
        tcase = unit_case(suite, "user");
        tcase_add_checked_fixture(tcase, setup_user, teardown);
        tcase_add_test(tcase, is_private);
        tcase_add_loop_test(tcase, is_in_shared_memory_without_a_runtime_directory, 0, G_N_ELEMENTS(unusable));
        tcase_add_test(tcase, is_not_where_the_user_may_not_write);
        tcase_add_test(tcase, is_removed_with_what_is_in_it);
        tcase_add_test(tcase, is_removed_without_rights_on_itself);
        tcase_add_test(tcase, takes_a_mode);
        tcase_add_test(tcase, takes_no_limits_and_no_owner);
        tcase_add_test(tcase, abandoned_ones_are_removed_and_others_are_not);
        tcase_add_test(tcase, abandoned_ones_without_rights_are_removed);
        tcase_add_test(tcase, two_of_one_process_do_not_disturb_each_other);
        tcase_add_test(tcase, what_only_looks_like_one_is_left);
        tcase_add_test(tcase, daemons_that_start_at_once_do_not_disturb_each_other);

        tcase = unit_case(suite, "root");
        tcase_add_checked_fixture(tcase, setup, teardown);
        unit_add_root_test(tcase, what_belongs_to_others_is_left);
        return unit_main(suite);
}
