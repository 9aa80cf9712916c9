/*
 * Runs a program on a kernel that lacks something: system calls that are named fail, for it and all that it starts.
 *
 *     without CALL[,ARGUMENT=VALUE]:ERROR... -- PROGRAM [ARGUMENT...]
 *
 * ARGUMENT is the number of one of the call's arguments, from 0; VALUE what it has to be, of which 32 bits are
 * compared.
 */
#include <errno.h>
#include <glib.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
        const char *name;
        unsigned number;
} calls[] = {
        { "clone", SYS_clone },
        { "close_range", SYS_close_range },
        { "fanotify_init", SYS_fanotify_init },
        { "fanotify_mark", SYS_fanotify_mark },
        { "fsopen", SYS_fsopen },
        { "ioctl", SYS_ioctl },
        { "memfd_create", SYS_memfd_create },
        { "name_to_handle_at", SYS_name_to_handle_at },
        { "open_by_handle_at", SYS_open_by_handle_at },
        { "openat2", SYS_openat2 },
        { "pidfd_open", SYS_pidfd_open },
        { "unshare", SYS_unshare },
        { "write", SYS_write },
};

static const struct {
        const char *name;
        unsigned number;
} errors[] = {
        { "EINVAL", EINVAL },         { "ENOSYS", ENOSYS }, { "ENOTTY", ENOTTY },
        { "EOPNOTSUPP", EOPNOTSUPP }, { "EPERM", EPERM },
};

static G_NORETURN void complain(const char *what) {
        fprintf(stderr, "without: %s\n", what);
        exit(2);
}

static unsigned find_call(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
                if (g_str_equal(calls[i].name, name))
                        return calls[i].number;
        complain(name);
}

static unsigned find_error(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(errors); i++)
                if (g_str_equal(errors[i].name, name))
                        return errors[i].number;
        complain(name);
}

static void add(GArray *filter, struct sock_filter instruction) {
        g_array_append_val(filter, instruction);
}

#define load(offset) (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define unless(value, skip) (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skip))
#define end(action) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, (action))

/* Of an argument the half that is first on a machine that keeps the lower one there. */
static void add_rule(GArray *filter, const char *rule) {
        g_auto(GStrv) parts = g_strsplit(rule, ":", 2);
        g_auto(GStrv) words = g_strsplit(parts[0] ? parts[0] : "", ",", 2);
        unsigned call, number;
        uint32_t value;

        if (!parts[0] || !parts[1])
                complain(rule);
        call = find_call(words[0]);
        add(filter, load(offsetof(struct seccomp_data, nr)));
        if (words[1]) {
                if (sscanf(words[1], "%u=%i", &number, (int *)&value) != 2 || number > 5)
                        complain(rule);
                add(filter, unless(call, 3));
                add(filter, load(offsetof(struct seccomp_data, args) + number * sizeof(uint64_t)));
                add(filter, unless(value, 1));
        } else {
                add(filter, unless(call, 1));
        }
        add(filter, end(SECCOMP_RET_ERRNO | find_error(parts[1])));
}

int main(int argc, char **argv) {
        g_autoptr(GArray) filter = g_array_new(FALSE, FALSE, sizeof(struct sock_filter));
        struct sock_fprog program;
        int i = 1;

        for (; i < argc && !g_str_equal(argv[i], "--"); i++)
                add_rule(filter, argv[i]);
        if (i + 1 >= argc)
                complain("which program?");
        add(filter, end(SECCOMP_RET_ALLOW));
        program = (struct sock_fprog){ .len = filter->len, .filter = (struct sock_filter *)(void *)filter->data };
        /* Without privilege a filter takes that no program gives any. */
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 &&
            (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
             syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0))
                complain(g_strerror(errno));
        execvp(argv[i + 1], argv + i + 1);
        complain(g_strerror(errno));
}
