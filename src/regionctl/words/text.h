#pragma once

/* How regionctl writes figures and names for people. All text that is returned is to be freed. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* Whether the locale has all characters (UTF-8). */
bool text_is_unicode(void);

/*
 * A number of bytes: all digits, or human: at most 4 characters, rounded up, with K, M, ... for powers of 1024. "-" for
 * TEXT_UNKNOWN, which -1 becomes as well.
 */
#define TEXT_UNKNOWN G_MAXUINT64
char *text_size(guint64 bytes, bool human);

/* A time in seconds as one number with s, m, h or d; "-" if negative. */
char *text_age(gint64 seconds);

/* The name, or the number of one that has none. */
char *text_user(uid_t user);
char *text_group(gid_t group);

/* As ls(1) does: type and permissions in 10 characters. */
char *text_mode(mode_t mode);

/*
 * What cannot be shown (control characters, bytes that are no character of the locale), and the backslash, as a
 * backslash and three octal digits, or as \n, \t, \\.
 */
char *text_escape(const char *bytes);

/* Columns that the escaped text takes on a terminal. */
int text_width(const char *text);

/* How many bytes of the text fit into so many columns. */
size_t text_fit(const char *text, int columns);
