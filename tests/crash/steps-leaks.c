#include "steps-leaks.h"

#include "fixture.h"
#include "ledger/ledger-room.h"
#include "steps.h"

#include <inttypes.h>
#include <regionfs/regionfs.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#define PATIENCE (10 * G_USEC_PER_SEC)

static int64_t count_descriptors(pid_t server) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd", server);

        return count_entries(path);
}

/* Slots in the ledger that hold one, in the memory of the server. */
static int64_t count_nodes(pid_t server) {
        g_autofree char *maps_path = g_strdup_printf("/proc/%d/maps", server), *maps = NULL;
        g_autofree char *memory_path = g_strdup_printf("/proc/%d/mem", server);
        g_auto(GStrv) lines = NULL;
        int memory = must_open(memory_path, O_RDONLY, 0);
        uint64_t slots, count = 0;
        off_t at = 0;

        ck_assert(g_file_get_contents(maps_path, &maps, NULL, NULL));
        lines = g_strsplit(maps, "\n", -1);
        for (guint i = 0; lines[i] && !at; i++)
                if (strstr(lines[i], "memfd:regionfs-ledger"))
                        at = strtoll(lines[i], NULL, 16);
        ck_assert(at);
        ck_assert_int_eq(pread(memory, &slots, sizeof(slots), at + offsetof(LedgerRoom, header.nodes)), sizeof(slots));
        for (uint64_t i = 0; i < slots; i++) {
                LedgerNode node;

                ck_assert_int_eq(pread(memory, &node, sizeof(node), at + offsetof(LedgerRoom, nodes) + i * sizeof(node)),
                                 sizeof(node));
                count += node.id > 0;
        }
        must(close(memory));
        return count;
}

void leaks_take(Leaks *leaks) {
        g_autofree char *regions = must_get(fixture_mountpoint(), REGIONFS_ATTRIBUTE_REGIONS);
        pid_t server = fixture_server();
        struct statvfs st;

        must(statvfs(fixture_mountpoint(), &st));
        *leaks = (Leaks){ count_descriptors(server), atoi(regions), count_nodes(server) };
        /* An ordinary user's pool, and one of the user's choice, lies on a file system that others use. */
        if (fixture_mode() == MODE_USER || scene_pool())
                return;
        leaks->bytes = (int64_t)(st.f_blocks - st.f_bfree) * st.f_frsize;
        leaks->files = st.f_files - st.f_ffree;
}

void leaks_compare(const Leaks *before, const char *of) {
        gint64 until = g_get_monotonic_time() + PATIENCE;
        Leaks now;

        do {
                leaks_take(&now);
                if (now.descriptors <= before->descriptors && now.regions == before->regions &&
                    now.bytes <= before->bytes && now.files <= before->files && now.nodes <= before->nodes)
                        return;
                g_usleep(5000);
        } while (g_get_monotonic_time() < until);
        ck_abort_msg("%s: descriptors %" PRId64 " before, %" PRId64 " now; regions %" PRId64 ", %" PRId64
                     "; nodes %" PRId64 ", %" PRId64 "; bytes %" PRId64 ", %" PRId64 "; files %" PRId64 ", %" PRId64,
                     of, before->descriptors, now.descriptors, before->regions, now.regions, before->nodes, now.nodes,
                     before->bytes, now.bytes, before->files, now.files);
}
