#pragma once

/*
 * One client: a process with a directory and a model of its own, which does random operations and compares each result,
 * errno included, with the model. What is random depends on the seed and the client's number alone.
 */

#include "soak-board.h"
#include "soak-model.h"
#include "soak-mount.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Client {
        Board *board;
        BoardClient *own; /* its place on the board */
        const Mount *mount;
        unsigned number;
        uint32_t seed;
        char *directory;    /* absolute path */
        const char *shared; /* where all clients race */
        GRand *random;
        Model model;
        const char *operation; /* the name of the present one */
        unsigned complaints;
} Client;

typedef struct Operation {
        const char *name;
        unsigned weight; /* how often, against the others; 0 ends a table */
        void (*run)(Client *client);
} Operation;

extern const Operation names_operations[], files_operations[], data_operations[], views_operations[],
        attributes_operations[], rules_operations[], directories_operations[], locks_operations[], race_operations[],
        check_operations[];

/* The body of a client's process: what is left in its directory is removed. */
void client_run(Client *client, uint64_t operations);

/* Measures a call to the file system. errno is kept. */
#define timed(client, expression)                                                                                      \
        __extension__({                                                                                                \
                client_call_begins(client, #expression);                                                               \
                __auto_type outcome = (expression);                                                                    \
                client_call_ends(client);                                                                              \
                outcome;                                                                                               \
        })

void client_call_begins(Client *client, const char *call);
void client_call_ends(Client *client);

/* A call said something else than it should; what is there is not what was made. */
void client_complain(Client *client, const char *format, ...) G_GNUC_PRINTF(2, 3);
void client_complain_change(Client *client, const char *format, ...) G_GNUC_PRINTF(2, 3);

/*
 * Whether a call succeeded. wanted is the errno that it had to fail with, or 0; anything else is complained about. The
 * text says what was tried.
 */
bool client_expect(Client *client, int64_t result, int wanted, const char *format, ...) G_GNUC_PRINTF(4, 5);

/* At least low, less than high. */
uint32_t client_random(Client *client, uint32_t low, uint32_t high);
bool client_chance(Client *client, unsigned percent);
void client_fill(Client *client, char *data, size_t size);

/* Something of the model at random; NULL where there is none. What has a name is found by any of them. */
Node *client_pick_directory(Client *client);
const char *client_pick_text(Client *client);
Name *client_pick_name(Client *client);
Node *client_pick_region(Client *client);
Handle *client_pick_handle(Client *client, bool writing);
Handle *client_handle_of(Client *client, const Node *node, bool writing);

/* A path to a name, absolute or from the working directory, to be freed. */
char *client_path(Client *client, const Node *directory, const char *text);
char *client_path_of(Client *client, const Name *name);

/* A path to a node, by any of its names or by a descriptor that is open on it, to be freed. NULL: only a view is left.
 */
char *client_reach(Client *client, const Node *node);

/* Notes the inode number of what was just made. */
void client_note_made(Client *client, Node *node, const char *path);

/* After a handle was closed or a view unmapped: a region that ends with its last user has to go now. */
void client_closed(Client *client, Handle *handle);
void client_unmapped(Client *client, View *view);

/* Waits until the condition holds, up to a time in ms. */
#define client_wait(condition, limit)                                                                                  \
        __extension__({                                                                                                \
                gint64 until = g_get_monotonic_time() + (limit)*G_GINT64_CONSTANT(1000);                               \
                while (!(condition) && g_get_monotonic_time() < until)                                                 \
                        g_usleep(500);                                                                                 \
                (condition);                                                                                           \
        })

/* How long a close may take to reach the server, in ms. */
#define CLIENT_PATIENCE 5000

/* Compares one node, the names in a directory, or everything, with the model. */
void check_node(Client *client, Node *node);
void check_listing(Client *client, Node *directory);
void check_all(Client *client);
