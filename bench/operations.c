#include "operations.h"

#include "clients.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PAGES (PLACE_DATA_SIZE / PLACE_PAGE_SIZE)
#define CALLS (PLACE_DATA_SIZE / PLACE_CALL_SIZE)
#define CLIENTS 4

static const char attribute[] = "user.bench";

static bool read_data(Place *place, size_t size, off_t offset, GError **error) {
        ssize_t done = pread(place->fd, place->buffer, size, offset);

        if (done == (ssize_t)size)
                return true;
        if (done >= 0)
                errno = EIO;
        return place_fail("read", place->data, error);
}

static bool write_data(Place *place, size_t size, off_t offset, GError **error) {
        ssize_t done = pwrite(place->fd, place->buffer, size, offset);

        if (done == (ssize_t)size)
                return true;
        if (done >= 0)
                errno = EIO;
        return place_fail("write", place->data, error);
}

/* Marsaglia's xorshift: a few cycles, so that what is timed is the call. */
static off_t random_page(Place *place) {
        place->random ^= place->random << 13;
        place->random ^= place->random >> 7;
        place->random ^= place->random << 17;
        return place->random % PAGES * PLACE_PAGE_SIZE;
}

static bool run_pread_4k(Place *place, size_t count, GError **error) {
        for (size_t i = 0; i < count; i++)
                if (!read_data(place, PLACE_PAGE_SIZE, random_page(place), error))
                        return false;
        return true;
}

static bool run_pwrite_4k(Place *place, size_t count, GError **error) {
        for (size_t i = 0; i < count; i++)
                if (!write_data(place, PLACE_PAGE_SIZE, random_page(place), error))
                        return false;
        return true;
}

static bool run_pread_1m(Place *place, size_t count, GError **error) {
        for (size_t i = 0; i < count; i++)
                if (!read_data(place, PLACE_CALL_SIZE, i % CALLS * PLACE_CALL_SIZE, error))
                        return false;
        return true;
}

static bool run_pwrite_1m(Place *place, size_t count, GError **error) {
        for (size_t i = 0; i < count; i++)
                if (!write_data(place, PLACE_CALL_SIZE, i % CALLS * PLACE_CALL_SIZE, error))
                        return false;
        return true;
}

static bool run_touch(Place *place, size_t count, GError **error) {
        for (size_t i = 0; i < count; i++)
                place->mapping[i % PAGES * PLACE_PAGE_SIZE] = 1;
        return true;
}

