#include "keeper/confinement-calls.h"

#include "base/descriptor.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/ioctl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

/* Which argument of clone(2) has the flags. */
#ifdef __s390__
#define CLONE_FLAGS 1
#else
#define CLONE_FLAGS 0
#endif

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080 /* as of Linux 5.6; not for clone(2), which has a signal there */
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

static const int namespaces[] = {
        CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET,
};
#define ANY_NAMESPACE                                                                                                  \
        (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

/* What no version of this program should ever do. */
static const int never[] = {
        /* the kernel itself */
        SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(init_module), SCMP_SYS(finit_module),
        SCMP_SYS(delete_module), SCMP_SYS(bpf), SCMP_SYS(reboot), SCMP_SYS(syslog), SCMP_SYS(lookup_dcookie),
        SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(nfsservctl), SCMP_SYS(_sysctl), SCMP_SYS(sysfs),
        SCMP_SYS(uselib), SCMP_SYS(ustat),
        /* the machine */
        SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(acct), SCMP_SYS(quotactl), SCMP_SYS(quotactl_fd),
        SCMP_SYS(settimeofday), SCMP_SYS(stime), SCMP_SYS(clock_settime), SCMP_SYS(clock_settime64),
        SCMP_SYS(clock_adjtime), SCMP_SYS(clock_adjtime64), SCMP_SYS(adjtimex), SCMP_SYS(sethostname),
        SCMP_SYS(setdomainname), SCMP_SYS(vhangup), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(modify_ldt), SCMP_SYS(vm86),
        SCMP_SYS(vm86old),
        /* other processes, and keys */
        SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(process_madvise), SCMP_SYS(pidfd_getfd),
        SCMP_SYS(kcmp), SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl),
        /* another root, other namespaces; see also below */
        SCMP_SYS(setns), SCMP_SYS(chroot), SCMP_SYS(pivot_root),
};

/* The same, but the leak sanitizer stops the process that it looks at. */
static const int never_but_for_sanitizers[] = { SCMP_SYS(ptrace), SCMP_SYS(personality) };

/* What a server needs, whatever the arguments. */
static const int needed[] = {
        /* requests, and the contents of regions */
        SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pwrite64),
        SCMP_SYS(lseek), SCMP_SYS(fallocate), SCMP_SYS(ftruncate), SCMP_SYS(copy_file_range), SCMP_SYS(fsync),
        SCMP_SYS(fdatasync), SCMP_SYS(syncfs),
        /* descriptors */
        SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at),
        SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(poll),
        SCMP_SYS(ppoll), SCMP_SYS(eventfd2), SCMP_SYS(signalfd4), SCMP_SYS(memfd_create), SCMP_SYS(flock),
        SCMP_SYS(fadvise64), SCMP_SYS(pipe2),
        /* names */
        SCMP_SYS(mknod), SCMP_SYS(mknodat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(symlink), SCMP_SYS(symlinkat),
        SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rmdir), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2),
        SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getdents64), SCMP_SYS(getcwd), SCMP_SYS(chdir),
        SCMP_SYS(fchdir), SCMP_SYS(umask), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
        /* attributes */
        SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs),
        SCMP_SYS(fstatfs), SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(chown), SCMP_SYS(fchown),
        SCMP_SYS(lchown), SCMP_SYS(fchownat), SCMP_SYS(utimensat), SCMP_SYS(getxattr), SCMP_SYS(lgetxattr),
        SCMP_SYS(fgetxattr), SCMP_SYS(setxattr), SCMP_SYS(lsetxattr), SCMP_SYS(fsetxattr), SCMP_SYS(listxattr),
        SCMP_SYS(llistxattr), SCMP_SYS(flistxattr), SCMP_SYS(removexattr), SCMP_SYS(lremovexattr),
        SCMP_SYS(fremovexattr),
        /* acting as the client */
        SCMP_SYS(setfsuid), SCMP_SYS(setfsgid), SCMP_SYS(setgroups), SCMP_SYS(getgroups), SCMP_SYS(capget),
        SCMP_SYS(capset), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getresuid),
        SCMP_SYS(getresgid),
        /* regions' ends, and the mount's; what can be changed of it and of the pool */
        SCMP_SYS(fanotify_init), SCMP_SYS(fanotify_mark), SCMP_SYS(umount2), SCMP_SYS(mount_setattr), SCMP_SYS(fspick),
        /* the visitor, and the keeper */
        SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(wait4), SCMP_SYS(waitid), SCMP_SYS(pidfd_open), SCMP_SYS(kill),
        SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid), SCMP_SYS(tgkill),
        /* the system log, and who unmounts for an ordinary user; socket(2) see below */
        SCMP_SYS(connect), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
        /* threads and memory; clone3(2) is the keeper's to refuse: its flags are out of a filter's sight */
        SCMP_SYS(clone3), SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(set_tid_address),
        SCMP_SYS(membarrier), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(getcpu), SCMP_SYS(brk),
        SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(getrandom), SCMP_SYS(getrlimit), SCMP_SYS(sysinfo),
        SCMP_SYS(uname),
        /* signals and time */
        SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
        SCMP_SYS(restart_syscall), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep),
        SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time),
};

