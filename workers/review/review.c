/* SPDX-License-Identifier: Apache-2.0 */
/* review: the stage. Three tiers, cheapest first: gates, measures, judge. */
#include "common/bounds.h"
#include "common/openspec/workspace.h"
#include "workers/model.h"
#include "workers/review/commands.h"
#include "workers/review/gates.h"
#include "workers/review/judge.h"
#include "workers/review/measures.h"
#include "workers/wish.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct reviewer {
    struct worker *worker;
    struct http *http;
    struct model *judge; /* NULL: not asked */
    const json_t *commands;
    int64_t bytes_max;
};

/* One review under way. */
struct review {
    struct reviewer *self;
    struct task *task;
    const json_t *draft, *change, *insights, *comments, *answers;
    json_t *brief, *gates, *findings;
    struct measures_result measures;
    struct judge_input judge;
    struct judgement judgement;
    struct ws after;
    struct commands *commands;
    char *critique;
    json_t *messages, *schema;
};

static void review_free(struct review *r)
{
    commands_cancel(r->commands);
    json_decref(r->brief);
    json_decref(r->gates);
    json_decref(r->findings);
    json_decref(r->measures.list);
    json_decref(r->measures.findings);
    json_decref(r->judgement.scores);
    json_decref(r->judgement.findings);
    json_decref(r->messages);
    json_decref(r->schema);
    free(r->critique);
    free(r);
}

/* ---- the end --------------------------------------------------------------------------------- */

static int64_t count(const json_t *findings, const char *severity)
{
    int64_t n = 0;
    for (size_t i = 0; i < js_count(findings); i++)
        n += strcmp(js_str(js_at(findings, i), "severity"), severity) == 0;
    return n;
}

static json_t *verdict_of(const struct review *r, const json_t *findings)
{
    json_t *v = json_object();
    struct buf text;
    char hex[HASH_HEX + 1];
    buf_init(&text, PAWL_DOC_MAX);
    js_dump(r->change, &text);
    struct hash h = hash_of(buf_get(&text));
    buf_fini(&text);
    hash_hex(&h, hex);
    js_set_bool(v, "gates", gates_hold(r->gates));
    js_set_int(v, "measures", r->measures.score);
    js_set_int(v, "judge", r->judgement.points);
    js_set_int(v, "errors", count(findings, "error"));
    js_set_int(v, "warnings", count(findings, "warning"));
    js_set_z(v, "candidate", hex);
    return v;
}

/* Comments first, then what a gate says, the measures, the judge. */
static json_t *all_findings(const struct review *r)
{
    json_t *out = json_array();
    const json_t *lists[] = { r->measures.findings, r->findings, r->measures.findings,
                              r->judgement.findings };
    for (size_t l = 0; l < COUNT(lists); l++) {
        for (size_t i = 0; i < js_count(lists[l]); i++) {
            json_t *f = json_array_get(lists[l], i);
            bool comment = strcmp(js_str(f, "code"), "comment.open") == 0;
            bool turn = lists[l] != r->measures.findings || (l == 0 ? comment : !comment);
            if (turn && json_array_size(out) < 500)
                js_push(out, json_incref(f));
        }
    }
    return out;
}

static void conclude(struct review *r)
{
    struct task *t = r->task;
    json_t *doc = json_object(), *findings = all_findings(r), *verdict = verdict_of(r, findings);
    task_verdict(t, verdict);
    js_set(doc, "verdict", verdict);
    js_set(doc, "gates", json_incref(r->gates));
    js_set(doc, "measures", r->measures.list ? json_incref(r->measures.list) : json_array());
    js_set(doc, "findings", findings);
    if (r->critique)
        js_set_z(doc, "critique", r->critique);
    if (r->judgement.scores && json_object_size(r->judgement.scores))
        js_set(doc, "scores", json_incref(r->judgement.scores));
    if (r->self->judge && r->judgement.points >= 0)
        js_set_z(doc, "model", model_name(r->self->judge));
    task_put(t, "review", doc);
    task_set_user(t, NULL);
    review_free(r);
    task_done(t);
}

