#include "pool/pool-limits.h"

#include "unit-pool.h"

#include <fcntl.h>
#include <unistd.h>

#define MIB (UINT64_C(1024) * 1024)

static void check(const Pool *pool, uint64_t size, uint64_t regions) {
        uint64_t found;

        ck_assert_int_eq(pool_limits_size(pool->fd, &found), 0);
        ck_assert_uint_eq(found, size);
        ck_assert_int_eq(pool_limits_regions(pool->fd, &found), 0);
        ck_assert_uint_eq(found, regions);
}

START_TEST(limits_can_be_changed) {
        PoolSettings settings = POOL_SETTINGS_INIT;
        unsigned before = unit_descriptors();
        Pool *pool;

        settings.size = 4 * MIB;
        settings.nr_regions = 10;
        pool = unit_pool(&settings);
        check(pool, 4 * MIB, 10);
        ck_assert_int_eq(pool_limits_set_size(pool->fd, 8 * MIB - 1), 0);
        check(pool, 8 * MIB, 10);
        ck_assert_int_eq(pool_limits_set_regions(pool->fd, 2), 0);
        check(pool, 8 * MIB, 2);
        ck_assert_int_eq(pool_limits_set_regions(pool->fd, POOL_LIMITS_REGIONS_MAX), 0);
        ck_assert_int_eq(pool_limits_set_size(pool->fd, INT64_MAX), 0);
        pool_free(pool);
        ck_assert_uint_eq(unit_descriptors(), before);
}
END_TEST

START_TEST(what_is_in_use_stays_allowed) {
        PoolSettings settings = POOL_SETTINGS_INIT;
        Pool *pool;
        int fd;

        settings.size = 4 * MIB;
        settings.nr_regions = 10;
        pool = unit_pool(&settings);
        ck_assert_int_eq(mkdirat(pool->fd, "a", 0700), 0);
        fd = openat(pool->fd, "b", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(posix_fallocate(fd, 0, 2 * MIB), 0);
        ck_assert_int_eq(pool_limits_set_size(pool->fd, 2 * MIB - 4096), -EBUSY);
        ck_assert_int_eq(pool_limits_set_regions(pool->fd, 1), -EBUSY);
        check(pool, 4 * MIB, 10);
        ck_assert_int_eq(pool_limits_set_size(pool->fd, 2 * MIB), 0);
        ck_assert_int_eq(pool_limits_set_regions(pool->fd, 2), 0);
        check(pool, 2 * MIB, 2);
        ck_assert_int_eq(close(fd), 0);
        pool_free(pool);
}
END_TEST

START_TEST(what_is_no_root_has_none) {
        uint64_t limit;

        ck_assert_int_eq(pool_limits_size(-1, &limit), -EBADF);
        ck_assert_int_eq(pool_limits_regions(-1, &limit), -EBADF);
        ck_assert_int_eq(pool_limits_set_size(-1, MIB), -EBADF);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("pool-limits");
        TCase *tcase = unit_case(suite, "limits");

        /* They are those of the private tmpfs, which needs root. */
        if (unit_is_root()) {
                tcase_add_test(tcase, limits_can_be_changed);
                tcase_add_test(tcase, what_is_in_use_stays_allowed);
        }
        tcase_add_test(tcase, what_is_no_root_has_none);
        return unit_main(suite);
}
