/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/help.h"

#include "clients/cli/cli.h"
#include "clients/cli/out.h"
#include "common/conf_in.h"

#include <stdio.h>
#include <string.h>

/* "-o, --output FORM" */
static void flag_usage(const struct flag *f, struct buf *out)
{
    if (f->letter)
        buf_printf(out, "-%c, ", f->letter);
    buf_printf(out, "--%s", f->name);
    if (f->kind == FLAG_KIND_OPTIONAL)
        buf_printf(out, "[=%s]", f->value);
    else if (f->value)
        buf_printf(out, " %s", f->value);
}

static void flag_lines(const struct command *c, bool global, struct buf *out)
{
    for (int i = 0; i < FLAG_COUNT; i++) {
        if ((i < FLAG_GLOBAL_COUNT) != global || !command_takes(c, (enum flag_id)i))
            continue;
        struct buf usage;
        buf_init(&usage, 256);
        flag_usage(&flag_table[i], &usage);
        buf_printf(out, "  %-24s %s\n", buf_z(&usage), flag_table[i].help);
        buf_fini(&usage);
    }
}

static void indented(const char *text, const char *before, struct buf *out)
{
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\n");
        buf_printf(out, "%s%.*s\n", before, (int)n, p);
        p += n + (p[n] == '\n');
    }
}

void help_overview(bool color, struct buf *out)
{
    buf_printf(out,
               "pawl: a self-improvement loop over OpenSpec changes\n\n"
               "usage: pawl COMMAND [ARGUMENT…] [FLAG…]\n\n%scommands%s\n",
               paint(color, "bold"), paint(color, "off"));
    for (size_t i = 0; i < command_count; i++)
        buf_printf(out, "  %-14s %s\n", command_table[i].name, command_table[i].help);
    buf_printf(out, "\n%sflags of every command%s\n", paint(color, "bold"), paint(color, "off"));
    flag_lines(NULL, true, out);
    buf_str(out, "\n`pawl help COMMAND` says more. Topics: `pawl help exit-codes`, `pawl help "
                 "configuration`.\n");
}

void help_command(const struct command *c, bool color, struct buf *out)
{
    const char *bold = paint(color, "bold"), *off = paint(color, "off");
    buf_printf(out, "pawl %s: %s\n\n", c->name, c->help);
    if (c->examples) {
        buf_printf(out, "%sexamples%s\n", bold, off);
        indented(c->examples, "  ", out);
        buf_char(out, '\n');
    }
    buf_printf(out, "%susage%s\n  pawl %s%s%s [FLAG…]\n", bold, off, c->name, *c->args ? " " : "",
               c->args);
    if (c->more) {
        buf_char(out, '\n');
        indented(c->more, "", out);
    }
    if (c->flags[0] != FLAG_COUNT) {
        buf_printf(out, "\n%sflags%s\n", bold, off);
        flag_lines(c, false, out);
    }
    buf_printf(out, "\n%sflags of every command%s\n", bold, off);
    flag_lines(NULL, true, out);
}

static const struct {
    int code;
    const char *name, *text;
} codes[] = {
#define X(id, name, code, text) { code, name, text },
#include "schemas/statuses.def"
#undef X
    { 4, "not-archivable", "`pawl spec`: all is valid, but a change cannot be archived" },
    { 130, "interrupted", "Ctrl-C" },
    { 143, "terminated", "SIGTERM" },
};

