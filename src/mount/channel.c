#include "mount/channel.h"

#include "base/context.h"
#include "base/descriptor.h"
#include "base/log.h"
#include "mount/mount-flags.h"
#include "mount/unmounter.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <poll.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#define DEVICE "/dev/fuse"
#define HELPER "fusermount3"

/* In a line of mountinfo. */
#define TYPE " - fuse.regionfs "

/* How long the unmounter of a daemon that has died may take, in milliseconds. */
#define DEAD_PATIENCE 2000
#define DEAD_STEP 10

#ifndef MOVE_MOUNT_BENEATH
#define MOVE_MOUNT_BENEATH 0x200 /* as of Linux 6.5 */
#endif

static const char *const always[] = { "subtype=regionfs", "default_permissions" };

/* The mount's name, unless the options have one. */
#define FSNAME "fsname="
#define DEFAULT_FSNAME FSNAME "regionfs"

static bool set_option(int context, const char *option, unsigned *attributes, GError **error) {
        const char *equals = strchr(option, '=');
        g_autofree char *name = equals ? g_strndup(option, equals - option) : g_strdup(option);

        if (mount_flags_take(option, attributes))
                return true;
        /* What mount(8) calls the file system's name is the source to the kernel. */
        return context_set(context, g_str_equal(name, "fsname") ? "source" : name, equals ? equals + 1 : NULL, error);
}

static bool has_fsname(const GPtrArray *options) {
        for (guint i = 0; i < options->len; i++)
                if (g_str_has_prefix(g_ptr_array_index(options, i), FSNAME))
                        return true;
        return false;
}

static bool configure(const Channel *channel, int context, const GPtrArray *options, unsigned *attributes,
                      GError **error) {
        for (size_t i = 0; i < G_N_ELEMENTS(always); i++)
                if (!set_option(context, always[i], attributes, error))
                        return false;
        if (!has_fsname(options) && !set_option(context, DEFAULT_FSNAME, attributes, error))
                return false;
        for (guint i = 0; i < options->len; i++)
                if (!set_option(context, g_ptr_array_index(options, i), attributes, error))
                        return false;
        return context_set(context, "allow_other", NULL, error) && context_set(context, "rootmode", "40000", error) &&
               context_set_number(context, "fd", channel->fd, error) &&
               context_set_number(context, "user_id", geteuid(), error) &&
               context_set_number(context, "group_id", getegid(), error);
}

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000U /* as of Linux 6.8; older headers lack it */
#endif

/* which: STATX_MNT_ID or STATX_MNT_ID_UNIQUE. 0: not known. */
static guint64 mount_id_of(int fd, const char *path, int flags, unsigned which) {
        struct statx st;

        /* Without a request to the server, which may not run. */
        if (statx(fd, path, flags | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, which, &st) < 0)
                return 0;
        return st.stx_mask & which ? st.stx_mnt_id : 0;
}

/* Of what is known without asking: the mount is ours to answer for. */
static void learn_mount(Channel *channel, int fd, const char *path, int flags) {
        struct statx st;

        channel->mount_id = mount_id_of(fd, path, flags, STATX_MNT_ID);
        channel->unique = mount_id_of(fd, path, flags, STATX_MNT_ID_UNIQUE);
        if (statx(fd, path, flags | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &st) == 0)
                channel->device = makedev(st.stx_dev_major, st.stx_dev_minor);
}

/* Whether the path leads to our mount. */
static bool leads_to_mount(const Channel *channel, const char *path) {
        return channel->unique ? mount_id_of(AT_FDCWD, path, 0, STATX_MNT_ID_UNIQUE) == channel->unique :
                                 mount_id_of(AT_FDCWD, path, 0, STATX_MNT_ID) == channel->mount_id;
}

