#pragma once

/* The command line of one verb, by GOption. */

#include "complaint.h"

/* What a verb's --help tells. */
typedef struct Usage {
        const char *arguments; /* behind the verb's name, as in "NAME..." */
        const char *summary;   /* what the verb does, in a sentence */
        const char *details;   /* examples and further rules, behind the options */
} Usage;

/*
 * Takes the options out of arguments (see verbs.h): what is left is arguments[0] and the rest. Exits after --help.
 * Says what is wrong and returns STATUS_USAGE otherwise.
 */
Status arguments_parse(char **arguments, const GOptionEntry *options, const Usage *usage);

/* The names among parsed arguments: what is behind the verb, and behind "--" if that is the first of it. */
char **arguments_names(char **arguments);
