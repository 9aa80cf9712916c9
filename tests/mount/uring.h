#pragma once

/* The machine's FUSE over io_uring, which the kernel's administrator enables, for the tests of mounts that use it. */

/*
 * Has the kernel offer it to mounts that are made until uring_end(). NULL, or why regionfs, the program's path, cannot
 * have it nevertheless: to be freed.
 */
char *uring_begin(const char *program);

/* Leaves the kernel as it was. */
void uring_end(void);
