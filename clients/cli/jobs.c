/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that list, and those that say one thing about jobs. */
#include "clients/cli/bulk.h"
#include "clients/cli/cli.h"
#include "clients/cli/link.h"
#include "clients/cli/live.h"
#include "clients/cli/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ANSWER_MS = 30000, LIMIT = 50, LIMIT_MOST = 1000 };

static int64_t patience(const struct cli *cli)
{
    int64_t given = cli->args.number[FLAG_TIMEOUT];
    return given ? given : ANSWER_MS;
}

/* ---- ps -------------------------------------------------------------------------------------- */

static void row(struct table *t, const json_t *job, int64_t now_ms)
{
    struct buf b;
    const json_t *verdict = js_obj(js_obj(job, "best"), "verdict");
    buf_init(&b, 65536);
    table_cell(t, js_str(job, "id"));
    table_cell(t, js_str(job, "state"));
    table_cell(t, *js_str(job, "stage") ? js_str(job, "stage") : "-");
    table_cellf(t, "%" PRId64 "/%" PRId64, js_int(job, "round", 0), js_int(job, "rounds_max", 0));
    if (!verdict)
        table_cell(t, "-");
    else if (js_int(verdict, "judge", -1) >= 0)
        table_cellf(t, "%.2f·%.2f", (double)js_int(verdict, "measures", 0) / 1000,
                    (double)js_int(verdict, "judge", 0) / 1000);
    else
        table_cellf(t, "%.2f", (double)js_int(verdict, "measures", 0) / 1000);
    text_count(&b, js_int(job, "tokens_in", 0) + js_int(job, "tokens_out", 0));
    table_cell(t, buf_z(&b));
    buf_clear(&b);
    text_time(&b, now_ms - js_int(job, "created_ms", now_ms));
    table_cell(t, buf_z(&b));
    buf_clear(&b);
    text_fit(&b, str_of(*js_str(job, "label") ? js_str(job, "label") : js_str(job, "reason")), 60);
    table_cell(t, buf_z(&b));
    buf_fini(&b);
}

static void print_jobs(struct cli *cli, json_t *rows, const char *cursor)
{
    static const char *const heads[] = { "JOB",   "STATE",  "STAGE", "ROUND",
                                         "SCORE", "TOKENS", "AGE",   "ABOUT" };
    struct table t;
    if (cli->form == FORM_JSON) {
        json_t *all = json_object();
        js_set(all, "items", json_incref(rows));
        js_set(all, "next", *cursor ? json_string(cursor) : json_null());
        out_json(cli, "JobList", all);
        return;
    }
    if (cli->form == FORM_TABLE)
        table_init(&t, heads, COUNT(heads));
    for (size_t i = 0; i < js_count(rows); i++) {
        const json_t *job = js_at(rows, i);
        if (cli->form == FORM_JSONL)
            out_json(cli, "Job", json_incref((json_t *)job));
        else if (cli->form == FORM_ID)
            printf("%s\n", js_str(job, "id"));
        else
            row(&t, job, wall_now().ms);
    }
    if (cli->form == FORM_TABLE && js_count(rows) > 0)
        table_print(&t, cli);
    else if (cli->form == FORM_TABLE)
        buf_fini(&t.cells);
    if (js_count(rows) == 0 && cli->form == FORM_TABLE)
        out_note(cli, "no jobs; `pawl submit \"…\"` makes one");
    if (*cursor && !out_is_json(cli))
        out_note(cli, "there are more: --cursor %s", cursor);
}

int cmd_ps(struct cli *cli)
{
    struct talk talk;
    struct err err = { 0 };
    json_t *rows = NULL;
    char cursor[256] = "";
    const char *state = cli_flag(cli, FLAG_STATE);
    int64_t limit = cli_has(cli, FLAG_LIMIT) ? cli->args.number[FLAG_LIMIT] : LIMIT;
    if (state && !state_known(state)) {
        err_set(&err, ERR_USAGE, "--state %.40s: unknown", state);
        err_fix(&err, "%s", state_names);
        return out_error(cli, &err);
    }
    if (limit < 1 || limit > LIMIT_MOST) {
        err_set(&err, ERR_USAGE, "--limit: 1 to %d", LIMIT_MOST);
        return out_error(cli, &err);
    }
    struct msg m = { .type = MSG_LIST };
    m.LIST.state = str_of(state && strcmp(state, "all") == 0 ? "" : state);
    m.LIST.project = str_of(cli_flag(cli, FLAG_PROJECT));
    m.LIST.limit = (uint64_t)limit;
    m.LIST.cursor = str_of(cli_flag(cli, FLAG_CURSOR));
    enum status st = talk_open(&talk, cli->conf, patience(cli), false, &err);
    if (st == OK)
        st = talk_ask(&talk, &m, NULL, 0, true, &err);
    if (st == OK) {
        snprintf(cursor, sizeof cursor, "%.*s", STR_ARG(talk.m.PAGE.cursor));
        st = talk_map(&talk, &rows, &err);
    }
    if (st == OK)
        print_jobs(cli, rows, cursor);
    json_decref(rows);
    talk_close(&talk);
    return st == OK ? 0 : out_error(cli, &err);
}

