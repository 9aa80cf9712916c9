#pragma once

/* What --json prints. JSON text is UTF-8; names of files need not be. */

#include "regionctl/facts/region-info.h"
#include "regionctl/words/names.h"

#include <json-glib/json-glib.h>

/*
 * Members of the object that the builder is at. bytes that are not UTF-8 have U+FFFD in the place of each wrong byte,
 * and a further member NAME_base64 has them as they are. NULL bytes, and negative numbers and flags, are null.
 */
void object_add_text(JsonBuilder *builder, const char *name, const char *bytes);
void object_add_number(JsonBuilder *builder, const char *name, gint64 number);
void object_add_size(JsonBuilder *builder, const char *name, guint64 bytes); /* G_MAXUINT64 is null */
void object_add_flag(JsonBuilder *builder, const char *name, gint64 flag);

/* Begins an object and fills in all of the region; the caller ends it. */
void object_begin_region(JsonBuilder *builder, const RegionInfo *info, Names *names);

/* An array that is printed object by object, so that it need not be held as a whole. */
typedef struct ObjectArray {
        guint count;
} ObjectArray;

#define OBJECT_ARRAY_INIT { 0 }

/* Prints one more, which the builder has just ended; and what is behind the last one. */
void object_array_print(ObjectArray *array, JsonBuilder *builder);
void object_array_end(const ObjectArray *array);
