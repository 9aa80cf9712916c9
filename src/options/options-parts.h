#pragma once

/* What the files of the options share. For options*.c alone. */

#include "options/options.h"

/* The source of the mount, as mount(8) knows it, is one of the options that the kernel gets. */
#define OPTIONS_FSNAME "fsname="
void options_set_fsname(Options *options, const char *name);

/*
 * One option, as it stands between commas. False, with the error set, where it is not allowed. What is not ours is kept
 * for the kernel.
 */
bool options_take(Options *options, const char *option, GError **error);
