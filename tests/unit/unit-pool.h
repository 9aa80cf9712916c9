#pragma once

/* What the tests of pools share. */

#include "pool/pool.h"
#include "unit.h"

/* A pool of these settings; freed with pool_free(). */
static inline Pool *unit_pool(const PoolSettings *settings) {
        g_autoptr(GError) error = NULL;
        Pool *pool = pool_new(settings, &error);

        ck_assert_msg(pool != NULL, "%s", error ? error->message : "no reason given");
        ck_assert_ptr_null(error);
        return pool;
}

/* The settings have to be refused by one sentence that has the text in it. */
static inline void unit_pool_refused(const PoolSettings *settings, const char *text) {
        unsigned before = unit_descriptors();
        g_autoptr(GError) error = NULL;
        Pool *pool = pool_new(settings, &error);

        ck_assert_msg(!pool, "taken, where \"%s\" is expected", text);
        ck_assert_ptr_nonnull(error);
        ck_assert_msg(strstr(error->message, text), "\"%s\" is not in: %s", text, error->message);
        ck_assert_ptr_null(strchr(error->message, '\n'));
        ck_assert_uint_eq(unit_descriptors(), before);
        ck_assert_ptr_null(pool_new(settings, NULL));
}
