/* SPDX-License-Identifier: Apache-2.0 */
/* The command table: parser, help, docs/cli.md and completion come from it. In the order in which
 * `pawl help` shows it. */
#include "clients/cli/cli.h"

#define NONE { FLAG_COUNT }

const struct command command_table[] = {
    { "init", "", 0, 0, cmd_init, "write a commented pawl.yaml",
      "Looks for openspec/ and for model servers on the usual ports, and writes what it finds into\n"
      "pawl.yaml in the current directory. An existing file is left alone unless --force is given.",
      "pawl init", { FLAG_FORCE, FLAG_COUNT } },
    { "up", "", 0, 0, cmd_up, "start everything on this machine",
      "Starts a private redis-server on a unix socket (unless redis.url is set), the broker and one\n"
      "worker of each stage, restarts what dies, and stops all of it on Ctrl-C; a second Ctrl-C stops\n"
      "at once. Sockets, logs and data are in the state directory, see `pawl config path`.",
      "pawl up\npawl up --detach\npawl up --workers generate=2 --set model.url=http://gpu:1234",
      { FLAG_DETACH, FLAG_WORKERS, FLAG_COUNT } },
    { "down", "", 0, 0, cmd_down, "stop what `pawl up` started",
      "Waits until every process is gone. Jobs stay and go on with the next `pawl up`.\n"
      "--force does not wait for running tasks.",
      "pawl down", { FLAG_FORCE, FLAG_COUNT } },
    { "submit", "FILE|TEXT|-|DIRECTORY…", 1, ARGS_MAX, cmd_submit, "queue problem statements and print the job ids",
      "A FILE holds one problem statement (Markdown or plain text); TEXT is one in quotes; - reads it\n"
      "from standard input; a DIRECTORY stands for its *.md files. The repository's openspec/ tree goes\n"
      "with it, once. Ctrl-C during --wait or --watch stops the watching, not the job.",
      "pawl submit \"Users lose their session when the laptop sleeps.\" --watch\n"
      "pawl submit problems/ --wait=2h -o jsonl\n"
      "cat problem.md | pawl submit - --rounds 6",
      { FLAG_PROJECT_DIR, FLAG_CHANGE, FLAG_WAIT, FLAG_WATCH, FLAG_LABEL, FLAG_PRIORITY, FLAG_PROJECT, FLAG_KEY,
        FLAG_ROUNDS, FLAG_TOKENS, FLAG_WALL, FLAG_PATIENCE, FLAG_COUNT } },
    { "ps", "", 0, 0, cmd_ps, "list jobs, newest first",
      "Shows open jobs and the last ended ones; --state narrows it.",
      "pawl ps\npawl ps --state failed -o id | xargs pawl retry",
      { FLAG_STATE, FLAG_PROJECT, FLAG_LIMIT, FLAG_CURSOR, FLAG_COUNT } },
    { "show", "JOB", 1, 1, cmd_show, "show a job: rounds, scores, findings, questions",
      "JOB is an id, or its beginning (four characters at least).", "pawl show 4k2m", NONE },
    { "watch", "JOB…", 1, 64, cmd_watch, "follow jobs until they have ended",
      "Live on a terminal, one line per change in a pipe, one event per line with -o jsonl. The exit\n"
      "code is the verdict: 0 accepted, 1 exhausted, 2 failed, 3 cancelled.",
      "pawl watch 4k2m\npawl watch 4k2m -o jsonl | jq .kind", NONE },
    { "get", "JOB", 1, 1, cmd_get, "write the change to a directory, or print a document",
      "The best candidate so far, or that of --round.",
      "pawl get 4k2m -d /tmp/change\npawl get 4k2m --doc review | jq .findings",
      { FLAG_DIR, FLAG_DOC, FLAG_ROUND, FLAG_RUN, FLAG_FORCE, FLAG_COUNT } },
    { "apply", "JOB", 1, 1, cmd_apply, "put the change into openspec/changes/",
      "All of it or nothing. Never overwrites without --force. Says when the specifications that it\n"
      "was written against have moved since.",
      "pawl apply 4k2m\npawl apply 4k2m -C ~/src/shop --force",
      { FLAG_PROJECT_DIR, FLAG_ROUND, FLAG_RUN, FLAG_FORCE, FLAG_COUNT } },
    { "ask", "JOB TEXT", 2, 2, cmd_ask, "ask about a job; a model answers from its record",
      "The answer is streamed, and kept in the job's record.",
      "pawl ask 4k2m \"why this requirement?\"", NONE },
    { "answer", "JOB [QUESTION] TEXT", 2, 3, cmd_answer, "answer a question that a job waits for",
      "QUESTION is needed when more than one is open; `pawl show JOB` lists them. An empty TEXT takes\n"
      "the default.", "pawl answer 4k2m \"both\"", NONE },
    { "comment", "JOB TEXT", 2, 2, cmd_comment, "say what should be different",
      "The highest-ranked finding of the next round. On an ended job it opens the next run.",
      "pawl comment 4k2m \"keep the 30 minute limit\"", NONE },
    { "cancel", "JOB…", 1, 64, cmd_cancel, "end jobs; what they have so far stays", NULL, "pawl cancel 4k2m",
      { FLAG_REASON, FLAG_COUNT } },
    { "retry", "JOB…", 1, 64, cmd_retry, "open the next run of ended jobs", NULL, "pawl retry 4k2m", NONE },
    { "pause", "JOB…", 1, 64, cmd_pause, "hold jobs", "A running stage ends first.", "pawl pause 4k2m", NONE },
    { "resume", "JOB…", 1, 64, cmd_resume, "let held jobs go on", NULL, "pawl resume 4k2m", NONE },
    { "logs", "JOB", 1, 1, cmd_logs, "print what happened to a job",
      "From the beginning, as far as events are kept.", "pawl logs 4k2m --follow", { FLAG_FOLLOW, FLAG_COUNT } },
    { "workers", "", 0, 0, cmd_workers, "list workers and what they hold", NULL, "pawl workers", NONE },
    { "doctor", "", 0, 0, cmd_doctor, "check the set-up and say how to fix it",
      "Configuration, broker, store, model servers, MCP servers, the openspec CLI, disk. Exit code 0, or 1\n"
      "when a check failed.", "pawl doctor -o json", NONE },
    { "config show", "[KEY]", 0, 1, cmd_config_show, "print the configuration in force", NULL,
      "pawl config show --origin\npawl config show model.url", { FLAG_ORIGIN, FLAG_COUNT } },
    { "config check", "[FILE]", 0, 1, cmd_config_check, "check the configuration", NULL, "pawl config check pawl.yaml", NONE },
    { "config path", "", 0, 0, cmd_config_path, "print the files and directories in use", NULL, "pawl config path", NONE },
    { "keys new", "[NAME]", 0, 1, cmd_keys_new, "make a key pair for another machine",
      "Writes NAME.key (default: pawl.key), readable by you only, and prints the public key and the\n"
      "line for the broker's allow file.", "pawl keys new gpu-1", { FLAG_FORCE, FLAG_COUNT } },
    { "keys allow", "FILE KEY ROLE", 3, 3, cmd_keys_allow, "let a public key in",
      "Adds KEY to an allow file. ROLE is client, worker or admin.",
      "pawl keys allow allow.txt 'rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7' worker", NONE },
    { "completion", "bash", 1, 1, cmd_completion, "print a completion script",
      NULL, "pawl completion bash > ~/.local/share/bash-completion/completions/pawl", NONE },
    { "version", "", 0, 0, cmd_version, "print the version", NULL, "pawl version -o json", NONE },
    { "help", "[COMMAND|exit-codes|configuration]", 0, 2, cmd_help, "help on a command or a topic", NULL,
      "pawl help submit\npawl help exit-codes", { FLAG_MARKDOWN, FLAG_COUNT } },
};
const size_t command_count = COUNT(command_table);
