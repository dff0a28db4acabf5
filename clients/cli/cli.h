/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_CLI_CLI_H
#define PAWL_CLI_CLI_H
/* cli: what every command gets, and the commands themselves. A command returns its exit code:
 * 0, or status_exit() of what went wrong, having said what, where and how to fix it (out.h). */
#include "clients/cli/args.h"
#include "common/conf.h"

enum form { FORM_TABLE, FORM_JSON, FORM_JSONL, FORM_ID };

struct cli {
    struct args args;
    struct conf *conf; /* NULL for commands that need none */
    enum form form;
    bool quiet, verbose, no_input, yes;
    bool in_tty, out_tty, err_tty;
    bool color_out, color_err; /* may use colors on that stream */
    bool live;                 /* stderr is a terminal that may be painted on */
    const char *self;          /* argv[0] */
};

/* Everything but main(). Returns the exit code. */
int cli_main(int argc, char **argv);

/* Commands that work without any configuration (help, version, keys) are marked so here. */
bool cli_needs_conf(const struct command *c);
/* Sets cli->conf from files, environment and flags. */
enum status cli_load_conf(struct cli *cli, struct err *err) MUST_USE;
/* The command line as given, NULL when absent. */
const char *cli_flag(const struct cli *cli, enum flag_id flag);
bool cli_has(const struct cli *cli, enum flag_id flag);
const char *cli_word(const struct cli *cli, int i); /* NULL when absent */

int cmd_answer(struct cli *cli);
int cmd_apply(struct cli *cli);
int cmd_ask(struct cli *cli);
int cmd_cancel(struct cli *cli);
int cmd_comment(struct cli *cli);
int cmd_completion(struct cli *cli);
int cmd_config_check(struct cli *cli);
int cmd_config_path(struct cli *cli);
int cmd_config_show(struct cli *cli);
int cmd_doctor(struct cli *cli);
int cmd_down(struct cli *cli);
int cmd_fsck(struct cli *cli);
int cmd_get(struct cli *cli);
int cmd_help(struct cli *cli);
int cmd_init(struct cli *cli);
int cmd_keys_allow(struct cli *cli);
int cmd_keys_new(struct cli *cli);
int cmd_keys_revoke(struct cli *cli);
int cmd_logs(struct cli *cli);
int cmd_mcp(struct cli *cli);
int cmd_pause(struct cli *cli);
int cmd_ps(struct cli *cli);
int cmd_resume(struct cli *cli);
int cmd_retry(struct cli *cli);
int cmd_show(struct cli *cli);
int cmd_spec_archive(struct cli *cli);
int cmd_spec_conflicts(struct cli *cli);
int cmd_spec_diff(struct cli *cli);
int cmd_spec_list(struct cli *cli);
int cmd_spec_merge(struct cli *cli);
int cmd_spec_rebase(struct cli *cli);
int cmd_spec_show(struct cli *cli);
int cmd_spec_validate(struct cli *cli);
int cmd_submit(struct cli *cli);
int cmd_up(struct cli *cli);
int cmd_version(struct cli *cli);
int cmd_watch(struct cli *cli);
int cmd_why(struct cli *cli);
int cmd_workers(struct cli *cli);
#endif
