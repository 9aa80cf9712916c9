#pragma once

/* What is printed on standard output. */

#include "regionctl/words/complaint.h"

/* Prints all that is still held. The status; where that fails it is said, and STATUS_FAILED if there was no failure. */
Status output_finish(Status status);
