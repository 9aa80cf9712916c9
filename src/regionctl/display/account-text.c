/* The account of a region for people. */
#include "regionctl/display/account.h"

#include "regionctl/words/table.h"
#include "regionctl/words/text.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Of the picture, where there is no terminal to fill. */
#define COLUMNS 64
#define MARGIN "  "

static void print_value(const RegionInfo *info, RegionAttribute attribute, const char *title) {
        const char *value = info->values[attribute];
        g_autofree char *text = value ? text_escape(value) : NULL;

        if (value && region_attribute_kind(attribute) == REGION_FLAG)
                printf(MARGIN "%-14s %s\n", title, g_str_equal(value, "1") ? "yes" : "no");
        else
                printf(MARGIN "%-14s %s\n", title, value ? text : "-");
}

static void print_created(const RegionInfo *info) {
        gint64 created = region_info_number(info, REGION_CREATED);
        g_autoptr(GDateTime) time = created < 0 ? NULL : g_date_time_new_from_unix_local(created);
        g_autofree char *text = time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S %z") : NULL;
        g_autofree char *age = text_age(region_info_age(info));

        if (text)
                printf(MARGIN "%-14s %s (%s ago)\n", "created", text, age);
        else
                printf(MARGIN "%-14s -\n", "created");
}

static void print_owner(const RegionInfo *info) {
        g_autofree char *owner = text_user(info->st.st_uid), *group = text_group(info->st.st_gid);
        g_autofree char *mode = text_mode(info->st.st_mode);

        printf(MARGIN "%-14s %s\n" MARGIN "%-14s %s\n" MARGIN "%-14s %s (%04o)\n", "owner", owner, "group", group,
               "mode", mode, info->st.st_mode & 07777);
}

/* Behind the margin. */
static int picture_columns(void) {
        struct winsize size;

        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > strlen(MARGIN))
                return size.ws_col - strlen(MARGIN);
        return COLUMNS;
}

static void print_picture(const Account *account) {
        gint64 page_size = region_info_number(account->info, REGION_PAGE_SIZE);
        g_autofree char *line = NULL;

        if (!account->picture.extents) {
                printf("\n" MARGIN "memory: not drawn: %s\n", account->picture.why_not);
                return;
        }
        if (account->info->st.st_size == 0)
                return;
        line = picture_draw(&account->picture, account->info->st.st_size, page_size, picture_columns());
        printf("\n" MARGIN "%s\n" MARGIN "(%s)\n", line, picture_legend());
}

static char *describe_holder(const Holder *holder) {
        if (holder->handle >= 0)
                return g_strdup_printf("handle %d", holder->handle);
        return g_strdup_printf("view %" G_GINT64_MODIFIER "x-%" G_GINT64_MODIFIER "x", holder->begin, holder->end);
}

static char *describe_access(const Holder *holder) {
        return g_strdup_printf("%c%c%c", holder->read ? 'r' : '-', holder->write ? 'w' : '-',
                               holder->execute ? 'x' : '-');
}

static void print_holders(const Holders *holders) {
        static const TableColumn columns[] = {
                { "PID", true },    { "COMMAND" },      { "USER" }, { "ACCESS" },
                { "OFFSET", true }, { "LENGTH", true }, { "KIND" }, { "BY" },
        };
        g_autoptr(Table) table = table_new(columns, G_N_ELEMENTS(columns));

        for (guint i = 0; i < holders->found->len; i++) {
                const Holder *holder = holders->found->pdata[i];
                bool view = holder->handle < 0;
                char *cells[G_N_ELEMENTS(columns) + 1] = {
                        g_strdup_printf("%d", holder->pid),
                        text_escape(holder->command),
                        text_user(holder->user),
                        describe_access(holder),
                        text_size(view ? (gint64)holder->offset : -1, false),
                        text_size(view ? (gint64)(holder->end - holder->begin) : -1, false),
                        g_strdup(!view ? "-" : holder->shared ? "shared" : "private"),
                        describe_holder(holder),
                };

                table_take_row(table, g_memdup2(cells, sizeof(cells)));
        }
        printf("\n");
        if (holders->found->len)
                table_print(table, MARGIN);
        else
                printf(MARGIN "No process%s has it open or mapped.\n", holders->hidden ? " that was looked into" : "");
        if (holders->hidden)
                printf(MARGIN "%u process%s could not be looked into%s.\n", holders->hidden,
                       holders->hidden == 1 ? "" : "es", geteuid() == 0 ? "" : " (root sees all)");
}

void account_print(const Account *account) {
        const RegionInfo *info = account->info;
        g_autofree char *path = text_escape(info->path);

        printf("%s (%s)\n", path, region_info_type(info));
        if (S_ISREG(info->st.st_mode)) {
                print_value(info, REGION_LOGICAL_LENGTH, "logical length");
                print_value(info, REGION_PADDED_LENGTH, "padded length");
                print_value(info, REGION_PAGE_SIZE, "page size");
                print_value(info, REGION_RESIDENT, "resident");
                print_value(info, REGION_HANDLES, "handles");
                print_value(info, REGION_ID, "id");
                print_created(info);
                print_value(info, REGION_SEALED, "sealed");
        }
        print_value(info, REGION_LIFETIME, "lifetime");
        print_value(info, REGION_ALLOCATION, "allocation");
        if (info->values[REGION_SOURCE])
                print_value(info, REGION_SOURCE, "source");
        print_owner(info);
        if (!S_ISREG(info->st.st_mode))
                return;
        print_picture(account);
        print_holders(&account->holders);
}
