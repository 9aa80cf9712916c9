#pragma once

/* What is printed on standard output. */

#include "complaint.h"

/* Prints all that is still held. The status; where that fails or has failed it is said, and is the failure if there was none. */
Status output_finish(Status status);
