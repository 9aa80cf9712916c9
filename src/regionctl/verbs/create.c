/* regionctl create: makes a region, complete before anyone finds it. */
#include "base/size.h"
#include "regionctl/changes/command.h"
#include "regionctl/changes/draft.h"
#include "regionctl/facts/mount.h"
#include "regionctl/verbs/verbs.h"
#include "regionctl/words/arguments.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

static const Usage usage = {
        .arguments = "NAME [-- COMMAND...]",
        .summary = "Makes a region. It appears under its name complete, or not at all.",
        .details = "A COMMAND is run in place of regionctl, with a handle on the region: the environment's\n"
                   "REGIONFS_FD has its number. With --lifetime handles the region ends with it; without a\n"
                   "COMMAND it waits for its first user, and ends with the last one.\n"
                   "\n"
                   "Examples:\n"
                   "  regionctl create /run/regions/a --size 1m\n"
                   "  regionctl create /run/regions/b --size 2g --committed --mode 0640\n"
                   "  regionctl create /run/regions/table --sealed-from table.bin\n"
                   "  regionctl create /run/regions/state --from-file state.bin\n"
                   "  regionctl create /run/regions/job --size 64k --lifetime handles -- ./job\n",
};

/* The options, as they were given; all strings are owned. */
typedef struct Given {
        char *size, *mode, *lifetime, *sealed_from, *from_file;
        gboolean committed, or_open;
} Given;

static void given_clear(Given *given) {
        g_free(given->size);
        g_free(given->mode);
        g_free(given->lifetime);
        g_free(given->sealed_from);
        g_free(given->from_file);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Given, given_clear)

static Status check_contents(const Given *given) {
        if (given->sealed_from && given->from_file)
                return complain(STATUS_USAGE, "--sealed-from and --from-file cannot go together: give one of them");
        if (given->sealed_from && given->size)
                return complain(STATUS_USAGE, "--size is not allowed with --sealed-from: the length is the file's");
        if (!given->sealed_from && !given->from_file && !given->size)
                return complain(STATUS_USAGE, "create needs --size, --sealed-from or --from-file: see regionctl create "
                                              "--help");
        if (given->sealed_from && !*given->sealed_from)
                return complain(STATUS_USAGE, "--sealed-from= is not allowed: it takes the path of a file, or - for "
                                              "standard input");
        if (given->from_file && !*given->from_file)
                return complain(STATUS_USAGE, "--from-file= is not allowed: it takes the path of a regular file");
        return STATUS_DONE;
}

/* The value of an option that is a setting's too. */
static Status take_setting(Setting *setting, const char *attribute, const char *value) {
        g_autofree char *said = g_strdup_printf("--%s=%s", attribute, value);

        return value ? setting_init(setting, attribute, value, said) : STATUS_DONE;
}

static Status take_given(Plan *plan, const Given *given) {
        Status status = check_contents(given);

        plan->size = given->size;
        plan->committed = given->committed;
        plan->sealed_from = given->sealed_from;
        plan->from_file = given->from_file;
        if (status == STATUS_DONE && given->size && !size_parse(given->size, &plan->length))
                status = complain(STATUS_USAGE, "--size=%s is not allowed: it takes %s", given->size, SIZE_ALLOWED);
        if (status == STATUS_DONE)
                status = take_setting(&plan->mode, "mode", given->mode);
        if (status == STATUS_DONE)
                status = take_setting(&plan->lifetime, "lifetime", given->lifetime);
        return status;
}

/* Cuts the arguments at "--": the command behind it, or NULL where there is none. GOption keeps it at times only. */
static char **cut_command(char **arguments) {
        for (char **argument = arguments; *argument; argument++) {
                if (!g_str_equal(*argument, "--"))
                        continue;
                *argument = NULL;
                return argument + 1;
        }
        return NULL;
}

static Status take_name(Plan *plan, char **arguments) {
        plan->name = arguments[1];
        if (!plan->name)
                return complain(STATUS_USAGE, "create needs the NAME of a region: see regionctl create --help");
        if (!*plan->name || g_str_has_suffix(plan->name, "/"))
                return complain(STATUS_USAGE, "\"%s\" is not allowed: it takes the path of a region to be made",
                                plan->name);
        if (arguments[2])
                return complain(STATUS_USAGE, "create makes one region, so %s is too much (a COMMAND comes behind --)",
                                arguments[2]);
        return STATUS_DONE;
}

/* Looked for before there is a region that it would have used. */
static Status take_command(Plan *plan, char **command) {
        if (!command)
                return STATUS_DONE;
        if (!*command)
                return complain(STATUS_USAGE, "the COMMAND behind \"--\" is missing: see regionctl create --help");
        plan->wants_handle = TRUE;
        return command_check(*command);
}

/* Another open of what held is open on, by all rights that there are; -errno. */
static int open_handle(int held) {
        static const int ways[] = { O_RDWR, O_RDONLY, O_WRONLY };
        char path[DESCRIPTOR_PATH_MAX];

        descriptor_path(held, path);
        for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
                int handle = open(path, ways[i] | O_CLOEXEC);

                if (handle >= 0)
                        return handle;
                if (errno != EACCES && errno != EPERM && errno != EROFS)
                        break;
        }
        return -errno;
}

