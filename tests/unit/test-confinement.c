#include "keeper/confinement.h"

#include "unit.h"

#include <linux/keyctl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/*
 * What is confined is a process of the test's own, as check itself needs more. A refused call fails, or, under the
 * address sanitizer, ends the process: so it is made in yet another one.
 */

/* What CapPrm of a server is: the bits of the capabilities that the manual names. */
#define KEPT                                                                                                           \
        (bit(CAP_SYS_ADMIN) | bit(CAP_SYS_PTRACE) | bit(CAP_DAC_READ_SEARCH) | bit(CAP_DAC_OVERRIDE) |                 \
         bit(CAP_CHOWN) | bit(CAP_FOWNER) | bit(CAP_FSETID) | bit(CAP_SETFCAP) | bit(CAP_MKNOD) | bit(CAP_LEASE) |     \
         bit(CAP_SETUID) | bit(CAP_SETGID))

static uint64_t bit(int capability) {
        return UINT64_C(1) << capability;
}

static void apart(void (*body)(void)) {
        pid_t process = check_fork();
        int ended;

        if (process == 0) {
                body();
                _exit(0);
        }
        ck_assert_int_eq(waitpid(process, &ended, 0), process);
        ck_assert_msg(WIFEXITED(ended) && WEXITSTATUS(ended) == 0, "a process ended with status %#x", ended);
}

/* A number of /proc/self/status. */
static uint64_t status(const char *name, int base) {
        g_autofree char *label = g_strdup_printf("\n%s:", name), *text = NULL;
        const char *line;

        ck_assert(g_file_get_contents("/proc/self/status", &text, NULL, NULL));
        line = strstr(text, label);
        ck_assert_msg(line != NULL, "no %s", name);
        return g_ascii_strtoull(g_strchug((char *)line + strlen(label)), NULL, base);
}

static void become_keeper(Confinement **confinement) {
        g_autoptr(GError) error = NULL;

        *confinement = confinement_new(false, &error);
        ck_assert_msg(*confinement != NULL, "%s", error ? error->message : "");
        ck_assert_msg(confinement_enter_keeper(*confinement, &error), "%s", error ? error->message : "");
}

static void become_server(void) {
        g_autoptr(Confinement) confinement = NULL;
        g_autoptr(GError) error = NULL;

        become_keeper(&confinement);
        ck_assert_msg(confinement_enter_server(confinement, &error), "%s", error ? error->message : "");
}

typedef long (*Call)(void);

/* 0 if the call is allowed; the errno that it is refused with; SIGSYS if that is what it dies of. */
static int outcome(Call call) {
        pid_t process = fork();
        int ended;

        if (process == 0) {
                errno = 0;
                _exit(call() < 0 ? errno : 0);
        }
        ck_assert_int_eq(waitpid(process, &ended, 0), process);
        return WIFEXITED(ended) ? WEXITSTATUS(ended) : WTERMSIG(ended);
}

static long unshare_user(void) {
        return unshare(CLONE_NEWUSER);
}

static long unshare_mounts(void) {
        return unshare(CLONE_NEWNS);
}

static long unshare_context(void) {
        return unshare(CLONE_FS);
}

static long clone_user(void) {
        long process = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);

        if (process == 0)
                _exit(0);
        return process;
}

static long clone_unseen(void) {
        return syscall(SYS_clone3, NULL, 0);
}

static long load_module(void) {
        return syscall(SYS_init_module, NULL, 0, "");
}

static long boot_another(void) {
        return syscall(SYS_kexec_load, 0, 0, NULL, 0);
}

static long use_bpf(void) {
        return syscall(SYS_bpf, 0, NULL, 0);
}

static long use_keys(void) {
        return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1);
}

static long change_root(void) {
        return chroot("/");
}

