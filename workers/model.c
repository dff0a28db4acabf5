/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/model_in.h"

#include "common/llm/schema.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_MAX = 8 * 1024 * 1024,
    ASK_AGAIN = 2, /* times, for a reply that is not of its schema */
};

/* One call: waiting, running, being recorded, or ready to be told. */
struct mcall {
    struct mcall *next;
    struct model *model;
    struct task *task;
    uint64_t order; /* of its task: the oldest goes first */
    struct model_request want;
    json_t *schema;   /* owned copy, or NULL */
    json_t *messages; /* owned reference */
    char schema_name[64];
    model_fn *fn;
    void *ctx;
    int again; /* how often it was asked again */
    struct hash hash;
    json_t *body;
    struct http_call *http; /* while running */
    struct chat_answer *answer;
    struct mono began;
    bool started, recording;
    bool speaks;         /* this one's text is what the task tells live … */
    struct buf after;    /* … and what others that have ended meanwhile had to say */
    size_t said;         /* bytes of the answer that were told */
    const json_t *known; /* a step's result, to be told in a turn of its own; lives with the task */
};
static void tell_known(void *ctx);

enum status model_open(struct model **out, struct worker *w, struct http *http,
                       const struct model_conf *conf, struct err *err)
{
    struct model *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(err, ERR_NOMEM, "out of memory");
    *m = (struct model){ .worker = w, .http = http, .mux = worker_mux(w), .conf = *conf };
    m->tell = MUX_TIMER(tell_known, m);
    enum status st = model_host_open(m, err);
    if (st != OK) {
        free(m);
        return st;
    }
    *out = m;
    return OK;
}

static void speak(struct mcall *c)
{
    struct str text = buf_get(&c->answer->content);
    task_text(c->task, (struct str){ text.p + c->said, text.n - c->said });
    c->said = text.n;
}

/* One voice a task: of the calls that it has running at once one tells its text as it comes. What
 * the others have said follows, each in one piece, when that one ends. */
static struct mcall *speaker(const struct mcall *of)
{
    for (struct mcall *c = of->model->calls; c; c = c->next) {
        if (c->task == of->task && c->speaks)
            return c;
    }
    return NULL;
}

static struct mcall *next_speaker(const struct mcall *from)
{
    for (struct mcall *c = from->model->calls; c; c = c->next) {
        if (c->task == from->task && c != from && c->want.stream_text && c->answer &&
            c->answer->content.len)
            return c;
    }
    return NULL;
}

/* The answer of a call is complete. */
static void hand_over(struct mcall *from)
{
    if (!from->want.stream_text)
        return;
    if (!from->speaks) {
        struct mcall *now = speaker(from);
        if (now) {
            buf_char(&now->after, '\n');
            buf_view(&now->after, buf_get(&from->answer->content));
        }
        return;
    }
    struct mcall *next = next_speaker(from);
    from->speaks = false;
    task_text(from->task, buf_get(&from->after));
    buf_clear(&from->after);
    if (next) {
        next->speaks = true;
        task_text(next->task, str_of("\n"));
        speak(next);
    }
}

static void mcall_stop(struct mcall *c)
{
    c->speaks = false;
    if (c->http) {
        http_cancel(c->http);
        c->http = NULL;
    }
    if (c->answer) {
        chat_fini(c->answer);
        free(c->answer);
        c->answer = NULL;
    }
    if (c->started)
        c->model->running--;
    c->started = false;
}

static void mcall_free(struct mcall *c)
{
    struct model *m = c->model;
    for (struct mcall **at = &m->calls; *at; at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            break;
        }
    }
    mcall_stop(c);
    json_decref(c->body);
    json_decref(c->schema);
    json_decref(c->messages);
    buf_fini(&c->after);
    free(c);
}

void model_cancel(struct model *m, struct task *t)
{
    for (struct mcall *c = m->calls, *next; c; c = next) {
        next = c->next;
        if (c->task == t)
            mcall_free(c); /* a step being recorded: the harness forgets it with the task */
    }
    model_run_waiting(m);
}

void model_on_fail(struct model *m, void (*fn)(void *ctx, struct task *t), void *ctx)
{
    m->on_fail = fn;
    m->on_fail_ctx = ctx;
}

/* Give the task up. Everything else that it has under way ends with it. */
static void fail_task(struct mcall *c, const struct chat_verdict *v)
{
    static const enum fault faults[] = { [CHAT_GOOD] = FAULT_RETRYABLE,
                                         [CHAT_RETRYABLE] = FAULT_RETRYABLE,
                                         [CHAT_PERMANENT] = FAULT_PERMANENT,
                                         [CHAT_OVERLOADED] = FAULT_OVERLOADED };
    struct model *m = c->model;
    struct task *t = c->task;
    enum fault fault = faults[v->class];
    struct err err = v->err;
    int64_t after_ms = v->retry_after_ms;
    model_cancel(m, t);
    if (m->on_fail)
        m->on_fail(m->on_fail_ctx, t);
    task_fail(t, fault, after_ms, "%s%s%s", err.text, *err.fix ? "; " : "", err.fix);
}

