#include "clients.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Client {
        pid_t process;
        int channel; /* a count to it, an empty answer from it */
} Client;

struct Clients {
        unsigned count;
        Client *clients;
};

/* To whoever has asked, who may be gone. */
static bool answer(int channel) {
        char ready = 1;

        return send(channel, &ready, sizeof(ready), MSG_NOSIGNAL) == sizeof(ready);
}

/* In the client: until nobody asks any more. */
static bool serve(Place *place, ClientsWork work, int channel, GError **error) {
        size_t count;

        while (answer(channel) && read(channel, &count, sizeof(count)) == sizeof(count))
                if (!work(place, count, error))
                        return false;
        return true;
}

static bool be_client(const char *directory, ClientsWork work, int channel, GError **error) {
        g_autoptr(Place) place = place_new(directory, NULL, error);

        return place && serve(place, work, channel, error);
}

static bool be_client_apart(const char *directory, ClientsWork work, int channel, GError **error) {
        g_autofree char *own = g_strdup_printf("%s/regionfs-bench-%08x-client", directory, g_random_int());
        bool good;

        if (mkdir(own, 0700) < 0)
                return place_fail("create", own, error);
        good = be_client(own, work, channel, error);
        if (rmdir(own) < 0)
                g_printerr("regionfs-bench: cannot remove %s: %s\n", own, g_strerror(errno));
        return good;
}

static G_NORETURN void run_client(const char *directory, bool apart, ClientsWork work, int channel) {
        g_autoptr(GError) error = NULL;

        if (!(apart ? be_client_apart : be_client)(directory, work, channel, &error))
                g_printerr("regionfs-bench: %s\n", error->message);
        _exit(EXIT_SUCCESS);
}

static bool fail(const char *what, GError **error) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot start a client: %s: %s", what,
                    g_strerror(errno));
        return false;
}

static bool await(const Client *client, GError **error) {
        char ready;

        if (read(client->channel, &ready, sizeof(ready)) == sizeof(ready))
                return true;
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "a client has ended before its time");
        return false;
}

static bool start(Clients *clients, const char *directory, bool apart, ClientsWork work, GError **error) {
        Client *client = &clients->clients[clients->count];
        guint32 seed = g_random_int();
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                return fail("socketpair", error);
        client->process = fork();
        if (client->process == 0) {
                /* Theirs: a client ends when the last writer to its channel has gone. */
                for (unsigned i = 0; i < clients->count; i++)
                        close(clients->clients[i].channel);
                close(ends[0]);
                /* Names are random, and the generator was copied with the process. */
                g_random_set_seed(seed);
                run_client(directory, apart, work, ends[1]);
        }
        close(ends[1]);
        client->channel = ends[0];
        if (client->process < 0) {
                fail("fork", error);
                close(ends[0]);
                return false;
        }
        clients->count++;
        return true;
}

Clients *clients_start(const char *directory, unsigned count, bool apart, ClientsWork work, GError **error) {
        g_autoptr(Clients) clients = g_new0(Clients, 1);

        clients->clients = g_new0(Client, count);
        while (clients->count < count)
                if (!start(clients, directory, apart, work, error))
                        return NULL;
        for (unsigned i = 0; i < count; i++)
                if (!await(&clients->clients[i], error))
                        return NULL;
        return g_steal_pointer(&clients);
}

bool clients_run(Clients *clients, size_t count, GError **error) {
        for (unsigned i = 0; i < clients->count; i++) {
                /* One that has ended is found by await(). */
                if (send(clients->clients[i].channel, &count, sizeof(count), MSG_NOSIGNAL) < 0)
                        break;
        }
        for (unsigned i = 0; i < clients->count; i++)
                if (!await(&clients->clients[i], error))
                        return false;
        return true;
}

void clients_free(Clients *clients) {
        for (unsigned i = 0; i < clients->count; i++)
                close(clients->clients[i].channel);
        for (unsigned i = 0; i < clients->count; i++)
                while (waitpid(clients->clients[i].process, NULL, 0) < 0 && errno == EINTR)
                        continue;
        g_free(clients->clients);
        g_free(clients);
}
