/* What is made of the names of a region that a dead server was about to end. */
#include "registry/lifetime-names.h"

#include "unit-pool.h"

static PoolSettings settings;
static Pool *pool; /* in a directory of the test's own */
static Ledger *ledger;
static Registry *registry;
static GPtrArray *told; /* of char *: names that have gone from the root, of the region */
static uint64_t region; /* id of a region with the names a and b */

static void setup(void) {
        g_auto(PoolRef) ref = POOL_REF_INIT;
        g_auto(PoolRef) root = POOL_REF_INIT;
        struct stat st;

        settings = (PoolSettings)POOL_SETTINGS_INIT;
        settings.directory = unit_directory(UNIT_TMPFS);
        pool = unit_pool(&settings);
        close(unit_create(settings.directory, "a", 100));
        ck_assert_int_eq(linkat(pool->fd, "a", pool->fd, "b", 0), 0);
        ledger = ledger_new(NULL);
        ck_assert_int_eq(pool_identify(pool, pool->fd, &root, &st), 0);
        registry = registry_new(ledger, &root, !pool->by_handle);
        ck_assert_int_eq(pool_lookup(pool, pool->fd, REGISTRY_ROOT_ID, "a", &ref, &st), 0);
        pool_name(&ref, REGISTRY_ROOT_ID, "a");
        region = registry_lookup(registry, &ref);
        registry_regions_changed(registry, 1);
        told = g_ptr_array_new_with_free_func(g_free);
}

static void teardown(void) {
        g_ptr_array_unref(told);
        registry_free(registry);
        ledger_free(ledger);
        pool_free(pool);
        pool_settings_clear(&settings);
}

static void note_gone(void *data, uint64_t parent, uint64_t id, const char *name) {
        ck_assert_ptr_eq(data, told);
        ck_assert_uint_eq(parent, REGISTRY_ROOT_ID);
        ck_assert_uint_eq(id, region);
        g_ptr_array_add(told, g_strdup(name));
}

static void take_over(void) {
        g_ptr_array_set_size(told, 0);
        lifetime_names_take_over(pool, registry, ledger);
        ck_assert_uint_eq(told->len, 0);
        lifetime_names_tell(pool, registry, ledger, note_gone, told);
}

/* As the server left it that was to remove a, and then b. */
static void begin_end(unsigned names) {
        LedgerEnd *end = ledger_end(ledger);

        *end = (LedgerEnd){ .node = region, .names = names };
        for (unsigned i = 0; i < names; i++) {
                end->removed[i].parent = REGISTRY_ROOT_ID;
                end->removed[i].name[0] = 'a' + i;
        }
        end->descriptor = ledger_note_descriptor(openat(pool->fd, "b", O_PATH | O_CLOEXEC));
}

/* The last name that is noted may be there yet. */
static const struct {
        unsigned noted, removed;
} ends[] = { { 0, 0 }, { 1, 0 }, { 1, 1 }, { 2, 1 }, { 2, 2 } };

START_TEST(names_that_have_gone_are_told) {
        unsigned removed = ends[_i].removed;
        int fd;

        begin_end(ends[_i].noted);
        fd = ledger_descriptor(ledger_end(ledger)->descriptor);
        if (removed > 0)
                ck_assert_int_eq(unlinkat(pool->fd, "a", 0), 0);
        if (removed > 1)
                ck_assert_int_eq(unlinkat(pool->fd, "b", 0), 0);
        take_over();
        ck_assert_uint_eq(told->len, removed);
        if (removed > 0)
                ck_assert_str_eq(told->pdata[0], "a");
        ck_assert_uint_eq(registry_regions(registry), removed < 2);
        ck_assert(!unit_is_open(fd));
        /* There is nothing left of it. */
        take_over();
        ck_assert_uint_eq(told->len, 0);
        ck_assert_uint_eq(registry_regions(registry), removed < 2);
}
END_TEST

START_TEST(one_that_has_ended_is_not_used_again) {
        int backing_id;

        begin_end(2);
        ck_assert_int_eq(unlinkat(pool->fd, "a", 0), 0);
        ck_assert_int_eq(unlinkat(pool->fd, "b", 0), 0);
        take_over();
        ck_assert_int_eq(registry_handle_added(registry, region, false, &backing_id), -ESTALE);
}
END_TEST

/* By whoever took the names away, or by a server that died right after it. */
START_TEST(one_that_was_counted_is_not_counted_again) {
        begin_end(2);
        ck_assert_int_eq(unlinkat(pool->fd, "a", 0), 0);
        ck_assert_int_eq(unlinkat(pool->fd, "b", 0), 0);
        ledger_end(ledger)->request.gone = 1;
        take_over();
        ck_assert_uint_eq(told->len, 2);
        ck_assert_uint_eq(registry_regions(registry), 1);
}
END_TEST

/* The kernel may have forgotten it, and the directory too, while a view was left. */
START_TEST(one_that_the_kernel_forgot_is_counted) {
        begin_end(2);
        ledger_end(ledger)->removed[1].parent = 0;
        ck_assert_int_eq(unlinkat(pool->fd, "a", 0), 0);
        registry_forget(registry, region, 1);
        take_over();
        ck_assert_uint_eq(told->len, 1);
        ck_assert_uint_eq(registry_regions(registry), 1);

        begin_end(2);
        ledger_end(ledger)->removed[0].parent = 4711;
        ledger_end(ledger)->removed[1].parent = 0;
        ck_assert_int_eq(unlinkat(pool->fd, "b", 0), 0);
        take_over();
        ck_assert_uint_eq(told->len, 0);
        ck_assert_uint_eq(registry_regions(registry), 0);
}
END_TEST

START_TEST(a_name_that_means_another_one_has_gone) {
        begin_end(1);
        ck_assert_int_eq(unlinkat(pool->fd, "a", 0), 0);
        close(unit_create(settings.directory, "a", 1));
        take_over();
        ck_assert_uint_eq(told->len, 1);
        ck_assert_uint_eq(registry_regions(registry), 1);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lifetime-names");
        TCase *tcase = unit_case(suite, "taking over");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, names_that_have_gone_are_told, 0, G_N_ELEMENTS(ends));
        tcase_add_test(tcase, one_that_has_ended_is_not_used_again);
        tcase_add_test(tcase, one_that_was_counted_is_not_counted_again);
        tcase_add_test(tcase, one_that_the_kernel_forgot_is_counted);
        tcase_add_test(tcase, a_name_that_means_another_one_has_gone);
        return unit_main(suite);
}
