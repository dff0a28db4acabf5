/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/task.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_MAX = 256 * 1024 * 1024, TEXT_PENDING_MAX = 3000 };

/* ---- life ------------------------------------------------------------------------------------ */

struct task *worker_find(struct worker *w, struct str key)
{
    for (struct task *t = w->tasks; t; t = t->next) {
        if (str_is(key, t->key))
            return t;
    }
    return NULL;
}

static void deliver_reused(void *ctx);

static void copy_name(char *to, size_t size, struct str from)
{
    snprintf(to, size, "%.*s", STR_ARG(from));
}

static bool serves(const struct worker *w, struct str stage)
{
    for (size_t i = 0; w->ops->stages[i]; i++) {
        if (str_is(stage, w->ops->stages[i]))
            return true;
    }
    return false;
}

struct task *task_new(struct worker *w, const struct msg_TASK *k, struct peer_in *in,
                      struct err *err)
{
    if (!serves(w, k->stage) || k->task.n == 0 || k->task.n > PAWL_KEY_MAX || in->n < 1 ||
        k->docs.n != in->n - 1) {
        err_set(err, ERR_PROTOCOL, "a task that this worker cannot serve");
        return NULL;
    }
    struct task *t = calloc(1, sizeof *t);
    if (!t) {
        err_set(err, ERR_NOMEM, "out of memory");
        return NULL;
    }
    t->worker = w;
    copy_name(t->key, sizeof t->key, k->task);
    copy_name(t->stage, sizeof t->stage, k->stage);
    t->fence = k->fence;
    for (uint32_t i = 0; i < k->docs.n; i++)
        copy_name(t->names[i], sizeof t->names[i], k->docs.v[i]);
    t->docs_n = k->docs.n;
    if (js_from_mp(k->facts, &t->facts, NULL) != OK || !json_is_object(t->facts)) {
        json_decref(t->facts);
        t->facts = json_object();
    }
    arena_init(&t->arena, ARENA_MAX);
    buf_init(&t->text, TEXT_PENDING_MAX);
    buf_init(&t->verdict, PAWL_TEXT_MAX);
    buf_init(&t->blob, PAWL_WORKSPACE_MAX);
    t->deliver = MUX_TIMER(deliver_reused, t);
    t->in = *in;
    in->frames = NULL;
    in->n = 0;
    t->steps = json_array();
    const json_t *earlier = js_list(task_doc(t, "steps", NULL), "items");
    json_array_extend(t->steps, (json_t *)(uintptr_t)earlier);
    t->next = w->tasks;
    w->tasks = t;
    w->tasks_n++;
    return t;
}

static void step_wait_free(struct step_wait *s)
{
    json_decref(s->result);
    buf_fini(&s->frame);
    free(s);
}

static void call_wait_free(struct call_wait *c)
{
    buf_fini(&c->frame);
    free(c);
}

void task_free(struct task *t)
{
    struct worker *w = t->worker;
    for (struct task **at = &w->tasks; *at; at = &(*at)->next) {
        if (*at == t) {
            *at = t->next;
            w->tasks_n--;
            break;
        }
    }
    mux_timer_stop(w->mux, &t->deliver);
    for (struct step_wait *s = t->step_waits, *next; s; s = next) {
        next = s->next;
        step_wait_free(s);
    }
    for (struct call_wait *c = t->call_waits, *next; c; c = next) {
        next = c->next;
        call_wait_free(c);
    }
    for (uint32_t i = 0; i < t->docs_n; i++)
        json_decref(t->docs[i]);
    for (uint32_t i = 0; i < t->outputs_n; i++)
        buf_fini(&t->outputs[i].frame);
    json_decref(t->facts);
    json_decref(t->steps);
    arena_fini(&t->arena);
    buf_fini(&t->text);
    buf_fini(&t->verdict);
    buf_fini(&t->blob);
    peer_in_free(&t->in);
    free(t);
    worker_task_gone(w);
}

/* ---- what it is ------------------------------------------------------------------------------ */

const char *task_stage(const struct task *t)
{
    return t->stage;
}

const char *task_key_of(const struct task *t)
{
    return t->key;
}

struct task_key task_parts(const struct task *t)
{
    struct task_key k = { 0 };
    bool good = task_key_parse(str_of(t->key), &k);
    (void)good; /* a broker that sends another form gets zeros, not a crash */
    return k;
}

uint64_t task_seed(const struct task *t)
{
    return (uint64_t)js_int(t->facts, "seed", 0);
}

const json_t *task_facts(const struct task *t)
{
    return t->facts;
}

