#include "regionctl/words/output.h"

#include <errno.h>
#include <stdio.h>

Status output_finish(Status status) {
        Status of_output;

        errno = 0;
        if (fflush(stdout) == 0 && !ferror(stdout))
                return status;
        /* It may have failed before, when nobody looked at the reason. */
        of_output = complain(STATUS_FAILED, "cannot print all of it%s%s", errno ? ": " : "",
                             errno ? g_strerror(errno) : "");
        return status == STATUS_DONE ? of_output : status;
}
