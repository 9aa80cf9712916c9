#include "regionctl/changes/command.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As of env(1). */
#define STATUS_NOT_RUN 126
#define STATUS_NO_COMMAND 127

#define HANDLE_VARIABLE "REGIONFS_FD"

/* Where execvp(3) looks without a PATH. */
#define USUAL_PATH "/bin:/usr/bin"

/* 0 if it can be executed as far as its mode tells, or -errno. *there: something is there, whatever it is. */
static int check_file(const char *path, gboolean *there) {
        struct stat st;

        *there = stat(path, &st) == 0;
        if (!*there)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EACCES;
        return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* As execvp(3) finds it. -ENOENT if there is none. */
static int find(const char *program) {
        const char *path = g_getenv("PATH");
        g_auto(GStrv) directories = g_strsplit(path ? path : USUAL_PATH, ":", -1);
        int result = -ENOENT;
        gboolean there;

        if (strchr(program, '/'))
                return check_file(program, &there);
        for (char **directory = directories; *directory && *program; directory++) {
                g_autofree char *candidate = g_build_filename(**directory ? *directory : ".", program, NULL);
                int of_this = check_file(candidate, &there);

                if (of_this == 0)
                        return 0;
                /* A directory that cannot be searched may be anyone's: it says nothing of the program. */
                if (there)
                        result = of_this;
        }
        return result;
}

static Status refuse(int code, const char *program) {
        if (code == ENOENT || code == ENOTDIR)
                return complain((Status)STATUS_NO_COMMAND, "there is no program %s", program);
        return complain((Status)STATUS_NOT_RUN, "cannot run %s: %s", program, g_strerror(code));
}

Status command_check(const char *program) {
        int result = find(program);

        return result < 0 ? refuse(-result, program) : STATUS_DONE;
}

Status command_run(char **command, int handle) {
        g_autofree char *number = g_strdup_printf("%d", handle);
        int code;

        if (fcntl(handle, F_SETFD, 0) < 0)
                return complain(STATUS_FAILED, "cannot hand on the region: %s", g_strerror(errno));
        g_setenv(HANDLE_VARIABLE, number, TRUE);
        execvp(command[0], command);
        code = errno;
        /* The program is there: what is not is what its first line names. */
        if (code == ENOENT && find(command[0]) == 0)
                return complain((Status)STATUS_NOT_RUN, "cannot run %s: the interpreter that it names is missing",
                                command[0]);
        return refuse(code, command[0]);
}
