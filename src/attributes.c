#include "attributes.h"

#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <regionfs/regionfs.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
        OF_REGION = 1 << 0,
        OF_ROOT = 1 << 1,
};

/* What getters and setters see: the target and what was found out about it. */
typedef struct Query {
        const AttributeTarget *target;
        struct stat st;
} Query;

typedef struct Attribute {
        const char *name;
        unsigned of;
        bool listed;
        int (*get)(const Query *query, char value[ATTRIBUTES_VALUE_MAX]);
        int (*set)(const Query *query, const char *value); /* NULL: read-only; result as of attributes_set() */
} Attribute;

static int print_number(char value[ATTRIBUTES_VALUE_MAX], uint64_t number) {
        return g_snprintf(value, ATTRIBUTES_VALUE_MAX, "%" G_GUINT64_FORMAT, (guint64)number);
}

static int get_page_size(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return print_number(value, region_page_size());
}

static int get_logical_length(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return print_number(value, query->st.st_size);
}

static int set_logical_length(const Query *query, const char *value) {
        guint64 length;
        int result;

        /* Too many digits are a length that no file can have; anything but digits is none. */
        if (!*value || strspn(value, "0123456789") != strlen(value) || (value[0] == '0' && value[1]))
                return -EINVAL;
        if (!g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT64, &length, NULL))
                return -EFBIG;
        result = region_set_length(query->target->fd, length);
        /* The kernel's word for a length beyond what the file system takes is EINVAL or EFBIG, by file system. */
        if (result == -EINVAL)
                result = -EFBIG;
        return result < 0 ? result : 1;
}

static int get_padded_length(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return print_number(value, region_padded_length(query->st.st_size));
}

static int get_resident(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return print_number(value, (uint64_t)query->st.st_blocks * 512);
}

static int get_handles(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        uint64_t handles;
        int result = registry_handles(query->target->registry, query->target->id, &handles);

        return result < 0 ? result : print_number(value, handles);
}

static int get_id(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return print_number(value, query->st.st_ino);
}

static int get_created(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        struct statx stx;

        if (statx(query->target->fd, "", AT_EMPTY_PATH, STATX_BTIME, &stx) < 0)
                return -errno;
        if (!(stx.stx_mask & STATX_BTIME))
                return -ENODATA; /* not every file system of a pool=DIR keeps it */
        return g_snprintf(value, ATTRIBUTES_VALUE_MAX, "%" G_GINT64_FORMAT ".%09u", (gint64)stx.stx_btime.tv_sec,
                          stx.stx_btime.tv_nsec);
}

static int get_version(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return g_snprintf(value, ATTRIBUTES_VALUE_MAX, "%s", REGIONFS_VERSION);
}

static int get_passthrough(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return print_number(value, query->target->passthrough);
}

static int get_server_pid(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return print_number(value, getpid());
}

static int get_regions(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return print_number(value, registry_regions(query->target->registry));
}

static const Attribute table[] = {
        { REGIONFS_ATTRIBUTE_PAGE_SIZE, OF_REGION, true, get_page_size, NULL },
        { REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, OF_REGION, true, get_logical_length, set_logical_length },
        { REGIONFS_ATTRIBUTE_PADDED_LENGTH, OF_REGION, true, get_padded_length, NULL },
        { REGIONFS_ATTRIBUTE_RESIDENT, OF_REGION, false, get_resident, NULL },
        { REGIONFS_ATTRIBUTE_HANDLES, OF_REGION, false, get_handles, NULL },
        { REGIONFS_ATTRIBUTE_ID, OF_REGION, false, get_id, NULL },
        { REGIONFS_ATTRIBUTE_CREATED, OF_REGION, false, get_created, NULL },
        { REGIONFS_ATTRIBUTE_VERSION, OF_ROOT, false, get_version, NULL },
        { REGIONFS_ATTRIBUTE_PASSTHROUGH, OF_ROOT, false, get_passthrough, NULL },
        { REGIONFS_ATTRIBUTE_SERVER_PID, OF_ROOT, false, get_server_pid, NULL },
        { REGIONFS_ATTRIBUTE_REGIONS, OF_ROOT, false, get_regions, NULL },
};

bool attributes_own(const char *name) {
        return g_str_has_prefix(name, REGIONFS_ATTRIBUTE_PREFIX);
}

static int begin(Query *query, const AttributeTarget *target, unsigned *kind) {
        query->target = target;
        if (fstatat(target->fd, "", &query->st, AT_EMPTY_PATH) < 0)
                return -errno;
        *kind = S_ISREG(query->st.st_mode)      ? OF_REGION :
                target->id == REGISTRY_ROOT_ID ? OF_ROOT :
                                                 0;
        return 0;
}

static const Attribute *find(const char *name, unsigned kind) {
        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                if ((table[i].of & kind) && g_str_equal(table[i].name, name))
                        return &table[i];
        return NULL;
}

int attributes_get(const AttributeTarget *target, const char *name, char value[ATTRIBUTES_VALUE_MAX]) {
        const Attribute *attribute;
        unsigned kind;
        Query query;
        int result = begin(&query, target, &kind);

        if (result < 0)
                return result;
        attribute = find(name, kind);
        return attribute ? attribute->get(&query, value) : -ENODATA;
}

int attributes_set(const AttributeTarget *target, const char *name, const char *value, size_t size, int flags) {
        g_autofree char *text = NULL;
        char present[ATTRIBUTES_VALUE_MAX];
        const Attribute *attribute;
        unsigned kind;
        Query query;
        int result = begin(&query, target, &kind);

        if (result < 0)
                return result;
        attribute = find(name, kind);
        if (!attribute)
                return -EINVAL;
        if (flags & XATTR_CREATE)
                return -EEXIST;
        result = attribute->get(&query, present);
        if (result < 0)
                return result;
        /* Copying programs write back what they have read: that is no change. */
        if ((size_t)result == size && memcmp(present, value, size) == 0)
                return 0;
        if (!attribute->set)
                return -EPERM;
        if (memchr(value, '\0', size))
                return -EINVAL;
        text = g_strndup(value, size);
        return attribute->set(&query, text);
}

int attributes_remove(const AttributeTarget *target, const char *name) {
        const Attribute *attribute;
        unsigned kind;
        Query query;
        int result = begin(&query, target, &kind);

        if (result < 0)
                return result;
        attribute = find(name, kind);
        if (!attribute)
                return -ENODATA;
        /* Copying programs remove what they see listed and the original has not. What is computed is there again. */
        return attribute->listed ? 0 : -EPERM;
}

int attributes_list(const AttributeTarget *target, GString *names) {
        unsigned kind;
        Query query;
        int result = begin(&query, target, &kind);

        if (result < 0)
                return result;
        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                if (table[i].listed && (table[i].of & kind))
                        g_string_append_len(names, table[i].name, strlen(table[i].name) + 1);
        return 0;
}
