#include "keeper/confinement.h"

#include "keeper/confinement-calls.h"

#include <errno.h>
#include <gio/gio.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct Confinement {
        GArray *keeper; /* owned: struct sock_filter; the programs of the filters */
        GArray *server; /* owned */
};

/* All that a server needs of root; a user's has none of them. */
static const cap_value_t needed[] = {
        CAP_SYS_ADMIN,       /* backing files, trusted attributes, reports of closed regions, unmounting */
        CAP_SYS_PTRACE,      /* a caller's descriptors and user namespace in /proc; ptrace(2) is refused */
        CAP_DAC_READ_SEARCH, /* nodes by their file handles, and a mountpoint below a closed directory */
        CAP_DAC_OVERRIDE,    /* what the kernel has allowed the client, in the pool */
        CAP_CHOWN,           /* chown(2) for clients */
        CAP_FOWNER,          /* modes, times, ACLs and sticky directories of clients */
        CAP_FSETID,          /* set-group-id bits for a supplementary group of the client's */
        CAP_SETFCAP,         /* security.capability */
        CAP_MKNOD,           /* devices, and whiteouts */
        CAP_LEASE,           /* whether a region is in use */
        CAP_SETUID,          /* fsuid */
        CAP_SETGID,          /* fsgid, and a caller's groups */
};

/* What the keeper itself needs: to unmount. It holds the rest for its servers, without effect. */
static const cap_value_t kept_in_force[] = { CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH };

Confinement *confinement_new(bool io_uring, GError **error) {
        g_autoptr(Confinement) confinement = g_new0(Confinement, 1);
        int result = confinement_calls_of_keeper(&confinement->keeper);

        if (result == 0)
                result = confinement_calls_of_server(io_uring, &confinement->server);
        if (result == 0)
                return g_steal_pointer(&confinement);
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-result), "cannot make the filter of system calls: %s",
                    g_strerror(-result));
        return NULL;
}

void confinement_free(Confinement *confinement) {
        if (!confinement)
                return;
        g_clear_pointer(&confinement->keeper, g_array_unref);
        g_clear_pointer(&confinement->server, g_array_unref);
        g_free(confinement);
}

static bool is_needed(cap_value_t capability) {
        for (size_t i = 0; i < G_N_ELEMENTS(needed); i++)
                if (needed[i] == capability)
                        return true;
        return false;
}

/* What cannot come back, by no exec. Without CAP_SETPCAP, as in a container, there is nothing to be done but go on. */
static int lower_bounding_set(void) {
        for (cap_value_t capability = 0; cap_get_bound(capability) >= 0; capability++)
                if (!is_needed(capability) && cap_get_bound(capability) == 1 && cap_drop_bound(capability) < 0 &&
                    errno != EPERM)
                        return -errno;
        return 0;
}

/* Of what is needed, what is permitted now stays so, and what is listed is in force; nothing is inheritable. */
static int limit(const cap_value_t *in_force, size_t count) {
        cap_t now = cap_get_proc(), limited = cap_init();
        int result = now && limited ? 0 : -errno;

        for (size_t i = 0; result == 0 && i < G_N_ELEMENTS(needed); i++) {
                cap_flag_value_t have = CAP_CLEAR;

                if (cap_get_flag(now, needed[i], CAP_PERMITTED, &have) == 0 && have == CAP_SET)
                        cap_set_flag(limited, CAP_PERMITTED, 1, &needed[i], CAP_SET);
        }
        for (size_t i = 0; result == 0 && i < count; i++) {
                cap_flag_value_t have = CAP_CLEAR;

                if (cap_get_flag(limited, in_force[i], CAP_PERMITTED, &have) == 0 && have == CAP_SET)
                        cap_set_flag(limited, CAP_EFFECTIVE, 1, &in_force[i], CAP_SET);
        }
        if (result == 0 && cap_set_proc(limited) < 0)
                result = -errno;
        cap_free(now);
        cap_free(limited);
        return result;
}

static int give_all_up(void) {
        cap_t none = cap_init();
        int result = none && cap_set_proc(none) == 0 ? 0 : -errno;

        cap_free(none);
        return result;
}

static bool kernel_filters(void) {
        const uint32_t action = SECCOMP_RET_ERRNO;

        return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/*
 * SPEC_ALLOW: older kernels would otherwise slow all of the process down against one whose code it does not trust,
 * which is none of ours.
 */
static int put_in_force(const GArray *program, unsigned flags) {
        const struct sock_fprog filter = { .len = program->len, .filter = (struct sock_filter *)(void *)program->data };

        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter) < 0 ? -errno :
                                                                                                                 0;
}

static bool report(int result, GError **error) {
        if (result < 0)
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-result),
                            "cannot give up what is not needed of rights and system calls: %s", g_strerror(-result));
        return result == 0;
}

bool confinement_enter_keeper(const Confinement *confinement, GError **error) {
        int result = lower_bounding_set();

        if (result == 0)
                result = limit(kept_in_force, G_N_ELEMENTS(kept_in_force));
        if (result == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                result = -errno;
        if (result == 0 && !kernel_filters())
                g_warning("this kernel has no filters of system calls (seccomp): the daemon goes on without");
        else if (result == 0)
                /* Without a word: the C library asks for clone3(2) before each clone(2). */
                result = put_in_force(confinement->keeper, 0);
        return report(result, error);
}

static int take_server_filter(const Confinement *confinement) {
        return kernel_filters() ? put_in_force(confinement->server, SECCOMP_FILTER_FLAG_LOG) : 0;
}

bool confinement_enter_server(const Confinement *confinement, GError **error) {
        int result = limit(needed, G_N_ELEMENTS(needed));

        return report(result < 0 ? result : take_server_filter(confinement), error);
}

bool confinement_enter_notifier(const Confinement *confinement, GError **error) {
        int result = give_all_up();

        return report(result < 0 ? result : take_server_filter(confinement), error);
}
