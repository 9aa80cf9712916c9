#include "operations/directory.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

struct Directory {
        GMutex lock;
        int fd;            /* owned */
        uint64_t position; /* of the entry at start */
        size_t start, end; /* of the entries in buffer that were not used yet */
        char *buffer;      /* owned: from the first read to the end of the directory */
};

/* Enough for about one reply of the daemon, as clients may keep many directories open. */
#define BUFFER_SIZE 8192

Directory *directory_new(int fd) {
        Directory *directory = g_new0(Directory, 1);

        g_mutex_init(&directory->lock);
        directory->fd = fd;
        return directory;
}

void directory_free(Directory *directory) {
        if (!directory)
                return;
        close(directory->fd);
        g_free(directory->buffer);
        g_mutex_clear(&directory->lock);
        g_free(directory);
}

void directory_lock(Directory *directory) {
        g_mutex_lock(&directory->lock);
}

void directory_unlock(Directory *directory) {
        g_mutex_unlock(&directory->lock);
}

int directory_fd(const Directory *directory) {
        return directory->fd;
}

int directory_read(Directory *directory, uint64_t position, DirectoryEntry *entry) {
        const struct dirent64 *found;

        /* Position 0 is a rewind: what is buffered may be old. */
        if (position != directory->position || position == 0) {
                if (lseek(directory->fd, position, SEEK_SET) < 0)
                        return -errno;
                directory->position = position;
                directory->start = directory->end = 0;
        }
        if (directory->start == directory->end) {
                ssize_t size;

                if (!directory->buffer)
                        directory->buffer = g_malloc(BUFFER_SIZE);
                size = getdents64(directory->fd, directory->buffer, BUFFER_SIZE);
                if (size < 0)
                        return -errno;
                directory->start = 0;
                directory->end = size;
                if (size == 0) {
                        g_clear_pointer(&directory->buffer, g_free);
                        return 0;
                }
        }
        found = (const struct dirent64 *)(directory->buffer + directory->start);
        *entry = (DirectoryEntry){
                .name = found->d_name,
                .inode = found->d_ino,
                .type = DTTOIF(found->d_type),
                .next = found->d_off,
        };
        return 1;
}

void directory_advance(Directory *directory, const DirectoryEntry *entry) {
        const struct dirent64 *used = (const struct dirent64 *)(directory->buffer + directory->start);

        directory->start += used->d_reclen;
        directory->position = entry->next;
}
