#include "regionctl/display/object.h"

#include "regionctl/words/text.h"

#include <stdio.h>
#include <string.h>

void object_add_text(JsonBuilder *builder, const char *name, const char *bytes) {
        json_builder_set_member_name(builder, name);
        if (!bytes) {
                json_builder_add_null_value(builder);
        } else if (g_utf8_validate(bytes, -1, NULL)) {
                json_builder_add_string_value(builder, bytes);
        } else {
                g_autofree char *valid = g_utf8_make_valid(bytes, -1);
                g_autofree char *exact = g_base64_encode((const guchar *)bytes, strlen(bytes));
                g_autofree char *name_of_exact = g_strconcat(name, "_base64", NULL);

                json_builder_add_string_value(builder, valid);
                json_builder_set_member_name(builder, name_of_exact);
                json_builder_add_string_value(builder, exact);
        }
}

void object_add_number(JsonBuilder *builder, const char *name, gint64 number) {
        json_builder_set_member_name(builder, name);
        if (number < 0)
                json_builder_add_null_value(builder);
        else
                json_builder_add_int_value(builder, number);
}

void object_add_flag(JsonBuilder *builder, const char *name, gint64 flag) {
        json_builder_set_member_name(builder, name);
        if (flag < 0)
                json_builder_add_null_value(builder);
        else
                json_builder_add_boolean_value(builder, flag != 0);
}

void object_add_size(JsonBuilder *builder, const char *name, guint64 bytes) {
        /*
         * 2^63, which a length may be padded to, is more than its integers hold, and a floating-point number exactly.
         */
        if (bytes == G_MAXUINT64 || bytes <= G_MAXINT64) {
                object_add_number(builder, name, bytes);
                return;
        }
        json_builder_set_member_name(builder, name);
        json_builder_add_double_value(builder, bytes);
}

static void add_attribute(JsonBuilder *builder, const RegionInfo *info, RegionAttribute attribute) {
        const char *name = region_attribute_name(attribute), *value = info->values[attribute];

        /* Few regions have one. */
        if (attribute == REGION_SOURCE && !value)
                return;
        if (value && region_attribute_kind(attribute) == REGION_NUMBER)
                object_add_size(builder, name, region_info_size(info, attribute));
        else if (value && region_attribute_kind(attribute) == REGION_FLAG)
                object_add_flag(builder, name, region_info_number(info, attribute) == 1);
        else
                object_add_text(builder, name, value);
}

void object_begin_region(JsonBuilder *builder, const RegionInfo *info, Names *names) {
        g_autofree char *mode = info->unseen ? NULL : g_strdup_printf("%04o", info->st.st_mode & 07777);

        json_builder_begin_object(builder);
        object_add_text(builder, "name", info->name);
        object_add_text(builder, "path", info->path);
        object_add_text(builder, "type", region_info_type(info));
        for (int i = 0; i < REGION_ATTRIBUTES; i++)
                add_attribute(builder, info, i);
        object_add_text(builder, "owner", info->unseen ? NULL : names_user(names, info->st.st_uid));
        object_add_number(builder, "uid", info->unseen ? -1 : (gint64)info->st.st_uid);
        object_add_text(builder, "group", info->unseen ? NULL : names_group(names, info->st.st_gid));
        object_add_number(builder, "gid", info->unseen ? -1 : (gint64)info->st.st_gid);
        object_add_text(builder, "mode", mode);
}

void object_array_print(ObjectArray *array, JsonBuilder *builder) {
        g_autoptr(JsonNode) root = json_builder_get_root(builder);
        g_autofree char *text = json_to_string(root, TRUE);

        /* Indented once more. In JSON a line break is never part of a string. */
        printf("%s\n  ", array->count++ ? "," : "[");
        for (const char *at = text; *at; at++) {
                putchar(*at);
                if (*at == '\n')
                        fputs("  ", stdout);
        }
}

void object_array_end(const ObjectArray *array) {
        puts(array->count ? "\n]" : "[]");
}
