#pragma once

/*
 * The verbs of regionctl, one a file. arguments are those of the verb, NULL-terminated: arguments[0] is its name. Each
 * returns the exit status, and has said on stderr why it is not 0.
 */

int verb_create(char **arguments);
int verb_ls(char **arguments);
int verb_rm(char **arguments);
int verb_seal(char **arguments);
int verb_set(char **arguments);
int verb_stat(char **arguments);
int verb_status(char **arguments);
int verb_top(char **arguments);
int verb_wait(char **arguments);