/* ---- one message each ------------------------------------------------------------------------ */

/* The whole id of what the user typed. */
static enum status whole_id(struct talk *t, const char *typed, char id[32], struct err *err)
{
    json_t *job = NULL;
    enum status st = talk_show(t, typed, &job, err);
    if (st == OK)
        snprintf(id, 32, "%s", js_str(job, "id"));
    json_decref(job);
    return st;
}

static enum status tell(struct cli *cli, struct talk *t, struct msg *m, const char *typed,
                        const char *done, struct err *err)
{
    char id[32];
    enum status st = whole_id(t, typed, id, err);
    struct str job = str_of(id);
    if (m->type == MSG_CANCEL)
        m->CANCEL.job = job;
    else if (m->type == MSG_RETRY)
        m->RETRY.job = job;
    else if (m->type == MSG_PAUSE)
        m->PAUSE.job = job;
    else if (m->type == MSG_COMMENT)
        m->COMMENT.job = job;
    else
        m->ANSWER.job = job;
    if (st != OK)
        return st;
    if ((st = talk_ask(t, m, NULL, 0, false, err)) != OK) {
        err_prefix(err, "%s", id);
        return st;
    }
    out_note(cli, "%s %s", id, done);
    if (cli->form == FORM_JSONL || cli->form == FORM_JSON) {
        json_t *v = json_object();
        js_set_z(v, "id", id);
        js_set_z(v, "done", done);
        out_json(cli, "Done", v);
    } else if (cli->form == FORM_ID) {
        printf("%s\n", id);
    }
    return OK;
}

/* The same message to each job named; the first failure is the exit code, the others are told, too. */
static int tell_each(struct cli *cli, struct msg *m, int jobs, const char *done)
{
    struct talk talk;
    struct err err = { 0 };
    int code = 0;
    if (talk_open(&talk, cli->conf, patience(cli), false, &err) != OK)
        return out_error(cli, &err);
    for (int i = 0; i < jobs; i++) {
        err = (struct err){ 0 };
        if (tell(cli, &talk, m, cli_word(cli, i), done, &err) != OK) {
            int failed = out_error(cli, &err);
            code = code ? code : failed;
        }
    }
    talk_close(&talk);
    return code;
}

/* Several jobs at once are worth a question, to a person. */
static bool sure(struct cli *cli, const char *what, int jobs)
{
    char line[16] = "";
    if (jobs < 2 || cli->yes || cli->no_input || !cli->in_tty || !cli->err_tty)
        return true;
    fprintf(stderr, "%s %d jobs? [y/N] ", what, jobs);
    return fgets(line, sizeof line, stdin) && (line[0] == 'y' || line[0] == 'Y');
}

static int no_jobs(struct cli *cli)
{
    struct err err = { 0 };
    err_set(&err, ERR_USAGE, "no job is named");
    err_fix(&err, "ids, or a filter: --state, --project, --label, --limit");
    return out_error(cli, &err);
}

int cmd_cancel(struct cli *cli)
{
    struct msg m = { .type = MSG_CANCEL };
    m.CANCEL.reason =
        str_of(cli_flag(cli, FLAG_REASON) ? cli_flag(cli, FLAG_REASON) : "by the user");
    static const struct bulk_how how = { "cancel", "is cancelled", "open", true };
    if (bulk_wanted(cli))
        return bulk_run(cli, &m, &how);
    if (cli->args.words_n == 0)
        return no_jobs(cli);
    if (!sure(cli, "cancel", cli->args.words_n))
        return status_exit(ERR_CANCELLED);
    return tell_each(cli, &m, cli->args.words_n, "is cancelled");
}

int cmd_retry(struct cli *cli)
{
    struct msg m = { .type = MSG_RETRY };
    static const struct bulk_how how = { "try again", "begins a new run", "failed", false };
    if (bulk_wanted(cli))
        return bulk_run(cli, &m, &how);
    if (cli->args.words_n == 0)
        return no_jobs(cli);
    return tell_each(cli, &m, cli->args.words_n, "begins a new run");
}

