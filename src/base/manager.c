#include "base/manager.h"

#include "base/descriptor.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define VARIABLE "NOTIFY_SOCKET"
#define ROOM "FDSTORE"

/* For a manager that is busy, in seconds. */
#define PATIENCE 5

struct Manager {
        char *path; /* owned: as in the environment */
        int socket; /* owned */
        struct sockaddr_un address;
        socklen_t length;
        unsigned room;
};

/* How many descriptors the environment says that it keeps. */
static unsigned find_room(void) {
        const char *text = g_getenv(ROOM);
        guint64 room = 0;

        return text && g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT, &room, NULL) ? room : 0;
}

Manager *manager_new(void) {
        g_autofree char *path = g_strdup(g_getenv(VARIABLE));
        const struct timeval patience = { .tv_sec = PATIENCE };
        Manager *manager;

        g_unsetenv(VARIABLE);
        if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof(manager->address.sun_path))
                return NULL;
        manager = g_new0(Manager, 1);
        manager->address.sun_family = AF_UNIX;
        strcpy(manager->address.sun_path, path);
        manager->length = offsetof(struct sockaddr_un, sun_path) + strlen(path);
        /* An abstract one is written so. */
        if (*path == '@')
                manager->address.sun_path[0] = '\0';
        manager->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (manager->socket < 0) {
                g_warning("cannot talk to the service manager: %s", g_strerror(errno));
                g_free(manager);
                return NULL;
        }
        manager->path = g_steal_pointer(&path);
        manager->room = find_room();
        setsockopt(manager->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        return manager;
}

void manager_free(Manager *manager) {
        if (!manager)
                return;
        descriptor_clear(&manager->socket);
        g_free(manager->path);
        g_free(manager);
}

void manager_pass_on(const Manager *manager, bool on) {
        if (on)
                g_setenv(VARIABLE, manager->path, TRUE);
        else
                g_unsetenv(VARIABLE);
}

unsigned manager_room(const Manager *manager) {
        return manager->room;
}

int manager_tell(const Manager *manager, const char *lines, int fd) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
        struct iovec data = { .iov_base = (char *)lines, .iov_len = strlen(lines) };
        struct msghdr message = {
                .msg_name = (struct sockaddr *)&manager->address,
                .msg_namelen = manager->length,
                .msg_iov = &data,
                .msg_iovlen = 1,
                .msg_control = fd >= 0 ? &control : NULL,
                .msg_controllen = fd >= 0 ? sizeof(control) : 0,
        };

        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        return sendmsg(manager->socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int manager_wait(const Manager *manager) {
        struct pollfd closed = { .events = 0 };
        auto_descriptor ours = -1, theirs = -1;
        int ends[2], result;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        ours = ends[0];
        theirs = ends[1];
        result = manager_tell(manager, "BARRIER=1", theirs);
        if (result < 0)
                return result;
        descriptor_clear(&theirs);
        closed.fd = ours;
        return poll(&closed, 1, PATIENCE * 1000) == 1 ? 0 : -ETIMEDOUT;
}
