/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/cli.h"

#include "clients/cli/help.h"
#include "clients/cli/out.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *cli_flag(const struct cli *cli, enum flag_id flag)
{
    return cli->args.text[flag];
}

bool cli_has(const struct cli *cli, enum flag_id flag)
{
    return args_has(&cli->args, flag);
}

const char *cli_word(const struct cli *cli, int i)
{
    return i < cli->args.words_n ? cli->args.words[i] : NULL;
}

bool cli_needs_conf(const struct command *c)
{
    static const char *const free_of_it[] = { "help",     "version",    "completion",
                                              "keys new", "keys allow", "keys revoke", "config check",
                                              "doctor",   "init" };
    for (size_t i = 0; i < COUNT(free_of_it); i++) {
        if (strcmp(c->name, free_of_it[i]) == 0)
            return false;
    }
    return strncmp(c->name, "spec ", 5) != 0;
}

static bool env_on(const char *name)
{
    const char *v = getenv(name);
    return v && *v;
}

static void look_at_terminal(struct cli *cli)
{
    const char *term = getenv("TERM"), *when = cli_flag(cli, FLAG_COLOR);
    bool dumb = !term || !*term || strcmp(term, "dumb") == 0;
    cli->in_tty = isatty(0);
    cli->out_tty = isatty(1);
    cli->err_tty = isatty(2);
    bool never =
        cli_has(cli, FLAG_NO_COLOR) || env_on("NO_COLOR") || env_on("PAWL_NO_COLOR") || dumb;
    bool always = env_on("FORCE_COLOR") && !cli_has(cli, FLAG_NO_COLOR);
    if (when && strcmp(when, "auto") != 0) {
        never = strcmp(when, "never") == 0;
        always = !never;
    }
    cli->color_out = always || (!never && cli->out_tty);
    cli->color_err = always || (!never && cli->err_tty);
    cli->live = cli->err_tty && !dumb && !cli->quiet && !env_on("CI");
}

static enum status read_globals(struct cli *cli, struct err *err)
{
    static const char *const forms[] = { "table", "json", "jsonl", "id" };
    const char *form = cli_flag(cli, FLAG_OUTPUT), *when = cli_flag(cli, FLAG_COLOR);
    size_t i = 0;
    cli->quiet = cli_has(cli, FLAG_QUIET);
    cli->verbose = cli_has(cli, FLAG_VERBOSE);
    cli->no_input = cli_has(cli, FLAG_NO_INPUT);
    cli->yes = cli_has(cli, FLAG_YES);
    cli->form = cli_has(cli, FLAG_JSON) ? FORM_JSON : FORM_TABLE;
    while (form && i < COUNT(forms) && strcmp(forms[i], form) != 0)
        i++;
    if (form && i == COUNT(forms)) {
        err_set(err, ERR_USAGE, "-o %.40s: unknown form", form);
        err_fix(err, "one of table, json, jsonl, id");
        return ERR_USAGE;
    }
    if (form)
        cli->form = (enum form)i;
    if (when && *when && strcmp(when, "always") && strcmp(when, "never") && strcmp(when, "auto")) {
        err_set(err, ERR_USAGE, "--color=%.40s: unknown", when);
        err_fix(err, "one of always, never, auto");
        return ERR_USAGE;
    }
    if (when && !*when)
        cli->args.text[FLAG_COLOR] = "always";
    return OK;
}

enum status cli_load_conf(struct cli *cli, struct err *err)
{
    struct conf_flag flags[LIST_ARGS_MAX + 1];
    char keys[LIST_ARGS_MAX][128];
    size_t n = 0;
    for (int i = 0; i < cli->args.list_n[FLAG_SET]; i++) {
        const char *text = cli->args.list[FLAG_SET][i], *eq = strchr(text, '=');
        if (!eq || (size_t)(eq - text) >= sizeof keys[0])
            return err_set(err, ERR_USAGE, "--set %.60s: not KEY=VALUE", text);
        snprintf(keys[n], sizeof keys[0], "%.*s", (int)(eq - text), text);
        flags[n] = (struct conf_flag){ keys[n], eq + 1 };
        n++;
    }
    if (cli_has(cli, FLAG_BROKER))
        flags[n++] = (struct conf_flag){ "broker.endpoint", cli_flag(cli, FLAG_BROKER) };
    return conf_load(&cli->conf, cli_flag(cli, FLAG_CONFIG), flags, n, err);
}

static int run(struct cli *cli, struct err *err)
{
    const struct command *c = cli->args.command;
    if (cli_has(cli, FLAG_VERSION))
        return cmd_version(cli);
    if (!c || cli_has(cli, FLAG_HELP)) {
        struct buf b;
        buf_init(&b, 1 << 20);
        if (c)
            help_command(c, cli->color_out, &b);
        else
            help_overview(cli->color_out, &b);
        bool asked = c || cli_has(cli, FLAG_HELP);
        fputs(buf_z(&b), asked ? stdout : stderr);
        buf_fini(&b);
        return asked ? 0 : status_exit(ERR_USAGE);
    }
    if (cli_needs_conf(c) && cli_load_conf(cli, err) != OK)
        return out_error(cli, err);
    return c->run(cli);
}

int cli_main(int argc, char **argv)
{
    struct cli cli = { .self = argv[0] };
    struct err err = { 0 };
    signal(SIGPIPE, SIG_IGN);
    enum status st = args_parse(argc - 1, argv + 1, &cli.args, &err);
    enum status form = read_globals(&cli, st == OK ? &err : NULL); /* the form of errors, too */
    look_at_terminal(&cli);
    int code = st != OK || form != OK ? out_error(&cli, &err) : run(&cli, &err);
    code = out_finish(&cli, code);
    conf_free(cli.conf);
    return code;
}
