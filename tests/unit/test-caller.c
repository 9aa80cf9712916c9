/* Who asks is a process of its own, as it is for the daemon, with the descriptors that the test has when it starts. */
#include "operations/caller.h"

#include "unit-process.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define CLIENT_UID 64123
#define CLIENT_GID 64124
#define GROUPS 40

static char *directory; /* of the test's own */
static Credentials *credentials;

static void setup(void) {
        directory = unit_directory(UNIT_TEMPORARY);
        credentials = credentials_new();
}

static void setup_user(void) {
        directory = unit_directory(UNIT_TEMPORARY);
        if (geteuid() == 0)
                ck_assert_int_eq(chown(directory, UNIT_USER, UNIT_USER), 0);
        unit_become_user();
        credentials = credentials_new();
}

static void teardown(void) {
        credentials_free(credentials);
        g_clear_pointer(&directory, g_free);
}

static int open_path(const char *name, int flags) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        int fd = open(path, flags | O_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        return fd;
}

/* A descriptor of the process: 0 or -errno. What is found has to be the file that ours is on. */
static int find(pid_t process, int number, int *access) {
        const Caller caller = { .thread = process, .uid = geteuid(), .gid = getegid() };
        struct stat wanted, found;
        dev_t device = 0;
        auto_descriptor fd = caller_find_descriptor(&caller, number, access, &device);

        if (fd < 0)
                return fd;
        ck_assert_int_eq(fstat(number, &wanted), 0);
        ck_assert_int_eq(fstat(fd, &found), 0);
        ck_assert_uint_eq(found.st_ino, wanted.st_ino);
        ck_assert_uint_eq(found.st_dev, wanted.st_dev);
        ck_assert_uint_eq(device, wanted.st_dev);
        ck_assert_int_ne(fcntl(fd, F_GETFL) & O_PATH, 0);
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        return 0;
}

static int try_finding(pid_t process, int number) {
        int access;

        return find(process, number, &access);
}

static const struct {
        int flags, result, access;
} ways[] = {
        { O_RDONLY, 0, O_RDONLY }, { O_RDWR, 0, O_RDWR }, { O_RDWR | O_APPEND, 0, O_RDWR },
        { O_WRONLY, -EACCES },     { O_PATH, -EBADF },
};

START_TEST(access_is_that_of_the_descriptor) {
        auto_descriptor file = unit_create(directory, "file", 13);
        auto_descriptor fd = open_path("file", ways[_i].flags);
        pid_t process = unit_process_any();
        int access = -1;

        ck_assert_int_eq(find(process, fd, &access), ways[_i].result);
        if (ways[_i].result == 0)
                ck_assert_int_eq(access, ways[_i].access);
        unit_process_end(process);
}
END_TEST

/* Not the file's mode, nor what we may do. */
START_TEST(mode_does_not_matter) {
        auto_descriptor file = unit_create(directory, "file", 13);
        pid_t process = unit_process_any();
        int access = -1;

        ck_assert_int_eq(fchmod(file, 0), 0);
        ck_assert_int_eq(find(process, file, &access), 0);
        ck_assert_int_eq(access, O_RDWR);
        unit_process_end(process);
}
END_TEST

START_TEST(files_without_a_name_are_found) {
        g_autofree char *path = g_build_filename(directory, "file", NULL);
        auto_descriptor file = unit_create(directory, "file", 13);
        auto_descriptor memory = memfd_create("unit", MFD_CLOEXEC);
        pid_t process;

        ck_assert_int_eq(unlink(path), 0);
        process = unit_process_any();
        ck_assert_int_eq(try_finding(process, file), 0);
        ck_assert_int_eq(try_finding(process, memory), 0);
        unit_process_end(process);
}
END_TEST

START_TEST(what_is_not_open_is_not_found) {
        auto_descriptor later = -1;
        pid_t process = unit_process_any();

        later = unit_create(directory, "later", 13);
        ck_assert_int_eq(try_finding(process, later), -EBADF);
        ck_assert_int_eq(try_finding(process, -1), -EBADF);
        ck_assert_int_eq(try_finding(process, G_MAXINT), -EBADF);
        ck_assert_int_eq(try_finding(getpid(), later), 0);
        unit_process_end(process);
        ck_assert_int_eq(try_finding(process, later), -EBADF);
}
END_TEST

