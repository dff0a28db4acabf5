/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/model.h"

#include "common/llm/chat.h"
#include "common/llm/schema.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_MAX = 8 * 1024 * 1024,
    PROBE_MAX = 4 * 1024 * 1024,
    PROBE_MS = 5000, /* a server that is alive answers its list of models by then */
    BACKOFF_MIN_MS = 250,
    BACKOFF_MAX_MS = 10000,
    ASK_AGAIN = 2,    /* times, for a reply that is not of its schema */
    ORDERS_MAX = 256, /* tasks whose order is remembered */
    VLLM_SLOTS = 8,   /* it batches, and does not say how much */
    KEY_MAX = 4096,
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
    const json_t *known; /* a step's result, to be told in a turn of its own; lives with the task */
};

struct order {
    uint64_t key, order;
};

struct model {
    struct worker *worker;
    struct http *http;
    struct mux *mux;
    struct model_conf conf;
    char url[1024];  /* base, ending in /v1 */
    char root[1024]; /* without /v1 */
    char key[KEY_MAX + 32];
    struct chat_model found;
    int64_t slots, running;
    bool ready, find, warned;
    size_t find_at;
    struct mux_timer probe, tell;
    int64_t backoff_ms;
    struct http_call *probing;
    struct buf probe_body;
    struct mcall *calls; /* in the order of their making */
    struct order orders[ORDERS_MAX];
    size_t orders_n;
    uint64_t orders_next;
    void (*on_fail)(void *ctx, struct task *t);
    void *on_fail_ctx;
};

static void probe_start(void *ctx);
static void tell_known(void *ctx);
static void run_waiting(struct model *m);

/* ---- configuration --------------------------------------------------------------------------- */

/* The usual local ports, in the order in which they are tried. */
static const struct {
    const char *who, *url;
} usual[] = {
    { "LM Studio", "http://127.0.0.1:1234" }, { "llama.cpp", "http://127.0.0.1:8080" },
    { "llama.cpp", "http://127.0.0.1:9931" }, { "Ollama", "http://127.0.0.1:11434" },
    { "vLLM", "http://127.0.0.1:8000" },
};

static void set_url(struct model *m, const char *url)
{
    size_t n = strlen(url);
    while (n > 0 && url[n - 1] == '/')
        n--;
    bool v1 = n >= 3 && strncmp(url + n - 3, "/v1", 3) == 0;
    if (v1)
        n -= 3;
    if (n > sizeof m->root - 8)
        n = sizeof m->root - 8;
    snprintf(m->root, sizeof m->root, "%.*s", (int)n, url);
    snprintf(m->url, sizeof m->url, "%.*s/v1", (int)n, url);
}

static enum status read_key(struct model *m, const char *path, struct err *err)
{
    char line[KEY_MAX];
    if (!*path)
        return OK;
    FILE *f = fopen(path, "re");
    if (!f || !fgets(line, sizeof line, f)) {
        if (f)
            fclose(f);
        err_set(err, ERR_CONFIG, "%s: the API key cannot be read", path);
        err_fix(err, "the first line of model.key_file is the key");
        return ERR_CONFIG;
    }
    fclose(f);
    line[strcspn(line, "\r\n")] = '\0';
    snprintf(m->key, sizeof m->key, "Authorization: Bearer %s", line);
    return OK;
}

enum status model_open(struct model **out, struct worker *w, struct http *http,
                       const struct model_conf *conf, struct err *err)
{
    struct model *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(err, ERR_NOMEM, "out of memory");
    *m = (struct model){ .worker = w,
                         .http = http,
                         .mux = worker_mux(w),
                         .conf = *conf,
                         .slots = conf->slots > 0 ? conf->slots : 1,
                         .backoff_ms = BACKOFF_MIN_MS,
                         .find = !*conf->url };
    m->probe = MUX_TIMER(probe_start, m);
    m->tell = MUX_TIMER(tell_known, m);
    buf_init(&m->probe_body, PROBE_MAX);
    if (*conf->url && strncmp(conf->url, "http://", 7) != 0 &&
        strncmp(conf->url, "https://", 8) != 0) {
        err_set(err, ERR_CONFIG, "model.url: '%.200s' is not an HTTP address", conf->url);
        err_fix(err, "it must look like http://127.0.0.1:1234/v1");
        free(m);
        return ERR_CONFIG;
    }
    set_url(m, m->find ? usual[0].url : conf->url);
    enum status st = read_key(m, conf->key_file, err);
    if (st != OK) {
        free(m);
        return st;
    }
    worker_accept(w, false);
    probe_start(m);
    *out = m;
    return OK;
}

const char *model_name(const struct model *m)
{
    return m->found.name;
}

int64_t model_slots(const struct model *m)
{
    return m->slots;
}

/* ---- looking for the server ------------------------------------------------------------------ */

static enum status on_probe_bytes(void *ctx, struct http_call *c, struct str piece)
{
    struct model *m = ctx;
    (void)c;
    return buf_view(&m->probe_body, piece);
}

static struct http_call *get(struct model *m, const char *base, const char *path,
                             http_done_fn *done)
{
    char url[1200];
    const char *headers[] = { *m->key ? m->key : NULL, NULL };
    snprintf(url, sizeof url, "%s%s", base, path);
    buf_clear(&m->probe_body);
    struct http_request r = { .method = "GET",
                              .url = url,
                              .headers = headers,
                              .answer_max = PROBE_MAX,
                              .first_ms = PROBE_MS,
                              .stall_ms = PROBE_MS };
    return http_start(m->http, &r, on_probe_bytes, done, m);
}

