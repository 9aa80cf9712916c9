#include "operations/attributes.h"

#include "base/descriptor.h"
#include "mount/access-times.h"
#include "operations/contents.h"
#include "pool/pool-limits.h"
#include "pool/region.h"

#include <errno.h>
#include <fcntl.h>
#include <regionfs/regionfs.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
        OF_REGION = 1 << 0,
        OF_DIRECTORY = 1 << 1, /* the root too */
        OF_ROOT = 1 << 2,
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
        const char *initial;                               /* what removing resets it to; NULL: it cannot be removed */
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

/* What holds the contents, to be changed: a descriptor that the caller owns. */
static int open_contents(const AttributeTarget *target) {
        int fd;

        if (target->source)
                return source_open(target->source, O_WRONLY);
        fd = fcntl(target->fd, F_DUPFD_CLOEXEC, 0);
        return fd < 0 ? -errno : fd;
}

/* Decimal digits. Too many are -EFBIG, anything else -EINVAL. */
static int parse_number(const char *value, uint64_t most, guint64 *number) {
        if (!*value || strspn(value, "0123456789") != strlen(value) || (value[0] == '0' && value[1]))
                return -EINVAL;
        return g_ascii_string_to_unsigned(value, 10, 0, most, number, NULL) ? 0 : -EFBIG;
}

static int set_logical_length(const Query *query, const char *value) {
        auto_descriptor contents = -1;
        guint64 length;
        int result = parse_number(value, G_MAXINT64, &length);

        if (result < 0)
                return result;
        contents = open_contents(query->target);
        if (contents < 0)
                return contents;
        result = contents_set_length(query->target->errands, contents, query->target->fd, length);
        /* The kernel's word for a length beyond what the file system takes is EINVAL or EFBIG, by file system. */
        if (result == -EINVAL)
                result = -EFBIG;
        return result < 0 ? result : 1;
}

static const char *const lifetimes[] = { [REGION_KEPT] = "kept", [REGION_HANDLES] = "handles", NULL };
static const char *const allocations[] = { [REGION_DELAYED] = "delayed", [REGION_COMMITTED] = "committed", NULL };

static int find_word(const char *const *words, const char *value) {
        for (int i = 0; words[i]; i++)
                if (g_str_equal(words[i], value))
                        return i;
        return -EINVAL;
}

static int get_lifetime(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        RegionPolicy policy;
        int result = region_read_policy(query->target->fd, &policy);

        return result < 0 ? result : g_snprintf(value, ATTRIBUTES_VALUE_MAX, "%s", lifetimes[policy.lifetime]);
}

static int get_allocation(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        RegionPolicy policy;
        int result = region_read_policy(query->target->fd, &policy);

        return result < 0 ? result : g_snprintf(value, ATTRIBUTES_VALUE_MAX, "%s", allocations[policy.allocation]);
}

static int get_sealed(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        RegionPolicy policy;
        int result = region_read_policy(query->target->fd, &policy);

        return result < 0 ? result : print_number(value, policy.sealed);
}

/* What a rule is to become. */
typedef struct Rule {
        int lifetime, allocation, sealed; /* -1: as it is */
} Rule;

#define RULE_AS_IT_IS { -1, -1, -1 }

/* Whether there are views without a handle, which can be where the kernel serves them (passthrough). */
static bool has_views_alone(const AttributeTarget *target) {
        char path[DESCRIPTOR_PATH_MAX];
        auto_descriptor file = -1;
        uint64_t handles;

        if (!target->passthrough || target->source ||
            registry_handles(target->registry, target->id, &handles) < 0 || handles > 0)
                return false;
        file = descriptor_open(descriptor_path(target->fd, path), O_RDONLY);
        return file >= 0 && region_in_use(file) == 1;
}

/* What takes long, or waits for others, is done before anybody waits for the rule. */
static int commit_contents(const AttributeTarget *target) {
        auto_descriptor contents = open_contents(target);

        return contents < 0 ? contents : contents_commit(target->errands, contents, 0);
}

/* Whether that still holds; if not it is done again, but for what others may have busy. */
static int check_commitment(const AttributeTarget *target) {
        auto_descriptor contents = open_contents(target);
        struct stat st;

        if (contents < 0)
                return contents;
        if (fstatat(contents, "", &st, AT_EMPTY_PATH) < 0)
                return -errno;
        if (!region_lacks_memory(&st))
                return 0;
        return target->errands ? -EBUSY : region_commit(contents, 0);
}

