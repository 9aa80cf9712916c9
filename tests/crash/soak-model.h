#pragma once

/*
 * What one client's directory has to be: names, nodes, contents, and what is open. Makes no system call but those that
 * give back what a handle, view or stream is. Sizes and offsets are in bytes.
 */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* No region is ever larger. */
#define MODEL_SIZE_MAX (256 * 1024)

typedef struct Node Node;

/* A name in a directory. A region has one for each of its links. */
typedef struct Name {
        Node *directory;
        Node *node;
        char *text;
} Name;

struct Node {
        mode_t mode; /* with the type */
        ino_t inode;
        GPtrArray *names;       /* Name *, owned; the client's own directory has none */
        GHashTable *attributes; /* name to GBytes */
        /* Rules; of a directory, what is made in it starts with. */
        bool committed, ends, sealed;
        /* Of a region. Behind size data is zero. */
        char *data;
        size_t size;
        unsigned users; /* handles with or without descriptor */
        bool nameless;  /* it was when it was made (O_TMPFILE) */
        bool linkable;  /* and has had no name since */
        bool stored;    /* by a view, and not written back since */
        bool timed;     /* modified is what it has to say */
        struct timespec modified;
        /* Of a directory: text to Name; and whether a name in it has ever taken another one's place. */
        GHashTable *children;
        bool jumbled;
        /* Of a symbolic link. */
        char *target;
};

typedef struct Handle {
        Node *node;
        int fd; /* -1: closed, views are left */
        int flags;
        unsigned views;
        short whole_lock, range_lock; /* F_UNLCK, F_RDLCK, F_WRLCK */
} Handle;

typedef struct View {
        Handle *handle;
        char *address;
        size_t length;
        bool writable;
} View;

/* A directory that is being read in pieces. */
typedef struct Stream {
        Node *directory;
        int fd;
        /* Names: there all the time, there for some of the time, and read so far. */
        GHashTable *stable, *passing, *seen;
        bool unsteady; /* what is stable may come twice, or not at all: see model_jumble() */
} Stream;

typedef struct Model {
        Node *root;
        Node *working_directory;
        GPtrArray *directories; /* Node *, with root */
        GPtrArray *others;      /* Node *, all but directories, owned: those that have a name or a handle */
        GPtrArray *handles, *views, *streams;
} Model;

void model_init(Model *model);
void model_clear(Model *model);

/* A node without a name; a directory's rules are handed on to it. */
Node *model_add(Model *model, mode_t mode, const Node *directory);
Name *model_find(const Node *directory, const char *text);
void model_name(Model *model, Node *directory, const char *text, Node *node);

/*
 * Before a name replaces another, or is exchanged for it. Linux's tmpfs looks for the place where reading goes on by
 * number, and reads on in the order in which names came. Where one takes another's place these are no longer the same,
 * and who reads in pieces while names come and go may be sent back, or too far. It also begins anew where the oldest
 * name goes that is just to be read.
 */
void model_jumble(Node *directory);

void model_rename(Model *model, Name *name, Node *directory, const char *text);
void model_exchange(Model *model, Name *one, Name *other);

/* Takes the name away, and the node too if it was the last and nobody has it open. */
void model_unname(Model *model, Name *name);

/* Whether the directory is inside of the other, or the same. */
bool model_is_inside(const Node *directory, const Node *other);

/* Path below the client's directory, to be freed; NULL: the directory itself. */
char *model_path(const Node *directory, const char *text);

Handle *model_open(Model *model, Node *node, int fd, int flags);
View *model_map(Model *model, Handle *handle, char *address, size_t length, bool writable);

/* These do not close or unmap, but forget what that leaves nobody to know. */
void model_closed(Model *model, Handle *handle);
void model_unmapped(Model *model, View *view);

bool model_has_writers(const Model *model, const Node *node);
bool model_handle_writes(const Handle *handle);

void model_write(Node *node, size_t offset, const char *data, size_t size);
void model_resize(Node *node, size_t size);

Stream *model_stream(Model *model, Node *directory, int fd);
void model_rewind(Stream *stream);
void model_end_stream(Model *model, Stream *stream);