void help_exit_codes(bool markdown, struct buf *out)
{
    if (markdown)
        buf_str(out, "| code | name | meaning |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < COUNT(codes); i++)
        buf_printf(out, markdown ? "| %d | %s | %s |\n" : "%4d  %-12s %s\n", codes[i].code,
                   codes[i].name, codes[i].text);
    buf_str(out,
            "\nWith --wait, --watch and `pawl watch` the code is the verdict: 0 accepted, 1 "
            "exhausted (the best\n"
            "candidate is delivered, the target was not met), 2 failed, 3 cancelled, 124 still "
            "running when time\n"
            "ran out. Of several jobs the worst counts: failed, cancelled, exhausted, accepted.\n");
}

static const char *type_name(const char *type)
{
    static const char *const names[][2] = {
        { "STR", "text" },    { "PATH", "path" },          { "INT", "whole number" },
        { "REAL", "number" }, { "BOOL", "true, false" },   { "MS", "duration" },
        { "BYTES", "size" },  { "STRS", "list of texts" }, { "TREE", "structure" },
    };
    for (size_t i = 0; i < COUNT(names); i++) {
        if (strcmp(names[i][0], type) == 0)
            return names[i][1];
    }
    return strncmp(type, "ENUM:", 5) == 0 ? type + 5 : type;
}

/* A cell of a Markdown table: | would end it. */
static void cell(const char *text, struct buf *out)
{
    for (; *text; text++)
        buf_printf(out, *text == '|' ? "\\|" : "%c", *text);
}

void help_configuration(bool markdown, struct buf *out)
{
    if (markdown)
        buf_str(out,
                "| key | type | default | scope | meaning |\n| --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < CONF_COUNT; i++) {
        const struct conf_row *r = &conf_rows[i];
        if (!markdown) {
            buf_printf(out, "%s  (%s%s%s)\n    %s\n", r->path, type_name(r->type),
                       *r->fallback ? ", default " : "", r->fallback, r->help);
            continue;
        }
        buf_printf(out, "| `%s` | ", r->path);
        cell(type_name(r->type), out);
        buf_printf(out, " | %s%s%s | %s | ", *r->fallback ? "`" : "", r->fallback,
                   *r->fallback ? "`" : "", r->scope);
        cell(r->help, out);
        buf_str(out, " |\n");
    }
}

static void reference_flags(const struct command *c, bool global, struct buf *out)
{
    buf_str(out, "| flag | |\n| --- | --- |\n");
    for (int i = 0; i < FLAG_COUNT; i++) {
        if ((i < FLAG_GLOBAL_COUNT) != global || !command_takes(c, (enum flag_id)i))
            continue;
        buf_str(out, "| `");
        flag_usage(&flag_table[i], out);
        buf_str(out, "` | ");
        cell(flag_table[i].help, out);
        buf_str(out, " |\n");
    }
}

void help_reference(struct buf *out)
{
    buf_str(out, "## Flags of every command\n\n");
    reference_flags(NULL, true, out);
    for (size_t i = 0; i < command_count; i++) {
        const struct command *c = &command_table[i];
        buf_printf(out, "\n## pawl %s\n\n`pawl %s%s%s`: %s.\n", c->name, c->name,
                   *c->args ? " " : "", c->args, c->help);
        if (c->more)
            buf_printf(out, "\n%s\n", c->more);
        if (c->flags[0] != FLAG_COUNT) {
            buf_char(out, '\n');
            reference_flags(c, false, out);
        }
        if (c->examples)
            buf_printf(out, "\n```sh\n%s\n```\n", c->examples);
    }
    buf_str(out, "\n## Exit codes\n\n");
    help_exit_codes(true, out);
}

void help_completion(struct buf *out)
{
    buf_str(out,
            "# bash completion for pawl; made by `pawl completion bash`\n"
            "_pawl() {\n    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} flags=\n"
            "    if ((COMP_CWORD == 1)); then\n        COMPREPLY=($(compgen -W \"");
    const char *before = "";
    for (size_t i = 0; i < command_count; i++) {
        size_t n = strcspn(command_table[i].name, " ");
        if (strlen(before) == n && strncmp(before, command_table[i].name, n) == 0)
            continue;
        buf_printf(out, "%s%.*s", i ? " " : "", (int)n, command_table[i].name);
        before = command_table[i].name[n]
                     ? strncmp(command_table[i].name, "config", 6) == 0 ? "config" : "keys"
                     : "";
    }
    buf_str(out, "\" -- \"$word\"))\n        return\n    fi\n    case $command in\n");
    for (size_t i = 0; i < command_count; i++) {
        const struct command *c = &command_table[i];
        if (strchr(c->name, ' ') || c->flags[0] == FLAG_COUNT)
            continue;
        buf_printf(out, "    %s) flags='", c->name);
        for (int f = FLAG_GLOBAL_COUNT; f < FLAG_COUNT; f++) {
            if (command_takes(c, (enum flag_id)f))
                buf_printf(out, " --%s", flag_table[f].name);
        }
        buf_str(out, "' ;;\n");
    }
    buf_str(out, "    config) flags='show check path --origin' ;;\n    keys) flags='new allow "
                 "--force' ;;\n    esac\n"
                 "    case $command in\n    show | watch | get | apply | ask | answer | comment | "
                 "cancel | retry | pause | resume | logs)\n"
                 "        [[ $word == -* ]] || flags+=\" $(timeout 0.5 pawl ps -q -o id "
                 "2>/dev/null)\" ;;\n    esac\n"
                 "    [[ $word == -* ]] && flags+='");
    for (int f = 0; f < FLAG_GLOBAL_COUNT; f++)
        buf_printf(out, " --%s", flag_table[f].name);
    buf_str(out, "'\n    COMPREPLY=($(compgen -W \"$flags\" -- \"$word\"))\n}\ncomplete -o default "
                 "-F _pawl pawl\n");
}

/* ---- the commands ---------------------------------------------------------------------------- */

static void help_group(const char *group, struct buf *out)
{
    size_t n = strlen(group);
    for (size_t i = 0; i < command_count; i++) {
        const struct command *c = &command_table[i];
        if (strncmp(c->name, group, n) == 0 && c->name[n] == ' ')
            buf_printf(out, "  pawl %-24s %s\n", c->name, c->help);
    }
}

int cmd_help(struct cli *cli)
{
    struct buf b;
    struct err err = { 0 };
    char name[128] = "";
    bool markdown = cli_has(cli, FLAG_MARKDOWN);
    buf_init(&b, 1 << 20);
    if (cli_word(cli, 0))
        snprintf(name, sizeof name, "%.60s%s%.60s", cli_word(cli, 0), cli_word(cli, 1) ? " " : "",
                 cli_word(cli, 1) ? cli_word(cli, 1) : "");
    const struct command *c = command_find(name);
    if (!*name && markdown)
        help_reference(&b);
    else if (!*name)
        help_overview(cli->color_out, &b);
    else if (strcmp(name, "exit-codes") == 0)
        help_exit_codes(markdown, &b);
    else if (strcmp(name, "configuration") == 0)
        help_configuration(markdown, &b);
    else if (c)
        help_command(c, cli->color_out, &b);
    else
        help_group(name, &b);
    fputs(buf_z(&b), stdout);
    bool found = b.len > 0;
    buf_fini(&b);
    if (found)
        return 0;
    err_set(&err, ERR_USAGE, "help: no command or topic '%s'", name);
    err_fix(&err, "`pawl help` lists them");
    return out_error(cli, &err);
}

int cmd_completion(struct cli *cli)
{
    struct buf b;
    struct err err = { 0 };
    if (strcmp(cli_word(cli, 0), "bash") != 0) {
        err_set(&err, ERR_USAGE, "completion: no script for '%.40s'", cli_word(cli, 0));
        err_fix(&err, "`pawl completion bash`");
        return out_error(cli, &err);
    }
    buf_init(&b, 1 << 20);
    help_completion(&b);
    fputs(buf_z(&b), stdout);
    buf_fini(&b);
    return 0;
}

int cmd_version(struct cli *cli)
{
    if (!out_is_json(cli)) {
        printf("pawl %s\n", PAWL_VERSION);
        return 0;
    }
    json_t *v = json_object();
    js_set_z(v, "version", PAWL_VERSION);
    js_set_int(v, "protocol", 1);
    out_json(cli, "Version", v);
    return 0;
}