/* under: beneath the mount that is there, which whoever looks still sees. */
static bool mount_as_root(Channel *channel, const GPtrArray *options, bool under, GError **error) {
        unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
        auto_descriptor context = -1;
        auto_descriptor tree = -1;
        struct stat st;

        channel->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
        if (channel->fd < 0) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot open %s: %s%s", DEVICE,
                            g_strerror(errno), errno == ENOENT || errno == ENODEV ? " (modprobe fuse)" : "");
                return false;
        }
        if (fstat(channel->fd, &st) < 0 || !S_ISCHR(st.st_mode)) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "cannot open %s: it is not a device", DEVICE);
                return false;
        }
        context = fsopen("fuse", FSOPEN_CLOEXEC);
        if (context < 0) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
                            "cannot mount with fsopen(2), of Linux 5.2: %s", g_strerror(errno));
                return false;
        }
        if (!configure(channel, context, options, &attributes, error))
                return false;
        tree = context_mount(context, attributes, "the mount", error);
        if (tree < 0)
                return false;
        if (move_mount(tree, "", AT_FDCWD, channel->mountpoint,
                       MOVE_MOUNT_F_EMPTY_PATH | (under ? MOVE_MOUNT_BENEATH : 0)) < 0) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot mount on %s: %s",
                            channel->mountpoint, g_strerror(errno));
                return false;
        }
        learn_mount(channel, tree, "", AT_EMPTY_PATH);
        return true;
}

/* Runs fusermount3, quietly: what it says on stderr is given out (the caller's to free). Whether it did its work. */
static bool run_helper(char **arguments, char **environment, char **said) {
        g_autofree char *helper = g_find_program_in_path(HELPER);
        g_autoptr(GError) error = NULL;
        int status;

        if (!helper) {
                *said = g_strdup("there is no " HELPER " in PATH that can be run: the package fuse3 has it");
                return false;
        }
        if (!g_spawn_sync(NULL, arguments, environment,
                          G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_LEAVE_DESCRIPTORS_OPEN, NULL, NULL,
                          NULL, said, &status, &error)) {
                *said = g_strdup_printf("cannot run " HELPER ": %s", error->message);
                return false;
        }
        g_strchomp(*said);
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/*
 * Whether somebody has the channel, who may be none of those that the unmounter has waited for. Asks the server: it is
 * for a process that nobody waits for. What is not answered is waited for, at most until the channel is closed.
 */
static bool is_served(const char *mountpoint) {
        struct statx st;

        return statx(AT_FDCWD, mountpoint, AT_STATX_FORCE_SYNC | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &st) == 0 ||
               (errno != ENOTCONN && errno != ECONNABORTED);
}

/* For the unmounter. */
static char *unmount_as_user(const void *data, bool asked) {
        g_autofree char *mountpoint = channel_find(data), *said = NULL;
        char *arguments[] = { (char *)HELPER, (char *)"-u", (char *)"-z", (char *)"-q", (char *)"--", mountpoint, NULL };

        if (!mountpoint || (!asked && is_served(mountpoint)) || run_helper(arguments, NULL, &said))
                return NULL;
        return *said ? g_steal_pointer(&said) : g_strdup(HELPER " failed");
}

/* The descriptor that comes over the socket, or -1. */
static int receive_descriptor(int socket) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        char byte;
        struct iovec data = { .iov_base = &byte, .iov_len = 1 };
        struct msghdr message = {
                .msg_iov = &data,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        const struct cmsghdr *found;
        int fd;

        if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) <= 0)
                return -1;
        found = CMSG_FIRSTHDR(&message);
        if (!found || found->cmsg_level != SOL_SOCKET || found->cmsg_type != SCM_RIGHTS)
                return -1;
        memcpy(&fd, CMSG_DATA(found), sizeof(fd));
        return fd;
}

static void append_escaped(GString *list, const char *option) {
        if (list->len)
                g_string_append_c(list, ',');
        for (; *option; option++) {
                if (*option == ',' || *option == '\\')
                        g_string_append_c(list, '\\');
                g_string_append_c(list, *option);
        }
}

static char *join_options(const GPtrArray *options) {
        GString *list = g_string_new(NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(always); i++)
                append_escaped(list, always[i]);
        if (!has_fsname(options))
                append_escaped(list, DEFAULT_FSNAME);
        for (guint i = 0; i < options->len; i++)
                append_escaped(list, g_ptr_array_index(options, i));
        return g_string_free(list, FALSE);
}

/* Without one the mount could not be taken away any more: it is now. */
static bool start_unmounter(Channel *channel, GError **error) {
        g_autofree char *complaint = NULL;

        channel->unmounter = unmounter_start(unmount_as_user, channel);
        if (channel->unmounter >= 0)
                return true;
        g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-channel->unmounter),
                    "cannot start the process that takes the mount away: %s", g_strerror(-channel->unmounter));
        descriptor_clear(&channel->fd);
        complaint = unmount_as_user(channel, true);
        return false;
}

