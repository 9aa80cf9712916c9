/* Sharing memory between processes, with the examples that the project started from. */
#include "fixture.h"

#include <stdatomic.h>
#include <sys/mman.h>

static void *map(int fd, size_t size, int protection, int flags) {
        void *view = mmap(NULL, size, protection, flags, fd, 0);

        ck_assert_msg(view != MAP_FAILED, "mmap: %s", g_strerror(errno));
        return view;
}

/* Waits until another process has made the condition true; fails after ten seconds. */
#define wait_until(condition)                                                                                          \
        G_STMT_START {                                                                                                 \
                int waits = 0;                                                                                         \
                while (!(condition)) {                                                                                 \
                        ck_assert_msg(waits++ < 10000, "%s does not come true", #condition);                           \
                        g_usleep(1000);                                                                                \
                }                                                                                                      \
        }                                                                                                              \
        G_STMT_END

/* Process B of the example, and C: opens the region that A made and writes one value through a view of its own. */
typedef struct Says {
        off_t position;
        bool value;
} Says;

static void say(void *data) {
        const Says *says = data;
        int fd = must_open(in_mount("testmap"), O_RDWR, 0);
        bool *view = map(fd, 10000, PROT_READ | PROT_WRITE, MAP_SHARED);

        must(close(fd));
        view[says->position] = says->value;
}

START_TEST(three_processes_write_and_the_first_reads_all) {
        int fd = must_open(in_mount("testmap"), O_RDWR | O_CREAT | O_EXCL, 0600);
        const bool expected[] = { true, false, true };
        bool *view, found[3];

        must(ftruncate(fd, 10000));
        view = map(fd, 10000, PROT_READ | PROT_WRITE, MAP_SHARED);
        view[0] = true;
        view[1] = true; /* so that B's false is seen to be written */
        run_process(say, &(Says){ 1, false });
        run_process(say, &(Says){ 2, true });
        ck_assert_mem_eq(view, expected, sizeof(expected));
        ck_assert_int_eq(pread(fd, found, sizeof(found), 0), sizeof(found));
        ck_assert_mem_eq(found, expected, sizeof(expected));
        must(munmap(view, 10000));
        must(close(fd));
}
END_TEST

static void read_lines(void *data) {
        static const char *const expected[] = { "111\r\n", "222\r\n", "333" };
        FILE *stream = fopen(in_mount("data01.txt"), "r");
        char line[8192];
        struct stat st;

        ck_assert_ptr_nonnull(stream);
        must(fstat(fileno(stream), &st));
        ck_assert_int_eq(st.st_size, 13);
        for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
                ck_assert_ptr_nonnull(fgets(line, sizeof(line), stream));
                ck_assert_str_eq(line, expected[i]);
        }
        ck_assert_ptr_null(fgets(line, sizeof(line), stream));
        ck_assert(feof(stream));
        fclose(stream);
}

START_TEST(a_text_of_13_bytes_has_three_lines_and_no_padding) {
        must_write(in_mount("data01.txt"), "111\r\n222\r\n333");
        run_process(read_lines, NULL);
}
END_TEST

#define SHARED_LENGTH 8096

static void serve(void *data) {
        static const char text[] = "typed into the server";
        int fd = must_open(in_mount("EMoreauSharedDemo"), O_RDWR | O_CREAT | O_EXCL, 0600);
        char *view;

        must(ftruncate(fd, SHARED_LENGTH));
        view = map(fd, SHARED_LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED);
        memcpy(view + 10, text, strlen(text));
        atomic_store((_Atomic int *)view, strlen(text));
        wait_until(atomic_load((_Atomic int *)view) == 0);
        must(unlink(in_mount("EMoreauSharedDemo")));
}

START_TEST(a_client_waits_for_a_server_and_reads_its_text) {
        const char *path = in_mount("EMoreauSharedDemo");
        char *view, text[64];
        pid_t server;
        int fd, length;

        must_fail(open(path, O_RDWR), ENOENT); /* "Memory-mapped file does not exist. Run Process A first." */
        server = start_process(serve, NULL);
        wait_until((fd = open(path, O_RDWR)) >= 0);
        wait_until(lseek(fd, 0, SEEK_END) == SHARED_LENGTH);
        view = map(fd, SHARED_LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED);
        wait_until((length = atomic_load((_Atomic int *)view)) > 0);
        ck_assert_int_eq(pread(fd, text, length, 10), length);
        ck_assert_int_eq(length, strlen("typed into the server"));
        ck_assert_mem_eq(text, "typed into the server", length);
        ck_assert_mem_eq(view + 10, "typed into the server", length);
        atomic_store((_Atomic int *)view, 0);
        end_process(server);
        must_fail(open(path, O_RDWR), ENOENT);
        must(close(fd));
}
END_TEST

