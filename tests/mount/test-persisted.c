/* Regions whose memory is a file's, and pools that are there again. */
#include "fixture.h"

#include <grp.h>
#include <linux/magic.h>
#include <regionfs/regionfs.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define OTHER 64201
#define TEAM 64203 /* a supplementary group */

/* Of the test's own, beside the mount: the fixture's directory has to be empty at the end. */
static char *beside(const char *name) {
        return g_build_filename(fixture_directory(), name, NULL);
}

static int set_source(const char *region, int fd) {
        g_autofree char *number = g_strdup_printf("%d", fd);

        return setxattr(region, REGIONFS_ATTRIBUTE_SOURCE, number, strlen(number), 0);
}

static void make_persisted(const char *region, int fd) {
        must(mknod(region, S_IFREG | 0644, 0));
        must(set_source(region, fd));
}

START_TEST(memory_is_the_files) {
        g_autofree char *path = beside("file");
        int file, region;
        struct stat st;
        char *view, *files;

        must_write(path, "hello world");
        file = must_open(path, O_RDWR, 0);
        make_persisted(in_mount("r"), file);
        {
                g_autofree char *source = must_get(in_mount("r"), REGIONFS_ATTRIBUTE_SOURCE);
                g_autofree char *padded = must_get(in_mount("r"), REGIONFS_ATTRIBUTE_PADDED_LENGTH);

                ck_assert_str_eq(source, path);
                ck_assert_str_eq(padded, "4096");
        }
        must_read(in_mount("r"), "hello world");
        region = must_open(in_mount("r"), O_RDWR, 0);
        ck_assert_int_eq(pwrite(region, "HELLO", 5, 0), 5);
        must_read(path, "HELLO world");

        /* At once in both directions with passthrough; without, through the mount alone, and in the file with msync(2). */
        view = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
        files = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        ck_assert(view != MAP_FAILED && files != MAP_FAILED);
        memcpy(view + 6, "WORLD", 5);
        if (fixture_mode() == MODE_PASSTHROUGH) {
                ck_assert_mem_eq(files, "HELLO WORLD", 11);
                memcpy(files, "_____", 5);
                ck_assert_mem_eq(view, "_____ WORLD", 11);
        } else {
                must(msync(view, 4096, MS_SYNC));
                must_read(path, "HELLO WORLD");
        }

        /* Grown by either. */
        must(ftruncate(region, 20000));
        must(fstat(file, &st));
        ck_assert_int_eq(st.st_size, 20000);
        must(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "30000", 5, 0));
        must(fstat(file, &st));
        ck_assert_int_eq(st.st_size, 30000);
        must(stat(in_mount("r"), &st));
        ck_assert_int_eq(st.st_size, 30000);

        /* The end of the region is not the file's. */
        must(close(region));
        must(unlink(in_mount("r")));
        must_fail(stat(in_mount("r"), &st), ENOENT);
        must(stat(path, &st));
        ck_assert_int_eq(st.st_size, 30000);
        view[0] = '!';
        must(msync(view, 4096, MS_SYNC));
        must(munmap(view, 4096));
        if (fixture_mode() == MODE_PASSTHROUGH)
                ck_assert_int_eq(files[0], '!');
        must(munmap(files, 4096));
        must(close(file));
        must(unlink(path));
}
END_TEST

static bool on_disk(const char *path) {
        struct statfs fs;

        must(statfs(path, &fs));
        return fs.f_type != TMPFS_MAGIC;
}

/* How many pages of the file are not on its disk yet; -1 where the kernel (before 6.5) does not tell. */
static int64_t dirty_pages(int fd) {
        const struct {
                uint64_t offset, length;
        } all = { 0, 0 };
        struct {
                uint64_t cached, dirty, writeback, evicted, recently_evicted;
        } counts;

        return syscall(451 /* cachestat */, fd, &all, &counts, 0) < 0 ? -1 : (int64_t)(counts.dirty + counts.writeback);
}