static bool mount_as_user(Channel *channel, const GPtrArray *options, GError **error) {
        g_autofree char *list = join_options(options);
        char *arguments[] = { (char *)HELPER, (char *)"-o", list, (char *)"--", channel->mountpoint, NULL };
        g_auto(GStrv) environment = g_get_environ();
        g_autofree char *socket_number = NULL;
        g_autofree char *said = NULL;
        auto_descriptor ours = -1;
        auto_descriptor theirs = -1;
        int ends[2];
        bool good;

        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0) {
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), "cannot talk to %s: %s", HELPER,
                            g_strerror(errno));
                return false;
        }
        ours = ends[0];
        theirs = ends[1]; /* the helper inherits it */
        fcntl(ours, F_SETFD, FD_CLOEXEC);
        socket_number = g_strdup_printf("%d", theirs);
        environment = g_environ_setenv(environment, "_FUSE_COMMFD", socket_number, TRUE);

        good = run_helper(arguments, environment, &said);
        if (good)
                channel->fd = receive_descriptor(ours);
        if (channel->fd >= 0) {
                learn_mount(channel, AT_FDCWD, channel->mountpoint, 0);
                return start_unmounter(channel, error);
        }
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "cannot mount on %s: %s", channel->mountpoint,
                    *said ? said : HELPER " gave no channel");
        return false;
}

static Channel *make_channel(const char *mountpoint, const GPtrArray *options, bool under, GError **error) {
        g_autoptr(Channel) channel = g_new0(Channel, 1);
        bool mounted;

        channel->fd = channel->unmounter = -1;
        channel->mountpoint = g_strdup(mountpoint);
        mounted = geteuid() == 0 ? mount_as_root(channel, options, under, error) :
                                   mount_as_user(channel, options, error);
        if (mounted)
                return g_steal_pointer(&channel);
        /* Nothing is mounted that channel_free() would have to take away. */
        g_clear_pointer(&channel->mountpoint, g_free);
        return NULL;
}

Channel *channel_new(const char *mountpoint, const GPtrArray *options, GError **error) {
        return make_channel(mountpoint, options, false, error);
}

int channel_duplicate(const Channel *channel) {
        return fcntl(channel->fd, F_DUPFD_CLOEXEC, 0);
}

void channel_close(Channel *channel) {
        descriptor_clear(&channel->fd);
}

/*
 * Where mountinfo has the mount, or another one that has got its number since; to be freed, or NULL. type is looked for
 * in what it says of it besides, or NULL.
 */
static char *look_up_mount(const Channel *channel, const char *type) {
        g_autofree char *id = g_strdup_printf("%" G_GUINT64_FORMAT, channel->mount_id), *mounts = NULL;
        g_autofree char *device = g_strdup_printf("%u:%u", major(channel->device), minor(channel->device));
        char *line;

        if (!g_file_get_contents("/proc/self/mountinfo", &mounts, NULL, NULL))
                return NULL;
        for (char *rest = mounts; (line = strsep(&rest, "\n"));) {
                g_auto(GStrv) fields = g_strsplit(line, " ", 6);

                if (g_strv_length(fields) == 6 && g_str_equal(fields[0], id) && g_str_equal(fields[2], device) &&
                    (!type || strstr(fields[5], type)))
                        return g_strcompress(fields[4]);
        }
        return NULL;
}

char *channel_find(const Channel *channel) {
        g_autofree char *moved = NULL;

        if (leads_to_mount(channel, channel->mountpoint))
                return g_strdup(channel->mountpoint);
        /* By a number that another one may have by now it is not looked for elsewhere. */
        moved = channel->unique ? look_up_mount(channel, NULL) : NULL;
        return moved && leads_to_mount(channel, moved) ? g_steal_pointer(&moved) : NULL;
}

bool channel_is_mounted(const Channel *channel) {
        struct pollfd connection = { .fd = channel->fd };
        g_autofree char *place = NULL;

        if (poll(&connection, 1, 0) < 0 || connection.revents & POLLERR)
                return false;
        /* As long as the connection is there no other one has its number of a device. */
        place = look_up_mount(channel, NULL);
        return place;
}