/* Why there is nothing to open: STATUS_NOT_FOUND, without a sentence, where nothing has the name. */
static Status miss_existing(int code, const char *name) {
        struct stat st;

        if (code != ENOENT && code != ESTALE)
                return complain_errno(code, "open", name);
        if (lstat(name, &st) == 0 && S_ISLNK(st.st_mode))
                return complain(STATUS_EXISTS, "cannot open %s: it is a symbolic link that leads nowhere", name);
        return STATUS_NOT_FOUND;
}

/* Opens the region that has the name, as it is. What is looked at is what is opened, whatever happens to the name. */
static Status open_existing(const Plan *plan, const Mount *mount, int *handle) {
        auto_descriptor held = open(plan->name, O_PATH | O_CLOEXEC);
        struct stat st;
        int opened;

        if (held < 0 || fstat(held, &st) < 0)
                return miss_existing(errno, plan->name);
        if (st.st_dev != mount->device)
                return complain(STATUS_USAGE, "%s leads out of the regionfs mount on %s", plan->name, mount->root);
        if (!S_ISREG(st.st_mode))
                return complain(STATUS_EXISTS, "cannot open %s: it is not a region; choose another name", plan->name);
        if (!plan->wants_handle)
                return STATUS_DONE;
        opened = open_handle(held);
        if (opened < 0)
                return miss_existing(-opened, plan->name);
        *handle = opened;
        return STATUS_DONE;
}

/* Before there is work in vain, and before a file gets another length for a region that cannot be. */
static Status check_free(const Plan *plan) {
        struct stat st;

        return lstat(plan->name, &st) == 0 ? complain_errno(EEXIST, "create", plan->name) : STATUS_NOT_FOUND;
}

/*
 * Others may make and remove the name meanwhile: each time round, one of them has. *made: it is ours, and not one that
 * was there.
 */
static Status create(const Plan *plan, const Mount *mount, gboolean or_open, int *handle, gboolean *made) {
        Status status = or_open ? open_existing(plan, mount, handle) : check_free(plan);
        g_auto(Draft) draft = DRAFT_INIT;
        int result;

        if (status != STATUS_NOT_FOUND)
                return status;
        status = draft_make(&draft, plan);
        if (status != STATUS_DONE)
                return status;
        while ((result = draft_publish(&draft, plan)) == -EEXIST && or_open) {
                status = open_existing(plan, mount, handle);
                if (status != STATUS_NOT_FOUND)
                        return status;
        }
        if (result < 0)
                return draft_complain(result, plan);
        *handle = descriptor_steal(&draft.fd);
        *made = TRUE;
        return STATUS_DONE;
}

/* Takes the name away again, as long as it is that of the handle's region. */
static void withdraw(const char *name, int handle) {
        struct stat named, ours;

        if (lstat(name, &named) == 0 && fstat(handle, &ours) == 0 && named.st_dev == ours.st_dev &&
            named.st_ino == ours.st_ino)
                unlink(name);
}

static Status run(const Plan *plan, char **command, int handle, gboolean made) {
        Status status = command_run(command, handle);

        if (made)
                withdraw(plan->name, handle);
        return status;
}

int verb_create(char **arguments) {
        g_auto(Given) given = { NULL };
        const GOptionEntry options[] = {
                { "size", 's', 0, G_OPTION_ARG_STRING, &given.size,
                  "Length: bytes, with k, m, g or t for powers of 1024", "SIZE" },
                { "mode", 'm', 0, G_OPTION_ARG_STRING, &given.mode,
                  "Permissions, octal (default: as umask has it, or as FILE's)", "MODE" },
                { "committed", 'c', 0, G_OPTION_ARG_NONE, &given.committed,
                  "With all its memory from the start", NULL },
                { "lifetime", 'l', 0, G_OPTION_ARG_STRING, &given.lifetime,
                  "Ends when it is removed (kept), or with its last handle and view (handles)", "WHEN" },
                { "sealed-from", 0, 0, G_OPTION_ARG_FILENAME, &given.sealed_from,
                  "Its contents are those of FILE (\"-\": standard input), and final", "FILE" },
                { "from-file", 0, 0, G_OPTION_ARG_FILENAME, &given.from_file,
                  "Its memory is FILE itself: what is written to it is in FILE", "FILE" },
                { "or-open", 'o', 0, G_OPTION_ARG_NONE, &given.or_open,
                  "If there is such a region, take it as it is", NULL },
                { NULL },
        };
        char **command = cut_command(arguments);
        Status status = arguments_parse(arguments, options, &usage);
        g_auto(Mount) mount = MOUNT_INIT;
        auto_descriptor handle = -1;
        gboolean made = FALSE;
        Plan plan = { NULL };

        if (status == STATUS_DONE)
                status = take_name(&plan, arguments);
        if (status == STATUS_DONE)
                status = take_given(&plan, &given);
        if (status == STATUS_DONE)
                status = take_command(&plan, command);
        if (status == STATUS_DONE)
                status = mount_find(&mount, plan.name);
        if (status == STATUS_DONE)
                status = create(&plan, &mount, given.or_open, &handle, &made);
        return status == STATUS_DONE && command ? run(&plan, command, handle, made) : status;
}
