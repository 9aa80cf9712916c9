#include "options/options.h"

static bool are_same(const GPtrArray *one, const GPtrArray *other) {
        for (guint i = 0; i < MAX(one->len, other->len); i++)
                if (i >= MIN(one->len, other->len) ||
                    !g_str_equal(g_ptr_array_index(one, i), g_ptr_array_index(other, i)))
                        return false;
        return true;
}

char *options_find_differences(const Options *made, const Options *now) {
        const PoolSettings *one = &made->pool, *other = &now->pool;
        const struct {
                const char *name;
                bool differs;
        } settled[] = {
                { "pool", g_strcmp0(one->directory, other->directory) != 0 },
                { "size", one->size != other->size || one->size_percent != other->size_percent },
                { "nr_regions", one->nr_regions != other->nr_regions },
                { "huge", g_strcmp0(one->huge, other->huge) != 0 },
                { "noswap", one->noswap != other->noswap },
                { "mpol", g_strcmp0(one->mpol, other->mpol) != 0 },
                { "mode", one->mode != other->mode },
                { "uid", one->uid != other->uid },
                { "gid", one->gid != other->gid },
                { "passthrough", made->passthrough != now->passthrough },
                { "lifetime", made->lifetime != now->lifetime },
                { "allocation", made->allocation != now->allocation },
                { "namespaces", made->namespaces != now->namespaces },
                { "io_uring", made->io_uring != now->io_uring },
                { "allow_root", made->allow_root != now->allow_root },
                { "those of mount(8)", !are_same(made->mount, now->mount) },
        };
        GString *names = g_string_new(NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(settled); i++)
                if (settled[i].differs)
                        g_string_append_printf(names, "%s%s", names->len ? ", " : "", settled[i].name);
        return g_string_free(names, names->len == 0);
}