/* ---- judge ----------------------------------------------------------------------------------- */

enum { CRITIQUE_TOKENS = 400, EXTRACT_TOKENS = 500, CRITIQUE_MAX = 32768 };

static void on_extract(void *ctx, struct task *t, const struct model_reply *reply)
{
    struct review *r = ctx;
    (void)t;
    judge_read(&r->judge, reply->value, r->measures.doubtful, &r->judgement);
    conclude(r);
}

static void ask(struct review *r, json_t *messages, model_fn *fn)
{
    json_decref(r->messages);
    r->messages = messages;
    struct model_request q = { .messages = messages,
                               .schema = r->schema,
                               .schema_name = r->schema ? "verdict" : NULL,
                               .tokens_max = r->schema ? EXTRACT_TOKENS : CRITIQUE_TOKENS,
                               .temperature = 0,
                               .seed = task_seed(r->task) & 0x7fffffff };
    model_call(r->self->judge, r->task, &q, fn, r);
}

static void on_critique(void *ctx, struct task *t, const struct model_reply *reply)
{
    struct review *r = ctx;
    task_note(t, "judge: scores");
    r->critique = strndup(reply->text, CRITIQUE_MAX);
    assert(r->critique);
    r->schema = judge_schema(js_count(js_list(r->draft, "requirements")));
    ask(r, judge_extract(&r->judge, r->critique), on_extract);
}

static void judge_or_conclude(struct review *r)
{
    r->judgement.points = -1;
    if (!r->self->judge || !gates_hold(r->gates)) {
        conclude(r);
        return;
    }
    task_note(r->task, "judge: critique");
    r->judge = (struct judge_input){ .brief = r->brief,
                                     .draft = r->draft,
                                     .insights = r->insights,
                                     .comments = r->comments,
                                     .nonce = task_seed(r->task) };
    ask(r, judge_critique(&r->judge), on_critique);
}

/* ---- gates and measures ---------------------------------------------------------------------- */

static void on_commands(void *ctx)
{
    struct review *r = ctx;
    r->commands = NULL;
    judge_or_conclude(r);
}

static void give_up(struct review *r, struct task *t, const char *what)
{
    task_set_user(t, NULL);
    review_free(r);
    task_fail(t, FAULT_PERMANENT, 0, "%s", what);
}

static bool read_documents(struct review *r, struct ws *ws, struct err *err)
{
    struct task *t = r->task;
    struct str bytes = task_blob(t, "workspace", PAWL_WORKSPACE_MAX + (8 << 20), err);
    const json_t *brief = task_doc(t, "brief", err);
    r->draft = task_doc(t, "draft", err);
    r->change = task_doc(t, "change", err);
    r->insights = task_doc(t, "insights", NULL);
    r->comments = task_doc(t, "comments", NULL);
    r->answers = task_doc(t, "answers", NULL);
    r->brief = brief ? wish_brief(brief, r->answers) : NULL;
    if (!*err->text && (!r->brief || !r->draft || !r->change))
        err_set(err, ERR_DATA, "brief, draft and change are needed for a review");
    return !*err->text && ws_decode(task_arena(t), bytes, ws, err) == OK;
}

/* What the size gate refuses is not read any further. */
static bool too_large(const json_t *gates)
{
    for (size_t i = 0; i < js_count(gates); i++) {
        if (strcmp(js_str(js_at(gates, i), "code"), "size") == 0)
            return !js_bool(js_at(gates, i), "ok", false);
    }
    return true; /* it was not even looked at */
}