static void probe_later(struct model *m)
{
    if (m->find) {
        m->find_at = (m->find_at + 1) % COUNT(usual);
        set_url(m, usual[m->find_at].url);
        if (m->find_at != 0) { /* the next port at once, another round later */
            mux_timer_in(m->mux, &m->probe, 0);
            return;
        }
    }
    mux_timer_in(m->mux, &m->probe, m->backoff_ms);
    m->backoff_ms = m->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : m->backoff_ms * 2;
}

static void probe_good(struct model *m)
{
    char slots[24];
    bool first = !m->ready;
    snprintf(slots, sizeof slots, "%lld", (long long)m->slots);
    m->ready = true;
    m->find = false; /* found: from now on it is this one */
    m->warned = false;
    m->backoff_ms = BACKOFF_MIN_MS;
    if (first)
        log_line(worker_log(m->worker), LOG_INFO, "model server", "url", m->url, "model",
                 *m->found.name ? m->found.name : m->conf.name, "slots", slots, NULL);
    worker_accept(m->worker, true);
    run_waiting(m);
}

static void on_slots_studio(void *ctx, struct http_call *c, enum status st, const char *text)
{
    struct model *m = ctx;
    (void)text;
    m->probing = NULL;
    int64_t n =
        st == OK && http_code(c) == 200 ? chat_slots(buf_get(&m->probe_body), m->found.name) : 0;
    if (n == 0 && strcmp(m->found.owner, "vllm") == 0)
        n = VLLM_SLOTS;
    m->slots = n > 0 ? n : 1;
    probe_good(m);
}

static void on_slots_llama(void *ctx, struct http_call *c, enum status st, const char *text)
{
    struct model *m = ctx;
    (void)text;
    m->probing = NULL;
    int64_t n =
        st == OK && http_code(c) == 200 ? chat_slots(buf_get(&m->probe_body), m->found.name) : 0;
    if (n > 0) {
        m->slots = n;
        probe_good(m);
        return;
    }
    m->probing = get(m, m->root, "/api/v1/models", on_slots_studio);
    if (!m->probing)
        probe_good(m);
}

static void complain(struct model *m, const struct err *err)
{
    if (!m->warned)
        log_line(worker_log(m->worker), LOG_WARN, "no model server", "url", m->url, "why",
                 err->text, "fix", err->fix, NULL);
    m->warned = true;
}

/* Somebody answered: is it a model server with our model? What it refuses is for the first call to
 * say, so that the job tells its user. */
static void on_probe(void *ctx, struct http_call *c, enum status st, const char *text)
{
    struct model *m = ctx;
    struct err err = { 0 };
    long code = http_code(c);
    m->probing = NULL;
    bool loading = code == 503 || code == 429;
    if (st != OK || loading) {
        err_set(&err, ERR_UNAVAILABLE, "%s", loading ? "the server is loading its model" : text);
        err_fix(&err, "start the model server, or set model.url to where it listens");
        complain(m, &err);
        probe_later(m);
        return;
    }
    struct chat_model found;
    enum status listed = code == 200
                             ? chat_models(buf_get(&m->probe_body), m->conf.name, &found, &err)
                             : err_set(&err, ERR_DENIED, "GET /v1/models: HTTP %ld", code);
    if (m->find && listed != OK) { /* something else lives on that port */
        complain(m, &err);
        probe_later(m);
        return;
    }
    if (listed == OK)
        m->found = found;
    else
        complain(m, &err);
    if (listed != OK && !*m->found.name)
        snprintf(m->found.name, sizeof m->found.name, "%s", m->conf.name);
    if (m->conf.slots == 0 && listed == OK)
        m->probing = get(m, m->root, "/props", on_slots_llama);
    if (!m->probing)
        probe_good(m);
}

static void probe_start(void *ctx)
{
    struct model *m = ctx;
    if (m->probing)
        return;
    m->probing = get(m, m->url, "/models", on_probe);
    if (!m->probing)
        probe_later(m);
}

/* The server went away under a call: take no tasks until it is back. */
static void lost(struct model *m)
{
    m->ready = false;
    worker_accept(m->worker, false);
    if (!m->probing && m->probe.slot == HEAP_NONE)
        mux_timer_in(m->mux, &m->probe, m->backoff_ms);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void mcall_stop(struct mcall *c)
{
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
    free(c);
}

void model_cancel(struct model *m, struct task *t)
{
    for (struct mcall *c = m->calls, *next; c; c = next) {
        next = c->next;
        if (c->task == t)
            mcall_free(c); /* a step being recorded: the harness forgets it with the task */
    }
    run_waiting(m);
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
    mcall_stop(c);
    c->recording = true;
    run_waiting(c->model);
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
    if (c->want.stream_text)
        task_text(c->task, text);
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
        lost(m);
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

static void run_waiting(struct model *m)
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
    run_waiting(m);
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
    m->orders[m->orders_n % COUNT(m->orders)] = (struct order){ key, order };
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
    if (m->probing)
        http_cancel(m->probing);
    mux_timer_stop(m->mux, &m->probe);
    mux_timer_stop(m->mux, &m->tell);
    buf_fini(&m->probe_body);
    free(m);
}