static int write_rule(const Query *query, const Rule *rule) {
        const AttributeTarget *target = query->target;
        RegionPolicy policy;
        int result = region_read_policy(target->fd, &policy);

        if (result < 0)
                return result;
        if (rule->lifetime >= 0)
                policy.lifetime = rule->lifetime;
        if (rule->allocation >= 0)
                policy.allocation = rule->allocation;
        if (rule->sealed == 0 && policy.sealed)
                return -EPERM;
        if (rule->sealed == 1 && !policy.sealed) {
                /* Its file can be written by other ways. */
                if (target->source)
                        return -EOPNOTSUPP;
                result = region_has_writers(target->fd);
                if (result != 0)
                        return result < 0 ? result : -EBUSY;
                policy.sealed = true;
        }
        if (rule->allocation == REGION_COMMITTED && S_ISREG(query->st.st_mode)) {
                result = check_commitment(target);
                if (result < 0)
                        return result;
        }
        /* First: should we die, nobody is to end it before the request comes again. */
        if (rule->lifetime == REGION_HANDLES)
                registry_await_use(target->registry, target->id);
        /* If that fails, it is read again. */
        registry_doubt_policy(target->registry, target->id);
        result = region_write_policy(target->fd, &policy);
        if (result < 0)
                return result;
        registry_note_policy(target->registry, target->id, &policy, false);
        if (rule->lifetime != REGION_HANDLES || !has_views_alone(target))
                return 0;
        registry_handle_used(target->registry, target->id);
        if (target->lifetimes)
                lifetimes_begin(target->lifetimes, target->id);
        return 0;
}

/* By the owner alone, and while no handle is added: whoever opens the region finds the rule in force, or not begun. */
static int set_rule(const Query *query, const Rule *rule) {
        const AttributeTarget *target = query->target;
        int result;

        if (target->caller.uid != 0 && target->caller.uid != query->st.st_uid)
                return -EPERM;
        if (rule->allocation == REGION_COMMITTED && S_ISREG(query->st.st_mode)) {
                result = commit_contents(target);
                if (result < 0)
                        return result;
        }
        result = registry_exclude(target->registry, target->id,
                                  rule->sealed == 1 ? REGISTRY_WITHOUT_WRITERS : REGISTRY_ANY);
        if (result < 0)
                return result;
        result = write_rule(query, rule);
        registry_include(target->registry, target->id, false);
        return result;
}

static int set_lifetime(const Query *query, const char *value) {
        Rule rule = RULE_AS_IT_IS;

        rule.lifetime = find_word(lifetimes, value);
        return rule.lifetime < 0 ? rule.lifetime : set_rule(query, &rule);
}

static int set_allocation(const Query *query, const char *value) {
        Rule rule = RULE_AS_IT_IS;

        rule.allocation = find_word(allocations, value);
        return rule.allocation < 0 ? rule.allocation : set_rule(query, &rule);
}