static int find_doc(const struct task *t, const char *name)
{
    for (uint32_t i = 0; i < t->docs_n; i++) {
        if (strcmp(t->names[i], name) == 0)
            return (int)i;
    }
    return -1;
}

const json_t *task_doc(struct task *t, const char *name, struct err *err)
{
    int i = find_doc(t, name);
    if (i < 0)
        return NULL;
    if (!t->docs[i]) {
        char plain[PAWL_NAME_MAX + 1]; /* draft@best has the shape of a draft */
        snprintf(plain, sizeof plain, "%.*s", (int)strcspn(name, "@"), name);
        if (doc_unpack(plain, peer_frame(&t->in, (uint32_t)i + 1), &t->docs[i], err) != OK)
            return NULL;
    }
    return t->docs[i];
}

struct str task_blob(struct task *t, const char *name, size_t max, struct err *err)
{
    int i = find_doc(t, name);
    if (i < 0)
        return (struct str){ 0 };
    buf_clear(&t->blob);
    enum status st = blob_unpack(peer_frame(&t->in, (uint32_t)i + 1), max, &t->blob);
    if (st != OK) {
        err_set(err, st, "%s: %s", name, status_text(st));
        return (struct str){ 0 };
    }
    return buf_get(&t->blob);
}

struct arena *task_arena(struct task *t)
{
    return &t->arena;
}

void task_set_user(struct task *t, void *user)
{
    t->user = user;
}

void *task_user(const struct task *t)
{
    return t->user;
}

struct worker *task_worker(const struct task *t)
{
    return t->worker;
}

/* ---- progress -------------------------------------------------------------------------------- */

void task_note(struct task *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t->note, sizeof t->note, fmt, ap);
    va_end(ap);
    t->note_changed = true;
    worker_note_soon(t->worker);
}

void task_flush_text(struct task *t)
{
    if (t->text.len == 0)
        return;
    struct msg m = { .type = MSG_TOKENS,
                     .TOKENS = { str_of(t->key), t->text_offset, buf_get(&t->text) } };
    t->text_offset += t->text.len;
    if (t->worker->welcomed)
        worker_say(t->worker, &m);
    buf_clear(&t->text);
}

void task_listen(struct task *t, bool wanted)
{
    task_flush_text(t);
    t->unheard = !wanted;
}

void task_text(struct task *t, struct str text)
{
    if (t->unheard) {
        t->text_offset += text.n;
        return;
    }
    while (text.n > 0) {
        size_t room = TEXT_PENDING_MAX - t->text.len;
        size_t n = text.n < room ? text.n : room;
        buf_append(&t->text, text.p, n);
        text = (struct str){ text.p + n, text.n - n };
        if (t->text.len == TEXT_PENDING_MAX)
            task_flush_text(t);
    }
    if (t->text.len)
        worker_text_soon(t->worker);
}

/* ---- steps and calls ------------------------------------------------------------------------- */

const json_t *task_step_find(struct task *t, const struct hash *request)
{
    char hex[HASH_HEX + 1];
    hash_hex(request, hex);
    for (size_t i = 0; i < js_count(t->steps); i++) {
        const json_t *step = js_at(t->steps, i);
        if (strcmp(js_str(step, "hash"), hex) == 0)
            return json_object_get(step, "result");
    }
    return NULL;
}

void task_step(struct task *t, const struct hash *request, json_t *result, struct step_use use,
               step_fn *fn, void *ctx)
{
    struct step_wait *s = calloc(1, sizeof *s);
    assert(s);
    *s = (struct step_wait){ .hash = *request, .result = result, .use = use, .fn = fn, .ctx = ctx };
    buf_init(&s->frame, PAWL_FRAME_MAX);
    struct err err = { 0 };
    if (doc_pack("", result, &s->frame, &err) != OK) {
        /* Too large to record: it is used once and, after a crash, paid for again. */
        log_line(&t->worker->log, LOG_WARN, "step not recorded", "why", err.text, NULL);
        buf_clear(&s->frame);
        mp_nil(&s->frame);
    }
    t->tokens_in += use.tokens_in;
    t->tokens_out += use.tokens_out;
    struct step_wait **end = &t->step_waits;
    while (*end)
        end = &(*end)->next;
    *end = s;
    task_flush(t);
}

void task_on_stepped(struct task *t, struct str hash)
{
    for (struct step_wait **at = &t->step_waits; *at; at = &(*at)->next) {
        struct step_wait *s = *at;
        if (!str_eq(hash, (struct str){ (const char *)s->hash.b, HASH_BYTES }))
            continue;
        char hex[HASH_HEX + 1];
        hash_hex(&s->hash, hex);
        *at = s->next;
        json_t *step = json_object();
        js_set_z(step, "hash", hex);
        js_set(step, "result", json_incref(s->result));
        js_push(t->steps, step);
        json_t *result = json_incref(s->result);
        step_fn *fn = s->fn;
        void *ctx = s->ctx;
        step_wait_free(s);
        if (t->ending == ENDING_NO)
            fn(ctx, t, result);
        json_decref(result);
        return;
    }
}

