#pragma once

/* Standard input, output and error, which a program may be started without. */

/*
 * Puts /dev/null in the place of those that are not there, so that what is opened later does not become one of them. It
 * is open the other way round, so that whoever reads or writes there is told that it is in vain. To be called first of
 * all.
 */
void streams_fill(void);
