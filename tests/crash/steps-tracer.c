#include "steps-tracer.h"

#include "ledger/crash-point.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ptrace.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE (20 * G_USEC_PER_SEC)

/* Until the threads of a server that has just been seized wait for requests again, in ms. */
#define SETTLING 2

/* Bytes of a notice to the kernel without more to it, such as that one. */
#define NOTICE_SIZE 16

typedef struct Tracer {
        pid_t server;
        GArray *threads; /* pid_t: traced */
        unsigned kill_at;
        bool counting;
        Trace *trace;
} Tracer;

typedef struct Client {
        int (*act)(void *data);
        void *data;
        int answer;
        gint done; /* atomic */
} Client;

/* The C library's header and the kernel's exclude each other. */
static long request(long what, pid_t thread, long address, void *data) {
        return syscall(SYS_ptrace, what, (long)thread, address, data);
}

/*
 * Calls that leave nothing behind but in the process itself, or nothing at all: to die before one is to die before what
 * comes next.
 */
static bool leaves_nothing(const struct ptrace_syscall_info *info) {
        switch (info->entry.nr) {
        case SYS_fcntl:
                return info->entry.args[1] == F_GETFL || info->entry.args[1] == F_GETFD;
        case SYS_futex:
        case SYS_fstat:
        case SYS_newfstatat:
        case SYS_statx:
        case SYS_fstatfs:
        case SYS_getxattr:
        case SYS_lgetxattr:
        case SYS_fgetxattr:
        case SYS_listxattr:
        case SYS_llistxattr:
        case SYS_flistxattr:
        case SYS_name_to_handle_at:
        case SYS_readlinkat:
#ifdef SYS_readlink
        case SYS_readlink:
#endif
#ifdef SYS_poll
        case SYS_poll:
#endif
        case SYS_ppoll:
        case SYS_faccessat:
        case SYS_lseek:
        case SYS_pread64:
        case SYS_umask:
        case SYS_setfsuid:
        case SYS_setfsgid:
        case SYS_setgroups:
        case SYS_getgroups:
        case SYS_setresuid:
        case SYS_setresgid:
        case SYS_capset:
        case SYS_capget:
        case SYS_prctl:
        case SYS_mmap:
        case SYS_munmap:
        case SYS_mprotect:
        case SYS_mremap:
        case SYS_madvise:
        case SYS_brk:
        case SYS_sched_yield:
        case SYS_gettid:
        case SYS_getpid:
        case SYS_clock_gettime:
        case SYS_clock_nanosleep:
        case SYS_rt_sigaction:
        case SYS_rt_sigprocmask:
        case SYS_rt_sigreturn:
        case SYS_restart_syscall:
        case SYS_set_robust_list:
        case SYS_unshare:
#ifdef SYS_rseq
        case SYS_rseq:
#endif
                return true;
        default:
                return false;
        }
}

/* Whether the server is to die here. */
static bool take_step(const Tracer *tracer, pid_t thread) {
        struct ptrace_syscall_info info;
        Trace *trace = tracer->trace;
        bool store;

        if (request(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info) < 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY ||
            !tracer->counting || leaves_nothing(&info))
                return false;
        store = info.entry.nr == SYS_close && (int)info.entry.args[0] == CRASH_POINT_DESCRIPTOR;
        trace->steps++;
        trace->stores += store;
        if (store)
                g_strlcpy(trace->step, "a store", sizeof(trace->step));
        else
                g_snprintf(trace->step, sizeof(trace->step), "system call %d", (int)info.entry.nr);
        if (g_getenv("STEPS_TRACE"))
                g_printerr("%d: %u %s\n", thread, trace->steps, trace->step);
        return trace->steps == tracer->kill_at;
}

static void forget_thread(Tracer *tracer, pid_t thread) {
        for (guint i = 0; i < tracer->threads->len; i++)
                if (g_array_index(tracer->threads, pid_t, i) == thread)
                        g_array_remove_index_fast(tracer->threads, i);
}

/* A thread has stopped: it goes on, unless the server dies. */
static void take_stop(Tracer *tracer, pid_t thread, int status) {
        int signal = WSTOPSIG(status);

        if (!WIFSTOPPED(status))
                return forget_thread(tracer, thread);
        /* Of a new thread this may be the first thing we hear. */
        forget_thread(tracer, thread);
        g_array_append_val(tracer->threads, thread);
        if (signal == (SIGTRAP | 0x80)) {
                if (take_step(tracer, thread) && !tracer->trace->killed) {
                        tracer->trace->killed = kill(tracer->server, SIGKILL) == 0;
                        return;
                }
                signal = 0;
        } else if (status >> 16) {
                signal = 0;
        }
        request(PTRACE_SYSCALL, thread, 0, (void *)(long)signal);
}