/* Besides, where io_uring is the channel: the rings, and threads that stay with their processor and its memory. */
static const int needed_for_io_uring[] = {
        SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register), SCMP_SYS(sched_setaffinity),
        SCMP_SYS(get_mempolicy), SCMP_SYS(set_mempolicy), SCMP_SYS(mbind),
};

/* Besides, in a build with sanitizers, which stop all threads, look at their memory, and run a symbolizer. */
static const int needed_by_sanitizers[] = {
        SCMP_SYS(ptrace), SCMP_SYS(personality), SCMP_SYS(prctl), SCMP_SYS(clone), SCMP_SYS(mmap), SCMP_SYS(mprotect),
        SCMP_SYS(getrusage), SCMP_SYS(prlimit64), SCMP_SYS(setrlimit), SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(execve),
        SCMP_SYS(socketpair), SCMP_SYS(mincore), SCMP_SYS(msync), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(getdents),
        SCMP_SYS(arch_prctl), SCMP_SYS(select), SCMP_SYS(setpgid), SCMP_SYS(setsid), SCMP_SYS(ioctl),
};

/* What a server needs with these values of one argument alone: those whose bits in mask are value. */
static const struct {
        int call;
        unsigned argument;
        scmp_datum_t mask, value;
} needed_so[] = {
        { SCMP_SYS(ioctl), 1, UINT64_MAX, _IOC(_IOC_WRITE, 229, 1, 16) }, /* FUSE_DEV_IOC_BACKING_OPEN */
        { SCMP_SYS(ioctl), 1, UINT64_MAX, _IOC(_IOC_WRITE, 229, 2, 4) },  /* FUSE_DEV_IOC_BACKING_CLOSE */
        { SCMP_SYS(fcntl), 1, UINT64_MAX, F_DUPFD },
        { SCMP_SYS(fcntl), 1, UINT64_MAX, F_DUPFD_CLOEXEC },
        { SCMP_SYS(fcntl), 1, UINT64_MAX, F_GETFD },
        { SCMP_SYS(fcntl), 1, UINT64_MAX, F_SETFD },
        { SCMP_SYS(fcntl), 1, UINT64_MAX, F_GETFL },
        { SCMP_SYS(fcntl), 1, UINT64_MAX, F_SETFL },
        { SCMP_SYS(fcntl), 1, UINT64_MAX, F_SETLEASE },
        { SCMP_SYS(fcntl), 1, UINT64_MAX, F_GET_SEALS },
        { SCMP_SYS(prctl), 0, UINT64_MAX, PR_SET_PDEATHSIG },
        { SCMP_SYS(prctl), 0, UINT64_MAX, PR_SET_NAME },
        { SCMP_SYS(prctl), 0, UINT64_MAX, PR_SET_VMA },
        { SCMP_SYS(prctl), 0, UINT64_MAX, PR_CAPBSET_READ },
        { SCMP_SYS(prlimit64), 2, UINT64_MAX, 0 }, /* to ask, and not to set */
        { SCMP_SYS(fsconfig), 1, UINT64_MAX, FSCONFIG_SET_STRING },
        { SCMP_SYS(fsconfig), 1, UINT64_MAX, FSCONFIG_CMD_RECONFIGURE },
        { SCMP_SYS(socket), 0, UINT64_MAX, AF_UNIX },
        { SCMP_SYS(unshare), 0, UINT64_MAX, CLONE_FS },
        { SCMP_SYS(clone), CLONE_FLAGS, ANY_NAMESPACE, 0 },
        /*
         * No memory that is both written and run. To be run, but not written: the C library loads a part of its own
         * late.
         */
        { SCMP_SYS(mmap), 2, PROT_EXEC, 0 },
        { SCMP_SYS(mmap), 2, PROT_WRITE, 0 },
        { SCMP_SYS(mprotect), 2, PROT_EXEC, 0 },
};

