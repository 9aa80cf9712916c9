#include "holder.h"

#include "fixture.h"
#include "ledger/crash-point.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* linux/ptrace.h cannot be included beside sys/ptrace.h. */
#define CALL_STOP (SIGTRAP | 0x80)
#define OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK)

/* The shortest request, and where it says what it asks for: bytes. */
#define HEADER 40
#define OPERATION 4

struct Holder {
        HolderOperation operation;
        unsigned most;
        pid_t keeper, process;
        gint attached, held, server; /* atomic: the process tells */
};

/* What is known of a thread. */
typedef struct Thread {
        bool works;      /* it is not the first one of its process */
        uint64_t buffer; /* that it reads into, or 0 */
        bool has_it;     /* it has taken a request that is to be held */
} Thread;

static G_NORETURN void give_up(const char *what) {
        fprintf(stderr, "holder: %s: %s\n", what, g_strerror(errno));
        _exit(1);
}

/* Of the process that a thread is of. */
static pid_t process_of(pid_t thread) {
        g_autofree char *path = g_strdup_printf("/proc/%d/status", thread), *status = NULL;
        const char *line;

        if (!g_file_get_contents(path, &status, NULL, NULL) || !(line = strstr(status, "\nTgid:")))
                return 0;
        return atoi(line + strlen("\nTgid:"));
}

/*
 * Calls that any code may make, for memory, locks, threads, and its line in a log: nothing is known of a thread by
 * them. Nor by a crash point, which may be under a lock that all others need.
 */
static bool is_of_its_own(uint64_t call, uint64_t argument) {
        static const uint64_t own[] = { SYS_mmap,  SYS_munmap, SYS_mremap, SYS_mprotect,       SYS_madvise, SYS_brk,
                                        SYS_futex, SYS_clone,  SYS_clone3, SYS_rt_sigprocmask, SYS_getpid,  SYS_gettid };

        for (size_t i = 0; i < G_N_ELEMENTS(own); i++)
                if (call == own[i])
                        return true;
        return call == SYS_close && (int)argument == CRASH_POINT_DESCRIPTOR;
}

/* Asks what a thread does that has stopped at a call; whether it is to stay there. */
static bool look_at_call(Holder *holder, pid_t id, Thread *thread) {
        struct __ptrace_syscall_info call;
        uint32_t operation = 0;
        struct iovec here = { &operation, sizeof(operation) }, there;

        if (ptrace(PTRACE_GET_SYSCALL_INFO, id, sizeof(call), &call) <= 0)
                return false;
        if (call.op == PTRACE_SYSCALL_INFO_ENTRY) {
                if (thread->has_it && is_of_its_own(call.entry.nr, call.entry.args[0]))
                        return false;
                if (thread->has_it && (call.entry.nr != SYS_write || call.entry.args[0] != STDERR_FILENO))
                        return true;
                thread->has_it = false;
                thread->buffer = call.entry.nr == SYS_read ? call.entry.args[1] : 0;
        } else if (call.op == PTRACE_SYSCALL_INFO_EXIT && thread->buffer && call.exit.rval >= HEADER) {
                there = (struct iovec){ (void *)(uintptr_t)(thread->buffer + OPERATION), sizeof(operation) };
                if (process_vm_readv(id, &here, 1, &there, 1, 0) == sizeof(operation) &&
                    operation == holder->operation && (unsigned)g_atomic_int_get(&holder->held) < holder->most)
                        thread->has_it = true;
        }
        return false;
}

/* Lets a thread go on that has stopped, unless it is one to be held. */
static void look_at(Holder *holder, pid_t id, Thread *thread, int status) {
        int signal = WSTOPSIG(status), event = status >> 16;
        bool stopped = event == PTRACE_EVENT_STOP && signal != SIGTRAP;

        if (signal == CALL_STOP && look_at_call(holder, id, thread)) {
                g_atomic_int_set(&holder->server, process_of(id));
                g_atomic_int_inc(&holder->held);
                return;
        }
        if (signal == CALL_STOP || event)
                signal = 0;
        /* It may have been killed. */
        ptrace(stopped ? PTRACE_LISTEN : thread->works ? PTRACE_SYSCALL : PTRACE_CONT, id, NULL, signal);
}

