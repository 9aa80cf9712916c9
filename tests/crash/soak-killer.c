#include "soak-killer.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>

/* For a new server, in ms. */
#define PATIENCE 10000

/* One in so many kills is the first of a burst, of up to as many. */
#define BURST_CHANCE 10
#define BURST_MAX 5

/* Another process than the last; -1 if none answers in time. */
static pid_t await_server(const Mount *mount, pid_t last) {
        gint64 until = g_get_monotonic_time() + PATIENCE * G_GINT64_CONSTANT(1000);

        while (g_get_monotonic_time() < until) {
                pid_t server = mount_server(mount);

                if (server > 0 && server != last)
                        return server;
                g_usleep(200);
        }
        return -1;
}

static uint64_t operations_of(const Board *board, unsigned clients) {
        uint64_t operations = 0;

        for (unsigned i = 0; i < clients; i++)
                operations += board->clients[i].operations;
        return operations;
}

/* Where clients have ended for another reason there is nothing more to wait for. */
static void await_operations(const Board *board, unsigned clients, uint64_t operations) {
        while (!board->stop && operations_of(board, clients) < operations)
                g_usleep(200);
}

int killer_run(Board *board, const Mount *mount, uint32_t seed, unsigned kills, uint64_t operations, unsigned clients) {
        GRand *random = g_rand_new_with_seed_array((const guint32[]){ seed, G_MAXUINT32 }, 2);
        unsigned burst = 0;
        pid_t last = 0;

        while (board->kills < kills && !board->stop) {
                pid_t server;

                if (burst > 0)
                        burst--;
                else
                        await_operations(board, clients, operations * (board->kills + g_rand_double(random)) / kills);
                if (g_rand_int(random) % BURST_CHANCE == 0)
                        burst = g_rand_int(random) % BURST_MAX;
                /* Any time after the new one answers, at once included. */
                server = await_server(mount, last);
                if (server < 0)
                        break;
                if (g_rand_boolean(random))
                        g_usleep(g_rand_int_range(random, 0, 2000));
                if (board->stop)
                        break;
                if (kill(server, SIGKILL) < 0) {
                        g_printerr("soak: cannot kill server %d: %s\n", server, g_strerror(errno));
                        break;
                }
                board->kills++;
                last = server;
        }
        g_rand_free(random);
        if (board->kills < kills || await_server(mount, last) < 0) {
                g_printerr("soak: no server answers after kill %" G_GUINT64_FORMAT "\n", (guint64)board->kills);
                board->stop = true;
                return 1;
        }
        board->killing = false;
        return 0;
}