static void ask(struct mcall *c);

/* Tell the owner. The call is gone before its callback runs: that may make others. */
static void tell(struct mcall *c, const json_t *result, struct step_use use, bool reused)
{
    struct str text = js_view(result, "text");
    json_t *value = c->schema ? chat_json(text) : NULL;
    struct err err = { 0 };
    if (value && schema_check(c->schema, value, &err) != OK) {
        json_decref(value);
        value = NULL;
    }
    bool empty = text.n == 0;
    if ((c->schema ? !value : empty) && c->again < ASK_AGAIN) {
        if (*err.text)
            log_line(worker_log(c->model->worker), LOG_DEBUG, "asked again", "why", err.text, NULL);
        c->again++;
        c->want.seed += 0x9e3779b9u;
        if (js_bool(result, "truncated", false))
            c->want.tokens_max *= 2;
        ask(c);
        return;
    }
    if (!c->schema && empty) {
        struct chat_verdict v = { .class = CHAT_RETRYABLE };
        err_set(&v.err, ERR_DATA, "model server %s, model %s: an empty answer, three times",
                c->model->url, c->model->found.name);
        fail_task(c, &v);
        return;
    }
    struct model_reply reply = { .text = js_str(result, "text"),
                                 .value = value,
                                 .reused = reused,
                                 .truncated = js_bool(result, "truncated", false),
                                 .use = use };
    struct task *t = c->task;
    model_fn *fn = c->fn;
    void *ctx = c->ctx;
    json_t *keep = json_incref((json_t *)(uintptr_t)result);
    mcall_free(c);
    fn(ctx, t, &reply);
    json_decref(keep);
    json_decref(value);
}

static void on_recorded(void *ctx, struct task *t, const json_t *result)
{
    struct mcall *c = ctx;
    (void)t;
    c->recording = false;
    struct step_use use = { js_int(result, "in", 0), js_int(result, "out", 0),
                            js_int(result, "ms", 0) };
    tell(c, result, use, false);
}

static void record(struct mcall *c)
{
    const struct chat_answer *a = c->answer;
    struct step_use use = { a->usage.in, a->usage.out, mono_now().ms - c->began.ms };
    json_t *result = json_object();
    js_set_str(result, "text", chat_text(a));
    if (strcmp(a->finish, "length") == 0)
        js_set_bool(result, "truncated", true);
    js_set_int(result, "in", use.tokens_in);
    js_set_int(result, "out", use.tokens_out);
    js_set_int(result, "ms", use.ms);
    hand_over(c);
    mcall_stop(c);
    c->recording = true;
    model_run_waiting(c->model);
    task_step(c->task, &c->hash, result, use, on_recorded, c);
}

/* A server that silently drops the beginning of a prompt (Ollama) still counts what it read. */
static void watch_prompt(struct mcall *c)
{
    size_t bytes = 0;
    for (size_t i = 0; i < js_count(c->messages); i++)
        bytes += js_view(js_at(c->messages, i), "content").n;
    int64_t told = c->answer->usage.in;
    if (told > 0 && (int64_t)(bytes / 8) > told + 64)
        log_line(worker_log(c->model->worker), LOG_WARN,
                 "the model server seems to have cut the prompt: give the model a larger context",
                 "url", c->model->url, NULL);
}

static void on_text(void *ctx, struct str text)
{
    struct mcall *c = ctx;
    (void)text;
    if (!c->want.stream_text)
        return;
    if (!speaker(c))
        c->speaks = true;
    if (c->speaks)
        speak(c);
}

static enum status on_bytes(void *ctx, struct http_call *h, struct str piece)
{
    struct mcall *c = ctx;
    (void)h;
    return chat_feed(c->answer, piece, on_text, c);
}

static void on_done(void *ctx, struct http_call *h, enum status st, const char *text)
{
    struct mcall *c = ctx;
    struct model *m = c->model;
    struct chat_transport t = { .status = st,
                                .text = text,
                                .code = http_code(h),
                                .url = m->url,
                                .model = m->found.name,
                                .type = http_content_type(h),
                                .retry_after = http_header(h, "retry-after"),
                                .now_s = wall_now().ms / 1000 };
    chat_end(c->answer);
    struct chat_verdict v = chat_judge(c->answer, &t);
    c->http = NULL; /* freed by http when we return */
    if (v.unreachable)
        model_host_lost(m);
    if (v.class == CHAT_GOOD)
        watch_prompt(c);
    if (v.class == CHAT_GOOD || (v.empty && c->again < ASK_AGAIN))
        record(c);
    else
        fail_task(c, &v);
}

