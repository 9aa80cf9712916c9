#pragma once

/*
 * The program on disk that a keeper is to become: in a directory of the test's own, a copy of the daemon's, or whatever
 * is put in its place. The mount is made with it.
 */

#include <sys/types.h>

/* Puts the daemon's program there; and mounts. */
void program_begin(void);
void program_begin_mounted(void);

/* Takes it away; after the mount. */
void program_end(void);
void program_end_mounted(void);

const char *program_path(void);

/*
 * Puts a copy of another one in its place; of the daemon's own; and a shell script, to which $original is the daemon's.
 */
void program_put(const char *from);
void program_put_original(void);
void program_put_script(const char *text);

/* Has the keeper become it: returns when another server answers. */
void program_upgrade(void);

/* What a process runs; and what there is on disk. */
ino_t program_image_of(pid_t process);
ino_t program_image(void);

/* So that what is logged from here on can be told from what was before. */
void program_forget_log(void);