/* The mapping alone stays open: what a program has that closes the file once it has its view. */
static bool prepare_first_touch(Place *place, GError **error) {
        int fd = open(place->other, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        bool good;

        if (fd < 0)
                return place_fail("create", place->other, error);
        good = ftruncate(fd, PLACE_DATA_SIZE) == 0 ? place_map(place, fd, place->other, error) :
                                                     place_fail("extend", place->other, error);
        close(fd);
        return good;
}

static void finish_first_touch(Place *place) {
        place_unmap(place);
        unlink(place->other);
}

static bool prepare_retouch(Place *place, GError **error) {
        return place_map(place, place->fd, place->data, error) && run_touch(place, PAGES, error);
}

/* Each says where the next one is: none begins before the last has come. */
static bool run_random_load(Place *place, size_t count, GError **error) {
        for (size_t i = 0; i < count; i++)
                place->random ^= (uint64_t)(unsigned char)place->mapping[random_page(place)];
        return true;
}

static bool run_open_close(Place *place, size_t count, GError **error) {
        for (size_t i = 0; i < count; i++) {
                int fd = open(place->small, O_RDWR | O_CLOEXEC);

                if (fd < 0)
                        return place_fail("open", place->small, error);
                if (close(fd) < 0)
                        return place_fail("close", place->small, error);
        }
        return true;
}

static bool run_create_close_unlink(Place *place, size_t count, GError **error) {
        for (size_t i = 0; i < count; i++) {
                int fd = open(place->other, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

                if (fd < 0)
                        return place_fail("create", place->other, error);
                if (close(fd) < 0)
                        return place_fail("close", place->other, error);
                if (unlink(place->other) < 0)
                        return place_fail("remove", place->other, error);
        }
        return true;
}

static bool run_stat(Place *place, size_t count, GError **error) {
        struct stat st;

        for (size_t i = 0; i < count; i++)
                if (stat(place->small, &st) < 0)
                        return place_fail("stat", place->small, error);
        return true;
}

static bool run_stat_missing(Place *place, size_t count, GError **error) {
        struct stat st;

        for (size_t i = 0; i < count; i++) {
                if (stat(place->other, &st) == 0)
                        errno = EEXIST;
                if (errno != ENOENT)
                        return place_fail("miss", place->other, error);
        }
        return true;
}

/* Whatever else goes wrong, run says. */
static bool available_getxattr(Place *place) {
        return getxattr(place->small, attribute, NULL, 0) >= 0 || setxattr(place->small, attribute, "1", 1, 0) == 0 ||
               errno != ENOTSUP;
}

static bool run_getxattr(Place *place, size_t count, GError **error) {
        char value[16];

        for (size_t i = 0; i < count; i++)
                if (getxattr(place->small, attribute, value, sizeof(value)) < 0)
                        return place_fail("get user.bench of", place->small, error);
        return true;
}

/* There and back again: each way is an operation, and count is even. */
static bool run_rename(Place *place, size_t count, GError **error) {
        for (size_t i = 0; i < count; i += 2) {
                if (rename(place->small, place->other) < 0)
                        return place_fail("rename", place->small, error);
                if (rename(place->other, place->small) < 0)
                        return place_fail("rename", place->other, error);
        }
        return true;
}

/* One of each of the above but stat, and getxattr only where there is any. */
static bool run_mix(Place *place, size_t count, GError **error) {
        bool attributes = available_getxattr(place);

        for (size_t i = 0; i < count; i += 2) {
                if (!run_open_close(place, 2, error) || !run_create_close_unlink(place, 2, error) ||
                    !run_stat_missing(place, 2, error) || (attributes && !run_getxattr(place, 2, error)) ||
                    !run_rename(place, 2, error))
                        return false;
        }
        return true;
}

static bool prepare_mix_1(Place *place, GError **error) {
        return (place->clients = clients_start(place->directory, 1, true, run_mix, error)) != NULL;
}

static bool prepare_mix_4(Place *place, GError **error) {
        return (place->clients = clients_start(place->directory, CLIENTS, true, run_mix, error)) != NULL;
}

static bool prepare_mix_4_together(Place *place, GError **error) {
        return (place->clients = clients_start(place->directory, CLIENTS, false, run_mix, error)) != NULL;
}

static bool run_mix_1(Place *place, size_t count, GError **error) {
        return clients_run(place->clients, count, error);
}

static bool run_mix_4(Place *place, size_t count, GError **error) {
        return clients_run(place->clients, count / CLIENTS, error);
}

static void finish_mix(Place *place) {
        g_clear_pointer(&place->clients, clients_free);
}

const Operation operations[] = {
        { .name = "pread-4k", .batch = 1024, .run = run_pread_4k },
        { .name = "pwrite-4k", .batch = 1024, .run = run_pwrite_4k },
        { .name = "pread-1m", .batch = CALLS, .run = run_pread_1m },
        { .name = "pwrite-1m", .batch = CALLS, .run = run_pwrite_1m },
        {
                .name = "first-touch",
                .batch = PAGES,
                .prepare = prepare_first_touch,
                .run = run_touch,
                .finish = finish_first_touch,
        },
        {
                .name = "retouch",
                .batch = 64 * PAGES,
                .prepare = prepare_retouch,
                .run = run_touch,
                .finish = place_unmap,
        },
        {
                .name = "random-load",
                .batch = 16 * PAGES,
                .prepare = prepare_retouch,
                .run = run_random_load,
                .finish = place_unmap,
        },
        { .name = "open-close", .batch = 64, .run = run_open_close },
        { .name = "create-close-unlink", .batch = 64, .run = run_create_close_unlink },
        { .name = "stat", .batch = 1024, .run = run_stat },
        { .name = "stat-missing", .batch = 64, .run = run_stat_missing },
        { .name = "getxattr", .batch = 64, .available = available_getxattr, .run = run_getxattr },
        { .name = "rename", .batch = 64, .run = run_rename },
        { .name = "mix-1", .batch = 32, .prepare = prepare_mix_1, .run = run_mix_1, .finish = finish_mix },
        { .name = "mix-4", .batch = 128, .prepare = prepare_mix_4, .run = run_mix_4, .finish = finish_mix },
        {
                .name = "mix-4-together",
                .batch = 128,
                .prepare = prepare_mix_4_together,
                .run = run_mix_4,
                .finish = finish_mix,
        },
        { .name = NULL },
};

const Operation *operations_find(const char *name) {
        for (const Operation *operation = operations; operation->name; operation++)
                if (g_str_equal(operation->name, name))
                        return operation;
        return NULL;
}

char *operations_names(void) {
        GString *names = g_string_new(NULL);

        for (const Operation *operation = operations; operation->name; operation++)
                g_string_append_printf(names, "%s%s", names->len ? ", " : "", operation->name);
        return g_string_free(names, FALSE);
}
