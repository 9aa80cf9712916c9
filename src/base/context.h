#pragma once

/* A file-system context (fsopen(2)): configuring one and mounting it, with the kernel's own explanations. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Sets an option; value NULL for a flag. */
bool context_set(int context, const char *name, const char *value, GError **error);
bool context_set_number(int context, const char *name, uint64_t number, GError **error);

/* Creates the file system and a detached mount of it: a descriptor that the caller owns, or -1. */
int context_mount(int context, unsigned attributes, const char *what, GError **error);
