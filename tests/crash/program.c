#include "program.h"

#include "crash.h"

static char *program;

/* The one that was built, which is copied. */
static char *built;

const char *program_path(void) {
        return program;
}

void program_forget_log(void) {
        must(truncate(fixture_log_path(), 0));
}

static ino_t inode_of(const char *path) {
        struct stat st;

        must(stat(path, &st));
        return st.st_ino;
}

ino_t program_image_of(pid_t process) {
        g_autofree char *path = g_strdup_printf("/proc/%d/exe", process);

        return inode_of(path);
}

ino_t program_image(void) {
        return inode_of(program);
}

void program_upgrade(void) {
        int before = restarts();

        must(kill(fixture_daemon(), SIGHUP));
        for (int i = 0; i < 2000 && restarts() == before; i++)
                g_usleep(5000);
        if (restarts() != before + 1)
                ck_abort_msg("%d restarts after %d: %s", restarts(), before, fixture_log());
}

void program_put(const char *from) {
        ck_assert_int_eq(run_command(NULL, "cp '%s' '%s.new' && chmod 755 '%s.new' && mv '%s.new' '%s'", from, program,
                                     program, program, program),
                         0);
}

void program_put_original(void) {
        g_autofree char *original = g_strconcat(program, ".original", NULL);

        program_put(original);
}

void program_put_script(const char *text) {
        g_autofree char *path = g_strconcat(program, ".script", NULL);
        g_autofree char *whole = g_strdup_printf("#!/bin/sh\noriginal='%s.original'\n%s\n", program, text);

        must_write(path, whole);
        must(chmod(path, 0755));
        must(rename(path, program));
}

void program_begin(void) {
        g_autofree char *original = NULL;
        g_autofree char *directory = g_dir_make_tmp("regionfs-upgrade-XXXXXX", NULL);

        program = g_build_filename(directory, "regionfs", NULL);
        original = g_strconcat(program, ".original", NULL);
        if (!built)
                built = g_strdup(fixture_program());
        program_put(built);
        must(link(program, original));
        fixture_use_program(program);
}

void program_begin_mounted(void) {
        program_begin();
        fixture_mount(NULL);
}

void program_end(void) {
        g_autofree char *directory = g_path_get_dirname(program);

        ck_assert_int_eq(run_command(NULL, "rm -r '%s'", directory), 0);
        g_clear_pointer(&program, g_free);
}

void program_end_mounted(void) {
        fixture_unmount();
        program_end();
}
