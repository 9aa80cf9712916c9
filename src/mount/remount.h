#pragma once

/*
 * "-o remount": changes what can be changed of a mount that is there. mount(8) leaves that to the file system's
 * program.
 */

#include "options/options.h"

/*
 * What options say of the mount itself is in force when this returns. What arguments, from which they were read, say
 * differently of the pool and the daemon than before stays as it was, which is said on stderr. error is a sentence.
 */
bool remount(const Options *options, char **arguments, GError **error);
