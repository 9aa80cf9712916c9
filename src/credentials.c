#include "credentials.h"

#include <errno.h>
#include <glib.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

struct Credentials {
        uid_t uid;
        gid_t gid;
        bool privileged;
        cap_t all;           /* owned: what the process has; NULL where not privileged */
        cap_t without_setid; /* owned: the same less CAP_FSETID */
};

Credentials *credentials_new(void) {
        static const cap_value_t setid[] = { CAP_FSETID };
        Credentials *credentials = g_new0(Credentials, 1);
        cap_flag_value_t may = CAP_CLEAR;

        credentials->uid = geteuid();
        credentials->gid = getegid();
        credentials->all = cap_get_proc();
        credentials->without_setid = cap_get_proc();
        if (credentials->all && credentials->without_setid)
                cap_get_flag(credentials->all, CAP_SETUID, CAP_EFFECTIVE, &may);
        credentials->privileged = may == CAP_SET;
        if (credentials->privileged)
                cap_set_flag(credentials->without_setid, CAP_EFFECTIVE, 1, setid, CAP_CLEAR);
        return credentials;
}

void credentials_free(Credentials *credentials) {
        if (!credentials)
                return;
        cap_free(credentials->all);
        cap_free(credentials->without_setid);
        g_free(credentials);
}

int credentials_prepare_thread(void) {
        return unshare(CLONE_FS) < 0 ? -errno : 0;
}

int credentials_assume(const Credentials *credentials, uid_t uid, gid_t gid, mode_t mask) {
        umask(mask);
        if (!credentials->privileged)
                return 0;
        setfsgid(gid);
        if (uid != credentials->uid) {
                /* Takes the capabilities that concern files out of the effective set: they are put back. */
                setfsuid(uid);
                if (cap_set_proc(credentials->all) < 0) {
                        int result = -errno;

                        credentials_resume(credentials);
                        return result;
                }
        }
        return 0;
}

void credentials_resume(const Credentials *credentials) {
        if (!credentials->privileged)
                return;
        setfsuid(credentials->uid);
        setfsgid(credentials->gid);
}

void credentials_drop_setid(const Credentials *credentials) {
        if (credentials->privileged)
                cap_set_proc(credentials->without_setid);
}

void credentials_resume_setid(const Credentials *credentials) {
        if (credentials->privileged)
                cap_set_proc(credentials->all);
}

bool credentials_privileged(const Credentials *credentials) {
        return credentials->privileged;
}