/* How many threads have been attached to. */
static unsigned attach_once(pid_t process) {
        g_autofree char *path = g_strdup_printf("/proc/%d/task", process);
        DIR *threads = opendir(path);
        const struct dirent *entry;
        unsigned count = 0;

        if (!threads)
                give_up(path);
        while ((entry = readdir(threads))) {
                pid_t id = atoi(entry->d_name);

                if (id <= 0)
                        continue;
                if (ptrace(PTRACE_SEIZE, id, NULL, OPTIONS) == 0) {
                        ptrace(PTRACE_INTERRUPT, id, NULL, NULL);
                        count++;
                } else if (errno != EPERM && errno != ESRCH) {
                        /* Not one that came to us as another one's child, or ended. */
                        give_up("ptrace");
                }
        }
        closedir(threads);
        return count;
}

/* Threads that are started meanwhile, by one that was not attached to yet, are found the next time. */
static unsigned attach(pid_t process) {
        unsigned count, all = 0;

        while ((count = attach_once(process)) > 0)
                all += count;
        return all;
}

static G_NORETURN void run(Holder *holder, pid_t server) {
        GHashTable *threads = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
        unsigned all, seen = 0;
        pid_t id;
        int status;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        all = attach(server) + attach(holder->keeper);
        while ((id = waitpid(-1, &status, __WALL)) > 0) {
                Thread *thread = g_hash_table_lookup(threads, GINT_TO_POINTER(id));

                if (!thread) {
                        seen++;
                        thread = g_new0(Thread, 1);
                        thread->works = process_of(id) != id;
                        g_hash_table_insert(threads, GINT_TO_POINTER(id), thread);
                }
                if (WIFSTOPPED(status))
                        look_at(holder, id, thread, status);
                else
                        g_hash_table_remove(threads, GINT_TO_POINTER(id));
                /* What one receives before it has stopped for the first time is not seen. */
                if (seen >= all)
                        g_atomic_int_set(&holder->attached, 1);
        }
        _exit(0);
}

bool holder_works(void) {
        pid_t other = fork(), tracer;
        int status;

        if (other == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                pause();
                _exit(0);
        }
        tracer = fork();
        if (tracer == 0)
                _exit(ptrace(PTRACE_SEIZE, other, NULL, OPTIONS) == 0 ? 0 : 1);
        while (waitpid(tracer, &status, 0) < 0 && errno == EINTR)
                ;
        kill(other, SIGKILL);
        while (waitpid(other, NULL, 0) < 0 && errno == EINTR)
                ;
        return status == 0;
}

Holder *holder_new(HolderOperation operation, unsigned most) {
        Holder *holder = mmap(NULL, sizeof(Holder), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        pid_t server = fixture_server(), process;

        ck_assert_ptr_ne(holder, MAP_FAILED);
        holder->operation = operation;
        holder->most = most;
        holder->keeper = fixture_daemon();
        process = fork();
        if (process == 0)
                run(holder, server);
        holder->process = process;
        eventually(g_atomic_int_get(&holder->attached) || waitpid(holder->process, NULL, WNOHANG) != 0);
        ck_assert_msg(g_atomic_int_get(&holder->attached), "the server cannot be traced");
        return holder;
}

void holder_free(Holder *holder) {
        must(kill(holder->process, SIGKILL));
        must(waitpid(holder->process, NULL, 0));
        munmap(holder, sizeof(*holder));
}

unsigned holder_held(const Holder *holder) {
        return g_atomic_int_get(&holder->held);
}

pid_t holder_wait(const Holder *holder, unsigned held) {
        eventually(holder_held(holder) >= held);
        return g_atomic_int_get(&holder->server);
}
