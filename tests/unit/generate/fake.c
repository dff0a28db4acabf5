/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/generate/fake.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

static void nothing(void *ctx)
{
    (void)ctx;
}

bool fake_open(struct fake *f, const struct stage_ops *ops, struct err *err, ...)
{
    struct conf_flag flags[32];
    size_t n = 0;
    va_list ap;
    va_start(ap, err);
    for (const char *path; (path = va_arg(ap, const char *)) && n < COUNT(flags); n++) {
        const char *value = va_arg(ap, const char *);
        flags[n] = (struct conf_flag){ path, value };
    }
    va_end(ap);
    memset(f, 0, sizeof *f);
    buf_init(&f->live, PAWL_DOC_MAX);
    struct worker *w = &f->worker;
    w->ops = ops;
    w->accept = true;
    if (conf_load(&w->conf, "/dev/null", flags, n, err) != OK)
        return false;
    log_init(&w->log, "generate", getenv("FAKE_LOG") ? getenv("FAKE_LOG") : "error", false);
    w->mux = mux_new(err);
    w->hello = MUX_TIMER(nothing, w);
    w->beat = MUX_TIMER(nothing, w);
    w->resend = MUX_TIMER(nothing, w);
    w->text = MUX_TIMER(nothing, w);
    w->drain = MUX_TIMER(nothing, w);
    w->opened = w->mux && ops->open(w, &w->self, err) == OK;
    return w->opened;
}

void fake_close(struct fake *f)
{
    struct worker *w = &f->worker;
    for (struct task *t = w->tasks, *next; t; t = next) {
        next = t->next;
        if (t->ending == ENDING_NO)
            w->ops->cancel(w->self, t);
        task_free(t);
    }
    if (w->opened)
        w->ops->close(w->self);
    mux_free(w->mux);
    conf_free(w->conf);
    buf_fini(&f->live);
}

struct task *fake_task(struct fake *f, const char *stage, int round, const json_t *docs,
                       const json_t *facts)
{
    char key[128];
    struct err err = { 0 };
    struct buf packed;
    struct peer_in in = { 0 };
    struct msg_TASK m = { .stage = str_of(stage) };
    zmq_msg_t *frames = calloc(PAWL_FRAMES_MAX, sizeof *frames);
    const char *name;
    json_t *doc;
    zmq_msg_init(&frames[0]);
    in.frames = frames;
    in.n = 1;
    snprintf(key, sizeof key, "0000000000a1/1/%d/%s/0", round, stage);
    m.task = str_of(key);
    json_object_foreach ((json_t *)(uintptr_t)docs, name, doc) {
        char plain[64];
        snprintf(plain, sizeof plain, "%.*s", (int)strcspn(name, "@"), name);
        buf_init(&packed, PAWL_FRAME_MAX);
        if (doc_pack(plain, doc, &packed, &err) != OK) {
            fprintf(stderr, "%s: %s\n", name, err.text);
            abort();
        }
        zmq_msg_init_size(&frames[in.n], packed.len);
        memcpy(zmq_msg_data(&frames[in.n]), packed.data, packed.len);
        in.n++;
        m.docs.v[m.docs.n++] = str_of(name);
        buf_fini(&packed);
    }
    struct buf raw;
    buf_init(&raw, PAWL_TEXT_MAX);
    json_t *none = json_object();
    enum status st = js_to_mp(facts ? facts : none, &raw);
    assert(st == OK);
    (void)st;
    m.facts = buf_get(&raw);
    struct task *t = task_new(&f->worker, &m, &in, &err);
    json_decref(none);
    buf_fini(&raw);
    peer_in_free(&in);
    if (!t)
        fprintf(stderr, "fake task: %s\n", err.text);
    else
        f->worker.ops->begin(f->worker.self, t);
    return t;
}

/* What the broker would do: acknowledge steps, have calls answered. */
static void serve(struct fake *f, struct task *t)
{
    while (t->ending == ENDING_NO && t->step_waits) {
        struct hash h = t->step_waits->hash;
        f->steps++;
        f->tokens_out += t->step_waits->use.tokens_out;
        task_on_stepped(t, (struct str){ (const char *)h.b, HASH_BYTES });
    }
    while (t->ending == ENDING_NO && t->call_waits && !task_step_find(t, &t->call_waits->hash)) {
        struct call_wait *c = t->call_waits;
        struct peer_in in = { 0 };
        struct err err = { 0 };
        json_t *call = NULL;
        zmq_msg_t *frames = calloc(2, sizeof *frames);
        enum status st = doc_unpack("call", buf_get(&c->frame), &call, &err);
        assert(st == OK);
        (void)st;
        f->calls++;
        const char *text = f->tool
                               ? f->tool(f->tool_ctx, js_str(call, "server"), js_str(call, "tool"),
                                         json_object_get(call, "arguments"))
                               : NULL;
        struct msg_CALLED m = { .task = str_of(t->key),
                                .call = str_of(c->id),
                                .fault = str_of(text ? "" : "permanent"),
                                .text = str_of("no such tool") };
        zmq_msg_init(&frames[0]);
        in.frames = frames;
        in.n = 1;
        if (text) {
            struct buf b;
            json_t *result = json_pack("{s:b,s:s}", "ok", 1, "text", text);
            buf_init(&b, PAWL_FRAME_MAX);
            st = doc_pack("result", result, &b, &err);
            assert(st == OK);
            zmq_msg_init_size(&frames[1], b.len);
            memcpy(zmq_msg_data(&frames[1]), b.data, b.len);
            in.n = 2;
            buf_fini(&b);
            json_decref(result);
        }
        json_decref(call);
        task_on_called(t, &m, &in);
        peer_in_free(&in);
        while (t->ending == ENDING_NO && t->step_waits) { /* the recorded result */
            struct hash h = t->step_waits->hash;
            task_on_stepped(t, (struct str){ (const char *)h.b, HASH_BYTES });
        }
    }
}

void fake_turn(struct fake *f, int64_t wait_ms)
{
    struct err err = { 0 };
    for (struct task *t = f->worker.tasks; t; t = t->next)
        serve(f, t);
    enum status st = mux_turn(f->worker.mux, wait_ms, &err);
    assert(st == OK);
    (void)st;
    for (struct task *t = f->worker.tasks; t; t = t->next) {
        buf_view(&f->live, buf_get(&t->text));
        t->text_offset += t->text.len;
        buf_clear(&t->text);
        serve(f, t);
    }
}

bool fake_ready(struct fake *f, int64_t wait_ms)
{
    int64_t deadline = mono_now().ms + wait_ms;
    while (!f->worker.accept && mono_now().ms < deadline)
        fake_turn(f, 50);
    return f->worker.accept;
}

bool fake_run(struct fake *f, struct task *t, int64_t wait_ms)
{
    int64_t deadline = mono_now().ms + wait_ms;
    while (t->ending == ENDING_NO && mono_now().ms < deadline)
        fake_turn(f, 50);
    return t->ending != ENDING_NO;
}

json_t *fake_result(struct task *t, const char *name)
{
    json_t *v = NULL;
    struct err err = { 0 };
    for (uint32_t i = 0; i < t->outputs_n; i++) {
        if (strcmp(t->outputs[i].name, name) == 0 &&
            doc_unpack(name, buf_get(&t->outputs[i].frame), &v, &err) != OK)
            fprintf(stderr, "%s: %s\n", name, err.text);
    }
    return v;
}

void fake_take(struct task *t)
{
    task_free(t);
}
