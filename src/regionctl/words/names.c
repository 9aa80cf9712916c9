#include "regionctl/words/names.h"

#include "regionctl/words/text.h"

struct Names {
        GHashTable *users, *groups; /* number -> owned text */
};

static GHashTable *new_table(void) {
        return g_hash_table_new_full(NULL, NULL, NULL, g_free);
}

Names *names_new(void) {
        Names *names = g_new(Names, 1);

        *names = (Names){ new_table(), new_table() };
        return names;
}

void names_free(Names *names) {
        g_hash_table_unref(names->users);
        g_hash_table_unref(names->groups);
        g_free(names);
}

static const char *find(GHashTable *table, unsigned number, char *(*look_up)(unsigned number)) {
        char *text = g_hash_table_lookup(table, GUINT_TO_POINTER(number));

        if (!text) {
                text = look_up(number);
                g_hash_table_insert(table, GUINT_TO_POINTER(number), text);
        }
        return text;
}

const char *names_user(Names *names, uid_t user) {
        return find(names->users, user, text_user);
}

const char *names_group(Names *names, gid_t group) {
        return find(names->groups, group, text_group);
}
