/* Operations with locks of whole files and of ranges. Both belong to handles, and handles of one process exclude
 * another. */
#include "soak-client.h"

#include <sys/file.h>

/* Whether handle cannot have the lock because of another handle's. */
static bool conflicts(Client *client, const Handle *handle, short type, bool range) {
        for (unsigned i = 0; type != F_UNLCK && i < client->model.handles->len; i++) {
                const Handle *other = g_ptr_array_index(client->model.handles, i);
                short held = range ? other->range_lock : other->whole_lock;

                if (other != handle && other->node == handle->node && held != F_UNLCK &&
                    (held == F_WRLCK || type == F_WRLCK))
                        return true;
        }
        return false;
}

static short pick_type(Client *client) {
        static const short types[] = { F_RDLCK, F_WRLCK, F_UNLCK };

        return types[client_random(client, 0, G_N_ELEMENTS(types))];
}

/* Another type is had by giving up the first: flock(2) may lose it anyway. */
static void lock_whole(Client *client) {
        Handle *handle = client_pick_handle(client, false);
        short type = pick_type(client);
        int wanted;

        if (!handle)
                return;
        if (handle->whole_lock != F_UNLCK) {
                client_expect(client, timed(client, flock(handle->fd, LOCK_UN)), 0, "unlocking");
                handle->whole_lock = F_UNLCK;
        }
        wanted = conflicts(client, handle, type, false) ? EWOULDBLOCK : 0;
        if (client_expect(client,
                          timed(client, flock(handle->fd, LOCK_NB | (type == F_RDLCK ? LOCK_SH :
                                                                     type == F_WRLCK ? LOCK_EX :
                                                                                       LOCK_UN))),
                          wanted, "flock, type %d", type))
                handle->whole_lock = type;
}

static void lock_range(Client *client) {
        Handle *handle = client_pick_handle(client, false);
        struct flock lock = { .l_type = pick_type(client), .l_whence = SEEK_SET, .l_start = 10, .l_len = 100 };
        int access_mode, wanted;

        if (!handle)
                return;
        access_mode = handle->flags & O_ACCMODE;
        if ((lock.l_type == F_RDLCK && access_mode == O_WRONLY) || (lock.l_type == F_WRLCK && access_mode == O_RDONLY))
                wanted = EBADF;
        else
                wanted = conflicts(client, handle, lock.l_type, true) ? EAGAIN : 0;
        if (client_expect(client, timed(client, fcntl(handle->fd, F_OFD_SETLK, &lock)), wanted, "F_OFD_SETLK, type %d",
                          lock.l_type))
                handle->range_lock = lock.l_type;
}

const Operation locks_operations[] = {
        { "flock", 3, lock_whole },
        { "lock a range", 3, lock_range },
        { .weight = 0 },
};