/* A stage or a project. */
static int switch_queue(struct cli *cli, bool hold)
{
    const char *stage = cli_flag(cli, FLAG_STAGE), *project = cli_flag(cli, FLAG_PROJECT);
    struct msg m = { .type = MSG_PAUSE, .PAUSE = { .hold = hold } };
    struct talk talk;
    struct err err = { 0 };
    m.PAUSE.stage = str_of(stage);
    m.PAUSE.project = str_of(project);
    enum status st = talk_open(&talk, cli->conf, patience(cli), false, &err);
    if (st == OK)
        st = talk_ask(&talk, &m, NULL, 0, true, &err);
    if (st == OK)
        out_note(cli, "%s %s %s", stage ? "stage" : "project", stage ? stage : project,
                 hold ? "is paused" : "goes on");
    talk_close(&talk);
    return st == OK ? 0 : out_error(cli, &err);
}

static void print_paused(struct cli *cli, json_t *paused)
{
    static const char *const heads[] = { "PAUSED", "NAME" }, *const kinds[] = { "stages", "projects" };
    struct table t;
    size_t n = 0;
    if (out_is_json(cli)) {
        out_json(cli, "Paused", json_incref(paused));
        return;
    }
    if (cli->form == FORM_TABLE)
        table_init(&t, heads, COUNT(heads));
    for (size_t k = 0; k < COUNT(kinds); k++) {
        const json_t *list = js_list(paused, kinds[k]);
        for (size_t i = 0; i < js_count(list); i++, n++) {
            const char *name = json_string_value(js_at(list, i));
            if (cli->form == FORM_TABLE) {
                table_cell(&t, k ? "project" : "stage");
                table_cell(&t, name);
            } else {
                printf("%s\n", name);
            }
        }
    }
    if (cli->form == FORM_TABLE && n > 0)
        table_print(&t, cli);
    else if (cli->form == FORM_TABLE)
        buf_fini(&t.cells);
    if (n == 0 && cli->form == FORM_TABLE)
        out_note(cli, "no stage and no project is paused; `pawl ps --state paused` lists jobs");
}

static int list_paused(struct cli *cli)
{
    struct msg m = { .type = MSG_STATUS };
    struct talk talk;
    struct err err = { 0 };
    json_t *map = NULL;
    enum status st = talk_open(&talk, cli->conf, patience(cli), false, &err);
    if (st == OK)
        st = talk_ask(&talk, &m, NULL, 0, true, &err);
    if (st == OK)
        st = talk_map(&talk, &map, &err);
    if (st == OK)
        print_paused(cli, (json_t *)(uintptr_t)js_obj(map, "paused"));
    json_decref(map);
    talk_close(&talk);
    return st == OK ? 0 : out_error(cli, &err);
}

static int hold(struct cli *cli, bool hold, const char *done)
{
    struct msg m = { .type = MSG_PAUSE, .PAUSE = { .hold = hold } };
    int jobs = cli->args.words_n, stage = cli_has(cli, FLAG_STAGE),
        project = cli_has(cli, FLAG_PROJECT);
    struct err err = { 0 };
    if ((jobs > 0) + stage + project > 1 || (!hold && jobs + stage + project == 0)) {
        err_set(&err, ERR_USAGE, "jobs, a --stage or a --project: one of them");
        return out_error(cli, &err);
    }
    if (jobs > 0)
        return tell_each(cli, &m, jobs, done);
    return stage || project ? switch_queue(cli, hold) : list_paused(cli);
}

int cmd_pause(struct cli *cli)
{
    return hold(cli, true, "is held");
}

int cmd_resume(struct cli *cli)
{
    return hold(cli, false, "goes on");
}

/* ---- why ------------------------------------------------------------------------------------- */

/* The broker answers nothing about jobs while its store is away: then that is the condition. */
static json_t *why_store(const struct err *err)
{
    json_t *why = json_object();
    js_set_z(why, "code", "store");
    struct buf b;
    buf_init(&b, 2048);
    buf_printf(&b, "the store is away: %s", err->text);
    js_set_z(why, "text", buf_z(&b));
    buf_fini(&b);
    return why;
}

static void print_why(struct cli *cli, json_t *why)
{
    struct buf b;
    int64_t until = js_int(why, "until_ms", 0);
    if (out_is_json(cli)) {
        out_json(cli, "Why", json_incref(why));
        return;
    }
    if (cli->form == FORM_ID) {
        printf("%s\n", js_str(why, "code"));
        return;
    }
    buf_init(&b, 8192);
    text_of(&b, why, "text");
    if (until > 0) {
        buf_str(&b, ", until ");
        text_when(&b, until);
    }
    printf("%s\n", buf_z(&b));
    buf_fini(&b);
}

