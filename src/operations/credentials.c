#include "operations/credentials.h"

#include <errno.h>
#include <glib.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct Credentials {
        uid_t uid;
        gid_t gid;
        bool privileged;
        cap_t all;     /* owned: what a thread has; NULL where not privileged */
        cap_t backing; /* owned: CAP_SYS_ADMIN alone in force, which registering a backing file takes */
        GArray *groups; /* owned: the supplementary ones, gid_t */
};

Credentials *credentials_new(void) {
        static const cap_value_t registering[] = { CAP_SYS_ADMIN }, unlimited[] = { CAP_SYS_RESOURCE };
        Credentials *credentials = g_new0(Credentials, 1);
        cap_flag_value_t may = CAP_CLEAR;

        credentials->uid = geteuid();
        credentials->gid = getegid();
        credentials->all = cap_get_proc();
        credentials->backing = cap_get_proc();
        if (credentials->all && credentials->backing)
                cap_get_flag(credentials->all, CAP_SETUID, CAP_EFFECTIVE, &may);
        credentials->privileged = may == CAP_SET;
        if (credentials->privileged) {
                /* Limits of a directory pool's file system, such as quotas, hold for clients. */
                cap_set_flag(credentials->all, CAP_EFFECTIVE, 1, unlimited, CAP_CLEAR);
                cap_set_proc(credentials->all);
                cap_clear_flag(credentials->backing, CAP_EFFECTIVE);
                cap_get_flag(credentials->all, CAP_SYS_ADMIN, CAP_EFFECTIVE, &may);
                cap_set_flag(credentials->backing, CAP_EFFECTIVE, 1, registering, may);
        }
        credentials->groups = g_array_new(FALSE, FALSE, sizeof(gid_t));
        g_array_set_size(credentials->groups, MAX(getgroups(0, NULL), 0));
        getgroups(credentials->groups->len, (gid_t *)(void *)credentials->groups->data);
        return credentials;
}

void credentials_free(Credentials *credentials) {
        if (!credentials)
                return;
        cap_free(credentials->all);
        cap_free(credentials->backing);
        g_array_unref(credentials->groups);
        g_free(credentials);
}

int credentials_prepare_thread(void) {
        return unshare(CLONE_FS) < 0 ? -errno : 0;
}

/* Of the calling thread alone, where setgroups(3) would change the whole process. */
static int set_groups(const gid_t *groups, size_t count) {
        return syscall(SYS_setgroups, count, groups) < 0 ? -errno : 0;
}

static bool is_own(const Credentials *credentials, uid_t uid, gid_t gid) {
        return uid == credentials->uid && gid == credentials->gid;
}

/* The user comes first: the change takes the capabilities that concern files out of the effective set. */
static int assume(const Credentials *credentials, uid_t uid, gid_t gid, cap_t capabilities) {
        if (!is_own(credentials, uid, gid)) {
                setfsgid(gid);
                setfsuid(uid);
        }
        return cap_set_proc(capabilities) < 0 ? -errno : 0;
}

static void resume(const Credentials *credentials) {
        setfsuid(credentials->uid);
        setfsgid(credentials->gid);
}

int credentials_assume(const Credentials *credentials, uid_t uid, gid_t gid, mode_t mask) {
        int result = 0;

        umask(mask);
        if (!credentials->privileged || is_own(credentials, uid, gid))
                return 0;
        if (uid == credentials->uid)
                setfsgid(gid);
        else
                result = assume(credentials, uid, gid, credentials->all);
        if (result < 0)
                resume(credentials);
        return result;
}

void credentials_resume(const Credentials *credentials, uid_t uid, gid_t gid) {
        if (credentials->privileged && !is_own(credentials, uid, gid))
                resume(credentials);
}

int credentials_become(const Credentials *credentials, uid_t uid, gid_t gid, const gid_t *groups, size_t count,
                       uint64_t capabilities) {
        cap_t own;
        int result;

        if (!credentials->privileged)
                return 0;
        own = cap_dup(credentials->all);
        for (cap_value_t capability = 0; capability < cap_max_bits(); capability++)
                if (!(capabilities >> capability & 1))
                        cap_set_flag(own, CAP_EFFECTIVE, 1, &capability, CAP_CLEAR);
        result = set_groups(groups, count);
        if (result == 0)
                result = assume(credentials, uid, gid, own);
        if (result < 0)
                credentials_return(credentials);
        cap_free(own);
        return result;
}

/* A thread that cannot come back would act for the next client with the rights of the last one. */
static void G_GNUC_NORETURN fail_to_return(void) {
        g_error("cannot come back from a client's rights: %s", g_strerror(errno));
}

int credentials_assume_backing(const Credentials *credentials, uid_t uid, gid_t gid) {
        int result = credentials->privileged ? assume(credentials, uid, gid, credentials->backing) : 0;

        if (result < 0)
                credentials_return_backing(credentials, uid, gid);
        return result;
}

void credentials_return_backing(const Credentials *credentials, uid_t uid, gid_t gid) {
        credentials_resume(credentials, uid, gid);
        if (credentials->privileged && cap_set_proc(credentials->all) < 0)
                fail_to_return();
}

void credentials_return(const Credentials *credentials) {
        if (!credentials->privileged)
                return;
        resume(credentials);
        if (cap_set_proc(credentials->all) < 0 ||
            set_groups((const gid_t *)(void *)credentials->groups->data, credentials->groups->len) < 0)
                fail_to_return();
}

bool credentials_privileged(const Credentials *credentials) {
        return credentials->privileged;
}
