#pragma once

/* What there is to know of one region (or directory, or link) without opening it. */

#include <glib.h>
#include <stdbool.h>
#include <sys/stat.h>

typedef enum RegionAttribute {
        REGION_PAGE_SIZE,
        REGION_LOGICAL_LENGTH,
        REGION_PADDED_LENGTH,
        REGION_RESIDENT,
        REGION_HANDLES,
        REGION_ID,
        REGION_CREATED,
        REGION_LIFETIME,
        REGION_ALLOCATION,
        REGION_SEALED,
        REGION_SOURCE,
        REGION_ATTRIBUTES, /* how many there are */
} RegionAttribute;

/* Sets of attributes. */
#define REGION_ALL ((1U << REGION_ATTRIBUTES) - 1)
#define REGION_NONE 0U

/* What an attribute's text means. */
typedef enum RegionKind {
        REGION_NUMBER,
        REGION_FLAG, /* "0" or "1" */
        REGION_TEXT,
} RegionKind;

/* The attribute's name behind "user.regionfs.", and its kind. */
const char *region_attribute_name(RegionAttribute attribute);
RegionKind region_attribute_kind(RegionAttribute attribute);

typedef struct RegionInfo {
        char *name; /* owned: as people are to see it */
        char *path; /* owned: absolute */
        struct stat st;
        bool unseen;                     /* its directory lets its name be seen and no more: st has its type alone */
        char *values[REGION_ATTRIBUTES]; /* owned: NULL where not asked for, not there, or not to be read */
} RegionInfo;

/*
 * Reads the wanted set of attributes of name in directory (or AT_FDCWD); links are not followed. The region is not
 * opened: no handle is made. Where reading is not permitted, what stat(2) tells is all. NULL with errno, which is
 * ENOENT also where the region goes away meanwhile. name and path are left to the caller to set.
 */
RegionInfo *region_info_read(int directory, const char *name, unsigned wanted);

/* The same of a descriptor, O_PATH included, which stays the caller's. */
RegionInfo *region_info_read_descriptor(int fd, unsigned wanted);
void region_info_free(RegionInfo *info);

/*
 * One that can be listed and not looked at: st_mode has its type at most. name and path are left to the caller to set.
 */
RegionInfo *region_info_new_unseen(mode_t type);

/* An attribute that is a number of bytes, or of anything; G_MAXUINT64 if it is not known. Up to 2^63. */
guint64 region_info_size(const RegionInfo *info, RegionAttribute attribute);

/* One that is a number below 2^63, or a flag; -1 if it is not known. */
gint64 region_info_number(const RegionInfo *info, RegionAttribute attribute);

/* Seconds since the region was created; -1 if that is not known. */
gint64 region_info_age(const RegionInfo *info);

/* "region", "directory", "link" or "other". */
const char *region_info_type(const RegionInfo *info);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(RegionInfo, region_info_free)
