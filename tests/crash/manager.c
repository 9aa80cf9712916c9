#include "manager.h"

#include <linux/close_range.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

/* As in the unit. */
#define ROOM 4096

static struct {
        int socket;
        char *path;
        GArray *store; /* ManagerKept */
        unsigned room;
        const char *options;
        bool ready, stopping, deaf;
} manager;

static void drop(guint number) {
        ManagerKept *kept = &g_array_index(manager.store, ManagerKept, number);

        must(close(kept->fd));
        g_free(kept->name);
        g_array_remove_index(manager.store, number);
}

static bool is_same(int a, int b) {
        return syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b) == 0;
}

static void store(const char *name, int fd) {
        ManagerKept kept = { g_strdup(name), fd };

        ck_assert_int_ge(fd, 0);
        for (guint i = 0; i < manager.store->len; i++) {
                if (!is_same(g_array_index(manager.store, ManagerKept, i).fd, fd))
                        continue;
                /* The first name stays, as of systemd. */
                must(close(fd));
                g_free(kept.name);
                return;
        }
        if (manager.store->len < (manager.room ? manager.room : ROOM)) {
                g_array_append_val(manager.store, kept);
                return;
        }
        /* Without a word, as systemd. */
        must(close(fd));
        g_free(kept.name);
}

static void take_out(const char *name) {
        for (guint i = manager.store->len; i > 0; i--)
                if (g_str_equal(g_array_index(manager.store, ManagerKept, i - 1).name, name))
                        drop(i - 1);
}

static void take_message(const char *text, int fd) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        const char *const *all = (const char *const *)lines;
        const char *name = "stored";

        for (unsigned i = 0; lines[i]; i++)
                if (g_str_has_prefix(lines[i], "FDNAME="))
                        name = lines[i] + strlen("FDNAME=");
        manager.ready |= g_strv_contains(all, "READY=1");
        manager.stopping |= g_strv_contains(all, "STOPPING=1");
        if (g_strv_contains(all, "FDSTOREREMOVE=1"))
                take_out(name);
        if (g_strv_contains(all, "FDSTORE=1"))
                store(name, fd);
        else if (fd >= 0 && !manager.deaf)
                must(close(fd)); /* a barrier */
}

bool manager_listen(void) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        char text[4096];
        struct iovec data = { text, sizeof(text) - 1 };
        struct msghdr message;
        const struct cmsghdr *found;
        ssize_t size;
        int fd;

        for (;;) {
                message = (struct msghdr){ .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
                                           .msg_controllen = sizeof(control) };
                size = recvmsg(manager.socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
                if (size < 0)
                        return true;
                text[size] = '\0';
                found = CMSG_FIRSTHDR(&message);
                fd = -1;
                if (found)
                        memcpy(&fd, CMSG_DATA(found), sizeof(fd));
                take_message(text, fd);
        }
}

void manager_begin(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        fixture_prepare();
        manager.room = ROOM;
        manager.store = g_array_new(FALSE, FALSE, sizeof(ManagerKept));
        manager.path = g_build_filename(fixture_directory(), "notify", NULL);
        manager.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        strcpy(address.sun_path, manager.path);
        must(bind(manager.socket, (struct sockaddr *)&address, sizeof(address)));
}

void manager_keep_nothing(void) {
        while (manager.store->len)
                drop(0);
}

void manager_end(void) {
        manager_keep_nothing();
        must(close(manager.socket));
        must(unlink(manager.path));
        fixture_remove();
}

/* The store's descriptors become 3 and so on. */
static void pass_store(void) {
        g_autofree char *process = g_strdup_printf("%d", getpid()), *count = g_strdup_printf("%u", manager.store->len);
        GString *names = g_string_new(NULL);

        for (guint i = 0; i < manager.store->len; i++) {
                ManagerKept *kept = &g_array_index(manager.store, ManagerKept, i);

                kept->fd = fcntl(kept->fd, F_DUPFD_CLOEXEC, 1000);
        }
        /* None of the clients': a daemon that has its own mount open would wait for itself. */
        close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
        /* The last one first, as systemd has them. */
        for (guint i = manager.store->len; i > 0; i--) {
                const ManagerKept *kept = &g_array_index(manager.store, ManagerKept, i - 1);

                dup2(kept->fd, 3 + manager.store->len - i);
                g_string_append_printf(names, "%s%s", names->len ? ":" : "", kept->name);
        }
        if (!manager.store->len)
                return;
        g_setenv("LISTEN_PID", process, TRUE);
        g_setenv("LISTEN_FDS", count, TRUE);
        g_setenv("LISTEN_FDNAMES", names->str, TRUE);
}

static G_NORETURN void become_service(void) {
        const char *of_mode = fixture_mode() == MODE_CACHED ? "passthrough=off" : "passthrough=auto";
        g_autofree char *options = g_strconcat(of_mode, manager.options ? "," : "", manager.options, NULL);
        g_autofree char *room = g_strdup_printf("%u", manager.room);
        int log = open(fixture_log_path(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(log, STDERR_FILENO);
        g_setenv("NOTIFY_SOCKET", manager.path, TRUE);
        if (manager.room)
                g_setenv("FDSTORE", room, TRUE);
        pass_store();
        execl(fixture_program(), fixture_program(), "-f", "-o", options, fixture_mountpoint(), NULL);
        _exit(127);
}

bool manager_try(void) {
        pid_t daemon = fork();
        bool ended = false;

        if (daemon == 0)
                become_service();
        fixture_adopt(daemon);
        manager.ready = manager.stopping = false;
        eventually(manager_listen() && (manager.ready || (ended = waitpid(daemon, NULL, WNOHANG) == daemon)));
        manager_listen();
        return !ended;
}

void manager_start(void) {
        ck_assert_msg(manager_try() && manager.ready, "%s", fixture_log());
}

bool manager_has_ended(int *status) {
        manager_listen();
        return waitpid(fixture_daemon(), status, WNOHANG) == fixture_daemon();
}

void manager_end_by(int signal) {
        int status = -1;

        must(kill(fixture_daemon(), signal));
        eventually(manager_has_ended(&status));
        ck_assert_msg(status == 0, "it ended with status %#x: %s", status, fixture_log());
        manager_listen();
}

void manager_stop(void) {
        manager_end_by(SIGTERM);
        ck_assert(manager.stopping);
        ck_assert_int_ne(run_command(NULL, "grep -q ' %s ' /proc/mounts", fixture_mountpoint()), 0);
}

const GArray *manager_kept(void) {
        return manager.store;
}

void manager_set_room(unsigned room) {
        manager.room = room;
}

void manager_set_deaf(void) {
        manager.deaf = true;
}

void manager_set_options(const char *options) {
        manager.options = options;
}

bool manager_is_ready(void) {
        return manager.ready;
}

bool manager_is_stopping(void) {
        return manager.stopping;
}

void manager_forget_ready(void) {
        manager.ready = false;
}