static void review_begin(void *self, struct task *t)
{
    struct review *r = calloc(1, sizeof *r);
    struct ws ws = { 0 };
    struct err err = { 0 };
    assert(r);
    *r =
        (struct review){ .self = self, .task = t, .gates = json_array(), .findings = json_array() };
    task_set_user(t, r);
    if (!read_documents(r, &ws, &err)) {
        give_up(r, t, err.text);
        return;
    }
    struct measures_input in = { .brief = r->brief,
                                 .draft = r->draft,
                                 .insights = r->insights,
                                 .comments = r->comments,
                                 .answers = r->answers,
                                 .earlier = task_doc(t, "review@best", NULL),
                                 .change = r->change,
                                 .ws = &ws };
    if (gates_check(task_arena(t), &ws, r->change, r->self->bytes_max, r->gates, r->findings,
                    &r->after) != OK ||
        (!too_large(r->gates) && measures_take(task_arena(t), &in, &r->measures) != OK)) {
        give_up(r, t, "the workspace or the draft is larger than can be reviewed");
        return;
    }
    if (js_count(r->self->commands) == 0 || !gates_hold(r->gates)) { /* cheapest first */
        judge_or_conclude(r);
        return;
    }
    task_note(t, "gates of the project");
    r->commands =
        commands_run(worker_mux(r->self->worker), r->self->commands, &r->after,
                     js_str(r->change, "name"), r->gates, r->findings, on_commands, r, &err);
    if (!r->commands) {
        task_set_user(t, NULL);
        review_free(r);
        task_fail(t, FAULT_RETRYABLE, 0, "the project's gates cannot be run: %s", err.text);
    }
}

static void review_cancel(void *self, struct task *t)
{
    struct reviewer *me = self;
    struct review *r = task_user(t);
    if (me->judge)
        model_cancel(me->judge, t);
    if (r)
        review_free(r);
    task_set_user(t, NULL);
}

/* ---- the worker ------------------------------------------------------------------------------ */

static const char *or_else(const struct conf *c, enum conf_key k, enum conf_key otherwise)
{
    return *conf_str(c, k) ? conf_str(c, k) : conf_str(c, otherwise);
}

/* The judge's server failed the task: it is gone when this returns. */
static void on_judge_fail(void *self, struct task *t)
{
    struct review *r = task_user(t);
    (void)self;
    task_set_user(t, NULL);
    if (r)
        review_free(r);
}

static enum status review_open(struct worker *w, void **self, struct err *err)
{
    const struct conf *c = worker_conf(w);
    struct reviewer *me = calloc(1, sizeof *me);
    if (!me)
        return err_set(err, ERR_NOMEM, "out of memory");
    *self = me;
    *me = (struct reviewer){ .worker = w,
                             .commands = conf_tree(c, CONF_REVIEW_GATES),
                             .bytes_max = conf_int(c, CONF_REVIEW_MAX_BYTES) };
    enum status st = commands_check(me->commands, err);
    if (st != OK || !conf_int(c, CONF_REVIEW_JUDGE))
        return st;
    if (!(me->http = http_new(worker_mux(w), err)))
        return err->status;
    struct model_conf m = { .url = or_else(c, CONF_JUDGE_URL, CONF_MODEL_URL),
                            .name = or_else(c, CONF_JUDGE_NAME, CONF_MODEL_NAME),
                            .key_file = or_else(c, CONF_JUDGE_KEY, CONF_MODEL_KEY),
                            .slots = conf_int(c, CONF_MODEL_SLOTS),
                            .first_ms = conf_int(c, CONF_MODEL_FIRST),
                            .stall_ms = conf_int(c, CONF_MODEL_STALL) };
    enum status opened = model_open(&me->judge, w, me->http, &m, err);
    if (opened == OK)
        model_on_fail(me->judge, on_judge_fail, me);
    return opened;
}

static void review_close(void *self)
{
    struct reviewer *me = self;
    if (!me)
        return;
    model_close(me->judge);
    http_free(me->http);
    free(me);
}

int main(int argc, char **argv)
{
    static const char *const stages[] = { "review", NULL };
    static const struct stage_ops ops = { "review",     stages,        2,           review_open,
                                          review_begin, review_cancel, review_close };
    return worker_main(argc, argv, &ops);
}
