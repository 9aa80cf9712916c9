#include "regionctl/facts/region-info.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <regionfs/regionfs.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static const struct {
        const char *name;
        RegionKind kind;
} table[REGION_ATTRIBUTES] = {
        [REGION_PAGE_SIZE] = { REGIONFS_ATTRIBUTE_PAGE_SIZE, REGION_NUMBER },
        [REGION_LOGICAL_LENGTH] = { REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, REGION_NUMBER },
        [REGION_PADDED_LENGTH] = { REGIONFS_ATTRIBUTE_PADDED_LENGTH, REGION_NUMBER },
        [REGION_RESIDENT] = { REGIONFS_ATTRIBUTE_RESIDENT, REGION_NUMBER },
        [REGION_HANDLES] = { REGIONFS_ATTRIBUTE_HANDLES, REGION_NUMBER },
        [REGION_ID] = { REGIONFS_ATTRIBUTE_ID, REGION_NUMBER },
        [REGION_CREATED] = { REGIONFS_ATTRIBUTE_CREATED, REGION_TEXT },
        [REGION_LIFETIME] = { REGIONFS_ATTRIBUTE_LIFETIME, REGION_TEXT },
        [REGION_ALLOCATION] = { REGIONFS_ATTRIBUTE_ALLOCATION, REGION_TEXT },
        [REGION_SEALED] = { REGIONFS_ATTRIBUTE_SEALED, REGION_FLAG },
        [REGION_SOURCE] = { REGIONFS_ATTRIBUTE_SOURCE, REGION_TEXT },
};

/* What directories have as well. */
#define OF_DIRECTORIES (1U << REGION_LIFETIME | 1U << REGION_ALLOCATION)

const char *region_attribute_name(RegionAttribute attribute) {
        return table[attribute].name + strlen(REGIONFS_ATTRIBUTE_PREFIX);
}

RegionKind region_attribute_kind(RegionAttribute attribute) {
        return table[attribute].kind;
}

/* What follows from stat(2), and from that the daemon is on this machine: pages are the same there. */
static void read_stat(RegionInfo *info, unsigned wanted) {
        guint64 page = sysconf(_SC_PAGESIZE), length = info->st.st_size;
        const struct {
                RegionAttribute attribute;
                guint64 value;
        } known[] = {
                { REGION_PAGE_SIZE, page },
                { REGION_LOGICAL_LENGTH, length },
                { REGION_PADDED_LENGTH, (length + page - 1) / page * page },
                { REGION_RESIDENT, (guint64)info->st.st_blocks * 512 },
                { REGION_ID, info->st.st_ino },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
                if (wanted & (1U << known[i].attribute))
                        info->values[known[i].attribute] = g_strdup_printf("%" G_GUINT64_FORMAT, known[i].value);
}

/*
 * The others, each of which is a question to the daemon. 0 or -errno. A node that has gone answers ESTALE, or ENOENT.
 */
static int read_values(RegionInfo *info, int fd, unsigned wanted) {
        g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
        char value[PATH_MAX];

        for (int i = 0; i < REGION_ATTRIBUTES; i++) {
                ssize_t size;

                if (!(wanted & (1U << i)) || info->values[i])
                        continue;
                size = getxattr(link, table[i].name, value, sizeof(value));
                if (size >= 0)
                        info->values[i] = g_strndup(value, size);
                else if (errno == EACCES || errno == EPERM)
                        return 0;
                else if (errno != ENODATA && errno != ENOTSUP)
                        return errno == ESTALE ? -ENOENT : -errno;
        }
        return 0;
}

RegionInfo *region_info_read_descriptor(int fd, unsigned wanted) {
        g_autoptr(RegionInfo) info = g_new0(RegionInfo, 1);
        /* What the kernel has kept may be a second old. */
        int flags = AT_EMPTY_PATH | (wanted ? AT_STATX_FORCE_SYNC : 0), result = 0;

        if (fstatat(fd, "", &info->st, flags) < 0)
                result = errno == ESTALE ? -ENOENT : -errno;
        else if (info->st.st_nlink == 0)
                result = -ENOENT;
        if (result == 0 && S_ISREG(info->st.st_mode))
                read_stat(info, wanted);
        if (result == 0 && S_ISREG(info->st.st_mode))
                result = read_values(info, fd, wanted);
        else if (result == 0 && S_ISDIR(info->st.st_mode))
                result = read_values(info, fd, wanted & OF_DIRECTORIES);
        if (result < 0) {
                errno = -result;
                return NULL;
        }
        return g_steal_pointer(&info);
}

RegionInfo *region_info_read(int directory, const char *name, unsigned wanted) {
        RegionInfo *info;
        /* O_PATH holds the node for all that is asked of it, and does not open it. */
        int fd = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), error;

        if (fd < 0) {
                if (errno == ESTALE)
                        errno = ENOENT;
                return NULL;
        }
        info = region_info_read_descriptor(fd, wanted);
        error = errno;
        close(fd);
        errno = error;
        return info;
}

void region_info_free(RegionInfo *info) {
        g_free(info->name);
        g_free(info->path);
        for (int i = 0; i < REGION_ATTRIBUTES; i++)
                g_free(info->values[i]);
        g_free(info);
}

RegionInfo *region_info_new_unseen(mode_t type) {
        RegionInfo *info = g_new0(RegionInfo, 1);

        info->st.st_mode = type;
        info->unseen = true;
        return info;
}

guint64 region_info_size(const RegionInfo *info, RegionAttribute attribute) {
        return info->values[attribute] ? g_ascii_strtoull(info->values[attribute], NULL, 10) : G_MAXUINT64;
}

gint64 region_info_number(const RegionInfo *info, RegionAttribute attribute) {
        return info->values[attribute] ? g_ascii_strtoll(info->values[attribute], NULL, 10) : -1;
}

gint64 region_info_age(const RegionInfo *info) {
        gint64 created = region_info_number(info, REGION_CREATED);

        return created < 0 ? -1 : MAX(0, g_get_real_time() / G_USEC_PER_SEC - created);
}

const char *region_info_type(const RegionInfo *info) {
        return S_ISREG(info->st.st_mode) ? "region" :
               S_ISDIR(info->st.st_mode) ? "directory" :
               S_ISLNK(info->st.st_mode) ? "link" :
                                           "other";
}