/* What a tool call is, for the step record. */
static struct hash call_hash(const json_t *call)
{
    struct buf text;
    buf_init(&text, PAWL_DOC_MAX);
    buf_str(&text, "call ");
    js_dump(call, &text);
    struct hash h = hash_of(buf_get(&text));
    buf_fini(&text);
    return h;
}

void task_call(struct task *t, json_t *call, call_fn *fn, void *ctx)
{
    struct call_wait *c = calloc(1, sizeof *c);
    assert(c);
    *c = (struct call_wait){ .hash = call_hash(call), .fn = fn, .ctx = ctx, .began = mono_now() };
    char hex[HASH_HEX + 1];
    hash_hex(&c->hash, hex);
    snprintf(c->id, sizeof c->id, "%.16s", hex);
    buf_init(&c->frame, PAWL_FRAME_MAX);
    struct err err = { 0 };
    bool good = doc_pack("call", call, &c->frame, &err) == OK;
    json_decref(call);
    if (!good) {
        log_line(&t->worker->log, LOG_WARN, "malformed tool call", "why", err.text, NULL);
        buf_fini(&c->frame); /* answered with a fault in the next turn */
    }
    c->next = t->call_waits;
    t->call_waits = c;
    if (!good || task_step_find(t, &c->hash))
        mux_timer_in(t->worker->mux, &t->deliver, 0);
    else
        task_flush(t);
}

/* Answer the calls whose result is known already, or that cannot be made. */
static void deliver_reused(void *ctx)
{
    struct task *t = ctx;
    for (struct call_wait **at = &t->call_waits; *at; at = &(*at)->next) {
        struct call_wait *c = *at;
        const json_t *known = task_step_find(t, &c->hash);
        if (!known && c->frame.len > 0)
            continue;
        *at = c->next;
        mux_timer_in(t->worker->mux, &t->deliver, 0); /* others, in another turn */
        call_fn *fn = c->fn;
        void *call_ctx = c->ctx;
        call_wait_free(c);
        fn(call_ctx, t, known, known ? NULL : "the arguments are malformed or too large");
        return;
    }
}

struct called {
    call_fn *fn;
    void *ctx;
};

static void call_recorded(void *ctx, struct task *t, const json_t *result)
{
    struct called *done = ctx;
    done->fn(done->ctx, t, result, NULL);
}

void task_on_called(struct task *t, const struct msg_CALLED *m, struct peer_in *in)
{
    struct call_wait **at = &t->call_waits;
    while (*at && !str_is(m->call, (*at)->id))
        at = &(*at)->next;
    struct call_wait *c = *at;
    if (!c || t->ending != ENDING_NO)
        return;
    *at = c->next;
    json_t *result = NULL;
    struct err err = { 0 };
    char fault[512];
    snprintf(fault, sizeof fault, "%.*s", STR_ARG(m->text));
    if (m->fault.n == 0 &&
        (in->n < 2 || doc_unpack("result", peer_frame(in, 1), &result, &err) != OK))
        snprintf(fault, sizeof fault, "the result is malformed: %.300s", err.text);
    if (result) {
        struct called *done = arena_alloc(&t->arena, sizeof *done);
        assert(done);
        *done = (struct called){ c->fn, c->ctx };
        struct step_use use = { .ms = mono_now().ms - c->began.ms };
        task_step(t, &c->hash, result, use, call_recorded, done);
    } else {
        c->fn(c->ctx, t, NULL, *fault ? fault : "the call failed");
    }
    call_wait_free(c);
}

/* ---- the end --------------------------------------------------------------------------------- */

void task_put(struct task *t, const char *name, json_t *doc)
{
    struct output *out = NULL;
    for (uint32_t i = 0; i < t->outputs_n; i++) {
        if (strcmp(t->outputs[i].name, name) == 0)
            out = &t->outputs[i];
    }
    if (!out) {
        assert(t->outputs_n < COUNT(t->outputs));
        out = &t->outputs[t->outputs_n++];
        copy_name(out->name, sizeof out->name, str_of(name));
    }
    buf_fini(&out->frame);
    buf_init(&out->frame, PAWL_FRAME_MAX);
    struct err err = { 0 };
    if (doc_pack(name, doc, &out->frame, &err) != OK && t->broken.status == OK)
        t->broken = err;
    json_decref(doc);
}

