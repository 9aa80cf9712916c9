/*
 * The programs of regionfs-dotnet(7), taken from the page's own text: they are built and run as the page says. The
 * environment says where the page is (PAGE_SOURCE) and which of its languages it is about (PAGE_LANGUAGE): one of those
 * below, or "together".
 */
#include "fixture.h"

#include <signal.h>
#include <sys/prctl.h>

typedef struct Language {
        const char *name;
        const char *tools[2]; /* to build and to run */
        const char *build;    /* NULL: nothing to do */
        const char *create, *open;
        const char *taken, *missing; /* what the programs say of a name that exists, and of one that does not */
} Language;

static const Language languages[] = {
        { "c", { "cc", "cc" }, "cc -o create create.c && cc -o open open.c",
          "./create", "./open", "File exists", "No such file or directory" },
        { "python", { "python3", "python3" }, NULL,
          "python3 create.py", "python3 open.py", "FileExistsError", "FileNotFoundError" },
        { "java", { "javac", "java" }, "javac Create.java Open.java",
          "java Create", "java Open", "FileAlreadyExistsException", "NoSuchFileException" },
        { "csharp", { "mcs", "mono" }, "mcs create.cs && mcs open.cs",
          "mono create.exe", "mono open.exe", "IOException", "FileNotFoundException" },
};

/* Read before the test becomes an ordinary user, who may not reach it. */
static char *page;
static const Language *language; /* NULL: all of them together */

/* A program of the page that runs, and waits for a line after what it has said. */
typedef struct Program {
        pid_t process;
        FILE *to, *from;
} Program;

static char *in_page_directory(const char *name) {
        return g_build_filename(fixture_directory(), "page", name, NULL);
}

/* In a literal block scdoc takes a backslash for a sign that what follows is meant as it is. */
static void append_literal(GString *text, const char *line) {
        for (; *line; line++) {
                if (*line == '\\' && line[1])
                        line++;
                g_string_append_c(text, *line);
        }
        g_string_append_c(text, '\n');
}

/* Writes each literal block that begins with a comment of nothing but a file's name into that file. */
static void extract_programs(void) {
        g_autoptr(GRegex) name_line = g_regex_new("^(?:/\\*|//|#) (\\S+\\.(?:c|py|java|cs))(?: \\*/)?$", 0, 0, NULL);
        g_auto(GStrv) lines = g_strsplit(page, "\n", -1);
        g_autoptr(GString) text = g_string_new(NULL);
        g_autofree char *directory = in_page_directory(NULL);
        g_autofree char *file = NULL;
        bool inside = false;

        must(mkdir(directory, 0755));
        for (char **line = lines; *line; line++) {
                g_autoptr(GMatchInfo) match = NULL;

                if (g_str_equal(*line, "```")) {
                        inside = !inside;
                        if (file)
                                ck_assert(g_file_set_contents(file, text->str, -1, NULL));
                        g_clear_pointer(&file, g_free);
                        g_string_truncate(text, 0);
                        continue;
                }
                if (!inside)
                        continue;
                if (text->len == 0 && g_regex_match(name_line, *line, 0, &match)) {
                        g_autofree char *name = g_match_info_fetch(match, 1);

                        file = in_page_directory(name);
                }
                append_literal(text, *line);
        }
        ck_assert_msg(!inside, "a literal block has no end");
}

static void build_programs(const Language *of) {
        g_autofree char *said = NULL;

        if (of->build && run_command(&said, "cd %s/page && %s", fixture_directory(), of->build) != 0)
                ck_abort_msg("%s: %s", of->build, said);
}

/* Compilers and runtimes keep files in their user's home. */
static void begin(void) {
        g_autofree char *home = in_page_directory(NULL);

        fixture_begin();
        extract_programs();
        g_setenv("HOME", home, TRUE);
        for (size_t i = 0; i < G_N_ELEMENTS(languages); i++) {
                if (!language || language == &languages[i])
                        build_programs(&languages[i]);
        }
}

static void end(void) {
        ck_assert_int_eq(run_command(NULL, "rm -r %s/page", fixture_directory()), 0);
        fixture_unmount();
}

static Program start_program(const char *command) {
        g_autofree char *line = g_strdup_printf("cd %s/page && exec %s %s", fixture_directory(), command,
                                                in_mount("counter"));
        int to[2], from[2];
        Program program;

        must(pipe2(to, O_CLOEXEC));
        must(pipe2(from, O_CLOEXEC));
        program.process = fork();
        if (program.process == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                dup2(to[0], STDIN_FILENO);
                dup2(from[1], STDOUT_FILENO);
                execl("/bin/sh", "sh", "-c", line, NULL);
                _exit(127);
        }
        must(program.process);
        must(close(to[0]));
        must(close(from[1]));
        program.to = fdopen(to[1], "w");
        program.from = fdopen(from[0], "r");
        return program;
}