static long trace(void) {
        return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static const struct {
        Call call;
        int code;
} never[] = {
        { unshare_user, EPERM }, { unshare_mounts, EPERM }, { clone_user, EPERM }, { clone_unseen, ENOSYS },
        { load_module, EPERM },  { boot_another, EPERM },   { use_bpf, EPERM },    { use_keys, EPERM },
        { change_root, EPERM },
};

static long run_program(void) {
        return execl("/bin/true", "true", NULL);
}

static long open_file(void) {
        return open("/proc/self/status", O_RDONLY | O_CLOEXEC);
}

static long talk_to_the_log(void) {
        return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static long talk_to_a_network(void) {
        return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long put_words_into_a_terminal(void) {
        return ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static long write_memory_to_run(void) {
        return mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static long run_written_memory(void) {
        void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return memory == MAP_FAILED ? 0 : mprotect(memory, 4096, PROT_READ | PROT_EXEC);
}

static long set_a_limit(void) {
        const struct rlimit limit = { 100, 100 };

        return setrlimit(RLIMIT_NOFILE, &limit);
}

static long mount_something(void) {
        return syscall(SYS_fsopen, "tmpfs", 0);
}

static long own_a_file(void) {
        return fcntl(STDIN_FILENO, F_SETOWN, getpid());
}

static long become_someone(void) {
        return syscall(SYS_setuid, 0);
}

static long set_up_a_ring(void) {
        return syscall(SYS_io_uring_setup, 0, NULL);
}

static void *idle(void *data) {
        return data;
}

static long start_a_thread(void) {
        pthread_t thread;
        int result = pthread_create(&thread, NULL, idle, NULL);

        if (result == 0)
                result = pthread_join(thread, NULL);
        errno = result;
        return result ? -1 : 0;
}

static void *wait_long(void *data) {
        for (;;)
                g_usleep(G_USEC_PER_SEC);
        return data;
}

/* As the server's threads are ended: the C library loads a library for that. */
static long end_a_thread(void) {
        pthread_t thread;
        int result = pthread_create(&thread, NULL, wait_long, NULL);

        if (result == 0)
                result = pthread_cancel(thread);
        if (result == 0)
                result = pthread_join(thread, NULL);
        errno = result;
        return result ? -1 : 0;
}

static const Call allowed_to_servers[] = {
        open_file, talk_to_the_log, unshare_context, start_a_thread, end_a_thread,
};

static const Call refused_to_servers[] = {
        run_program,         talk_to_a_network, put_words_into_a_terminal, write_memory_to_run, run_written_memory,
        set_a_limit,         mount_something,   own_a_file,                become_someone,      set_up_a_ring,
};

/* What is widened for the address sanitizer cannot be asked for under it. */
static bool is_for_sanitizers(Call call) {
        static const Call widened[] = { run_program, put_words_into_a_terminal, write_memory_to_run, run_written_memory,
                                        set_a_limit };

        for (size_t i = 0; i < G_N_ELEMENTS(widened); i++)
                if (widened[i] == call)
                        return true;
        return false;
}

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

static void check_never(void) {
        g_autoptr(Confinement) confinement = NULL;

        become_keeper(&confinement);
        for (size_t i = 0; i < G_N_ELEMENTS(never); i++)
                ck_assert_msg(outcome(never[i].call) == never[i].code, "%zu: %d", i, outcome(never[i].call));
        if (!SANITIZED)
                ck_assert_int_eq(outcome(trace), EPERM);
}

START_TEST(nobody_does_what_should_never_be_done) {
        apart(check_never);
}
END_TEST

static void check_keeper(void) {
        g_autoptr(Confinement) confinement = NULL;

        become_keeper(&confinement);
        ck_assert_int_eq(outcome(run_program), 0);
        for (size_t i = 0; i < G_N_ELEMENTS(allowed_to_servers); i++)
                ck_assert_msg(outcome(allowed_to_servers[i]) == 0, "%zu: %d", i, outcome(allowed_to_servers[i]));
        /* Nothing that a server of today has no use for is refused to it. */
        ck_assert_int_eq(outcome(set_a_limit), 0);
        ck_assert_int_eq(outcome(own_a_file), 0);
        ck_assert_int_ne(outcome(set_up_a_ring), ENOSYS);
}

START_TEST(the_keeper_may_start_servers_of_another_version) {
        apart(check_keeper);
}
END_TEST

static void check_needed(void) {
        become_server();
        for (size_t i = 0; i < G_N_ELEMENTS(allowed_to_servers); i++)
                ck_assert_msg(outcome(allowed_to_servers[i]) == 0, "%zu: %d", i, outcome(allowed_to_servers[i]));
}

START_TEST(a_server_may_do_what_it_needs) {
        apart(check_needed);
}
END_TEST

static void check_refused(void) {
        become_server();
        for (size_t i = 0; i < G_N_ELEMENTS(refused_to_servers); i++)
                if (!SANITIZED || !is_for_sanitizers(refused_to_servers[i]))
                        ck_assert_msg(outcome(refused_to_servers[i]) == (SANITIZED ? SIGSYS : ENOSYS), "%zu: %d", i,
                                      outcome(refused_to_servers[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(never); i++)
                ck_assert_msg(outcome(never[i].call) != 0, "%zu", i);
}

START_TEST(a_server_may_do_nothing_else) {
        apart(check_refused);
}
END_TEST

static void check_io_uring(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Confinement) confinement = confinement_new(true, &error);

        ck_assert_ptr_nonnull(confinement);
        ck_assert(confinement_enter_keeper(confinement, &error));
        ck_assert(confinement_enter_server(confinement, &error));
        /* It fails for want of entries, or as this machine has it off. */
        ck_assert_int_ne(outcome(set_up_a_ring), ENOSYS);
        ck_assert_int_ne(outcome(set_up_a_ring), SIGSYS);
}

START_TEST(io_uring_is_allowed_where_it_is_the_channel) {
        apart(check_io_uring);
}
END_TEST

static void check_filters(void) {
        g_autoptr(Confinement) confinement = NULL;
        g_autoptr(GError) error = NULL;

        become_keeper(&confinement);
        ck_assert_uint_eq(status("NoNewPrivs", 10), 1);
        ck_assert_uint_eq(status("Seccomp", 10), 2);
        ck_assert_uint_eq(status("Seccomp_filters", 10), 1);
        ck_assert(confinement_enter_server(confinement, &error));
        ck_assert_uint_eq(status("Seccomp_filters", 10), 2);
}

START_TEST(both_have_filters_and_get_no_new_rights) {
        apart(check_filters);
}
END_TEST

static void check_root(void) {
        g_autoptr(Confinement) confinement = NULL;
        g_autoptr(GError) error = NULL;
        const uint64_t had = status("CapPrm", 16);

        become_keeper(&confinement);
        ck_assert_uint_eq(status("CapPrm", 16), had & KEPT);
        ck_assert_uint_eq(status("CapBnd", 16) & ~KEPT, 0);
        ck_assert_uint_eq(status("CapEff", 16), had & (bit(CAP_SYS_ADMIN) | bit(CAP_DAC_READ_SEARCH)));
        ck_assert_uint_eq(status("CapInh", 16), 0);
        ck_assert_uint_eq(status("CapAmb", 16), 0);
        ck_assert(confinement_enter_server(confinement, &error));
        ck_assert_uint_eq(status("CapPrm", 16), had & KEPT);
        ck_assert_uint_eq(status("CapEff", 16), had & KEPT);
}

START_TEST(root_keeps_what_serving_takes) {
        apart(check_root);
}
END_TEST

static void check_notifier(void) {
        g_autoptr(Confinement) confinement = NULL;
        g_autoptr(GError) error = NULL;

        become_keeper(&confinement);
        ck_assert(confinement_enter_notifier(confinement, &error));
        ck_assert_uint_eq(status("CapPrm", 16), 0);
        ck_assert_uint_eq(status("CapEff", 16), 0);
        ck_assert_uint_eq(status("Seccomp_filters", 10), 2);
        ck_assert_int_eq(outcome(talk_to_the_log), 0);
        ck_assert_int_ne(outcome(talk_to_a_network), 0);
}

START_TEST(the_notifier_keeps_nothing) {
        apart(check_notifier);
}
END_TEST

/* What the keeper unmounts may lie where only its owner gets. */
static void check_closed_directory(void) {
        g_autofree char *directory = unit_directory(UNIT_TMPFS);
        g_autofree char *mountpoint = g_build_filename(directory, "mount", NULL);
        g_autoptr(Confinement) confinement = NULL;
        struct stat st;

        ck_assert_int_eq(mkdir(mountpoint, 0700), 0);
        ck_assert_int_eq(chmod(directory, 0700), 0);
        ck_assert_int_eq(chown(directory, UNIT_USER, UNIT_USER), 0);
        become_keeper(&confinement);
        ck_assert_msg(stat(mountpoint, &st) == 0, "%s", g_strerror(errno));
        /* But it does not write there. */
        ck_assert_int_lt(rmdir(mountpoint), 0);
        ck_assert_int_eq(errno, EACCES);
}

START_TEST(the_keeper_reaches_a_mountpoint_in_a_closed_directory) {
        apart(check_closed_directory);
}
END_TEST

static void check_user(void) {
        g_autoptr(Confinement) confinement = NULL;
        g_autoptr(GError) error = NULL;

        unit_become_user();
        become_keeper(&confinement);
        ck_assert(confinement_enter_server(confinement, &error));
        ck_assert_uint_eq(status("CapPrm", 16), 0);
        ck_assert_uint_eq(status("CapEff", 16), 0);
        ck_assert_int_eq(outcome(start_a_thread), 0);
}

START_TEST(a_user_has_nothing) {
        apart(check_user);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("confinement");
        TCase *tests = unit_case(suite, "confinement");

        tcase_add_test(tests, nobody_does_what_should_never_be_done);
        tcase_add_test(tests, the_keeper_may_start_servers_of_another_version);
        tcase_add_test(tests, a_server_may_do_what_it_needs);
        tcase_add_test(tests, a_server_may_do_nothing_else);
        tcase_add_test(tests, io_uring_is_allowed_where_it_is_the_channel);
        tcase_add_test(tests, both_have_filters_and_get_no_new_rights);
        unit_add_root_test(tests, root_keeps_what_serving_takes);
        tcase_add_test(tests, the_notifier_keeps_nothing);
        unit_add_root_test(tests, the_keeper_reaches_a_mountpoint_in_a_closed_directory);
        tcase_add_test(tests, a_user_has_nothing);
        return unit_main(suite);
}