void task_verdict(struct task *t, const json_t *verdict)
{
    buf_clear(&t->verdict);
    enum status st = js_to_mp(verdict, &t->verdict);
    if (st != OK && t->broken.status == OK)
        err_set(&t->broken, st, "the verdict cannot be sent");
}

void task_done(struct task *t)
{
    assert(t->ending == ENDING_NO);
    task_flush_text(t);
    if (t->broken.status != OK) {
        task_fail(t, FAULT_PERMANENT, 0, "internal error, please report it: %s", t->broken.text);
        return;
    }
    t->ending = ENDING_DONE;
    t->sent = false;
    task_flush(t);
}

void task_fail(struct task *t, enum fault fault, int64_t retry_after_ms, const char *fmt, ...)
{
    assert(t->ending == ENDING_NO);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t->fail_text, sizeof t->fail_text, fmt, ap);
    va_end(ap);
    t->fault = fault;
    t->retry_after_ms = retry_after_ms;
    t->ending = ENDING_FAIL;
    t->sent = false;
    log_line(&t->worker->log, LOG_WARN, "task failed", "task", t->key, "why", t->fail_text, NULL);
    task_flush(t);
}

/* ---- sending --------------------------------------------------------------------------------- */

void task_unsend(struct task *t)
{
    t->sent = t->unheard = false;
    for (struct step_wait *s = t->step_waits; s; s = s->next)
        s->sent = false;
    for (struct call_wait *c = t->call_waits; c; c = c->next)
        c->sent = false;
}

static void flush_steps(struct task *t)
{
    for (struct step_wait *s = t->step_waits; s; s = s->next) {
        if (s->sent)
            continue;
        struct str hash = { (const char *)s->hash.b, HASH_BYTES };
        struct str frame = buf_get(&s->frame);
        struct msg m = { .type = MSG_STEP,
                         .STEP = { str_of(t->key), t->fence, hash, (uint64_t)s->use.tokens_in,
                                   (uint64_t)s->use.tokens_out, (uint64_t)s->use.ms } };
        s->sent = worker_send(t->worker, &m, &frame, 1) == OK;
    }
}

static void flush_calls(struct task *t)
{
    for (struct call_wait *c = t->call_waits; c; c = c->next) {
        if (c->sent || c->frame.len == 0 || task_step_find(t, &c->hash))
            continue;
        struct str frame = buf_get(&c->frame);
        struct msg m = { .type = MSG_CALL, .CALL = { str_of(t->key), t->fence, str_of(c->id) } };
        c->sent = worker_send(t->worker, &m, &frame, 1) == OK;
    }
}

static void flush_done(struct task *t, bool failed)
{
    static const char *const faults[] = { "retryable", "permanent", "overloaded" };
    struct str frames[PAWL_LIST_MAX];
    struct strs names = { .n = t->outputs_n };
    for (uint32_t i = 0; i < t->outputs_n; i++) {
        names.v[i] = str_of(t->outputs[i].name);
        frames[i] = buf_get(&t->outputs[i].frame);
    }
    struct msg m = { .type = failed ? MSG_FAIL : MSG_DONE };
    if (failed)
        m.FAIL = (struct msg_FAIL){ str_of(t->key),
                                    t->fence,
                                    str_of(faults[t->fault]),
                                    str_of(t->fail_text),
                                    (uint64_t)t->retry_after_ms,
                                    (uint64_t)t->tokens_in,
                                    (uint64_t)t->tokens_out,
                                    names };
    else
        m.DONE = (struct msg_DONE){
            str_of(t->key),         t->fence, names, buf_get(&t->verdict), (uint64_t)t->tokens_in,
            (uint64_t)t->tokens_out
        };
    enum status st = worker_send(t->worker, &m, frames, names.n);
    t->sent = st == OK;
    if (st == ERR_LIMIT && !failed) { /* cannot ever be sent: say so instead */
        t->ending = ENDING_FAIL;
        t->fault = FAULT_PERMANENT;
        t->outputs_n = 0;
        snprintf(t->fail_text, sizeof t->fail_text, "the result is larger than a message may be");
        task_flush(t);
    }
}

void task_flush(struct task *t)
{
    if (!t->worker->welcomed)
        return;
    if (t->ending == ENDING_NO) {
        flush_steps(t);
        flush_calls(t);
    } else if (!t->sent && t->ending == ENDING_RELEASE) {
        struct msg m = { .type = MSG_RELEASE,
                         .RELEASE = { str_of(t->key), t->fence, str_of("draining") } };
        t->sent = worker_send(t->worker, &m, NULL, 0) == OK;
    } else if (!t->sent) {
        flush_done(t, t->ending == ENDING_FAIL);
    }
}
