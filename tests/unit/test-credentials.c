#include "operations/credentials.h"

#include "unit.h"

#include <sys/fsuid.h>

#define CLIENT_UID 64123
#define CLIENT_GID 64124

static char *directory; /* of the test's own, owner root, mode 0700 */
static Credentials *credentials;

static void setup(void) {
        directory = unit_directory(UNIT_TMPFS);
        ck_assert_int_eq(chmod(directory, 0700), 0);
        credentials = credentials_new();
        ck_assert_int_eq(credentials_prepare_thread(), 0);
}

static void teardown(void) {
        credentials_free(credentials);
        g_clear_pointer(&directory, g_free);
}

/* Creates directory/name, asking for all rights: 0, or the errno. */
static int create(const char *name) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        auto_descriptor fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0777);

        return fd < 0 ? errno : 0;
}

static struct stat look_at(const char *name) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        struct stat st;

        ck_assert_msg(lstat(path, &st) == 0, "%s: %s", path, g_strerror(errno));
        return st;
}

static void expect(const char *name, uid_t uid, gid_t gid, mode_t mode) {
        struct stat st = look_at(name);

        ck_assert_uint_eq(st.st_uid, uid);
        ck_assert_uint_eq(st.st_gid, gid);
        ck_assert_uint_eq(st.st_mode & 07777, mode);
}

/* What the calling thread may do, as text for comparison; the caller's to free. */
static char *rights(void) {
        cap_t capabilities = cap_get_proc();
        char *text = cap_to_text(capabilities, NULL);
        char *copy = g_strdup(text);

        cap_free(text);
        cap_free(capabilities);
        return copy;
}

static bool may(cap_value_t capability) {
        cap_t capabilities = cap_get_proc();
        cap_flag_value_t have = CAP_CLEAR;

        ck_assert_int_eq(cap_get_flag(capabilities, capability, CAP_EFFECTIVE, &have), 0);
        cap_free(capabilities);
        return have == CAP_SET;
}

START_TEST(nodes_belong_to_the_client) {
        g_autofree char *sub = g_build_filename(directory, "sub", NULL);
        g_autofree char *link = g_build_filename(directory, "link", NULL);

        ck_assert_int_eq(credentials_assume(credentials, CLIENT_UID, CLIENT_GID, 027), 0);
        ck_assert_int_eq(create("file"), 0);
        ck_assert_int_eq(mkdir(sub, 0777), 0);
        ck_assert_int_eq(symlink("file", link), 0);
        credentials_resume(credentials, CLIENT_UID, CLIENT_GID);

        expect("file", CLIENT_UID, CLIENT_GID, 0750);
        expect("sub", CLIENT_UID, CLIENT_GID, 0750);
        ck_assert_uint_eq(look_at("link").st_uid, CLIENT_UID);
        ck_assert_uint_eq(look_at("link").st_gid, CLIENT_GID);
}
END_TEST

START_TEST(afterwards_nodes_are_roots) {
        ck_assert_int_eq(credentials_assume(credentials, CLIENT_UID, CLIENT_GID, 0), 0);
        credentials_resume(credentials, CLIENT_UID, CLIENT_GID);
        ck_assert_int_eq(create("file"), 0);
        ck_assert_uint_eq(look_at("file").st_uid, 0);
        ck_assert_uint_eq(look_at("file").st_gid, 0);
        ck_assert_int_eq(setfsuid(-1), 0);
        ck_assert_int_eq(setfsgid(-1), 0);
}
END_TEST

static const struct {
        uid_t uid;
        gid_t gid;
        mode_t umask, mode;
} clients[] = {
        { 0, 0, 022, 0755 },
        { 0, CLIENT_GID, 077, 0700 }, /* root with another group */
        { CLIENT_UID, 0, 0, 0777 },
        { CLIENT_UID, CLIENT_GID, 0777, 0 },
        { CLIENT_UID + 5, CLIENT_GID, 002, 0775 },
        { 4294967294, 4294967294, 022, 0755 },
};

START_TEST(clients_follow_each_other) {
        g_autofree char *before = rights();

        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++) {
                g_autofree char *name = g_strdup_printf("file-%zu", i);
                g_autofree char *meanwhile = NULL;
                g_autofree char *after = NULL;

                ck_assert_int_eq(credentials_assume(credentials, clients[i].uid, clients[i].gid, clients[i].umask), 0);
                ck_assert_int_eq(create(name), 0);
                meanwhile = rights();
                credentials_resume(credentials, clients[i].uid, clients[i].gid);
                after = rights();
                expect(name, clients[i].uid, clients[i].gid, clients[i].mode);
                ck_assert_str_eq(meanwhile, before);
                ck_assert_str_eq(after, before);
        }
}
END_TEST