static int add(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count) {
        int result = 0;

        /* What this architecture does not have is passed over. */
        for (size_t i = 0; result == 0 && i < count; i++)
                result = seccomp_rule_add(filter, action, calls[i], 0);
        return result;
}

static int refuse_namespaces(scmp_filter_ctx filter) {
        int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1,
                                      SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWTIME, CLONE_NEWTIME));

        for (size_t i = 0; result == 0 && i < G_N_ELEMENTS(namespaces); i++) {
                const struct scmp_arg_cmp given =
                        SCMP_CMP(CLONE_FLAGS, SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]);
                const struct scmp_arg_cmp asked = SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]);

                result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, given);
                if (result == 0)
                        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1, asked);
        }
        /* Its flags cannot be seen. The C library uses clone(2) then. */
        if (result == 0)
                result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
        return result;
}

static int add_never(scmp_filter_ctx filter) {
        int result = add(filter, SCMP_ACT_ERRNO(EPERM), never, G_N_ELEMENTS(never));

        if (result == 0 && !SANITIZED)
                result = add(filter, SCMP_ACT_ERRNO(EPERM), never_but_for_sanitizers,
                             G_N_ELEMENTS(never_but_for_sanitizers));
        return result == 0 ? refuse_namespaces(filter) : result;
}

static int add_needed(scmp_filter_ctx filter, bool io_uring) {
        int result = add(filter, SCMP_ACT_ALLOW, needed, G_N_ELEMENTS(needed));

        for (size_t i = 0; result == 0 && i < G_N_ELEMENTS(needed_so); i++)
                result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, needed_so[i].call, 1,
                                          SCMP_CMP(needed_so[i].argument, SCMP_CMP_MASKED_EQ, needed_so[i].mask,
                                                   needed_so[i].value));
        if (result == 0 && io_uring)
                result = add(filter, SCMP_ACT_ALLOW, needed_for_io_uring, G_N_ELEMENTS(needed_for_io_uring));
        if (result == 0 && SANITIZED)
                result = add(filter, SCMP_ACT_ALLOW, needed_by_sanitizers, G_N_ELEMENTS(needed_by_sanitizers));
        return result;
}

/* The program that libseccomp makes of it. Kept, so that a new server need not make it again. */
static int export_program(scmp_filter_ctx filter, GArray **program) {
        auto_descriptor file = memfd_create("regionfs-filter", MFD_CLOEXEC);
        int result = file < 0 ? -errno : seccomp_export_bpf(filter, file);
        struct stat st;

        if (result < 0)
                return result;
        if (fstat(file, &st) < 0)
                return -errno;
        *program = g_array_new(FALSE, FALSE, sizeof(struct sock_filter));
        g_array_set_size(*program, st.st_size / sizeof(struct sock_filter));
        return pread(file, (*program)->data, st.st_size, 0) == st.st_size ? 0 : -EIO;
}

/* A filter of which nothing is known yet but what becomes of calls that no rule names. */
static scmp_filter_ctx begin(uint32_t otherwise) {
        scmp_filter_ctx filter = seccomp_init(otherwise);

        /* A tree instead of a list: the kernel tries all numbers when it takes the filter, once in each server. */
        if (filter && seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0)
                return filter;
        seccomp_release(filter);
        return NULL;
}

int confinement_calls_of_keeper(GArray **program) {
        scmp_filter_ctx filter = begin(SCMP_ACT_ALLOW);
        int result = filter ? add_never(filter) : -ENOMEM;

        if (result == 0)
                result = export_program(filter, program);
        seccomp_release(filter);
        return result;
}

int confinement_calls_of_server(bool io_uring, GArray **program) {
        scmp_filter_ctx filter = begin(SANITIZED ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(ENOSYS));
        int result = filter ? add_needed(filter, io_uring) : -ENOMEM;

        if (result == 0)
                result = export_program(filter, program);
        seccomp_release(filter);
        return result;
}
