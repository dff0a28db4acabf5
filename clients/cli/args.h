/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_ARGS_H
#define PAWL_CLI_ARGS_H
/* args: the command line as a struct. One list of flags (flags.def), one table of commands
 * (commands.c); parser, help, reference page and completion all come from them. Names match
 * exactly, flags may stand anywhere, `--` ends them. Pure: no I/O, nothing is copied, so argv has
 * to outlive the result. */
#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum flag_id {
#define X(id, name, letter, kind, value, help) FLAG_##id,
#include "clients/cli/flags.def"
#undef X
    FLAG_COUNT,
    FLAG_GLOBAL_COUNT = FLAG_PROJECT_DIR
};

enum flag_kind {
    FLAG_KIND_BOOL,
    FLAG_KIND_TEXT,
    FLAG_KIND_NUMBER,
    FLAG_KIND_DURATION,
    FLAG_KIND_LIST,
    FLAG_KIND_OPTIONAL
};

struct flag {
    const char *name;
    char letter; /* 0: none */
    enum flag_kind kind;
    const char *value, *help;
};
extern const struct flag flag_table[FLAG_COUNT];

struct cli;

struct command {
    const char *name; /* one word or two: "config show" */
    const char *args; /* "JOB [TEXT]" */
    int args_min, args_max;
    int (*run)(struct cli *cli); /* returns the exit code */
    const char *help;            /* one line, no full stop */
    const char *more;            /* paragraphs; NULL: none */
    const char *examples;        /* one a line; NULL: none */
    unsigned char flags[20];     /* its own flags, besides the global ones; ends with FLAG_COUNT */
};
extern const struct command command_table[];
extern const size_t command_count;

enum { ARGS_MAX = 1024, LIST_ARGS_MAX = 64 };

struct args {
    const struct command *command; /* NULL: none was given */
    const char *words[ARGS_MAX];   /* positional, after the command's name */
    int words_n;
    const char *text[FLAG_COUNT]; /* as given; "" for BOOL and bare OPTIONAL; NULL: not given */
    int64_t number[FLAG_COUNT];   /* NUMBER; DURATION in milliseconds */
    const char *list[FLAG_COUNT][LIST_ARGS_MAX];
    int list_n[FLAG_COUNT];
};

/* argv without the program's name. ERR_USAGE with a suggestion; a->command is set as far as it is
 * known, so that the caller can point at its help. With --help nothing else is checked. */
enum status args_parse(int argc, char *const *argv, struct args *a, struct err *err) MUST_USE;
bool args_has(const struct args *a, enum flag_id flag);
/* NULL when no command is named exactly so. */
const struct command *command_find(const char *name);
bool command_takes(const struct command *c, enum flag_id flag);
/* "500ms", "30s", "5m", "2h" to milliseconds. */
bool duration_parse(const char *text, int64_t *ms);
#endif
