/* Clients that stop in the middle of a call, for as long as they like, and keep locked what the call has locked. */
#include "persisted.h"

#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* More than the daemon has threads. */
#define CROWD 70

/* How long the mount may take to answer, in milliseconds. */
#define PATIENCE 30000

static size_t page_size(void) {
        return sysconf(_SC_PAGESIZE);
}

/* Two pages of memory: the first is there, and who touches the second waits for good. NULL: that cannot be had. */
static char *endless_memory(void) {
        struct uffdio_api api = { .api = UFFD_API };
        struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
        char *memory = mmap(NULL, 2 * page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int faults = syscall(SYS_userfaultfd, O_CLOEXEC);

        range.range = (struct uffdio_range){ (uintptr_t)memory + page_size(), page_size() };
        if (faults < 0 || ioctl(faults, UFFDIO_API, &api) < 0 || ioctl(faults, UFFDIO_REGISTER, &range) < 0)
                return NULL;
        memory[0] = 'x';
        return memory;
}

typedef struct Write {
        int fd;
        off_t offset;
} Write;

/* Writes the first page, and waits with the file's inode locked. */
static void write_for_good(const void *data) {
        const Write *to = data;

        if (pwrite(to->fd, endless_memory(), 2 * page_size(), to->offset) < 0)
                _exit(1);
}

/* Reads a directory, and waits with that locked. */
static void read_for_good(const void *data) {
        int directory = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char *end = endless_memory() + page_size();

        while (syscall(SYS_getdents64, directory, end - 64, page_size()) > 0)
                ;
}

/* Of which nothing is expected but that it can be killed when nobody is in its way any more. */
static pid_t start(void (*body)(const void *data), const void *data) {
        pid_t process = fork();

        must(process);
        if (process == 0) {
                body(data);
                _exit(0);
        }
        return process;
}

static void finish(pid_t process) {
        kill(process, SIGKILL);
        must(waitpid(process, NULL, 0));
}

/* Waits in the kernel for its memory. */
static pid_t start_stalled(void (*body)(const void *data), const void *data) {
        pid_t process = start(body, data);
        g_autofree char *path = g_strdup_printf("/proc/%d/wchan", process);
        g_autofree char *where = NULL;

        for (int tries = 0; tries < 500 && (!where || !strstr(where, "userfault")); tries++) {
                g_usleep(10000);
                g_clear_pointer(&where, g_free);
                g_file_get_contents(path, &where, NULL, NULL);
        }
        ck_assert_ptr_nonnull(where);
        ck_assert_ptr_nonnull(strstr(where, "userfault"));
        return process;
}

static void use_the_mount(const void *data) {
        int fd = open(in_mount("another"), O_RDWR | O_CREAT, 0600);
        struct stat st;

        if (fd < 0 || write(fd, "text", 4) != 4 || ftruncate(fd, 2) < 0 || stat(in_mount("another"), &st) < 0 ||
            st.st_size != 2 || unlink(in_mount("another")) < 0)
                _exit(1);
}

/* Whether the process ends well in time. */
static bool ends_well(pid_t process) {
        int status;

        for (int waited = 0; waited < PATIENCE; waited += 10) {
                if (waitpid(process, &status, WNOHANG) == process)
                        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
                g_usleep(10000);
        }
        return false;
}

/*
 * Others go on while stalled (NULL: nobody) is, and many do what body does; body must not keep anyone of them from
 * being killed once stalled has been.
 */
static void others_go_on(pid_t stalled, void (*body)(const void *data), const void *const *data) {
        pid_t crowd[CROWD], other;
        bool well;

        for (int i = 0; i < CROWD; i++)
                crowd[i] = start(body, data[i]);
        g_usleep(300000);
        other = start(use_the_mount, NULL);
        well = ends_well(other);
        finish(stalled);
        for (int i = 0; i < CROWD; i++)
                finish(crowd[i]);
        if (!well)
                kill(other, SIGKILL);
        ck_assert_msg(well, "the mount does not answer others");
}

static void open_to_cut(const void *data) {
        close(open(data, O_RDWR | O_TRUNC));
}

START_TEST(who_cuts_what_is_written_to_is_in_nobodys_way) {
        const void *paths[CROWD];
        Write to = { 0 };

        to.fd = must_open(in_mount("r"), O_RDWR | O_CREAT, 0600);
        for (int i = 0; i < CROWD; i++)
                paths[i] = in_mount("r");
        others_go_on(start_stalled(write_for_good, &to), open_to_cut, paths);
        must(close(to.fd));
}
END_TEST

static void ask(const void *data) {
        struct statx stx;

        if (statx(AT_FDCWD, data, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &stx) < 0)
                _exit(1);
}

START_TEST(a_gap_is_filled_while_someone_writes) {
        const off_t gap = 256 * 1024;
        const void *paths[CROWD];
        struct stat st;
        pid_t writer;
        Write to = { .offset = gap };
        bool answered;

        to.fd = must_open(in_mount("r"), O_RDWR | O_CREAT, 0600);
        must(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed", 9, 0));
        for (int i = 0; i < CROWD; i++)
                paths[i] = in_mount("r");
        writer = start_stalled(write_for_good, &to);
        {
                pid_t asks = start(ask, in_mount("r"));

                answered = ends_well(asks);
                if (!answered)
                        finish(writer);
        }
        ck_assert(answered);
        must(stat(in_mount("r"), &st));
        /* Without passthrough the page is not written before both are there. */
        if (fixture_mode() == MODE_PASSTHROUGH) {
                ck_assert_int_eq(st.st_size, gap + page_size());
                ck_assert_int_ge((int64_t)st.st_blocks * 512, gap + page_size());
        }
        others_go_on(writer, ask, paths);
        must(close(to.fd));
}
END_TEST

static void cut_by_path(const void *data) {
        if (truncate(data, 100) < 0)
                _exit(1);
}

static void set_times(const void *data) {
        utimensat(AT_FDCWD, data, NULL, 0);
}

/* Regions of one file, each of which the kernel has one at a time do the same with. */
static void make_crowd(const char *path, const void *regions[CROWD]) {
        int file = must_open(path, O_RDWR | O_CREAT, 0600);

        for (int i = 0; i < CROWD; i++) {
                g_autofree char *name = g_strdup_printf("p%d", i);

                regions[i] = in_mount(name);
                make_persisted(regions[i], file);
        }
        must(close(file));
}

START_TEST(a_file_that_is_kept_busy_by_its_path_is_in_nobodys_way) {
        void (*const bodies[])(const void *data) = { cut_by_path, set_times };
        g_autofree char *path = beside("file");
        const void *regions[CROWD];
        struct stat st;
        Write to = { 0 };

        make_crowd(path, regions);
        to.fd = must_open(path, O_RDWR, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(bodies); i++)
                others_go_on(start_stalled(write_for_good, &to), bodies[i], regions);
        /* Afterwards all is as ever, once the last ones that waited have gone. */
        eventually(truncate(regions[CROWD - 1], 200) == 0);
        must(stat(path, &st));
        ck_assert_int_eq(st.st_size, 200);
        must(close(to.fd));
        must(unlink(path));
}
END_TEST

/* A region of this name ends with its last user. */
static int make_passing(const char *path) {
        int fd = must_open(path, O_RDWR | O_CREAT, 0600);

        must(setxattr(path, REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        return fd;
}

START_TEST(a_directory_that_is_kept_busy_does_not_hide_the_end_of_regions_elsewhere) {
        int watch = inotify_init1(IN_CLOEXEC), region, other;
        struct pollfd told = { .fd = watch, .events = POLLIN };
        char name[64];
        pid_t reader;
        bool well;

        must(watch);
        must(mkdir(in_mount("busy"), 0700));
        for (int i = 0; i < 20; i++) {
                g_snprintf(name, sizeof(name), "busy/%032d", i);
                must(close(must_open(in_mount(name), O_RDWR | O_CREAT, 0600)));
        }
        region = make_passing(in_mount("busy/passing"));
        must(mkdir(in_mount("idle"), 0700));
        {
                pid_t holder = fork();

                must(holder);
                if (holder == 0) {
                        close(region);
                        read_for_good(in_mount("busy"));
                        _exit(0);
                }
                reader = holder;
        }
        g_usleep(300000);
        must(close(region));
        g_usleep(200000);
        other = make_passing(in_mount("idle/passing"));
        must(inotify_add_watch(watch, in_mount("idle/passing"), IN_DELETE_SELF));
        must(close(other));
        well = poll(&told, 1, PATIENCE) == 1;
        finish(reader);
        ck_assert_msg(well, "nobody is told of the end of a region");
        must(close(watch));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "stalled");
        bool stalls = endless_memory();
        static const char why[] = "userfaultfd(2) is not to be had";

        add_test_if(tests, who_cuts_what_is_written_to_is_in_nobodys_way, stalls, why);
        add_test_if(tests, a_gap_is_filled_while_someone_writes, stalls, why);
        add_test_if(tests, a_file_that_is_kept_busy_by_its_path_is_in_nobodys_way, stalls, why);
        add_test_if(tests, a_directory_that_is_kept_busy_does_not_hide_the_end_of_regions_elsewhere, stalls, why);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "stalled", add);
}