START_TEST(regular_files_alone_are_taken) {
        g_autofree char *fifo = g_build_filename(directory, "fifo", NULL);
        auto_descriptor folder = open_path(".", O_RDONLY);
        auto_descriptor null = open("/dev/null", O_RDWR | O_CLOEXEC);
        auto_descriptor event = eventfd(0, EFD_CLOEXEC);
        auto_descriptor connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        auto_descriptor named = -1;
        int ends[2];
        pid_t process;

        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        ck_assert_int_eq(mkfifo(fifo, 0644), 0);
        named = open(fifo, O_RDWR | O_CLOEXEC);
        process = unit_process_any();
        ck_assert_int_eq(try_finding(process, folder), -EINVAL);
        ck_assert_int_eq(try_finding(process, null), -EINVAL);
        ck_assert_int_eq(try_finding(process, event), -EINVAL);
        ck_assert_int_eq(try_finding(process, connection), -EINVAL);
        ck_assert_int_eq(try_finding(process, named), -EINVAL);
        ck_assert_int_eq(try_finding(process, ends[0]), -EINVAL);
        ck_assert_int_eq(try_finding(process, ends[1]), -EACCES);
        unit_process_end(process);
        close(ends[0]);
        close(ends[1]);
}
END_TEST

START_TEST(who_is_not_visible_is_refused) {
        auto_descriptor file = unit_create(directory, "file", 13);

        ck_assert_int_eq(try_finding(0, file), -EPERM);
        ck_assert_int_eq(try_finding(-1, file), -EPERM);
}
END_TEST

/* A thread has what its process has. */
static gpointer ask_as_thread(gpointer data) {
        return GINT_TO_POINTER(try_finding(gettid(), GPOINTER_TO_INT(data)));
}

START_TEST(threads_may_ask) {
        auto_descriptor file = unit_create(directory, "file", 13);
        GThread *thread = g_thread_new("asking", ask_as_thread, GINT_TO_POINTER(file));

        ck_assert_int_eq(GPOINTER_TO_INT(g_thread_join(thread)), 0);
}
END_TEST

START_TEST(users_cannot_look_into_a_hidden_process) {
        const UnitRights rights = { .uid = geteuid(), .gid = getegid(), .capabilities_count = -1, .hidden = true };
        auto_descriptor file = unit_create(directory, "file", 13);
        pid_t process = unit_process(&rights);

        ck_assert_int_gt(process, 0);
        ck_assert_int_eq(try_finding(process, file), -EPERM);
        unit_process_end(process);
}
END_TEST

START_TEST(root_can_look_into_any_process) {
        const UnitRights rights = { .uid = CLIENT_UID, .gid = CLIENT_GID, .hidden = true };
        auto_descriptor file = unit_create(directory, "file", 13);
        pid_t process = unit_process(&rights);

        ck_assert_int_gt(process, 0);
        ck_assert_int_eq(try_finding(process, file), 0);
        unit_process_end(process);
}
END_TEST

START_TEST(users_cannot_look_into_those_of_others) {
        auto_descriptor file = unit_create(directory, "file", 13);
        pid_t process = unit_process_any();

        unit_become_user();
        ck_assert_int_eq(try_finding(process, file), -EPERM);
}
END_TEST

START_TEST(nothing_is_left_open) {
        auto_descriptor file = unit_create(directory, "file", 13);
        auto_descriptor folder = open_path(".", O_RDONLY);
        const Caller caller = { .thread = getpid(), .uid = geteuid(), .gid = getegid() };
        unsigned before = unit_descriptors();
        auto_descriptor path = open_path("file", O_PATH);

        ck_assert_int_eq(try_finding(getpid(), file), 0);
        ck_assert_int_eq(try_finding(getpid(), folder), -EINVAL);
        ck_assert_int_eq(caller_may_open(&caller, credentials, path, O_RDWR), 0);
        descriptor_clear(&path);
        ck_assert_uint_eq(unit_descriptors(), before);
}
END_TEST

