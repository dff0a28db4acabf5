/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/bulk.h"

#include "clients/cli/link.h"
#include "clients/cli/out.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MS = 30000, PAGE = 1000, WINDOW = 128, TOLD_MAX = 10 };

const char state_names[] = "queued, running, delayed, waiting, paused, accepted, exhausted, failed, "
                           "cancelled, open, ended or all";

bool state_known(const char *state)
{
    static const char *const names[] = {
#define X(id, name, kind, meaning) name,
#include "schemas/states.def"
#undef X
        "open",
        "ended",
        "all",
    };
    for (size_t i = 0; i < COUNT(names); i++) {
        if (strcmp(names[i], state) == 0)
            return true;
    }
    return false;
}

bool bulk_wanted(const struct cli *cli)
{
    return cli_has(cli, FLAG_STATE) || cli_has(cli, FLAG_PROJECT) || cli_has(cli, FLAG_LABEL) ||
           cli_has(cli, FLAG_LIMIT);
}

struct bulk {
    struct cli *cli;
    const struct bulk_how *how;
    struct talk talk;
    char (*ids)[16];
    size_t n, cap, most;
    size_t sent, answered, failed;
    json_t *problems; /* of the first that failed: {id, text} */
};

struct one { /* a message on its way */
    struct bulk *b;
    size_t no;
};

/* ---- which ----------------------------------------------------------------------------------- */

static bool add(struct bulk *b, const json_t *job)
{
    const char *label = cli_flag(b->cli, FLAG_LABEL);
    if (b->n == b->most || (label && strcmp(label, js_str(job, "label")) != 0))
        return true;
    if (b->n == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 1024;
        void *more = realloc(b->ids, b->cap * sizeof *b->ids);
        if (!more)
            return false;
        b->ids = more;
    }
    snprintf(b->ids[b->n++], sizeof *b->ids, "%s", js_str(job, "id"));
    return true;
}

static enum status collect(struct bulk *b, struct err *err)
{
    const char *state = cli_flag(b->cli, FLAG_STATE);
    char cursor[256] = "";
    enum status st = OK;
    state = state ? state : b->how->state;
    do {
        json_t *rows = NULL;
        struct msg m = { .type = MSG_LIST };
        m.LIST.state = str_of(strcmp(state, "all") == 0 ? "" : state);
        m.LIST.project = str_of(cli_flag(b->cli, FLAG_PROJECT));
        m.LIST.limit = PAGE;
        m.LIST.cursor = str_of(cursor);
        st = talk_ask(&b->talk, &m, NULL, 0, true, err);
        if (st != OK)
            break;
        char next[sizeof cursor];
        snprintf(next, sizeof next, "%.*s", STR_ARG(b->talk.m.PAGE.cursor));
        st = talk_map(&b->talk, &rows, err);
        for (size_t i = 0; st == OK && i < js_count(rows); i++)
            st = add(b, js_at(rows, i)) ? OK : err_set(err, ERR_NOMEM, "out of memory");
        json_decref(rows);
        memcpy(cursor, next, sizeof cursor);
    } while (st == OK && cursor[0] && b->n < b->most);
    return st;
}

/* ---- told ------------------------------------------------------------------------------------ */

static void on_answer(void *ctx, const struct link_reply *reply)
{
    struct one *one = ctx;
    struct bulk *b = one->b;
    b->answered++;
    if (!reply->m) {
        b->failed++;
        if (json_array_size(b->problems) < TOLD_MAX) {
            json_t *problem = json_object();
            js_set_z(problem, "id", b->ids[one->no]);
            js_set_z(problem, "text", reply->err->text);
            js_push(b->problems, problem);
        }
    }
    free(one);
}

static enum status tell_next(struct bulk *b, struct msg *m, struct err *err)
{
    struct one *one = malloc(sizeof *one);
    if (!one)
        return err_set(err, ERR_NOMEM, "out of memory");
    *one = (struct one){ b, b->sent };
    struct str job = str_of(b->ids[b->sent]);
    if (m->type == MSG_CANCEL)
        m->CANCEL.job = job;
    else
        m->RETRY.job = job;
    enum status st = link_ask(b->talk.link, m, NULL, 0, b->how->again, on_answer, one);
    if (st != OK) {
        free(one);
        return err_set(err, st, "the request is too large");
    }
    b->sent++;
    return OK;
}

