#include "operations/namespaces.h"

#include "base/descriptor.h"
#include "pool/region.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>

#define GLOBAL "Global"
#define LOCAL "Local"
#define SESSIONS "Sessions"

struct Namespaces {
        int sessions; /* owned: O_PATH */
        ino_t sessions_inode, local_inode;
};

static int inherit(int directory, const char *name) {
        auto_descriptor fd = openat(directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        return fd < 0 ? -errno : region_inherit_policy(directory, fd);
}

static int make_directory(int directory, const char *name, mode_t mode) {
        if (mkdirat(directory, name, 0700) < 0)
                return errno == EEXIST ? 0 : -errno;
        /* Whatever the umask. */
        if (fchmodat(directory, name, mode, 0) < 0)
                return -errno;
        return inherit(directory, name);
}

/*
 * What somebody else may have made before, or could change, is none of ours; open says whether others may write to it.
 */
static int look(int directory, const char *name, mode_t type, bool open, ino_t *inode) {
        struct stat st;

        if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        *inode = st.st_ino;
        if ((st.st_mode & S_IFMT) != type || st.st_uid != geteuid() || (!open && (st.st_mode & 022)))
                return -EEXIST;
        return 0;
}

static int make(Namespaces *namespaces, int root, const char **name) {
        ino_t global;
        int result;

        *name = GLOBAL;
        result = make_directory(root, GLOBAL, 01777);
        if (result == 0)
                result = look(root, GLOBAL, S_IFDIR, true, &global);
        if (result < 0)
                return result;
        *name = SESSIONS;
        result = make_directory(root, SESSIONS, 0711);
        if (result == 0)
                result = look(root, SESSIONS, S_IFDIR, false, &namespaces->sessions_inode);
        if (result < 0)
                return result;
        namespaces->sessions = openat(root, SESSIONS, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (namespaces->sessions < 0)
                return -errno;
        *name = LOCAL;
        /* The text is for whoever looks at the pool without us. */
        if (symlinkat(SESSIONS, root, LOCAL) < 0 && errno != EEXIST)
                return -errno;
        return look(root, LOCAL, S_IFLNK, true, &namespaces->local_inode);
}

Namespaces *namespaces_new(const Pool *pool, GError **error) {
        g_autoptr(Namespaces) namespaces = g_new0(Namespaces, 1);
        const char *name;
        int result;

        namespaces->sessions = -1;
        result = make(namespaces, pool->fd, &name);
        if (result == 0)
                return g_steal_pointer(&namespaces);
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-result),
                    "option namespaces: cannot make %s in the pool: %s", name,
                    result == -EEXIST ? "something else, or of another owner, has that name" : g_strerror(-result));
        return NULL;
}

void namespaces_free(Namespaces *namespaces) {
        if (!namespaces)
                return;
        descriptor_clear(&namespaces->sessions);
        g_free(namespaces);
}

bool namespaces_is_local(const Namespaces *namespaces, ino_t inode) {
        return namespaces && inode == namespaces->local_inode;
}

bool namespaces_is_sessions(const Namespaces *namespaces, ino_t inode) {
        return namespaces && inode == namespaces->sessions_inode;
}

int namespaces_lead(const Namespaces *namespaces, const Credentials *credentials, uid_t uid, gid_t gid,
                    char link[NAMESPACES_LINK_MAX]) {
        const char *name = link + strlen(SESSIONS "/");
        struct stat st;
        int result;

        g_snprintf(link, NAMESPACES_LINK_MAX, SESSIONS "/%u", uid);
        if (fstatat(namespaces->sessions, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                return S_ISDIR(st.st_mode) && st.st_uid == uid ? 0 : -EPERM;
        result = credentials_assume(credentials, uid, gid, 077);
        if (result < 0)
                return result;
        result = mkdirat(namespaces->sessions, name, 0700) < 0 ? -errno : 0;
        credentials_resume(credentials, uid, gid);
        if (result == -EEXIST)
                return 0; /* another one was faster */
        if (result == 0)
                result = inherit(namespaces->sessions, name);
        if (result < 0)
                unlinkat(namespaces->sessions, name, AT_REMOVEDIR);
        return result;
}