void channel_unmount(const Channel *channel) {
        g_autofree char *mountpoint = channel_find(channel), *covered = NULL, *complaint = NULL;

        /* Someone else has unmounted it; or mounted another over it, which is not ours to take away. */
        if (!mountpoint) {
                covered = look_up_mount(channel, NULL);
                if (covered)
                        g_warning("%s is left mounted, as something else is mounted over it: umount it twice", covered);
                if (channel->unmounter >= 0)
                        unmounter_dismiss(channel->unmounter);
                return;
        }
        if (channel->unmounter >= 0)
                complaint = unmounter_ask(channel->unmounter);
        else if (umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
                complaint = g_strdup(g_strerror(errno));
        if (complaint)
                g_warning("cannot unmount %s: %s", mountpoint, complaint);
}

/*
 * As a rule the unmounter of the daemon that has died is about to. Both at once would take away what is mounted there
 * next, as fusermount3 goes by the path.
 */
static char *unmount_dead_as_user(const Channel *dead) {
        for (int waited = 0; waited < DEAD_PATIENCE && leads_to_mount(dead, dead->mountpoint); waited += DEAD_STEP)
                g_usleep(DEAD_STEP * 1000);
        return unmount_as_user(dead, true);
}

/* Whatever is mounted there by now, it is the one that root is open on. */
static char *unmount_dead_as_root(int root) {
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", root);

        return umount2(path, MNT_DETACH) < 0 ? g_strdup(g_strerror(errno)) : NULL;
}

/* Whether there was one. */
static bool unmount_one_dead(const char *mountpoint) {
        auto_descriptor root = open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
        Channel dead = { .mountpoint = (char *)mountpoint, .fd = -1, .unmounter = -1 };
        g_autofree char *found = NULL, *complaint = NULL;
        struct statx st;

        if (root < 0)
                return false;
        learn_mount(&dead, root, "", AT_EMPTY_PATH);
        found = look_up_mount(&dead, TYPE);
        /* The kernel may remember what it was told before. The first to find out can get the second error. */
        if (g_strcmp0(found, mountpoint) != 0 ||
            statx(root, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st) == 0 ||
            (errno != ENOTCONN && errno != ECONNABORTED))
                return false;
        complaint = geteuid() == 0 ? unmount_dead_as_root(root) : unmount_dead_as_user(&dead);
        if (complaint)
                g_warning("cannot unmount what has died on %s: %s", mountpoint, complaint);
        return !complaint;
}

void channel_unmount_dead(const char *mountpoint) {
        while (unmount_one_dead(mountpoint))
                ;
}

void channel_forget(Channel *channel) {
        descriptor_clear(&channel->unmounter);
        g_free(channel->mountpoint);
        g_free(channel);
}

/* With a mount that is in use nothing comes of it but that the connection has ended. */
static int abort_connection(const char *mountpoint) {
        auto_descriptor use = open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (use < 0)
                return -errno;
        return umount2(mountpoint, MNT_FORCE | UMOUNT_NOFOLLOW) < 0 && errno != EBUSY ? -errno : 0;
}

/* In a keeper, which is to have servers yet. */
static void warn_of_dead(const char *mountpoint) {
        g_autofree char *message =
                g_strdup_printf("cannot unmount what has died on %s: %s", mountpoint, g_strerror(errno));

        log_warn_aside(message);
}

Channel *channel_renew(Channel *channel, const GPtrArray *options, GError **error) {
        g_autofree char *mountpoint = channel_find(channel);
        int result = mountpoint ? abort_connection(mountpoint) : -EBUSY;
        Channel *fresh = NULL;

        if (result < 0)
                g_set_error(error, G_IO_ERROR, g_io_error_from_errno(-result), "cannot mount afresh on %s: %s",
                            channel->mountpoint,
                            mountpoint ? g_strerror(-result) : "something else is mounted over it");
        else
                fresh = make_channel(mountpoint, options, true, error);
        descriptor_clear(&channel->fd);
        if (!fresh)
                channel_unmount(channel);
        else if (umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
                warn_of_dead(mountpoint);
        channel_forget(channel);
        return fresh;
}

void channel_free(Channel *channel) {
        if (!channel)
                return;
        descriptor_clear(&channel->fd);
        if (channel->mountpoint)
                channel_unmount(channel);
        channel_forget(channel);
}