/* So many on their way at once; each answer makes room for another. */
static enum status tell_all(struct bulk *b, struct msg *m, struct err *err)
{
    enum status st = OK;
    size_t seen = 0;
    int64_t until = mono_now().ms + b->talk.timeout_ms;
    while (st == OK && b->answered < b->n) {
        while (st == OK && b->sent < b->n && b->sent - b->answered < WINDOW)
            st = tell_next(b, m, err);
        int64_t left = until - mono_now().ms;
        if (st == OK && left <= 0)
            st = err_set(err, ERR_TIMEOUT, "no answer from the broker; %zu of %zu jobs are done",
                         b->answered - b->failed, b->n);
        if (st == OK)
            st = talk_turn(&b->talk, left, err);
        if (b->answered > seen)
            until = mono_now().ms + b->talk.timeout_ms;
        seen = b->answered;
    }
    return st;
}

/* ---- the command ----------------------------------------------------------------------------- */

static enum status check(const struct cli *cli, struct err *err)
{
    const char *state = cli_flag(cli, FLAG_STATE);
    if (cli->args.words_n > 0)
        return err_set(err, ERR_USAGE, "jobs by name, or a filter (--state, --project, --label, "
                                       "--limit): one of them");
    if (state && !state_known(state)) {
        err_set(err, ERR_USAGE, "--state %.40s: unknown", state);
        err_fix(err, "%s", state_names);
        return ERR_USAGE;
    }
    if (cli_has(cli, FLAG_LIMIT) && cli->args.number[FLAG_LIMIT] < 1)
        return err_set(err, ERR_USAGE, "--limit: from 1");
    return OK;
}

static enum status confirm(const struct bulk *b, struct err *err)
{
    const struct cli *cli = b->cli;
    char line[16] = "";
    if (cli->yes || b->n == 0)
        return OK;
    if (cli->no_input || !cli->in_tty || !cli->err_tty) {
        err_set(err, ERR_USAGE, "%zu job%s match: nothing is done", b->n, b->n == 1 ? "" : "s");
        err_fix(err, "--yes confirms; `pawl ps` with the same filter lists them");
        return ERR_USAGE;
    }
    fprintf(stderr, "%s %zu job%s? [y/N] ", b->how->what, b->n, b->n == 1 ? "" : "s");
    if (fgets(line, sizeof line, stdin) && (line[0] == 'y' || line[0] == 'Y'))
        return OK;
    return err_set(err, ERR_CANCELLED, "nothing is done");
}

static void report(struct bulk *b)
{
    size_t good = b->answered - b->failed;
    if (out_is_json(b->cli)) {
        json_t *v = json_object();
        js_set_int(v, "matched", (int64_t)b->n);
        js_set_int(v, "done", (int64_t)good);
        js_set_int(v, "failed", (int64_t)b->failed);
        js_set(v, "problems", json_incref(b->problems));
        out_json(b->cli, "Bulk", v);
        return;
    }
    for (size_t i = 0; i < json_array_size(b->problems); i++) {
        const json_t *p = js_at(b->problems, i);
        out_warn(b->cli, "%s: %s", js_str(p, "id"), js_str(p, "text"));
    }
    for (size_t i = 0; b->cli->form == FORM_ID && i < b->n; i++)
        printf("%s\n", b->ids[i]);
    out_note(b->cli, "%zu of %zu matching jobs: each %s", good, b->n, b->how->done);
}

int bulk_run(struct cli *cli, struct msg *m, const struct bulk_how *how)
{
    struct bulk b = { .cli = cli, .how = how, .most = SIZE_MAX, .problems = json_array() };
    struct err err = { 0 };
    int64_t timeout = cli->args.number[FLAG_TIMEOUT];
    enum status st = check(cli, &err);
    if (cli_has(cli, FLAG_LIMIT) && st == OK)
        b.most = (size_t)cli->args.number[FLAG_LIMIT];
    if (st == OK)
        st = talk_open(&b.talk, cli->conf, timeout ? timeout : ANSWER_MS, false, &err);
    if (st == OK)
        st = collect(&b, &err);
    if (st == OK)
        st = confirm(&b, &err);
    if (st == OK)
        st = tell_all(&b, m, &err);
    if (st == OK)
        report(&b);
    talk_close(&b.talk);
    json_decref(b.problems);
    free(b.ids);
    if (st != OK)
        return out_error(cli, &err);
    return b.failed ? status_exit(ERR_DATA) : 0;
}
