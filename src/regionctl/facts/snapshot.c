#include "regionctl/facts/snapshot.h"

#include "base/descriptor.h"

#include <fcntl.h>
#include <string.h>

/* What the columns of the table take. */
#define WANTED (REGION_ALL & ~(1U << REGION_PAGE_SIZE | 1U << REGION_ID | 1U << REGION_SOURCE))

/*
 * Before the regions, each of which is a Record and its texts, with their null bytes: name, path, values that it has.
 */
typedef struct Header {
        int result;
        guint count; /* of regions */
        gsize size;  /* bytes behind the header */
        PoolStatus pool;
} Header;

typedef struct Record {
        struct stat st;
        bool unseen;
        unsigned values; /* set of those that it has */
} Record;

int snapshot_read(Snapshot *snapshot, const Mount *mount, const char *path) {
        const ListingRequest request = {
                .wanted = WANTED,
                .device = mount->device,
                .recursive = true,
                .regions_only = true,
                .quiet = true,
        };
        /* Not kept open: the mount can be unmounted while it is shown. */
        auto_descriptor fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        Status unused = STATUS_DONE;
        struct stat st;
        int result;

        if (fd < 0)
                return -errno;
        /* What lies there is another mount now, or none. */
        if (fstat(fd, &st) < 0 || st.st_dev != mount->device)
                return -ENOTCONN;
        snapshot->regions = g_ptr_array_new_with_free_func((GDestroyNotify)region_info_free);
        result = listing_read(snapshot->regions, fd, "", path, &request, &unused);
        return result < 0 ? result : pool_status_read(&snapshot->pool, mount);
}

void snapshot_clear(Snapshot *snapshot) {
        g_clear_pointer(&snapshot->regions, g_ptr_array_unref);
}

static void put_text(GByteArray *bytes, const char *text) {
        g_byte_array_append(bytes, (const guint8 *)text, strlen(text) + 1);
}

static void put_region(GByteArray *bytes, const RegionInfo *info) {
        Record record;

        /* With its padding, so that all bytes are known ones. */
        memset(&record, 0, sizeof(record));
        record.st = info->st;
        record.unseen = info->unseen;
        for (int i = 0; i < REGION_ATTRIBUTES; i++)
                if (info->values[i])
                        record.values |= 1U << i;
        g_byte_array_append(bytes, (const guint8 *)&record, sizeof(record));
        put_text(bytes, info->name);
        put_text(bytes, info->path);
        for (int i = 0; i < REGION_ATTRIBUTES; i++)
                if (info->values[i])
                        put_text(bytes, info->values[i]);
}

void snapshot_put(const Snapshot *snapshot, int result, GByteArray *bytes) {
        Header header;

        memset(&header, 0, sizeof(header));
        header.result = result;
        g_byte_array_append(bytes, (const guint8 *)&header, sizeof(header));
        if (result < 0)
                return;
        for (guint i = 0; i < snapshot->regions->len; i++)
                put_region(bytes, snapshot->regions->pdata[i]);
        header.count = snapshot->regions->len;
        header.size = bytes->len - sizeof(header);
        header.pool = snapshot->pool;
        memcpy(bytes->data, &header, sizeof(header));
}

static char *get_text(const guint8 **at) {
        char *text = g_strdup((const char *)*at);

        *at += strlen(text) + 1;
        return text;
}

static RegionInfo *get_region(const guint8 **at) {
        RegionInfo *info = g_new0(RegionInfo, 1);
        Record record;

        memcpy(&record, *at, sizeof(record));
        *at += sizeof(record);
        info->st = record.st;
        info->unseen = record.unseen;
        info->name = get_text(at);
        info->path = get_text(at);
        for (int i = 0; i < REGION_ATTRIBUTES; i++)
                if (record.values & 1U << i)
                        info->values[i] = get_text(at);
        return info;
}

int snapshot_get(Snapshot *snapshot, const GByteArray *bytes) {
        const guint8 *at = bytes->data + sizeof(Header);
        Header header;

        if (bytes->len < sizeof(header))
                return -EIO;
        memcpy(&header, bytes->data, sizeof(header));
        if (header.result < 0)
                return header.result;
        if (bytes->len != sizeof(header) + header.size)
                return -EIO;
        snapshot->pool = header.pool;
        snapshot->regions = g_ptr_array_new_with_free_func((GDestroyNotify)region_info_free);
        for (guint i = 0; i < header.count; i++)
                g_ptr_array_add(snapshot->regions, get_region(&at));
        return 0;
}