int cmd_why(struct cli *cli)
{
    struct talk talk;
    struct err err = { 0 };
    json_t *job = NULL, *why = NULL;
    enum status st = talk_open(&talk, cli->conf, patience(cli), false, &err);
    bool greeted = st == OK;
    if (st == OK)
        st = talk_show(&talk, cli_word(cli, 0), &job, &err);
    if (st == OK)
        why = json_incref((json_t *)(uintptr_t)js_obj(job, "why"));
    else if (talk.store_away || (greeted && st == ERR_UNAVAILABLE))
        why = why_store(&err);
    if (why)
        print_why(cli, why);
    else if (st == OK)
        st = err_set(&err, ERR_UNAVAILABLE, "the broker does not say: it is of an older version");
    json_decref(why);
    json_decref(job);
    talk_close(&talk);
    return why ? 0 : out_error(cli, &err);
}

int cmd_comment(struct cli *cli)
{
    struct msg m = { .type = MSG_COMMENT };
    m.COMMENT.text = str_of(cli_word(cli, 1));
    return tell_each(cli, &m, 1, "has your comment");
}

int cmd_answer(struct cli *cli)
{
    struct msg m = { .type = MSG_ANSWER };
    bool named = cli->args.words_n == 3;
    m.ANSWER.question = str_of(named ? cli_word(cli, 1) : "");
    m.ANSWER.text = str_of(cli_word(cli, named ? 2 : 1));
    m.ANSWER.via = str_of("cli");
    return tell_each(cli, &m, 1, "has your answer");
}

/* ---- workers --------------------------------------------------------------------------------- */

static void join(struct buf *b, const json_t *list)
{
    for (size_t i = 0; i < js_count(list); i++) {
        buf_str(b, i ? "," : "");
        text_clean(b, str_of(json_string_value(js_at(list, i))), false);
    }
}

static void worker_row(struct table *t, const json_t *w)
{
    struct buf b;
    const json_t *held = js_list(w, "held");
    buf_init(&b, 65536);
    table_cell(t, js_str(w, "name"));
    join(&b, js_list(w, "stages"));
    table_cell(t, buf_z(&b));
    table_cellf(t, "%zu/%" PRId64, js_count(held), js_int(w, "slots", 0));
    buf_clear(&b);
    join(&b, js_list(w, "tags"));
    table_cell(t, b.len ? buf_z(&b) : "-");
    buf_clear(&b);
    for (size_t i = 0; i < js_count(held); i++) {
        buf_str(&b, i ? "; " : "");
        text_of(&b, js_at(held, i), "task");
        if (js_view(js_at(held, i), "note").n) {
            buf_char(&b, ' ');
            text_of(&b, js_at(held, i), "note");
        }
    }
    table_cell(t, b.len ? buf_z(&b) : "-");
    buf_fini(&b);
}

int cmd_workers(struct cli *cli)
{
    static const char *const heads[] = { "WORKER", "STAGES", "HELD", "TAGS", "TASKS" };
    struct talk talk;
    struct err err = { 0 };
    struct table t;
    json_t *map = NULL;
    struct msg m = { .type = MSG_WORKERS };
    enum status st = talk_open(&talk, cli->conf, patience(cli), false, &err);
    if (st == OK)
        st = talk_ask(&talk, &m, NULL, 0, true, &err);
    if (st == OK)
        st = talk_map(&talk, &map, &err);
    const json_t *workers = js_list(map, "workers");
    if (st == OK && cli->form == FORM_JSON) {
        out_json(cli, "Workers", json_incref(map));
    } else if (st == OK && cli->form == FORM_TABLE && js_count(workers) == 0) {
        out_note(cli, "no worker is connected; `pawl up` starts one of each stage");
    } else if (st == OK) {
        table_init(&t, heads, COUNT(heads));
        for (size_t i = 0; i < js_count(workers); i++) {
            if (cli->form == FORM_JSONL)
                out_json(cli, "Worker", json_incref((json_t *)js_at(workers, i)));
            else if (cli->form == FORM_ID)
                printf("%s\n", js_str(js_at(workers, i), "name"));
            else
                worker_row(&t, js_at(workers, i));
        }
        if (cli->form == FORM_TABLE)
            table_print(&t, cli);
        else
            buf_fini(&t.cells);
    }
    json_decref(map);
    talk_close(&talk);
    return st == OK ? 0 : out_error(cli, &err);
}