/* Whether there was something to do, within a time in ms. */
static bool watch(Tracer *tracer, unsigned within) {
        struct timespec time = { .tv_nsec = within * 1000000L };
        bool any = false;
        int status;
        sigset_t child;
        pid_t thread;

        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        for (;;) {
                while ((thread = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
                        take_stop(tracer, thread, status);
                        any = true;
                }
                if (any || sigtimedwait(&child, NULL, &time) < 0)
                        return any;
        }
}

/* Lets all go on untraced. */
static void let_go(Tracer *tracer) {
        while (tracer->threads->len > 0) {
                pid_t thread = g_array_index(tracer->threads, pid_t, 0);
                int status;

                request(PTRACE_INTERRUPT, thread, 0, NULL);
                if (waitpid(thread, &status, __WALL) == thread && WIFSTOPPED(status))
                        request(PTRACE_DETACH, thread, 0, NULL);
                forget_thread(tracer, thread);
        }
}

/* All but the first thread, which takes no requests. Whether that is allowed. */
static bool seize(Tracer *tracer) {
        g_autofree char *path = g_strdup_printf("/proc/%d/task", tracer->server);
        GDir *tasks = g_dir_open(path, 0, NULL);
        const char *name;
        bool good = tasks;

        while (good && (name = g_dir_read_name(tasks))) {
                pid_t thread = g_ascii_strtoll(name, NULL, 10);

                if (thread == tracer->server)
                        continue;
                good = request(PTRACE_SEIZE, thread, 0, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE)) == 0 &&
                       request(PTRACE_INTERRUPT, thread, 0, NULL) == 0;
                if (good)
                        g_array_append_val(tracer->threads, thread);
        }
        if (tasks)
                g_dir_close(tasks);
        return good;
}

/*
 * Whether it has threads besides its first one: dead ones, where it has been killed, which we have to wait for before
 * its parent can. One may have begun just then, and be known to nobody yet.
 */
static bool has_threads(pid_t server) {
        g_autofree char *path = g_strdup_printf("/proc/%d/task", server);
        g_autofree char *first = g_strdup_printf("%d", server);
        g_autoptr(GDir) tasks = g_dir_open(path, 0, NULL);
        const char *name = NULL;

        while (tasks && (name = g_dir_read_name(tasks)) && g_str_equal(name, first))
                ;
        return name;
}

static gpointer run_client(gpointer data) {
        Client *client = data;

        client->answer = client->act(client->data);
        g_atomic_int_set(&client->done, 1);
        return NULL;
}

int tracer_run(pid_t server, unsigned kill_at, unsigned quiet, int (*act)(void *data), void *data, Trace *trace) {
        Tracer tracer = { server, g_array_new(FALSE, FALSE, sizeof(pid_t)), kill_at, false, trace };
        Client client = { .act = act, .data = data };
        gint64 until = g_get_monotonic_time() + PATIENCE, busy;
        sigset_t child, before;
        GThread *thread;

        *trace = (Trace){ 0 };
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        pthread_sigmask(SIG_BLOCK, &child, &before);
        ck_assert_msg(seize(&tracer), "the server cannot be traced: %s", g_strerror(errno));
        while (watch(&tracer, SETTLING))
                ;
        tracer.counting = true;
        thread = g_thread_new("client", run_client, &client);
        busy = g_get_monotonic_time();
        while (tracer.threads->len > 0 || !g_atomic_int_get(&client.done) || (trace->killed && has_threads(server))) {
                gint64 now = g_get_monotonic_time();

                if (watch(&tracer, 1) || !g_atomic_int_get(&client.done))
                        busy = now;
                else if (!trace->killed && now - busy > quiet * 1000)
                        break;
                ck_assert_msg(now < until, "nothing comes of it: %s at step %u (%s)",
                              trace->killed ? "died" : "went on", trace->steps, trace->step);
        }
        let_go(&tracer);
        g_thread_join(thread);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        g_array_unref(tracer.threads);
        return client.answer;
}

/* A traced process that runs. */
static void stop(pid_t process) {
        int status;

        request(PTRACE_INTERRUPT, process, 0, NULL);
        ck_assert_int_eq(waitpid(process, &status, __WALL), process);
        ck_assert(WIFSTOPPED(status));
}

void tracer_hold(pid_t keeper) {
        ck_assert_msg(request(PTRACE_SEIZE, keeper, 0, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK)) == 0,
                      "the keeper cannot be traced: %s", g_strerror(errno));
        stop(keeper);
}

void tracer_let_go(pid_t keeper) {
        request(PTRACE_DETACH, keeper, 0, NULL);
}

/* What a stopped process is to go on with: a signal that has come for it, or none. */
static void *signal_of(int status) {
        return (void *)(long)(status >> 16 || WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status));
}

/* Whether it has asked just now: a notice is all that a server sends by write(2) before it takes requests. */
static bool has_asked_again(pid_t server) {
        struct ptrace_syscall_info info;
        static bool asks;
        bool asked = false;

        if (request(PTRACE_GET_SYSCALL_INFO, server, sizeof(info), &info) < 0)
                return false;
        if (info.op == PTRACE_SYSCALL_INFO_EXIT)
                asked = asks;
        asks = info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_write && info.entry.args[2] == NOTICE_SIZE;
        return asked;
}

void tracer_kill_next(pid_t keeper) {
        pid_t process;
        int status;

        request(PTRACE_CONT, keeper, 0, NULL);
        for (;;) {
                ck_assert_int_gt(process = waitpid(-1, &status, __WALL), 0);
                if (!WIFSTOPPED(status))
                        continue;
                if (process != keeper && has_asked_again(process))
                        break;
                request(process == keeper ? PTRACE_CONT : PTRACE_SYSCALL, process, 0, signal_of(status));
        }
        /* First, as what it starts next would be traced too. */
        stop(keeper);
        kill(process, SIGKILL);
        while (waitpid(process, &status, __WALL) == process && WIFSTOPPED(status))
                ;
}