START_TEST(capabilities_are_kept_meanwhile) {
        auto_descriptor fd = unit_create(directory, "secret", 13);
        g_autofree char *path = g_build_filename(directory, "secret", NULL);
        auto_descriptor again = -1;

        ck_assert_int_eq(fchmod(fd, 0), 0);
        ck_assert_int_eq(chmod(directory, 0700), 0);
        /* As the client alone it would not work. */
        setfsuid(CLIENT_UID);
        ck_assert_int_eq(create("file"), EACCES);
        setfsuid(0);

        ck_assert_int_eq(credentials_assume(credentials, CLIENT_UID, CLIENT_GID, 0), 0);
        ck_assert_int_eq(create("file"), 0);
        again = open(path, O_RDWR | O_CLOEXEC);
        credentials_resume(credentials, CLIENT_UID, CLIENT_GID);
        ck_assert_int_ge(again, 0);
        expect("file", CLIENT_UID, CLIENT_GID, 0777);
}
END_TEST

/* Writes to a file that has the mode; the mode that it has then. */
static mode_t mode_after_write(const char *name, mode_t mode) {
        auto_descriptor fd = unit_create(directory, name, 13);

        ck_assert_int_eq(fchmod(fd, mode), 0);
        ck_assert_int_eq(pwrite(fd, "y", 1, 0), 1);
        return look_at(name).st_mode & 07777;
}

START_TEST(backing_files_are_registered_as_their_owner) {
        g_autofree char *before = rights();
        g_autofree char *after = NULL;

        ck_assert_uint_eq(mode_after_write("before", 06755), 06755);
        ck_assert_int_eq(credentials_assume_backing(credentials, 0, 0), 0);
        ck_assert(may(CAP_SYS_ADMIN));
        ck_assert(!may(CAP_SYS_RESOURCE));
        ck_assert_uint_eq(mode_after_write("meanwhile", 06755), 0755);
        ck_assert_uint_eq(mode_after_write("again", 04777), 0777);
        credentials_return_backing(credentials, 0, 0);
        ck_assert_uint_eq(mode_after_write("after", 06755), 06755);
        ck_assert_int_eq(credentials_assume_backing(credentials, CLIENT_UID, CLIENT_GID), 0);
        ck_assert(may(CAP_SYS_ADMIN));
        ck_assert_int_eq(setfsuid(-1), CLIENT_UID);
        ck_assert_int_eq(setfsgid(-1), CLIENT_GID);
        credentials_return_backing(credentials, CLIENT_UID, CLIENT_GID);
        ck_assert_int_eq(setfsuid(-1), 0);
        after = rights();
        ck_assert_str_eq(after, before);
}
END_TEST

/* With what the thread may do. */
static bool can_read(const char *name) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        auto_descriptor fd = open(path, O_RDONLY | O_CLOEXEC);

        return fd >= 0;
}

static void make_file(const char *name, uid_t uid, gid_t gid, mode_t mode) {
        auto_descriptor fd = unit_create(directory, name, 1);

        ck_assert_int_eq(fchown(fd, uid, gid), 0);
        ck_assert_int_eq(fchmod(fd, mode), 0);
}

START_TEST(becoming_someone_gives_that_ones_rights) {
        static const gid_t groups[] = { CLIENT_GID + 1, CLIENT_GID + 2 };
        g_autofree char *before = rights();
        g_autofree char *after = NULL;
        gid_t now[64];
        int count = getgroups(G_N_ELEMENTS(now), now);

        ck_assert_int_eq(chmod(directory, 0755), 0);
        make_file("roots", 0, 0, 0600);
        make_file("own", CLIENT_UID, CLIENT_GID, 0600);
        make_file("of-group", 0, CLIENT_GID + 2, 0040);
        make_file("of-other-group", 0, CLIENT_GID + 3, 0040);

        ck_assert_int_eq(credentials_become(credentials, CLIENT_UID, CLIENT_GID, groups, G_N_ELEMENTS(groups), 0), 0);
        ck_assert(!can_read("roots"));
        ck_assert(can_read("own"));
        ck_assert(can_read("of-group"));
        ck_assert(!can_read("of-other-group"));
        credentials_return(credentials);
        ck_assert(can_read("roots"));

        /* Root without capabilities is one user among others; a user with them is not. */
        ck_assert_int_eq(credentials_become(credentials, 0, 0, NULL, 0, 0), 0);
        ck_assert(can_read("roots"));
        ck_assert(!can_read("own"));
        credentials_return(credentials);
        ck_assert_int_eq(credentials_become(credentials, CLIENT_UID, CLIENT_GID, NULL, 0, 1 << CAP_DAC_OVERRIDE), 0);
        ck_assert(can_read("roots"));
        credentials_return(credentials);

        after = rights();
        ck_assert_str_eq(after, before);
        ck_assert_int_eq(getgroups(G_N_ELEMENTS(now), now), count);
        ck_assert_int_eq(setfsgid(-1), 0);
}
END_TEST

typedef struct Other {
        GMutex lock;
        GCond changed;
        enum { STARTED, READY, GO } step; /* protected by lock */
        mode_t mode;                      /* of a set-id file after it was written */
} Other;