/* Whether the process may open the file, where the request is of uid and gid: 0 or -errno. We stay who we were. */
static int ask(pid_t process, uid_t uid, gid_t gid, const char *name, int access) {
        const Caller caller = { .thread = process, .uid = uid, .gid = gid };
        auto_descriptor fd = open_path(name, O_PATH);
        cap_t before = cap_get_proc(), after;
        gid_t groups[64];
        int count = getgroups(G_N_ELEMENTS(groups), groups), result = caller_may_open(&caller, credentials, fd, access);

        after = cap_get_proc();
        ck_assert_int_eq(cap_compare(before, after), 0);
        ck_assert_int_eq(getgroups(G_N_ELEMENTS(groups), groups), count);
        ck_assert_int_eq(setfsuid(-1), (int)geteuid());
        ck_assert_int_eq(setfsgid(-1), (int)getegid());
        cap_free(before);
        cap_free(after);
        return result;
}

static void make_file(const char *name, uid_t uid, gid_t gid, mode_t mode) {
        auto_descriptor fd = unit_create(directory, name, 1);

        ck_assert_int_eq(fchown(fd, uid, gid), 0);
        ck_assert_int_eq(fchmod(fd, mode), 0);
}

START_TEST(another_user_opens_what_its_rights_allow) {
        const UnitRights rights = { .uid = CLIENT_UID, .gid = CLIENT_GID };
        pid_t process = unit_process(&rights);

        make_file("own", CLIENT_UID, 0, 0600);
        make_file("own-readable", CLIENT_UID, 0, 0400);
        make_file("groups", 0, CLIENT_GID, 0640);
        make_file("everyones", 0, 0, 0666);
        make_file("roots", 0, 0, 0600);
        make_file("not-own", CLIENT_UID, 0, 0066);
        ck_assert_int_eq(ask(process, CLIENT_UID, CLIENT_GID, "own", O_RDWR), 0);
        ck_assert_int_eq(ask(process, CLIENT_UID, CLIENT_GID, "own-readable", O_RDONLY), 0);
        ck_assert_int_eq(ask(process, CLIENT_UID, CLIENT_GID, "own-readable", O_RDWR), -EACCES);
        ck_assert_int_eq(ask(process, CLIENT_UID, CLIENT_GID, "groups", O_RDONLY), 0);
        ck_assert_int_eq(ask(process, CLIENT_UID, CLIENT_GID, "groups", O_RDWR), -EACCES);
        ck_assert_int_eq(ask(process, CLIENT_UID, CLIENT_GID, "everyones", O_RDWR), 0);
        ck_assert_int_eq(ask(process, CLIENT_UID, CLIENT_GID, "roots", O_RDONLY), -EACCES);
        ck_assert_int_eq(ask(process, CLIENT_UID, CLIENT_GID, "not-own", O_RDONLY), -EACCES);
        unit_process_end(process);
}
END_TEST

START_TEST(supplementary_groups_count) {
        gid_t groups[GROUPS];
        const UnitRights with = { CLIENT_UID, CLIENT_GID, .groups = groups, .count = GROUPS };
        const UnitRights without = { .uid = CLIENT_UID, .gid = CLIENT_GID };
        pid_t member, stranger;

        for (int i = 0; i < GROUPS; i++)
                groups[i] = CLIENT_GID + 100 + i;
        make_file("first", 0, groups[0], 0060);
        make_file("last", 0, groups[GROUPS - 1], 0040);
        make_file("none", 0, groups[GROUPS - 1] + 1, 0040);
        member = unit_process(&with);
        stranger = unit_process(&without);
        ck_assert_int_eq(ask(member, CLIENT_UID, CLIENT_GID, "first", O_RDWR), 0);
        ck_assert_int_eq(ask(member, CLIENT_UID, CLIENT_GID, "last", O_RDONLY), 0);
        ck_assert_int_eq(ask(member, CLIENT_UID, CLIENT_GID, "last", O_RDWR), -EACCES);
        ck_assert_int_eq(ask(member, CLIENT_UID, CLIENT_GID, "none", O_RDONLY), -EACCES);
        ck_assert_int_eq(ask(stranger, CLIENT_UID, CLIENT_GID, "first", O_RDONLY), -EACCES);
        ck_assert_int_eq(ask(stranger, CLIENT_UID, CLIENT_GID, "last", O_RDONLY), -EACCES);
        unit_process_end(member);
        unit_process_end(stranger);
}
END_TEST

