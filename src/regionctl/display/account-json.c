/* The account of a region for programs. */
#include "regionctl/display/account.h"

static void add_extents(JsonBuilder *builder, const Picture *picture) {
        json_builder_set_member_name(builder, "extents");
        if (!picture->extents) {
                json_builder_add_null_value(builder);
                return;
        }
        json_builder_begin_array(builder);
        for (guint i = 0; i < picture->extents->len; i++) {
                const PictureExtent *extent = &g_array_index(picture->extents, PictureExtent, i);

                json_builder_begin_object(builder);
                object_add_number(builder, "offset", extent->offset);
                object_add_number(builder, "length", extent->length);
                json_builder_end_object(builder);
        }
        json_builder_end_array(builder);
}

static void add_holder(JsonBuilder *builder, const Holder *holder, Names *names) {
        g_autofree char *address = g_strdup_printf("0x%" G_GINT64_MODIFIER "x", holder->begin);
        bool view = holder->handle < 0;

        json_builder_begin_object(builder);
        object_add_number(builder, "pid", holder->pid);
        object_add_text(builder, "command", holder->command);
        object_add_text(builder, "user", names_user(names, holder->user));
        object_add_number(builder, "uid", holder->user);
        object_add_text(builder, "kind", view ? "view" : "handle");
        if (view) {
                object_add_text(builder, "address", address);
                object_add_number(builder, "offset", holder->offset);
                object_add_number(builder, "length", holder->end - holder->begin);
                object_add_flag(builder, "shared", holder->shared);
        } else {
                object_add_number(builder, "descriptor", holder->handle);
        }
        object_add_flag(builder, "read", holder->read);
        object_add_flag(builder, "write", holder->write);
        object_add_flag(builder, "execute", holder->execute);
        json_builder_end_object(builder);
}

void account_add(const Account *account, JsonBuilder *builder, Names *names) {
        object_begin_region(builder, account->info, names);
        if (S_ISREG(account->info->st.st_mode)) {
                add_extents(builder, &account->picture);
                json_builder_set_member_name(builder, "users");
                json_builder_begin_array(builder);
                for (guint i = 0; i < account->holders.found->len; i++)
                        add_holder(builder, account->holders.found->pdata[i], names);
                json_builder_end_array(builder);
                object_add_number(builder, "processes_not_seen", account->holders.hidden);
        }
        json_builder_end_object(builder);
}
