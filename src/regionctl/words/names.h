#pragma once

/* Names of users and groups, each looked up once. */

#include <sys/types.h>

typedef struct Names Names;

Names *names_new(void);
void names_free(Names *names);

/* The name, or the number of one that has none. The text belongs to names. */
const char *names_user(Names *names, uid_t user);
const char *names_group(Names *names, gid_t group);