/* Waits for the program's next line, which must be that. */
static void must_say(Program *program, const char *format, int value) {
        g_autofree char *expected = g_strdup_printf("%s %d\n", format, value);
        char line[256] = "";

        fgets(line, sizeof(line), program->from);
        ck_assert_str_eq(line, expected);
}

/* Presses Enter: the program says what it finds in its view now, and ends. */
static void end_program(Program *program, int value) {
        ck_assert_int_eq(fputs("\n", program->to), 1);
        ck_assert_int_eq(fclose(program->to), 0);
        must_say(program, "now", value);
        ck_assert_int_eq(fgetc(program->from), EOF);
        fclose(program->from);
        end_process(program->process);
}

static Program create(const Language *of) {
        const int page_size = sysconf(_SC_PAGESIZE);
        Program program = start_program(of->create);

        must_say(&program, "made 10000 bytes, padded", (10000 + page_size - 1) / page_size * page_size);
        return program;
}

static void check_number(int32_t expected) {
        int fd = must_open(in_mount("counter"), O_RDONLY, 0);
        int32_t number;

        ck_assert_int_eq(pread(fd, &number, sizeof(number), 0), sizeof(number));
        ck_assert_int_eq(number, expected);
        must(close(fd));
}

/* Regions with this lifetime go after their last user, not with it. */
static void check_gone(void) {
        for (int i = 0; i < 10000 && access(in_mount("counter"), F_OK) == 0; i++)
                g_usleep(1000);
        must_fail(access(in_mount("counter"), F_OK), ENOENT);
}

static void must_refuse(const char *command, const char *because) {
        g_autofree char *said = NULL;
        int status = run_command(&said, "cd %s/page && %s %s </dev/null", fixture_directory(), command,
                                 in_mount("counter"));

        ck_assert_msg(status != 0, "%s succeeded: %s", command, said);
        ck_assert_msg(strstr(said, because), "%s does not say %s: %s", command, because, said);
}

START_TEST(two_processes_share_a_region_until_the_last_ends) {
        Program creator = create(language), opener;
        struct stat st;

        must(stat(in_mount("counter"), &st));
        ck_assert_int_eq(st.st_size, 10000);
        check_number(1);
        opener = start_program(language->open);
        must_say(&opener, "found", 1);
        check_number(2);
        end_program(&creator, 2);
        check_number(2); /* The other one has it. */
        end_program(&opener, 2);
        check_gone();
}
END_TEST

START_TEST(a_name_is_taken_or_missing) {
        Program creator;

        must_refuse(language->open, language->missing);
        creator = create(language);
        must_refuse(language->create, language->taken);
        end_program(&creator, 1);
        check_gone();
        must_refuse(language->open, language->missing);
}
END_TEST

START_TEST(all_languages_share_one_region) {
        Program creator = create(&languages[0]);
        Program openers[G_N_ELEMENTS(languages)];
        const int count = G_N_ELEMENTS(languages);

        for (int i = 1; i < count; i++) {
                openers[i] = start_program(languages[i].open);
                must_say(&openers[i], "found", i);
                check_number(i + 1);
        }
        end_program(&creator, count);
        for (int i = 1; i < count; i++) {
                check_number(count);
                end_program(&openers[i], count);
        }
        check_gone();
}
END_TEST

static void add(Suite *suite) {
        TCase *tests = tcase_create("dotnet");

        tcase_add_checked_fixture(tests, begin, end);
        suite_add_tcase(suite, tests);
        if (language) {
                tcase_add_test(tests, two_processes_share_a_region_until_the_last_ends);
                tcase_add_test(tests, a_name_is_taken_or_missing);
        } else {
                tcase_add_test(tests, all_languages_share_one_region);
        }
}

/* What a language needs and is not here, or NULL. */
static const char *lacks(const Language *of) {
        for (size_t i = 0; i < G_N_ELEMENTS(of->tools); i++) {
                g_autofree char *found = g_find_program_in_path(of->tools[i]);

                if (!found)
                        return of->tools[i];
        }
        return NULL;
}

int main(int argc, char **argv) {
        const char *wanted = g_getenv("PAGE_LANGUAGE"), *source = g_getenv("PAGE_SOURCE");
        bool known = g_strcmp0(wanted, "together") == 0;

        for (size_t i = 0; wanted && i < G_N_ELEMENTS(languages); i++) {
                if (g_str_equal(wanted, languages[i].name))
                        language = &languages[i];
        }
        if ((!known && !language) || !source || !g_file_get_contents(source, &page, NULL, NULL)) {
                fprintf(stderr, "%s: PAGE_SOURCE and PAGE_LANGUAGE have to say what is tested\n", argv[0]);
                return 2;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(languages); i++) {
                const char *tool = !language || language == &languages[i] ? lacks(&languages[i]) : NULL;

                if (tool) {
                        printf("1..0 # SKIP %s is not installed\n", tool);
                        return 0;
                }
        }
        return fixture_main(argc, argv, "dotnet", add);
}
