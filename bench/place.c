#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

bool place_fail(const char *verb, const char *path, GError **error) {
        int code = errno;

        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(code), "cannot %s %s: %s", verb, path,
                    g_strerror(code));
        return false;
}

/* A mapping of a full file system gets SIGBUS, which would leave the files behind: look first. */
static bool check_room(const char *directory, GError **error) {
        struct statvfs st;

        if (statvfs(directory, &st) < 0)
                return place_fail("use", directory, error);
        /* Without any blocks the file system does not tell. */
        if (st.f_blocks == 0 || (uint64_t)st.f_bavail * st.f_frsize >= 2 * PLACE_DATA_SIZE)
                return true;
        errno = ENOSPC;
        return place_fail("put 128 MiB into", directory, error);
}

static bool make_data(Place *place, GError **error) {
        place->fd = open(place->data, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (place->fd < 0)
                return place_fail("create", place->data, error);
        place->made = true;
        /* The length first: it decides whether tmpfs takes huge pages within it. */
        if (ftruncate(place->fd, PLACE_DATA_SIZE) < 0)
                return place_fail("extend", place->data, error);
        for (size_t offset = 0; offset < PLACE_DATA_SIZE; offset += PLACE_CALL_SIZE) {
                ssize_t written = pwrite(place->fd, place->buffer, PLACE_CALL_SIZE, offset);

                if (written == (ssize_t)PLACE_CALL_SIZE)
                        continue;
                if (written >= 0)
                        errno = ENOSPC;
                return place_fail("fill", place->data, error);
        }
        return true;
}

static bool make_small(Place *place, GError **error) {
        int fd = open(place->small, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        if (fd < 0)
                return place_fail("create", place->small, error);
        close(fd);
        place->made = true;
        return true;
}

Place *place_new(const char *directory, char *buffer, GError **error) {
        g_autoptr(Place) place = g_new0(Place, 1);
        guint32 token = g_random_int();

        place->directory = directory;
        place->buffer = buffer;
        place->data = g_strdup_printf("%s/regionfs-bench-%08x-data", directory, token);
        place->small = g_strdup_printf("%s/regionfs-bench-%08x-small", directory, token);
        place->other = g_strdup_printf("%s/regionfs-bench-%08x-other", directory, token);
        place->fd = -1;
        place->random = 88172645463325252; /* the same walk everywhere */
        if (buffer && (!check_room(directory, error) || !make_data(place, error)))
                return NULL;
        if (!make_small(place, error))
                return NULL;
        return g_steal_pointer(&place);
}

void place_free(Place *place) {
        const char *paths[] = { place->data, place->small, place->other };

        place_unmap(place);
        for (size_t i = 0; place->made && i < G_N_ELEMENTS(paths); i++) {
                if (unlink(paths[i]) == 0 || errno == ENOENT)
                        continue;
                /* Where one stays, the others do for the same reason: a sentence for each would say no more. */
                g_printerr("regionfs-bench: cannot remove %s: %s\n", paths[i], g_strerror(errno));
                break;
        }
        if (place->fd >= 0)
                close(place->fd);
        g_free(place->data);
        g_free(place->small);
        g_free(place->other);
        g_free(place);
}

bool place_map(Place *place, int fd, const char *path, GError **error) {
        void *mapping = mmap(NULL, PLACE_DATA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (mapping == MAP_FAILED)
                return place_fail("map", path, error);
        place->mapping = mapping;
        return true;
}

void place_unmap(Place *place) {
        if (place->mapping)
                munmap((void *)place->mapping, PLACE_DATA_SIZE);
        place->mapping = NULL;
}