START_TEST(capabilities_count) {
        static const cap_value_t override[] = { CAP_DAC_OVERRIDE }, reading[] = { CAP_DAC_READ_SEARCH };
        const UnitRights all = { .capabilities_count = -1 }, none = { .capabilities_count = 0 };
        const UnitRights writer = { CLIENT_UID, CLIENT_GID, .capabilities = override, .capabilities_count = 1 };
        const UnitRights reader = { CLIENT_UID, CLIENT_GID, .capabilities = reading, .capabilities_count = 1 };
        pid_t root = unit_process(&all), weak = unit_process(&none);
        pid_t writing = unit_process(&writer), looking = unit_process(&reader);

        make_file("users", CLIENT_UID + 1, CLIENT_GID + 1, 0600);
        make_file("roots", 0, 0, 0600);
        ck_assert_int_eq(ask(root, 0, 0, "users", O_RDWR), 0);
        ck_assert_int_eq(ask(weak, 0, 0, "users", O_RDONLY), -EACCES);
        ck_assert_int_eq(ask(weak, 0, 0, "roots", O_RDWR), 0);
        ck_assert_int_eq(ask(writing, CLIENT_UID, CLIENT_GID, "users", O_RDWR), 0);
        ck_assert_int_eq(ask(looking, CLIENT_UID, CLIENT_GID, "users", O_RDONLY), 0);
        ck_assert_int_eq(ask(looking, CLIENT_UID, CLIENT_GID, "users", O_RDWR), -EACCES);
        unit_process_end(root);
        unit_process_end(weak);
        unit_process_end(writing);
        unit_process_end(looking);
}
END_TEST

START_TEST(capabilities_of_another_user_namespace_do_not) {
        const UnitRights rights = { .capabilities_count = -1, .apart = true };
        pid_t process = unit_process(&rights);

        if (!process) {
                printf("# left out, as there are no user namespaces\n");
                return;
        }
        make_file("users", CLIENT_UID, CLIENT_GID, 0600);
        make_file("roots", 0, 0, 0600);
        ck_assert_int_eq(ask(process, 0, 0, "users", O_RDONLY), -EACCES);
        ck_assert_int_eq(ask(process, 0, 0, "roots", O_RDWR), 0);
        unit_process_end(process);
}
END_TEST

/* The request's user is the one for file systems. */
START_TEST(the_identity_is_the_one_for_files) {
        const UnitRights rights = { .uid = CLIENT_UID, .for_files = true };
        pid_t process = unit_process(&rights);

        make_file("users", CLIENT_UID, CLIENT_GID, 0600);
        make_file("roots", 0, 0, 0600);
        ck_assert_int_eq(ask(process, CLIENT_UID, 0, "users", O_RDWR), 0);
        ck_assert_int_eq(ask(process, CLIENT_UID, 0, "roots", O_RDWR), -EACCES);
        ck_assert_int_eq(ask(process, 0, 0, "roots", O_RDWR), -EPERM);
        unit_process_end(process);
}
END_TEST

/* Its number is that of another process by now. */
START_TEST(another_process_than_the_request_is_of_is_refused) {
        const UnitRights rights = { .uid = CLIENT_UID, .gid = CLIENT_GID, .capabilities_count = -1 };
        pid_t process = unit_process(&rights), root = unit_process_any();

        make_file("everyones", 0, 0, 0666);
        ck_assert_int_eq(ask(process, CLIENT_UID, CLIENT_GID, "everyones", O_RDWR), 0);
        ck_assert_int_eq(ask(process, CLIENT_UID + 1, CLIENT_GID, "everyones", O_RDWR), -EPERM);
        ck_assert_int_eq(ask(process, CLIENT_UID, CLIENT_GID + 1, "everyones", O_RDWR), -EPERM);
        ck_assert_int_eq(ask(process, 0, 0, "everyones", O_RDWR), -EPERM);
        ck_assert_int_eq(ask(root, CLIENT_UID, CLIENT_GID, "everyones", O_RDWR), -EPERM);
        ck_assert_int_eq(ask(root, CLIENT_UID, 0, "everyones", O_RDWR), -EPERM);
        ck_assert_int_eq(ask(root, 0, CLIENT_GID, "everyones", O_RDWR), -EPERM);
        ck_assert_int_eq(ask(0, 0, 0, "everyones", O_RDWR), -EPERM);
        unit_process_end(root);
        unit_process_end(process);
        ck_assert_int_eq(ask(process, CLIENT_UID, CLIENT_GID, "everyones", O_RDWR), -EPERM);
}
END_TEST

