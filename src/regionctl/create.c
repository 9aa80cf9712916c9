/* regionctl create: makes a region, complete before anyone finds it. */
#include "../size.h"
#include "arguments.h"
#include "draft.h"
#include "mount.h"
#include "verbs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

/* As of env(1): the command cannot be run, or is not there. */
#define STATUS_NOT_RUN 126
#define STATUS_NO_COMMAND 127

#define HANDLE_VARIABLE "REGIONFS_FD"

static const Usage usage = {
        .arguments = "NAME [-- COMMAND...]",
        .summary = "Makes a region. It appears under its name complete, or not at all.",
        .details = "A COMMAND is run in place of regionctl, with a handle on the region: the environment's\n"
                   HANDLE_VARIABLE " has its number. With --lifetime handles the region ends with it; without a\n"
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
        g_autofree char *program = NULL;

        if (!command)
                return STATUS_DONE;
        if (!*command)
                return complain(STATUS_USAGE, "the COMMAND behind \"--\" is missing: see regionctl create --help");
        program = g_find_program_in_path(*command);
        if (!program)
                return complain((Status)STATUS_NO_COMMAND, "there is no program %s", *command);
        plan->wants_handle = TRUE;
        return STATUS_DONE;
}

/* Opens the region that has the name, as it is. STATUS_NOT_FOUND, without a sentence, where there is none. */
static Status open_existing(const Plan *plan, int *handle) {
        struct stat st;

        if (stat(plan->name, &st) < 0) {
                if (errno != ENOENT && errno != ESTALE)
                        return complain_errno(errno, "open", plan->name);
                if (lstat(plan->name, &st) == 0 && S_ISLNK(st.st_mode))
                        return complain(STATUS_EXISTS, "cannot open %s: it is a symbolic link that leads nowhere",
                                        plan->name);
                return STATUS_NOT_FOUND;
        }
        if (!S_ISREG(st.st_mode))
                return complain(STATUS_EXISTS, "cannot open %s: it is not a region; choose another name", plan->name);
        if (!plan->wants_handle)
                return STATUS_DONE;
        *handle = open(plan->name, O_RDWR | O_CLOEXEC);
        if (*handle < 0 && (errno == EACCES || errno == EPERM || errno == EROFS))
                *handle = open(plan->name, O_RDONLY | O_CLOEXEC);
        if (*handle >= 0)
                return STATUS_DONE;
        return errno == ENOENT || errno == ESTALE ? STATUS_NOT_FOUND : complain_errno(errno, "open", plan->name);
}

/* Before there is work in vain, and before a file gets another length for a region that cannot be. */
static Status check_free(const Plan *plan) {
        struct stat st;

        return lstat(plan->name, &st) == 0 ? complain_errno(EEXIST, "create", plan->name) : STATUS_NOT_FOUND;
}

/* Others may make and remove the name meanwhile: each time round, one of them has. */
static Status create(const Plan *plan, gboolean or_open, int *handle) {
        Status status = or_open ? open_existing(plan, handle) : check_free(plan);
        g_auto(Draft) draft = { .fd = -1 };
        int result;

        if (status != STATUS_NOT_FOUND)
                return status;
        status = draft_make(&draft, plan);
        if (status != STATUS_DONE)
                return status;
        while ((result = draft_publish(&draft, plan->name)) == -EEXIST && or_open) {
                status = open_existing(plan, handle);
                if (status != STATUS_NOT_FOUND)
                        return status;
        }
        if (result < 0)
                return complain_errno(-result, "create", plan->name);
        *handle = descriptor_steal(&draft.fd);
        return STATUS_DONE;
}

static Status run(char **command, int handle) {
        g_autofree char *number = g_strdup_printf("%d", handle);

        if (fcntl(handle, F_SETFD, 0) < 0)
                return complain(STATUS_FAILED, "cannot hand on the region: %s", g_strerror(errno));
        g_setenv(HANDLE_VARIABLE, number, TRUE);
        execvp(command[0], command);
        return complain((Status)(errno == ENOENT ? STATUS_NO_COMMAND : STATUS_NOT_RUN), "cannot run %s: %s", command[0],
                        g_strerror(errno));
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
                status = create(&plan, given.or_open, &handle);
        return status == STATUS_DONE && command ? run(command, handle) : status;
}