static int set_sealed(const Query *query, const char *value) {
        static const char *const words[] = { "0", "1", NULL };
        Rule rule = RULE_AS_IT_IS;

        rule.sealed = find_word(words, value);
        return rule.sealed < 0 ? rule.sealed : set_rule(query, &rule);
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

static int get_source(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return query->target->source ? source_path(query->target->source, value) : -ENODATA;
}

static int get_version(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return g_snprintf(value, ATTRIBUTES_VALUE_MAX, "%s", REGIONFS_VERSION);
}

static int get_passthrough(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return print_number(value, query->target->passthrough);
}

static int get_io_uring(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return print_number(value, query->target->rings);
}

static int get_access_times(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        struct statvfs fs;

        /* Elsewhere they are those of a mount that is not ours. */
        if (!query->target->own_pool)
                return -ENODATA;
        if (fstatvfs(query->target->fd, &fs) < 0)
                return -errno;
        return g_snprintf(value, ATTRIBUTES_VALUE_MAX, "%s", access_times_name(access_times_of_mount(fs.f_flag)));
}

static int set_access_times(const Query *query, const char *value) {
        unsigned flags;
        int result = access_times_find(value, &flags);

        if (caller_may_administer(&query->target->caller) < 0)
                return -EPERM;
        return result < 0 ? result : access_times_set(query->target->fd, flags);
}

/* Elsewhere the limits are those of a file system that is not ours. */
static int get_limit(const Query *query, int (*get)(int fd, uint64_t *limit), char value[ATTRIBUTES_VALUE_MAX]) {
        uint64_t limit;
        int result = query->target->own_pool ? get(query->target->fd, &limit) : -ENODATA;

        return result < 0 ? result : print_number(value, limit);
}

static int set_limit(const Query *query, uint64_t most, int (*set)(int fd, uint64_t limit), const char *value) {
        guint64 limit;
        int result = parse_number(value, most, &limit);

        if (caller_may_administer(&query->target->caller) < 0)
                return -EPERM;
        if (result < 0 || limit == 0)
                return -EINVAL;
        return set(query->target->fd, limit);
}

static int get_size(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return get_limit(query, pool_limits_size, value);
}

static int set_size(const Query *query, const char *value) {
        return set_limit(query, G_MAXINT64, pool_limits_set_size, value);
}

static int get_nr_regions(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return get_limit(query, pool_limits_regions, value);
}

static int set_nr_regions(const Query *query, const char *value) {
        return set_limit(query, POOL_LIMITS_REGIONS_MAX, pool_limits_set_regions, value);
}

static int get_server_pid(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return print_number(value, getpid());
}

static int get_regions(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return print_number(value, registry_regions(query->target->registry));
}

static int get_restarts(const Query *query, char value[ATTRIBUTES_VALUE_MAX]) {
        return print_number(value, registry_restarts(query->target->registry));
}

static const Attribute table[] = {
        { REGIONFS_ATTRIBUTE_PAGE_SIZE, OF_REGION, true, get_page_size, NULL },
        { REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, OF_REGION, true, get_logical_length, set_logical_length },
        { REGIONFS_ATTRIBUTE_PADDED_LENGTH, OF_REGION, true, get_padded_length, NULL },
        { REGIONFS_ATTRIBUTE_RESIDENT, OF_REGION, false, get_resident, NULL },
        { REGIONFS_ATTRIBUTE_HANDLES, OF_REGION, false, get_handles, NULL },
        { REGIONFS_ATTRIBUTE_ID, OF_REGION, false, get_id, NULL },
        { REGIONFS_ATTRIBUTE_CREATED, OF_REGION, false, get_created, NULL },
        { REGIONFS_ATTRIBUTE_LIFETIME, OF_REGION | OF_DIRECTORY, false, get_lifetime, set_lifetime, "kept" },
        { REGIONFS_ATTRIBUTE_ALLOCATION, OF_REGION | OF_DIRECTORY, false, get_allocation, set_allocation, "delayed" },
        { REGIONFS_ATTRIBUTE_SEALED, OF_REGION, false, get_sealed, set_sealed, "0" },
        { REGIONFS_ATTRIBUTE_SOURCE, OF_REGION, false, get_source, NULL },
        { REGIONFS_ATTRIBUTE_VERSION, OF_ROOT, false, get_version, NULL },
        { REGIONFS_ATTRIBUTE_PASSTHROUGH, OF_ROOT, false, get_passthrough, NULL },
        { REGIONFS_ATTRIBUTE_IO_URING, OF_ROOT, false, get_io_uring, NULL },
        { REGIONFS_ATTRIBUTE_ACCESS_TIMES, OF_ROOT, false, get_access_times, set_access_times },
        { REGIONFS_ATTRIBUTE_SIZE, OF_ROOT, false, get_size, set_size },
        { REGIONFS_ATTRIBUTE_NR_REGIONS, OF_ROOT, false, get_nr_regions, set_nr_regions },
        { REGIONFS_ATTRIBUTE_SERVER_PID, OF_ROOT, false, get_server_pid, NULL },
        { REGIONFS_ATTRIBUTE_REGIONS, OF_ROOT, false, get_regions, NULL },
        { REGIONFS_ATTRIBUTE_RESTARTS, OF_ROOT, false, get_restarts, NULL },
};

bool attributes_own(const char *name) {
        return g_str_has_prefix(name, REGIONFS_ATTRIBUTE_PREFIX);
}

static int begin(Query *query, const AttributeTarget *target, unsigned *kind) {
        query->target = target;
        if (fstatat(target->fd, "", &query->st, AT_EMPTY_PATH) < 0)
                return -errno;
        if (target->source)
                source_stat(target->source, &query->st);
        *kind = (S_ISREG(query->st.st_mode) ? OF_REGION : 0) | (S_ISDIR(query->st.st_mode) ? OF_DIRECTORY : 0) |
                (target->id == REGISTRY_ROOT_ID ? OF_ROOT : 0);
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

/* value is text; size its length. */
static int change(const Query *query, const Attribute *attribute, const char *value, size_t size) {
        char present[ATTRIBUTES_VALUE_MAX];
        int result = attribute->get(query, present);

        if (result < 0)
                return result;
        /* Copying programs write back what they have read: that is no change. */
        if ((size_t)result == size && memcmp(present, value, size) == 0) {
                if (!query->target->again || !attribute->set)
                        return 0;
                /* A length is set, but perhaps not told of; of rules more than the value may be missing. */
                if (attribute->set == set_logical_length)
                        return 1;
        }
        return attribute->set ? attribute->set(query, value) : -EPERM;
}

int attributes_set(const AttributeTarget *target, const char *name, const char *value, size_t size, int flags) {
        g_autofree char *text = NULL;
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
        if (memchr(value, '\0', size))
                return attribute->set ? -EINVAL : -EPERM;
        text = g_strndup(value, size);
        return change(&query, attribute, text, size);
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
        if (attribute->initial)
                return change(&query, attribute, attribute->initial, strlen(attribute->initial));
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
