#pragma once

/* The command line of one verb, by GOption. */

#include "regionctl/words/complaint.h"

/* What a verb's --help tells. */
typedef struct Usage {
        const char *arguments; /* behind the verb's name, as in "NAME..." */
        const char *summary;   /* what the verb does, in a sentence */
        const char *details;   /* examples and further rules, behind the options */
} Usage;

/*
 * Takes the options out of arguments (see verbs.h), and the first "--": what is left is arguments[0] and the rest.
 * Exits after --help. Says what is wrong and returns STATUS_USAGE otherwise.
 */
Status arguments_parse(char **arguments, const GOptionEntry *options, const Usage *usage);

/* Does each (NULL-terminated), also after one that failed: the first failure tells the status. */
Status arguments_each(char **names, Status (*each)(const char *name, void *data), void *data);