START_TEST(synchronizing_reaches_the_disk) {
        g_autofree char *path = beside("file");
        int file = must_open(path, O_RDWR | O_CREAT, 0600), region;
        char block[65536];
        char *view;

        make_persisted(in_mount("r"), file);
        region = must_open(in_mount("r"), O_RDWR, 0);
        memset(block, 'x', sizeof(block));
        ck_assert_int_eq(write(region, block, sizeof(block)), sizeof(block));
        if (on_disk(path) && dirty_pages(file) >= 0) {
                ck_assert_int_gt(dirty_pages(file), 0);
                must(fsync(region));
                ck_assert_int_eq(dirty_pages(file), 0);
                view = mmap(NULL, sizeof(block), PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
                ck_assert(view != MAP_FAILED);
                memset(view, 'y', sizeof(block));
                must(msync(view, sizeof(block), MS_SYNC));
                ck_assert_int_eq(dirty_pages(file), 0);
                must(munmap(view, sizeof(block)));
        } else {
                must(fsync(region));
        }
        must(close(region));
        must(close(file));
        must(unlink(path));
}
END_TEST

START_TEST(ends_with_its_last_handle) {
        g_autofree char *path = beside("file");
        int file, region;

        must_write(path, "stays");
        file = must_open(path, O_RDWR, 0);
        make_persisted(in_mount("r"), file);
        must(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        region = must_open(in_mount("r"), O_RDWR, 0);
        must(close(must_open(in_mount("r"), O_RDONLY, 0)));
        must(access(in_mount("r"), F_OK));
        must(close(region));
        for (int i = 0; i < 1000 && access(in_mount("r"), F_OK) == 0; i++)
                g_usleep(10000);
        must_fail(access(in_mount("r"), F_OK), ENOENT);
        must_read(path, "stays");
        make_persisted(in_mount("r"), file);
        must_read(in_mount("r"), "stays");
        must(close(file));
        must(unlink(path));
}
END_TEST

START_TEST(names_are_a_regions) {
        g_autofree char *path = beside("file"), *moved = beside("moved");
        struct stat of_file, of_region;
        int file;

        must_write(path, "text");
        must(chmod(path, 0640));
        file = must_open(path, O_RDWR, 0);
        make_persisted(in_mount("r"), file);
        must(chmod(in_mount("r"), 0604));
        must(mkdir(in_mount("d"), 0755));
        must(rename(in_mount("r"), in_mount("d/s")));
        must(link(in_mount("d/s"), in_mount("t")));
        must(unlink(in_mount("d/s")));
        must(rename(path, moved));
        must_read(in_mount("t"), "text");
        {
                g_autofree char *source = must_get(in_mount("t"), REGIONFS_ATTRIBUTE_SOURCE);

                ck_assert_str_eq(source, moved);
        }
        must(stat(moved, &of_file));
        must(stat(in_mount("t"), &of_region));
        ck_assert_uint_eq(of_file.st_mode & 07777, 0640);
        ck_assert_uint_eq(of_region.st_mode & 07777, 0604);
        ck_assert_int_eq(of_region.st_mtim.tv_nsec, of_file.st_mtim.tv_nsec);

        /* The file's last name is not the region's. */
        must(unlink(moved));
        must_read(in_mount("t"), "text");
        must(close(file));
        must_read(in_mount("t"), "text");
}
END_TEST

START_TEST(what_cannot_be_is_refused) {
        g_autofree char *path = beside("file");
        int file, handle, other;
        char value;

        must_write(path, "text");
        file = must_open(path, O_RDWR, 0);
        must_fail(set_source(in_mount("none"), file), ENOENT);
        must_fail(set_source(fixture_mountpoint(), file), EINVAL);
        must(mknod(in_mount("r"), S_IFREG | 0644, 0));
        must_fail(getxattr(in_mount("r"), REGIONFS_ATTRIBUTE_SOURCE, &value, 1), ENODATA);
        must_fail(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_SOURCE, path, strlen(path), 0), EINVAL);
        must_fail(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_SOURCE, "", 0, 0), EINVAL);
        must_fail(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_SOURCE, "-1", 2, 0), EINVAL);
        must_fail(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_SOURCE, "99999999999", 11, 0), EINVAL);
        must_fail(set_source(in_mount("r"), 4000), EBADF);
        other = must_open(path, O_PATH, 0);
        must_fail(set_source(in_mount("r"), other), EBADF);
        must(close(other));
        other = must_open(path, O_WRONLY, 0);
        must_fail(set_source(in_mount("r"), other), EACCES);
        must(close(other));
        other = must_open("/", O_RDONLY, 0);
        must_fail(set_source(in_mount("r"), other), EINVAL);
        must(close(other));
        other = must_open("/dev/null", O_RDWR, 0);
        must_fail(set_source(in_mount("r"), other), EINVAL);
        must(close(other));
        /* Its contents depend on who has opened it. */
        other = must_open("/proc/self/stat", O_RDONLY, 0);
        must_fail(set_source(in_mount("r"), other), fixture_mode() == MODE_PASSTHROUGH ? ELOOP : ENODEV);
        must(close(other));
        must_write(in_mount("s"), "");
        other = must_open(in_mount("s"), O_RDWR, 0);
        must_fail(set_source(in_mount("r"), other), EINVAL);
        must(close(other));

        /* One that has lost its name would never give the file up. */
        must(mknod(in_mount("gone"), S_IFREG | 0644, 0));
        other = must_open(in_mount("gone"), O_PATH, 0);
        must(unlink(in_mount("gone")));
        {
                g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", other);

                must_fail(set_source(link, file), ENOENT);
        }
        must(close(other));

        handle = must_open(in_mount("r"), O_RDWR, 0);
        must_fail(set_source(in_mount("r"), file), EBUSY);
        ck_assert_int_eq(write(handle, "x", 1), 1);
        must(close(handle));
        must_fail(set_source(in_mount("r"), file), ENOTEMPTY);
        must_read(in_mount("r"), "x");
        must(truncate(in_mount("r"), 0));
        must(set_source(in_mount("r"), file));
        must_fail(set_source(in_mount("r"), file), EPERM);
        must_read(in_mount("r"), "text");
        /* Who has the path can change it. */
        must_fail(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_SEALED, "1", 1, 0), EOPNOTSUPP);
        must(close(file));
        must(unlink(path));
}
END_TEST

