/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/generate/gen.h"
#include "workers/generate/render.h"
#include "workers/generate/stage.h"

#include "common/llm/chat.h"
#include "workers/wish.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TASKS_AT_ONCE = 8, TOOL_CALLS = 3, ABOUT_MAX = 16 * 1024 };

/* A model of this many billions of parameters takes bigger steps unless told otherwise. */
static const double large_from = 14;

struct held {
    json_t *list;
    struct gen *gen;
};

struct job { /* one task of the stage generate */
    struct generate *stage;
    struct task *task;
    struct gen *gen; /* held by the task */
    struct gen_input in;
};

struct asked {
    struct job *job;
    uint32_t id;
};

static void pump(struct job *j);

json_t *task_hold(struct task *t, json_t *v)
{
    struct held *h = task_user(t);
    js_push(h->list, v);
    return v;
}

void task_let_go(struct task *t)
{
    struct held *h = task_user(t);
    if (!h)
        return;
    json_decref(h->list);
    gen_free(h->gen);
    task_set_user(t, NULL);
}

static void finish(struct job *j)
{
    struct task *t = j->task;
    struct err err = { 0 };
    json_t *draft = gen_draft(j->gen), *change = NULL;
    enum status st = render_change(t, j->in.brief, draft, &change, &err);
    task_let_go(t);
    if (st != OK) {
        json_decref(draft);
        task_fail(t, FAULT_RETRYABLE, 0, "the draft cannot be rendered: %s", err.text);
        return;
    }
    task_put(t, "draft", draft);
    if (change)
        task_put(t, "change", change);
    task_done(t);
}

static void on_reply(void *ctx, struct task *t, const struct model_reply *reply)
{
    struct asked *a = ctx;
    struct job *j = a->job;
    (void)t;
    gen_give(j->gen, a->id, reply->value);
    if (gen_done(j->gen))
        finish(j);
    else
        pump(j);
}

/* Put every question that can be asked now; the model's slots decide how many run at once. */
static void pump(struct job *j)
{
    struct gen_ask ask;
    while (gen_take(j->gen, &ask)) {
        struct asked *a = arena_alloc(task_arena(j->task), sizeof *a);
        assert(a);
        *a = (struct asked){ j, ask.id };
        struct model_request r = { .messages = ask.messages,
                                   .schema = ask.schema,
                                   .schema_name = ask.name,
                                   .tokens_max = ask.tokens_max,
                                   .temperature = j->stage->temperature,
                                   .seed = ask.seed,
                                   .stream_text = true };
        task_note(j->task, "%s", ask.note);
        model_call(j->stage->model, j->task, &r, on_reply, a);
    }
}

static void on_tools(void *ctx, struct task *t, json_t *found)
{
    struct job *j = ctx;
    (void)t;
    for (size_t i = 0; i < js_count(found); i++)
        gen_add_insight(j->gen, js_at(found, i));
    pump(j);
}

static bool is_large(struct generate *s)
{
    const char *steps = conf_str(worker_conf(s->worker), CONF_MODEL_STEPS);
    if (strcmp(steps, "auto") != 0)
        return strcmp(steps, "large") == 0;
    return chat_size_of(model_name(s->model)) >= large_from;
}

static void generate_begin(struct generate *s, struct task *t)
{
    struct err err = { 0 };
    struct job *j = arena_alloc(task_arena(t), sizeof *j);
    const json_t *brief = task_doc(t, "brief", &err), *answers = task_doc(t, "answers", NULL);
    if (!j || !brief) {
        task_let_go(t);
        task_fail(t, FAULT_PERMANENT, 0, "no usable brief: %s",
                  *err.text ? err.text : "it was not sent");
        return;
    }
    *j = (struct job){ .stage = s, .task = t };
    j->in = (struct gen_input){
        .brief = task_hold(t, wish_brief(brief, answers)),
        .insights = task_doc(t, "insights", NULL),
        .comments = task_doc(t, "comments", NULL),
        .answers = answers,
        .best = task_doc(t, "draft@best", NULL),
        .best_review = task_doc(t, "review@best", NULL),
        .last_review = task_doc(t, "review@last", NULL),
        .seed = task_seed(t),
        .round = (int64_t)task_parts(t).round,
        .parent = js_int(task_facts(t), "parent", 0),
        .findings = conf_int(worker_conf(s->worker), CONF_MODEL_FINDINGS) != 0,
        .large = is_large(s),
    };
    json_t *base = j->in.best ? NULL : base_draft(task_arena(t), brief);
    if (base)
        j->in.best = task_hold(t, base);
    struct held *h = task_user(t);
    if (!(j->gen = h->gen = gen_new(task_arena(t), &j->in))) {
        task_let_go(t);
        task_fail(t, FAULT_RETRYABLE, 0, "out of memory");
        return;
    }
    char *about = arena_alloc(task_arena(t), ABOUT_MAX);
    if (about)
        snprintf(about, ABOUT_MAX, "Problem:\n%.*s", 8000, js_str(j->in.brief, "problem"));
    struct agent_want want = { .about = about ? about : "",
                               .insights = j->in.insights,
                               .calls_max = TOOL_CALLS,
                               .seed = j->in.seed };
    agent_start(s, t, &want, on_tools, j);
}

/* ---- the stage --------------------------------------------------------------------------------- */

static void on_model_fail(void *ctx, struct task *t)
{
    (void)ctx;
    task_let_go(t);
}

static enum status stage_open(struct worker *w, void **self, struct err *err)
{
    const struct conf *c = worker_conf(w);
    struct model_conf mc = { .url = conf_str(c, CONF_MODEL_URL),
                             .name = conf_str(c, CONF_MODEL_NAME),
                             .key_file = conf_str(c, CONF_MODEL_KEY),
                             .slots = conf_int(c, CONF_MODEL_SLOTS),
                             .first_ms = conf_int(c, CONF_MODEL_FIRST),
                             .stall_ms = conf_int(c, CONF_MODEL_STALL) };
    struct generate *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_NOMEM, "out of memory");
    *s = (struct generate){ .worker = w, .temperature = conf_real(c, CONF_MODEL_TEMPERATURE) };
    enum status st = (s->http = http_new(worker_mux(w), err)) ? OK : err->status;
    if (st == OK)
        st = model_open(&s->model, w, s->http, &mc, err);
    if (st != OK) {
        http_free(s->http);
        free(s);
        return st;
    }
    model_on_fail(s->model, on_model_fail, s);
    *self = s;
    return OK;
}

static void stage_begin(void *self, struct task *t)
{
    struct held *h = arena_alloc(task_arena(t), sizeof *h);
    assert(h);
    h->list = json_array();
    task_set_user(t, h);
    if (strcmp(task_stage(t), "ask") == 0)
        ask_begin(self, t);
    else
        generate_begin(self, t);
}

static void stage_cancel(void *self, struct task *t)
{
    struct generate *s = self;
    model_cancel(s->model, t);
    task_let_go(t);
}

static void stage_close(void *self)
{
    struct generate *s = self;
    model_close(s->model);
    http_free(s->http);
    free(s);
}

static const char *const stages[] = { "generate", "ask", NULL };

const struct stage_ops generate_ops = { .role = "generate",
                                        .stages = stages,
                                        .slots = TASKS_AT_ONCE,
                                        .open = stage_open,
                                        .begin = stage_begin,
                                        .cancel = stage_cancel,
                                        .close = stage_close };
