#include "regionctl/facts/reader.h"

#include "base/descriptor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define TAKEN_AT_ONCE (1 << 16)

/* The terminal is left alone: it may be closed while this waits. */
static void leave_terminal(void) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                dup2(null, fd);
}

static G_NORETURN void read_and_tell(int fd, pid_t parent, const Mount *mount, const char *path) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        g_auto(Snapshot) snapshot = SNAPSHOT_INIT;
        gsize done = 0;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(1);
        leave_terminal();
        snapshot_put(&snapshot, snapshot_read(&snapshot, mount, path), bytes);
        while (done < bytes->len) {
                ssize_t size = write(fd, bytes->data + done, bytes->len - done);

                if (size < 0)
                        break;
                done += size;
        }
        _exit(0);
}

int reader_start(Reader *reader, const Mount *mount, const char *path) {
        pid_t parent = getpid();
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        reader->process = fork();
        if (reader->process == 0)
                read_and_tell(ends[1], parent, mount, path);
        close(ends[1]);
        reader->fd = ends[0];
        reader->bytes = g_byte_array_new();
        if (reader->process > 0)
                return 0;
        reader->process = 0;
        reader_stop(reader);
        return -EAGAIN;
}

int reader_take(Reader *reader, Snapshot *snapshot) {
        guint8 buffer[TAKEN_AT_ONCE];
        ssize_t size = read(reader->fd, buffer, sizeof(buffer));
        int result;

        if (size > 0) {
                g_byte_array_append(reader->bytes, buffer, size);
                return 0;
        }
        result = size < 0 ? -errno : snapshot_get(snapshot, reader->bytes);
        /* It has nothing more to wait for. */
        waitpid(reader->process, NULL, 0);
        reader->process = 0;
        reader_stop(reader);
        return result < 0 ? result : 1;
}

void reader_stop(Reader *reader) {
        if (reader->process)
                kill(reader->process, SIGKILL);
        reader->process = 0;
        descriptor_clear(&reader->fd);
        g_clear_pointer(&reader->bytes, g_byte_array_unref);
}
