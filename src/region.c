#include "region.h"

#include "descriptor.h"

#include <fcntl.h>
#include <sys/stat.h>

uint64_t region_page_size(void) {
        return sysconf(_SC_PAGESIZE);
}

uint64_t region_padded_length(uint64_t logical) {
        uint64_t page = region_page_size();

        return (logical + page - 1) / page * page;
}

int region_set_length(int fd, off_t length) {
        char path[DESCRIPTOR_PATH_MAX];

        return truncate(descriptor_path(fd, path), length) < 0 ? -errno : 0;
}

int region_drop_setid(int fd) {
        char path[DESCRIPTOR_PATH_MAX];
        struct stat st;
        mode_t mode;

        if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
                return -errno;
        mode = st.st_mode & ~S_ISUID;
        if (mode & S_IXGRP)
                mode &= ~S_ISGID;
        if (mode != st.st_mode && chmod(descriptor_path(fd, path), mode & 07777) < 0)
                return -errno;
        return 0;
}
