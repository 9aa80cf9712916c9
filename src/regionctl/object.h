#pragma once

/* What --json prints. JSON text is UTF-8; names of files need not be. */

#include "region-info.h"

#include <json-glib/json-glib.h>

/*
 * Members of the object that the builder is at. bytes that are not UTF-8 have U+FFFD in the place of each wrong byte, and
 * a further member NAME_base64 has them as they are. NULL bytes, and negative numbers and
 * flags, are null.
 */
void object_add_text(JsonBuilder *builder, const char *name, const char *bytes);
void object_add_number(JsonBuilder *builder, const char *name, gint64 number);
void object_add_flag(JsonBuilder *builder, const char *name, gint64 flag);

/* Begins an object and fills in all of the region; the caller ends it. */
void object_begin_region(JsonBuilder *builder, const RegionInfo *info);

/* Prints what was built, with a newline. */
void object_print(JsonBuilder *builder);
