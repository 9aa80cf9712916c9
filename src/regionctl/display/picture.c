#include "regionctl/display/picture.h"

#include "regionctl/words/text.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* By SEEK_DATA and SEEK_HOLE up to the length. false with errno. */
static bool find_extents(GArray *extents, int fd, off_t length) {
        off_t end = 0;

        while (end < length) {
                off_t begin = lseek(fd, end, SEEK_DATA);
                PictureExtent extent;

                /* ENXIO: nothing more, or it has become shorter meanwhile. */
                if (begin < 0)
                        return errno == ENXIO;
                if (begin >= length)
                        break;
                end = lseek(fd, begin, SEEK_HOLE);
                if (end < 0)
                        return errno == ENXIO;
                extent = (PictureExtent){ begin, MIN(end, length) - begin };
                g_array_append_val(extents, extent);
        }
        return true;
}

/* What the memory that it has tells already: all, or nothing. */
static bool find_without_opening(GArray *extents, const RegionInfo *info) {
        gint64 resident = region_info_number(info, REGION_RESIDENT);
        gint64 padded = region_info_number(info, REGION_PADDED_LENGTH);
        PictureExtent all = { 0, info->st.st_size };

        if (info->st.st_size > 0 && resident != 0 && resident != padded)
                return false;
        if (info->st.st_size > 0 && resident != 0)
                g_array_append_val(extents, all);
        return true;
}

/* With lifetime "handles" our own open and close would be a last use. */
static bool looking_would_end(const RegionInfo *info, bool has_view) {
        return g_str_equal(info->values[REGION_LIFETIME], "handles") &&
               region_info_number(info, REGION_HANDLES) <= 0 && !has_view;
}

void picture_take(Picture *picture, int fd, const RegionInfo *info, bool has_view) {
        g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(PictureExtent));
        g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
        int opened;

        if (!info->values[REGION_LIFETIME]) {
                picture->why_not = "you may not read the region";
                return;
        }
        if (find_without_opening(extents, info)) {
                picture->extents = g_steal_pointer(&extents);
                return;
        }
        if (looking_would_end(info, has_view)) {
                picture->why_not = "looking would end the region, as nobody has it open";
                return;
        }
        opened = open(link, O_RDONLY | O_CLOEXEC);
        if (opened < 0)
                picture->why_not = g_strerror(errno);
        else if (find_extents(extents, opened, info->st.st_size))
                picture->extents = g_steal_pointer(&extents);
        else
                picture->why_not = g_strerror(errno);
        if (opened >= 0)
                close(opened);
}

void picture_clear(Picture *picture) {
        g_clear_pointer(&picture->extents, g_array_unref);
}

/* How many bytes from begin to end have memory. *next: the first extent that can matter, for cells in order. */
static guint64 count_bytes(const Picture *picture, guint64 begin, guint64 end, guint *next) {
        guint64 bytes = 0;

        for (guint i = *next; i < picture->extents->len; i++) {
                const PictureExtent *extent = &g_array_index(picture->extents, PictureExtent, i);
                guint64 from = MAX(begin, extent->offset), to = MIN(end, extent->offset + extent->length);

                if (extent->offset >= end)
                        break;
                if (to > from)
                        bytes += to - from;
                if (extent->offset + extent->length <= end)
                        *next = i + 1;
        }
        return bytes;
}

char *picture_draw(const Picture *picture, guint64 length, guint64 page_size, int cells) {
        GString *line = g_string_new(NULL);
        guint64 pages = (length + page_size - 1) / page_size;
        guint64 count = MIN(pages, (guint64)MAX(cells, 1));
        bool unicode = text_is_unicode();
        guint next = 0;

        for (guint64 i = 0; i < count; i++) {
                /* Cells are of whole pages, so that none is partly full for its borders alone. */
                guint64 begin = (guint64)((__uint128_t)pages * i / count) * page_size;
                guint64 end = MIN(length, (guint64)((__uint128_t)pages * (i + 1) / count) * page_size);
                guint64 bytes = count_bytes(picture, begin, end, &next);

                if (bytes == 0)
                        g_string_append(line, unicode ? "░" : ".");
                else if (bytes < end - begin)
                        g_string_append(line, unicode ? "▒" : "+");
                else
                        g_string_append(line, unicode ? "█" : "#");
        }
        return g_string_free(line, FALSE);
}

const char *picture_legend(void) {
        return text_is_unicode() ? "█ has memory, ▒ in parts, ░ has none" : "# has memory, + in parts, . has none";
}
