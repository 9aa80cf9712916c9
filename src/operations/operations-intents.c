/*
 * What a request is about to change, noted before it does: so that, when it comes again after the server that had it in
 * hand has died, the pool tells whether it was changed. The kernel has kept others from changing the same names
 * meanwhile.
 */
#include "operations/operations-common.h"

#include <sys/stat.h>

static LedgerRequest *current(const Operations *operations) {
        return ledger_current(operations->ledger);
}

static ino_t inode_of(int directory, const char *name, mode_t *mode) {
        struct stat st;

        if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return 0;
        if (mode)
                *mode = st.st_mode;
        return st.st_ino;
}

static void intend(LedgerRequest *request, LedgerIntent intent, fuse_ino_t parent, const char *name) {
        request->directory = parent;
        g_strlcpy(request->name, name, sizeof(request->name));
        ledger_publish(&request->intent, intent);
}

void operations_intend_making(const Operations *operations, int directory, const char *name) {
        LedgerRequest *request = current(operations);
        mode_t mode;

        if (!request)
                return;
        if (request->intent != LEDGER_MAKING) {
                if (!inode_of(directory, name, NULL) && errno == ENOENT)
                        intend(request, LEDGER_MAKING, request->node, name);
                return;
        }
        /* Nobody has been told of it. */
        registry_begin_change(operations->registry);
        if (inode_of(directory, name, &mode))
                unlinkat(directory, name, S_ISDIR(mode) ? AT_REMOVEDIR : 0);
        registry_end_change(operations->registry);
}

bool operations_intend_linking(const Operations *operations, int node, int directory, const char *name) {
        LedgerRequest *request = current(operations);
        ino_t there = inode_of(directory, name, NULL);
        struct stat st;

        if (!request)
                return false;
        if (request->intent == LEDGER_MAKING)
                return there && fstatat(node, "", &st, AT_EMPTY_PATH) == 0 && st.st_ino == there;
        if (!there)
                intend(request, LEDGER_MAKING, request->node, name);
        return false;
}

/* Keeps what a name means in the ledger; fd is open on it and stays the caller's, -1 for nothing. */
static int keep(LedgerRequest *request, int which, int fd) {
        struct stat st;
        int kept;

        /* A dead server may have come as far. */
        if (fd < 0 || request->descriptor[which])
                return 0;
        if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0 || (kept = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)
                return -errno;
        request->inode[which] = st.st_ino;
        ledger_publish(&request->descriptor[which], ledger_note_descriptor(kept));
        return 0;
}

int operations_intend_removing(const Operations *operations, int fd, fuse_ino_t parent, const char *name) {
        LedgerRequest *request = current(operations);
        int result = request ? keep(request, 0, fd) : 0;

        if (request && result == 0)
                intend(request, LEDGER_REMOVING, parent, name);
        return result;
}

int operations_intend_renaming(const Operations *operations, int from, int to, fuse_ino_t parent, const char *name) {
        LedgerRequest *request = current(operations);
        int result = request ? keep(request, 0, from) : 0;

        if (request && result == 0)
                result = keep(request, 1, to);
        if (request && result == 0)
                intend(request, LEDGER_RENAMING, parent, name);
        return result;
}

/* What the attempt of a dead server has found; a descriptor that the caller owns, or -1. */
static int find_again(const LedgerRequest *request, int which) {
        int fd = ledger_descriptor(request->descriptor[which]);

        return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

bool operations_has_removed(const Operations *operations, int directory, const char *name, int *fd) {
        const LedgerRequest *request = current(operations);

        if (!request || request->intent != LEDGER_REMOVING || inode_of(directory, name, NULL) == request->inode[0])
                return false;
        *fd = find_again(request, 0);
        return true;
}

bool operations_has_renamed(const Operations *operations, int to, const char *new_name, int *moved, int *target) {
        const LedgerRequest *request = current(operations);

        if (!request || request->intent != LEDGER_RENAMING || inode_of(to, new_name, NULL) != request->inode[0])
                return false;
        *moved = find_again(request, 0);
        *target = find_again(request, 1);
        return true;
}

bool operations_intend_adding(const Operations *operations, bool there) {
        LedgerRequest *request = current(operations);

        if (!request || request->intent == LEDGER_ADDING)
                return request;
        if (!there)
                ledger_publish(&request->intent, LEDGER_ADDING);
        return false;
}

bool operations_intend_stripping(const Operations *operations, bool there) {
        LedgerRequest *request = current(operations);

        if (!request || request->intent == LEDGER_STRIPPING)
                return request;
        if (there)
                ledger_publish(&request->intent, LEDGER_STRIPPING);
        return false;
}
