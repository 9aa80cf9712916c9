#pragma once

/*
 * Backing files: pool files that the kernel reads, writes and maps itself on behalf of a mount (passthrough).
 *
 * channel is the descriptor of the FUSE session. libfuse wraps the same two requests, but takes them only from inside
 * an operation and keeps the error to its log.
 */

/* Registers the file that fd is open on (O_PATH will do; fd may be closed afterwards). A positive id, or -errno. */
int backing_open(int channel, int fd);

/* Gives up an id, if it is in use. Handles that use it are not touched. */
void backing_close(int channel, int id);