static void start(struct mcall *c)
{
    struct model *m = c->model;
    struct buf wire;
    char url[1200];
    const char *headers[] = { "Content-Type: application/json", *m->key ? m->key : NULL, NULL };
    buf_init(&wire, PAWL_DOC_MAX);
    enum status st = chat_wire(c->body, &wire);
    snprintf(url, sizeof url, "%s/chat/completions", m->url);
    struct http_request r = { .method = "POST",
                              .url = url,
                              .headers = headers,
                              .body = buf_get(&wire),
                              .answer_max = ANSWER_MAX,
                              .first_ms = m->conf.first_ms,
                              .stall_ms = m->conf.stall_ms };
    c->began = mono_now();
    c->started = true;
    c->said = 0;
    m->running++;
    c->answer = malloc(sizeof *c->answer);
    if (c->answer) {
        chat_init(c->answer, ANSWER_MAX);
        c->http = st == OK ? http_start(m->http, &r, on_bytes, on_done, c) : NULL;
    }
    buf_fini(&wire);
    if (!c->http) {
        struct chat_verdict v = { .class = CHAT_RETRYABLE };
        err_set(&v.err, ERR_NOMEM, "out of memory for a model call");
        fail_task(c, &v);
    }
}

void model_run_waiting(struct model *m)
{
    while (m->ready && m->running < m->slots) {
        struct mcall *first = NULL;
        for (struct mcall *c = m->calls; c; c = c->next) {
            bool waits = !c->started && !c->recording && !c->known;
            if (waits && (!first || c->order < first->order))
                first = c;
        }
        if (!first)
            return;
        start(first);
    }
}

static void tell_known(void *ctx)
{
    struct model *m = ctx;
    for (struct mcall *c = m->calls; c; c = c->next) {
        if (!c->known)
            continue;
        const json_t *known = c->known;
        c->known = NULL;
        mux_timer_in(m->mux, &m->tell,
                     0); /* others in another turn: this one may change the list */
        tell(c, known, (struct step_use){ 0 }, true);
        return;
    }
    model_run_waiting(m);
}

/* Look among the steps, else wait for a slot. */
static void ask(struct mcall *c)
{
    struct model *m = c->model;
    struct buf text;
    struct chat_request r = { .model = m->found.name,
                              .messages = c->messages,
                              .schema = c->schema,
                              .schema_name = c->schema_name,
                              .tokens_max = c->want.tokens_max,
                              .temperature = c->want.temperature,
                              .seed = c->want.seed };
    json_decref(c->body);
    c->body = chat_body(&r);
    buf_init(&text, PAWL_DOC_MAX);
    enum status st = chat_canonical(c->body, &text);
    c->hash = hash_of(buf_get(&text));
    buf_fini(&text);
    c->known = st == OK ? task_step_find(c->task, &c->hash) : NULL;
    mux_timer_in(m->mux, &m->tell, 0);
}

static uint64_t order_of(struct model *m, struct task *t)
{
    struct hash h = hash_of(str_of(task_key_of(t)));
    uint64_t key;
    memcpy(&key, h.b, sizeof key);
    for (size_t i = 0; i < COUNT(m->orders) && i < m->orders_n; i++) {
        if (m->orders[i].key == key)
            return m->orders[i].order;
    }
    uint64_t order = ++m->orders_next;
    m->orders[m->orders_n % COUNT(m->orders)] = (struct model_order){ key, order };
    m->orders_n++;
    return order;
}

void model_call(struct model *m, struct task *t, const struct model_request *r, model_fn *fn,
                void *ctx)
{
    struct mcall *c = calloc(1, sizeof *c);
    assert(c);
    *c = (struct mcall){ .model = m,
                         .task = t,
                         .want = *r,
                         .fn = fn,
                         .ctx = ctx,
                         .order = order_of(m, t),
                         .messages = json_incref(r->messages),
                         .schema = r->schema ? json_deep_copy(r->schema) : NULL };
    buf_init(&c->after, ANSWER_MAX);
    snprintf(c->schema_name, sizeof c->schema_name, "%s",
             r->schema_name ? r->schema_name : "reply");
    struct mcall **end = &m->calls;
    while (*end)
        end = &(*end)->next;
    *end = c;
    ask(c);
}

void model_close(struct model *m)
{
    if (!m)
        return;
    while (m->calls)
        mcall_free(m->calls);
    mux_timer_stop(m->mux, &m->tell);
    model_host_close(m);
    free(m);
}
