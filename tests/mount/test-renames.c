/* Many processes that rename at once: every region has one name, and every name one region. */
#include "fixture.h"

#include <dirent.h>
#include <stdlib.h>

#define REGIONS 60
#define PROCESSES 4
#define ROUNDS 1500

static const char *const directories[] = { "x", "y", "x/z" };

/* Which of the names of slot, in one of the directories. Each slot is in one of them at a time, whatever is there. */
static char *path_of(GRand *random, int slot) {
        return g_strdup_printf("%s/%s/%d", fixture_mountpoint(), directories[g_rand_int_range(random, 0, 3)], slot);
}

static void must_move(const char *from, const char *to, unsigned flags) {
        if (renameat2(AT_FDCWD, from, AT_FDCWD, to, flags) < 0 && errno != ENOENT && errno != EEXIST)
                ck_abort_msg("renaming %s to %s: %s", from, to, g_strerror(errno));
}

/* Exchanges any two, or moves one to where nothing is. None of that loses one. */
static void storm(void *data) {
        g_autoptr(GRand) random = g_rand_new_with_seed(GPOINTER_TO_UINT(data));

        for (int i = 0; i < ROUNDS; i++) {
                g_autofree char *from = path_of(random, g_rand_int_range(random, 0, REGIONS));
                g_autofree char *to = path_of(random, g_rand_int_range(random, 0, REGIONS));

                must_move(from, to, g_rand_boolean(random) ? RENAME_EXCHANGE : RENAME_NOREPLACE);
        }
}

START_TEST(a_storm_loses_and_doubles_nothing) {
        pid_t processes[PROCESSES];
        bool seen[REGIONS] = { false };
        int found = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(directories); i++)
                must(mkdir(in_mount(directories[i]), 0755));
        for (int i = 0; i < REGIONS; i++) {
                g_autofree char *name = g_strdup_printf("x/%d", i);

                must_write(in_mount(name), name + 2);
        }
        for (int i = 0; i < PROCESSES; i++)
                processes[i] = start_process(storm, GINT_TO_POINTER(i + 1));
        for (int i = 0; i < PROCESSES; i++)
                end_process(processes[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(directories); i++) {
                DIR *stream = opendir(in_mount(directories[i]));
                struct dirent *entry;

                ck_assert_ptr_nonnull(stream);
                while ((entry = readdir(stream))) {
                        g_autofree char *path = g_build_filename(in_mount(directories[i]), entry->d_name, NULL);
                        g_autofree char *text = NULL;

                        if (entry->d_type != DT_REG)
                                continue;
                        ck_assert(g_file_get_contents(path, &text, NULL, NULL));
                        ck_assert_int_lt(atoi(text), REGIONS);
                        ck_assert_msg(!seen[atoi(text)], "%s is there twice", text);
                        seen[atoi(text)] = true;
                        found++;
                }
                closedir(stream);
        }
        ck_assert_int_eq(found, REGIONS);
}
END_TEST

static void replace(void *data) {
        for (int i = 0; i < ROUNDS; i++) {
                g_autofree char *name = g_strdup_printf("new-%d", GPOINTER_TO_INT(data));
                g_autofree char *text = g_strdup_printf("%d of %d", i, GPOINTER_TO_INT(data));

                must_write(in_mount(name), text);
                must(rename(in_mount(name), in_mount("a")));
        }
}

static void look(void *data) {
        for (int i = 0; i < ROUNDS; i++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *text = NULL;
                int number, of, length = 0;

                ck_assert_msg(g_file_get_contents(in_mount("a"), &text, NULL, &error), "round %d: %s", i,
                              error ? error->message : "");
                ck_assert_msg(sscanf(text, "%d of %d%n", &number, &of, &length) == 2, "round %d: %s", i, text);
                ck_assert_int_eq(length, strlen(text));
        }
}

START_TEST(a_replaced_name_is_always_there) {
        pid_t processes[PROCESSES];

        must_write(in_mount("a"), "0 of 0");
        for (int i = 0; i < PROCESSES; i++)
                processes[i] = start_process(i % 2 ? look : replace, GINT_TO_POINTER(i));
        for (int i = 0; i < PROCESSES; i++)
                end_process(processes[i]);
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "renames");

        tcase_add_test(tests, a_storm_loses_and_doubles_nothing);
        tcase_add_test(tests, a_replaced_name_is_always_there);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "renames", add);
}
