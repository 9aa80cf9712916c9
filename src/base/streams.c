#include "base/streams.h"

#include <fcntl.h>
#include <unistd.h>

void streams_fill(void) {
        /* open(2) takes the lowest number that is free: those below have been seen to. */
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (fcntl(fd, F_GETFD) < 0)
                        open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}