static void count(void *data) {
        int fd = must_open(in_mount("counter"), O_RDWR, 0);
        _Atomic long *view = map(fd, 4096, PROT_READ | PROT_WRITE, MAP_SHARED);

        for (int i = 0; i < 100000; i++)
                atomic_fetch_add(view, 1);
}

START_TEST(processes_count_together) {
        pid_t processes[4];
        long total;
        int fd = must_open(in_mount("counter"), O_RDWR | O_CREAT, 0600);

        must(ftruncate(fd, 4096));
        for (int i = 0; i < 4; i++)
                processes[i] = start_process(count, NULL);
        for (int i = 0; i < 4; i++)
                end_process(processes[i]);
        ck_assert_int_eq(pread(fd, &total, sizeof(total), 0), sizeof(total));
        ck_assert_int_eq(total, 400000);
        must(close(fd));
}
END_TEST

/* Answers each value that appears in the view by a write(2), and each that a write(2) of the other made by a view. */
static void answer(void *data) {
        int fd = must_open(in_mount("talk"), O_RDWR, 0);
        volatile _Atomic long *view = map(fd, 8192, PROT_READ | PROT_WRITE, MAP_SHARED);

        for (long i = 1; i <= 1000; i++) {
                while (atomic_load(&view[0]) != i)
                        ;
                ck_assert_int_eq(pwrite(fd, &i, sizeof(i), 4096), sizeof(i));
        }
}

START_TEST(views_and_calls_agree_at_once) {
        int fd = must_open(in_mount("talk"), O_RDWR | O_CREAT, 0600);
        volatile _Atomic long *view;
        pid_t other;
        long found;

        must(ftruncate(fd, 8192));
        view = map(fd, 8192, PROT_READ | PROT_WRITE, MAP_SHARED);
        other = start_process(answer, NULL);
        for (long i = 1; i <= 1000; i++) {
                if (i % 2)
                        atomic_store(&view[0], i);
                else
                        ck_assert_int_eq(pwrite(fd, &i, sizeof(i), 0), sizeof(i));
                /* Seen in the view first, then it must be there for a call too; and the other way round. */
                while (atomic_load(&view[512]) != i)
                        ;
                ck_assert_int_eq(pread(fd, &found, sizeof(found), 4096), sizeof(found));
                ck_assert_int_eq(found, i);
                ck_assert_int_eq(pread(fd, &found, sizeof(found), 0), sizeof(found));
                ck_assert_int_eq(found, i);
        }
        end_process(other);
        must(close(fd));
}
END_TEST

START_TEST(a_view_outlives_its_handle_and_its_name) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);
        char *view;

        must(ftruncate(fd, 4096));
        view = map(fd, 4096, PROT_READ | PROT_WRITE, MAP_SHARED);
        must(close(fd));
        strcpy(view, "alive");
        must(msync(view, 4096, MS_SYNC));
        fd = must_open(in_mount("a"), O_RDONLY, 0);
        must(unlink(in_mount("a")));
        strcpy(view, "still");
        {
                char found[5];

                ck_assert_int_eq(pread(fd, found, 5, 0), 5);
                ck_assert_mem_eq(found, "still", 5);
        }
        must(close(fd));
        ck_assert_str_eq(view, "still");
        must(munmap(view, 4096));
}
END_TEST

START_TEST(a_private_view_copies_on_write) {
        int fd;
        char *mine;

        must_write(in_mount("a"), "original");
        fd = must_open(in_mount("a"), O_RDONLY, 0);
        mine = map(fd, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE);
        memcpy(mine, "mine", 4);
        ck_assert_mem_eq(mine, "mineinal", 8);
        must_read(in_mount("a"), "original");
        ck_assert_ptr_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
        ck_assert_int_eq(errno, EACCES);
        must(close(fd));
}
END_TEST

START_TEST(a_shortened_view_sees_the_new_end) {
        int fd = must_open(in_mount("a"), O_RDWR | O_CREAT, 0600);
        char *view;

        must(ftruncate(fd, 8192));
        view = map(fd, 8192, PROT_READ | PROT_WRITE, MAP_SHARED);
        memset(view, 'x', 8192);
        must(ftruncate(fd, 100));
        must(ftruncate(fd, 8192));
        ck_assert_int_eq(view[99], 'x');
        ck_assert_int_eq(view[100], 0);
        ck_assert_int_eq(view[5000], 0);
        must(munmap(view, 8192));
        must(close(fd));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "sharing");

        tcase_add_test(tests, three_processes_write_and_the_first_reads_all);
        tcase_add_test(tests, a_text_of_13_bytes_has_three_lines_and_no_padding);
        tcase_add_test(tests, a_client_waits_for_a_server_and_reads_its_text);
        tcase_add_test(tests, processes_count_together);
        tcase_add_test(tests, views_and_calls_agree_at_once);
        tcase_add_test(tests, a_view_outlives_its_handle_and_its_name);
        tcase_add_test(tests, a_private_view_copies_on_write);
        tcase_add_test(tests, a_shortened_view_sees_the_new_end);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "sharing", add);
}