START_TEST(what_was_opened_to_read_is_only_read) {
        g_autofree char *path = beside("file");
        int file, region;

        must_write(path, "text");
        file = must_open(path, O_RDONLY, 0);
        make_persisted(in_mount("r"), file);
        must(chmod(in_mount("r"), 0666));
        region = must_open(in_mount("r"), O_RDONLY, 0);
        must_read(in_mount("r"), "text");
        must_fail(open(in_mount("r"), O_RDWR), EACCES);
        must_fail(open(in_mount("r"), O_WRONLY | O_TRUNC), EACCES);
        must_fail(open(in_mount("r"), O_RDONLY | O_TRUNC), EACCES);
        must_fail(truncate(in_mount("r"), 0), EACCES);
        must_fail(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "0", 1, 0), EACCES);
        must_fail(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed", 9, 0), EACCES);
        must_fail((intptr_t)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0), EACCES);
        must_read(path, "text");
        must(close(region));
        must(close(file));
        must(unlink(path));
}
END_TEST

START_TEST(a_committed_one_has_its_room_on_the_disk) {
        g_autofree char *path = beside("file");
        int file = must_open(path, O_RDWR | O_CREAT, 0600);
        struct stat st;

        make_persisted(in_mount("r"), file);
        must(ftruncate(file, 100000));
        must(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed", 9, 0));
        must(fstat(file, &st));
        ck_assert_int_eq(st.st_size, 100000);
        ck_assert_int_ge(st.st_blocks * 512, 102400);
        must(truncate(in_mount("r"), 200000));
        must(fstat(file, &st));
        ck_assert_int_eq(st.st_size, 200000);
        ck_assert_int_ge(st.st_blocks * 512, 200704);
        must(close(file));
        must(unlink(path));
}
END_TEST

static void become_other(void) {
        const gid_t team = TEAM;

        must(setgroups(1, &team));
        must(setgid(OTHER));
        must(setuid(OTHER));
}

/* *data is a descriptor that root has opened for reading and writing. */
static void try_rights(void *data) {
        g_autofree char *own = beside("own"), *of_team = beside("of-team"), *link = beside("link");
        int given = *(int *)data, fd;

        become_other();
        must(mknod(in_mount("r"), S_IFREG | 0666, 0));
        /* Handed over, but not his to open. */
        must_fail(set_source(in_mount("r"), given), EACCES);
        must_fail(set_source(in_mount("roots"), given), EACCES);
        /* Root's region, which everyone may write to. */
        fd = must_open(own, O_RDWR, 0);
        must_fail(set_source(in_mount("open"), fd), EPERM);
        /* His groups count. */
        must(close(fd));
        fd = must_open(of_team, O_RDWR, 0);
        must(set_source(in_mount("r"), fd));
        must_read(in_mount("r"), "team");
        must(unlink(in_mount("r")));
        must(close(fd));
        /* A link is followed when it is opened, by the one who opens it. */
        fd = must_open(link, O_RDONLY, 0);
        must(mknod(in_mount("r"), S_IFREG | 0666, 0));
        must(set_source(in_mount("r"), fd));
        must_fail(open(in_mount("r"), O_RDWR), EACCES);
        must(unlink(in_mount("r")));
        must(close(fd));
}

static char *make_file(const char *name, uid_t uid, gid_t gid, mode_t mode) {
        char *path = beside(name);

        must_write(path, "team");
        must(chown(path, uid, gid));
        must(chmod(path, mode));
        return path;
}

START_TEST(the_callers_rights_decide) {
        g_autofree char *secret = make_file("secret", 0, 0, 0600), *own = make_file("own", OTHER, OTHER, 0600);
        g_autofree char *of_team = make_file("of-team", 0, TEAM, 0660), *readable = make_file("readable", 0, 0, 0644);
        g_autofree char *link = beside("link");
        int fd = must_open(secret, O_RDWR, 0);

        must(symlink(readable, link));
        must(mknod(in_mount("roots"), S_IFREG | 0600, 0));
        must(mknod(in_mount("open"), S_IFREG | 0666, 0));
        must(chmod(in_mount("open"), 0666));
        run_process(try_rights, &fd);
        must(close(fd));
        must(unlink(secret));
        must(unlink(own));
        must(unlink(of_team));
        must(unlink(readable));
        must(unlink(link));
}
END_TEST

/* Makes the daemon's directory pool end and begin again. */
static void remount(const char *pool) {
        g_autofree char *option = g_strdup_printf("pool=%s", pool);

        fixture_unmount();
        fixture_mount(option);
}

static void remove_tree(const char *path) {
        ck_assert_int_eq(run_command(NULL, "rm -rf '%s'", path), 0);
}

START_TEST(a_directory_pool_is_there_again) {
        g_autofree char *pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        g_autofree char *option = g_strdup_printf("pool=%s", pool), *path = g_strconcat(pool, ".file", NULL);
        g_autofree char *lifetime = NULL, *note = NULL, *allocation = NULL, *source = NULL;
        uid_t owner = geteuid() == 0 ? OTHER : geteuid();
        int file, view_of;
        struct stat st;
        char *view;

        must_write(path, "on disk");
        fixture_mount(option);
        must(mkdir(in_mount("d"), 0750));
        must(setxattr(in_mount("d"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed", 9, 0));
        view_of = must_open(in_mount("d/r"), O_RDWR | O_CREAT, 0640);
        must(ftruncate(view_of, 10000));
        view = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, view_of, 0);
        ck_assert(view != MAP_FAILED);
        memcpy(view + 5000, "stored", 6);
        must(munmap(view, 10000));
        must(close(view_of));
        must(chown(in_mount("d/r"), owner, -1));
        must(setxattr(in_mount("d/r"), "user.note", "mine", 4, 0));
        must_write(in_mount("scratch"), "x");
        must(setxattr(in_mount("scratch"), REGIONFS_ATTRIBUTE_LIFETIME, "handles", 7, 0));
        file = must_open(path, O_RDWR, 0);
        make_persisted(in_mount("d/p"), file);
        must(close(file));

        remount(pool);
        must(stat(in_mount("d/r"), &st));
        ck_assert_int_eq(st.st_size, 10000);
        ck_assert_uint_eq(st.st_uid, owner);
        ck_assert_uint_eq(st.st_mode & 07777, 0640);
        note = must_get(in_mount("d/r"), "user.note");
        ck_assert_str_eq(note, "mine");
        allocation = must_get(in_mount("d/r"), REGIONFS_ATTRIBUTE_ALLOCATION);
        ck_assert_str_eq(allocation, "committed");
        lifetime = must_get(in_mount("scratch"), REGIONFS_ATTRIBUTE_LIFETIME);
        ck_assert_str_eq(lifetime, "handles");
        {
                g_autofree char *contents = NULL;

                ck_assert(g_file_get_contents(in_mount("d/r"), &contents, NULL, NULL));
                ck_assert_mem_eq(contents + 5000, "stored", 6);
        }
        must_read(in_mount("d/p"), "on disk");
        source = must_get(in_mount("d/p"), REGIONFS_ATTRIBUTE_SOURCE);
        ck_assert_str_eq(source, path);
        fixture_unmount();
        must(unlink(path));
        remove_tree(pool);
}
END_TEST

START_TEST(another_file_at_the_path_is_not_taken) {
        g_autofree char *pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        g_autofree char *option = g_strdup_printf("pool=%s", pool), *path = g_strconcat(pool, ".file", NULL);
        g_autofree char *secret = g_strconcat(pool, ".secret", NULL), *log = NULL;
        int file;
        struct stat st;

        must_write(secret, "secret");
        must_write(path, "mine");
        fixture_mount(option);
        file = must_open(path, O_RDWR, 0);
        make_persisted(in_mount("p"), file);
        must(close(file));
        fixture_unmount();
        must(unlink(path));
        must(symlink(secret, path));

        fixture_prepare();
        ck_assert_int_eq(run_command(NULL, "exec %s -o %s%s %s", fixture_program(), option,
                                     fixture_mode() == MODE_CACHED ? ",passthrough=off" : "", fixture_mountpoint()), 0);
        must(stat(in_mount("p"), &st));
        must_fail(open(in_mount("p"), O_RDWR), ESTALE);
        must_fail(truncate(in_mount("p"), 0), ESTALE);
        must_read(secret, "secret");
        must(unlink(in_mount("p")));
        ck_assert_int_eq(run_command(NULL, "%s %s", geteuid() == 0 ? "umount" : "fusermount3 -u", fixture_mountpoint()), 0);
        fixture_remove();
        must(unlink(path));
        must(unlink(secret));
        remove_tree(pool);
}
END_TEST

START_TEST(a_pool_belongs_to_one_daemon) {
        g_autofree char *pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        g_autofree char *option = g_strdup_printf("pool=%s", pool), *second = NULL, *said = NULL;

        fixture_mount(option);
        must_write(in_mount("r"), "first");
        second = beside("second");
        must(mkdir(second, 0755));
        ck_assert_int_eq(run_command(&said, "%s -o %s %s", fixture_program(), option, second), 1);
        ck_assert_msg(strstr(said, "is not allowed: another regionfs uses the directory; unmount that first"), "%s", said);
        must(rmdir(second));
        must_read(in_mount("r"), "first");
        remount(pool);
        must_read(in_mount("r"), "first");
        fixture_unmount();
        remove_tree(pool);
}
END_TEST

START_TEST(a_newer_pool_is_left_alone) {
        g_autofree char *pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        g_autofree char *option = g_strdup_printf("pool=%s", pool), *said = NULL, *format = NULL;
        const char *name = geteuid() == 0 ? "trusted.regionfs.format" : "user.regionfs.format";

        fixture_mount(option);
        fixture_unmount();
        format = must_get(pool, name);
        ck_assert_str_eq(format, "1");
        must(setxattr(pool, name, "2", 1, 0));
        fixture_prepare();
        ck_assert_int_eq(run_command(&said, "%s -o %s %s", fixture_program(), option, fixture_mountpoint()), 1);
        ck_assert_msg(strstr(said, "is a pool of format 2, made by a newer regionfs"), "%s", said);
        fixture_remove();
        remove_tree(pool);
}
END_TEST

START_TEST(what_the_daemon_keeps_is_not_for_clients) {
        g_autofree char *path = beside("file");
        char list[1024];
        ssize_t size;
        int file;

        must_write(path, "text");
        file = must_open(path, O_RDWR, 0);
        make_persisted(in_mount("r"), file);
        must_fail(getxattr(in_mount("r"), "user.regionfs.origin", NULL, 0), ENODATA);
        must_fail(setxattr(in_mount("r"), "user.regionfs.origin", "x", 1, 0), EINVAL);
        if (geteuid() == 0) {
                must_fail(getxattr(in_mount("r"), "trusted.regionfs.origin", NULL, 0), ENODATA);
                must_fail(setxattr(in_mount("r"), "trusted.regionfs.origin", "x", 1, 0), EPERM);
                must_fail(removexattr(in_mount("r"), "trusted.regionfs.origin"), ENODATA);
        }
        size = listxattr(in_mount("r"), list, sizeof(list));
        must(size);
        for (ssize_t at = 0; at < size; at += strlen(list + at) + 1)
                ck_assert_msg(!strstr(list + at, "origin") && !strstr(list + at, "policy"), "%s", list + at);
        must(close(file));
        must(unlink(path));
}
END_TEST

/* By the pool's own path, as whoever reaches it may. */
static void forge(void *data) {
        g_autofree char *from = g_strdup_printf("%s/mine", (const char *)data), *to = g_strdup_printf("%s/forged", (const char *)data);
        char origin[5000];
        ssize_t size;
        int fd;

        become_other();
        fd = must_open(to, O_RDWR | O_CREAT | O_EXCL, 0666);
        size = getxattr(from, "user.regionfs.origin", origin, sizeof(origin));
        must_fail(getxattr(from, "trusted.regionfs.origin", origin, sizeof(origin)), ENODATA);
        if (size > 0)
                must(fsetxattr(fd, "user.regionfs.origin", origin, size, 0));
        must(fsetxattr(fd, "user.regionfs.policy", "\1\0\0", 3, 0));
        must(close(fd));
}

START_TEST(who_reaches_the_pool_does_not_get_the_daemons_rights) {
        g_autofree char *pool = g_dir_make_tmp("regionfs-pool-XXXXXX", NULL);
        g_autofree char *option = g_strdup_printf("pool=%s", pool), *path = g_strconcat(pool, ".file", NULL);
        g_autofree char *lifetime = NULL;
        int file;

        must_write(path, "secret");
        must(chmod(path, 0600));
        must(chmod(pool, 01777));
        fixture_mount(option);
        file = must_open(path, O_RDWR, 0);
        make_persisted(in_mount("mine"), file);
        must(close(file));
        run_process(forge, pool);
        must_fail(getxattr(in_mount("forged"), REGIONFS_ATTRIBUTE_SOURCE, NULL, 0), ENODATA);
        must_read(in_mount("forged"), "");
        lifetime = must_get(in_mount("forged"), REGIONFS_ATTRIBUTE_LIFETIME);
        ck_assert_str_eq(lifetime, "kept");
        fixture_unmount();
        must(unlink(path));
        remove_tree(pool);
}
END_TEST

START_TEST(a_lease_holds_nobody_up) {
        g_autofree char *path = beside("file");
        int file, leased;
        gint64 begin;

        must_write(path, "text");
        must(mknod(in_mount("r"), S_IFREG | 0644, 0));
        leased = must_open(path, O_RDWR, 0);
        must(fcntl(leased, F_SETSIG, SIGURG)); /* which nobody minds */
        must(fcntl(leased, F_SETLEASE, F_WRLCK));
        begin = g_get_monotonic_time();
        must_fail(set_source(in_mount("r"), leased), EBUSY);
        ck_assert_int_lt(g_get_monotonic_time() - begin, 5 * G_USEC_PER_SEC);
        must(fcntl(leased, F_SETLEASE, F_UNLCK));
        must(set_source(in_mount("r"), leased));
        file = must_open(in_mount("r"), O_RDWR, 0);
        must_read(in_mount("r"), "text");
        must(close(file));
        must(close(leased));
        must(unlink(path));
}
END_TEST

START_TEST(a_seal_is_not_got_round) {
        int sealed = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING), region;
        char *view;

        ck_assert_int_eq(write(sealed, "sealed", 6), 6);
        must(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL));
        must(mknod(in_mount("r"), S_IFREG | 0666, 0));
        if (set_source(in_mount("r"), sealed) == 0) {
                region = open(in_mount("r"), O_RDWR);
                view = region < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
                ck_assert_msg(view == MAP_FAILED, "a sealed file can be written to");
        }
        must(close(sealed));
}
END_TEST

/* Opens the region again and again, until it has the file. */
static void open_until_persisted(void *data) {
        for (int i = 0; i < 100000; i++) {
                char text[8] = "";
                int fd = open(in_mount("r"), O_RDWR);

                if (fd < 0)
                        continue;
                if (pread(fd, text, 4, 0) == 4) {
                        ck_assert_str_eq(text, "text");
                        must(close(fd));
                        return;
                }
                must(close(fd));
                /* Whoever finds it empty finds it not persisted when it was opened: then it cannot be so yet. */
        }
        ck_abort_msg("never persisted");
}

START_TEST(openers_have_the_file_or_are_before_it) {
        g_autofree char *path = beside("file");
        int file;

        must_write(path, "text");
        file = must_open(path, O_RDWR, 0);
        for (int i = 0; i < 30; i++) {
                pid_t opener;
                struct stat st;
                int handle;

                must(mknod(in_mount("r"), S_IFREG | 0666, 0));
                opener = start_process(open_until_persisted, NULL);
                while (set_source(in_mount("r"), file) < 0)
                        ck_assert_int_eq(errno, EBUSY);
                /* From here on everyone has the file, with a handle of an earlier opener or without. */
                handle = must_open(in_mount("r"), O_RDWR, 0);
                must(fstat(handle, &st));
                ck_assert_int_eq(st.st_size, 4);
                must_read(in_mount("r"), "text");
                must(close(handle));
                end_process(opener);
                must(unlink(in_mount("r")));
        }
        must(close(file));
        must(unlink(path));
}
END_TEST

START_TEST(what_others_append_is_kept) {
        g_autofree char *path = beside("file");
        int file, region;
        struct stat st;

        must_write(path, "12345");
        file = must_open(path, O_RDWR | O_APPEND, 0);
        make_persisted(in_mount("r"), file);
        must_read(in_mount("r"), "12345");
        ck_assert_int_eq(write(file, "6789", 4), 4);
        must(stat(in_mount("r"), &st));
        ck_assert_int_eq(st.st_size, 9);
        ck_assert_int_eq(write(file, "0", 1), 1);
        region = must_open(in_mount("r"), O_RDWR | O_APPEND, 0);
        ck_assert_int_eq(write(region, "abc", 3), 3);
        must_read(path, "1234567890abc");
        must_read(in_mount("r"), "1234567890abc");
        ck_assert_int_eq(lseek(region, 0, SEEK_END), 13);
        must(close(region));
        must(close(file));
        must(unlink(path));
}
END_TEST

START_TEST(a_committed_directory_commits_it) {
        g_autofree char *path = beside("file");
        int file = must_open(path, O_RDWR | O_CREAT, 0600), readable;
        struct stat st;

        must(mkdir(in_mount("d"), 0700));
        must(setxattr(in_mount("d"), REGIONFS_ATTRIBUTE_ALLOCATION, "committed", 9, 0));
        must(ftruncate(file, 300000));
        must(mknod(in_mount("d/r"), S_IFREG | 0600, 0));
        readable = must_open(path, O_RDONLY, 0);
        must_fail(set_source(in_mount("d/r"), readable), EACCES);
        must(close(readable));
        must(set_source(in_mount("d/r"), file));
        must(fstat(file, &st));
        ck_assert_int_ge(st.st_blocks * 512, 300000);
        must(close(file));
        must(unlink(path));
}
END_TEST

/* The length is a change of contents: the file's set-id bits go, as of truncate(2). */
static void set_length_as_other(void *data) {
        become_other();
        must(setxattr(in_mount("r"), REGIONFS_ATTRIBUTE_LOGICAL_LENGTH, "2", 1, 0));
}

START_TEST(set_id_bits_of_the_file_go) {
        g_autofree char *path = make_file("file", 0, 0, 04777);
        int file = must_open(path, O_RDWR, 0);
        struct stat st;

        must(chmod(path, 04777));
        make_persisted(in_mount("r"), file);
        must(chmod(in_mount("r"), 0666));
        run_process(set_length_as_other, NULL);
        must(stat(path, &st));
        ck_assert_int_eq(st.st_size, 2);
        ck_assert_uint_eq(st.st_mode & 07777, 0777);
        must(close(file));
        must(unlink(path));
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = add_case(suite, "persisted");

        tcase_add_test(tests, memory_is_the_files);
        tcase_add_test(tests, synchronizing_reaches_the_disk);
        tcase_add_test(tests, ends_with_its_last_handle);
        tcase_add_test(tests, names_are_a_regions);
        tcase_add_test(tests, what_cannot_be_is_refused);
        tcase_add_test(tests, what_was_opened_to_read_is_only_read);
        tcase_add_test(tests, a_committed_one_has_its_room_on_the_disk);
        tcase_add_test(tests, what_the_daemon_keeps_is_not_for_clients);
        tcase_add_test(tests, a_lease_holds_nobody_up);
        tcase_add_test(tests, a_seal_is_not_got_round);
        tcase_add_test(tests, openers_have_the_file_or_are_before_it);
        tcase_add_test(tests, what_others_append_is_kept);
        tcase_add_test(tests, a_committed_directory_commits_it);
        if (geteuid() == 0) {
                tcase_add_test(tests, the_callers_rights_decide);
                tcase_add_test(tests, set_id_bits_of_the_file_go);
        }
        tests = tcase_create("pool");
        tcase_add_test(tests, a_directory_pool_is_there_again);
        if (geteuid() == 0)
                tcase_add_test(tests, who_reaches_the_pool_does_not_get_the_daemons_rights);
        tcase_add_test(tests, a_pool_belongs_to_one_daemon);
        tcase_add_test(tests, a_newer_pool_is_left_alone);
        tcase_add_test(tests, another_file_at_the_path_is_not_taken);
        suite_add_tcase(suite, tests);
}

int main(int argc, char **argv) {
        return fixture_main(argc, argv, "persisted", add);
}
