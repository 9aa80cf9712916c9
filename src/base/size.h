#pragma once

/* Sizes as people write them. */

#include <stdbool.h>
#include <stdint.h>

/* What size_parse() takes, for sentences that refuse something else. */
#define SIZE_ALLOWED "a number of bytes from 0 to 2^63-1, with k, m, g or t behind it for powers of 1024"

/* Whether text is such a size from 0 to 2^63-1, and *bytes is set. It is unchanged otherwise. */
bool size_parse(const char *text, uint64_t *bytes);