START_TEST(what_cannot_be_mapped_is_refused) {
        const Caller caller = { .thread = getpid(), .uid = geteuid(), .gid = getegid() };
        auto_descriptor fd = open("/proc/self/status", O_PATH | O_CLOEXEC);
        auto_descriptor empty = unit_create(directory, "empty", 0);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(caller_may_open(&caller, credentials, fd, O_RDONLY), -ENODEV);
        ck_assert_int_eq(ask(getpid(), geteuid(), getegid(), "empty", O_RDONLY), 0);
}
END_TEST

START_TEST(users_ask_for_themselves) {
        pid_t process = unit_process_any();

        make_file("own", -1, -1, 0600);
        make_file("readable", -1, -1, 0400);
        ck_assert_int_eq(ask(process, geteuid(), getegid(), "own", O_RDWR), 0);
        ck_assert_int_eq(ask(process, geteuid(), getegid(), "readable", O_RDONLY), 0);
        ck_assert_int_eq(ask(process, geteuid(), getegid(), "readable", O_RDWR), -EACCES);
        ck_assert_int_eq(ask(process, geteuid() + 1, getegid(), "own", O_RDONLY), -EPERM);
        ck_assert_int_eq(ask(process, geteuid(), getegid() + 1, "own", O_RDONLY), -EPERM);
        unit_process_end(process);
        ck_assert_int_eq(ask(process, geteuid(), getegid(), "own", O_RDONLY), -EPERM);
}
END_TEST

/* As root and as a user. */
static void add_common(TCase *tcase) {
        tcase_add_loop_test(tcase, access_is_that_of_the_descriptor, 0, G_N_ELEMENTS(ways));
        tcase_add_test(tcase, mode_does_not_matter);
        tcase_add_test(tcase, files_without_a_name_are_found);
        tcase_add_test(tcase, what_is_not_open_is_not_found);
        tcase_add_test(tcase, regular_files_alone_are_taken);
        tcase_add_test(tcase, who_is_not_visible_is_refused);
        tcase_add_test(tcase, threads_may_ask);
        tcase_add_test(tcase, nothing_is_left_open);
        tcase_add_test(tcase, what_cannot_be_mapped_is_refused);
}

int main(void) {
        Suite *suite = suite_create("caller");
        TCase *tcase;

        tcase = unit_case(suite, "root");
        tcase_add_checked_fixture(tcase, setup, teardown);
        if (unit_is_root())
                add_common(tcase);
        unit_add_root_test(tcase, root_can_look_into_any_process);
        unit_add_root_test(tcase, users_cannot_look_into_those_of_others);
        unit_add_root_test(tcase, another_user_opens_what_its_rights_allow);
        unit_add_root_test(tcase, supplementary_groups_count);
        unit_add_root_test(tcase, capabilities_count);
        unit_add_root_test(tcase, capabilities_of_another_user_namespace_do_not);
        unit_add_root_test(tcase, the_identity_is_the_one_for_files);
        unit_add_root_test(tcase, another_process_than_the_request_is_of_is_refused);

        tcase = unit_case(suite, "user");
        tcase_add_checked_fixture(tcase, setup_user, teardown);
        add_common(tcase);
        tcase_add_test(tcase, users_cannot_look_into_a_hidden_process);
        tcase_add_test(tcase, users_ask_for_themselves);
        return unit_main(suite);
}
