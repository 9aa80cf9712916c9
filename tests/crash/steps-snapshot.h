#pragma once

/* What a client sees of the working directory and all below it, as text: the same text is the same state. */

#include <glib.h>

/*
 * Names, types, modes, owners, links, lengths, contents, attributes, rules and handles, and how many regions the mount
 * has; no times, and inodes by the order in which they are met. Regions that end with their handles are not opened.
 */
char *snapshot_take(void);