static void other_step(Other *other, int step) {
        g_mutex_lock(&other->lock);
        other->step = step;
        g_cond_signal(&other->changed);
        g_mutex_unlock(&other->lock);
}

static void other_wait(Other *other, int step) {
        g_mutex_lock(&other->lock);
        while ((int)other->step != step)
                g_cond_wait(&other->changed, &other->lock);
        g_mutex_unlock(&other->lock);
}

/* Is there before the first thread acts as the client, and creates while it does. */
static gpointer other_thread(gpointer data) {
        Other *other = data;

        ck_assert_int_eq(credentials_prepare_thread(), 0);
        other_step(other, READY);
        other_wait(other, GO);
        ck_assert_int_eq(setfsuid(-1), 0);
        ck_assert_int_eq(setfsgid(-1), 0);
        ck_assert_int_eq(create("others"), 0);
        other->mode = mode_after_write("others-setid", 04755);
        return NULL;
}

START_TEST(other_threads_are_not_affected) {
        Other other = { .step = STARTED };
        GThread *thread;

        g_mutex_init(&other.lock);
        g_cond_init(&other.changed);
        thread = g_thread_new("other", other_thread, &other);
        other_wait(&other, READY);
        umask(0777);
        ck_assert_int_eq(chmod(directory, 01777), 0);
        ck_assert_int_eq(credentials_become(credentials, CLIENT_UID, CLIENT_GID, NULL, 0, 0), 0);
        other_step(&other, GO);
        g_thread_join(thread);
        ck_assert_int_eq(create("mine"), 0);
        ck_assert(!may(CAP_FSETID));
        credentials_return(credentials);

        expect("mine", CLIENT_UID, CLIENT_GID, 0);
        expect("others", 0, 0, 0755);
        ck_assert_uint_eq(other.mode, 04755);
        g_cond_clear(&other.changed);
        g_mutex_clear(&other.lock);
}
END_TEST

START_TEST(root_is_privileged) {
        ck_assert(credentials_privileged(credentials));
}
END_TEST

/* For root's tests the directory is root's: the user gets one. */
static void setup_user(void) {
        directory = unit_directory(UNIT_TMPFS);
        if (geteuid() == 0)
                ck_assert_int_eq(chown(directory, UNIT_USER, UNIT_USER), 0);
        unit_become_user();
        credentials = credentials_new();
        ck_assert_int_eq(credentials_prepare_thread(), 0);
}

START_TEST(users_serve_themselves) {
        ck_assert(!credentials_privileged(credentials));
        ck_assert_int_eq(credentials_assume(credentials, geteuid(), getegid(), 027), 0);
        ck_assert_int_eq(create("mine"), 0);
        credentials_resume(credentials, geteuid(), getegid());
        expect("mine", geteuid(), getegid(), 0750);

        /* They cannot act as anyone else, and need not: only the umask counts. */
        ck_assert_int_eq(credentials_assume(credentials, 0, 0, 077), 0);
        ck_assert_int_eq(create("roots"), 0);
        credentials_resume(credentials, 0, 0);
        expect("roots", geteuid(), getegid(), 0700);
}
END_TEST

START_TEST(users_stay_what_they_are) {
        g_autofree char *before = rights();
        g_autofree char *after = NULL;

        ck_assert_uint_eq(mode_after_write("before", 04755), 0755);
        ck_assert_int_eq(credentials_assume_backing(credentials, 0, 0), 0);
        ck_assert_uint_eq(mode_after_write("meanwhile", 04755), 0755);
        credentials_return_backing(credentials, 0, 0);
        ck_assert_int_eq(credentials_become(credentials, 0, 0, NULL, 0, G_MAXUINT64), 0);
        ck_assert_int_eq(setfsuid(-1), geteuid());
        credentials_return(credentials);
        after = rights();
        ck_assert_str_eq(after, before);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("credentials");
        TCase *tcase;

        tcase = unit_case(suite, "root");
        tcase_add_checked_fixture(tcase, setup, teardown);
        unit_add_root_test(tcase, root_is_privileged);
        unit_add_root_test(tcase, nodes_belong_to_the_client);
        unit_add_root_test(tcase, afterwards_nodes_are_roots);
        unit_add_root_test(tcase, clients_follow_each_other);
        unit_add_root_test(tcase, capabilities_are_kept_meanwhile);
        unit_add_root_test(tcase, backing_files_are_registered_as_their_owner);
        unit_add_root_test(tcase, becoming_someone_gives_that_ones_rights);
        unit_add_root_test(tcase, other_threads_are_not_affected);

        tcase = unit_case(suite, "user");
        tcase_add_checked_fixture(tcase, setup_user, teardown);
        tcase_add_test(tcase, users_serve_themselves);
        tcase_add_test(tcase, users_stay_what_they_are);
        return unit_main(suite);
}
