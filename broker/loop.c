/* SPDX-License-Identifier: Apache-2.0 */
/* loop: one turn, after gather.c has stepped the core. Seal: one batch to the store; release the
 * turn's messages when the store says that the batch is durable. */
#include "broker/broker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLYING_BYTES_MAX = 256 * 1024 * 1024 };

/* ---- messages out ------------------------------------------------------------------------- */

void out_free(struct out *o)
{
    for (uint32_t i = 0; i < o->frames_n; i++) {
        if (o->frames[i].data)
            buf_fini(&o->frames[i]);
    }
    for (uint32_t i = 0; i < o->needs_n; i++) {
        free((char *)(uintptr_t)o->needs[i].name.p);
        free((char *)(uintptr_t)o->needs[i].bytes.p);
    }
    free(o->frames);
    free(o->needs);
    free(o->task);
    free(o->header);
    free(o);
}

static char *keep(struct str s)
{
    char *p = malloc(s.n + 1);
    assert(p);
    memcpy(p, s.p ? s.p : "", s.n);
    p[s.n] = '\0';
    return p;
}

static struct out *out_new(const struct fx *f)
{
    struct out *o = calloc(1, sizeof *o);
    assert(o);
    *o = (struct out){ .peer = f->peer,
                       .req = f->req,
                       .header = keep(f->header),
                       .header_n = f->header.n,
                       .is_task = f->kind == FX_TASK,
                       .job = f->job,
                       .fence = f->fence };
    o->frames = calloc(f->frames_n + 1, sizeof *o->frames);
    o->needs = calloc(f->needs_n + 1, sizeof *o->needs);
    assert(o->frames && o->needs);
    for (uint32_t i = 0; i < f->frames_n; i++) {
        buf_init(&o->frames[i], PAWL_FRAME_MAX);
        buf_view(&o->frames[i], f->frames[i]);
    }
    o->frames_n = f->frames_n;
    for (uint32_t i = 0; i < f->needs_n; i++) {
        o->needs[i] = f->needs[i];
        o->needs[i].name.p = keep(f->needs[i].name);
        o->needs[i].bytes.p = keep(f->needs[i].bytes);
    }
    o->needs_n = f->needs_n;
    if (o->is_task)
        o->task = keep(f->task);
    return o;
}

/* Not forgotten here: whoever sends may be walking over connections or subscriptions. */
static enum status sent(struct broker *b, struct conn *c, enum status st)
{
    if (st == ERR_NOT_FOUND)
        c->gone = b->some_gone = true;
    return st;
}

enum status loop_send(struct broker *b, uint64_t peer, struct str header, const struct buf *frames,
                      uint32_t n)
{
    struct conn *c = conn_find(b, peer);
    struct str views[PAWL_FRAMES_MAX];
    if (!c || c->gone)
        return ERR_NOT_FOUND;
    if (!broker_sure(b))
        return ERR_UNAVAILABLE;
    assert(n < PAWL_FRAMES_MAX);
    for (uint32_t i = 0; i < n; i++) {
        views[i] = buf_get(&frames[i]);
        if (views[i].n == 0)
            views[i] = (struct str){ "\0\xc0", 2 }; /* absent: nil */
    }
    return sent(b, c,
                peer_send_raw(b->peer, (struct str){ c->routing, c->routing_n }, header, views, n));
}

/* Answers that promise nothing: refusals, what was read. Without a store it says that it has none,
 * as long as it does not know that another one leads. */
void loop_say(struct broker *b, uint64_t peer, struct msg *m, const struct str *frames, uint32_t n)
{
    struct conn *c = conn_find(b, peer);
    bool down = b->broken || !b->core;
    if (!c || c->gone || (down ? b->deposed : !broker_sure(b)))
        return;
    m->epoch = b->epoch.incarnation;
    enum status st =
        sent(b, c, peer_send(b->peer, (struct str){ c->routing, c->routing_n }, m, frames, n));
    if (st != OK && st != ERR_NOT_FOUND)
        log_line(&b->log, LOG_WARN, "message not sent", "type", msg_name(m->type), "peer", c->name,
                 "why", status_text(st), NULL);
}

void loop_refuse(struct broker *b, uint64_t peer, uint64_t req, enum status code, const char *text,
                 const char *fix)
{
    struct msg m = { .type = MSG_REFUSED };
    bool later = code == ERR_BUSY || code == ERR_UNAVAILABLE;
    m.REFUSED = (struct msg_REFUSED){ .req = req,
                                      .code = str_of(status_name(code)),
                                      .text = str_of(text),
                                      .fix = str_of(fix),
                                      .retry_after_ms = later ? 1000 : 0 };
    b->counters.refused++;
    loop_say(b, peer, &m, NULL, 0);
}

/* ---- sealing ------------------------------------------------------------------------------ */

static bool needs_turn(const struct effects *fx)
{
    for (uint32_t i = 0; i < fx->n; i++) {
        enum fx_kind k = fx->v[i].kind;
        if (fx->v[i].guarded || k == FX_RECORD || k == FX_DOC || k == FX_UNDOC || k == FX_EVENT ||
            k == FX_FORGET || k == FX_HALTS)
            return true;
    }
    return false;
}

/* What promises nothing goes out at once. */
static void say_now(struct broker *b, struct fx *f)
{
    assert(f->frames_n == 0);
    enum status st = loop_send(b, f->peer, f->header, NULL, 0);
    (void)st; /* refusals and pongs: whoever misses one asks again */
}

static void add_told(struct turn *t, const char id[EVENT_ID_MAX], const struct fx *f)
{
    struct told *told = &t->told[t->told_n++];
    memcpy(told->id, id, EVENT_ID_MAX);
    event_encode(f, &told->bytes);
}

static struct turn *turn_new(struct broker *b)
{
    struct turn *t = calloc(1, sizeof *t);
    assert(t);
    t->number = ++b->turn_no;
    t->outs_end = &t->outs;
    t->told = calloc(b->fx.n + 1, sizeof *t->told);
    assert(t->told);
    return t;
}

static void turn_free(struct turn *t)
{
    while (t->docs) {
        struct cached_doc *d = t->docs;
        t->docs = d->next;
        free(d);
    }
    while (t->outs) {
        struct out *o = t->outs;
        t->outs = o->next;
        out_free(o);
    }
    for (uint32_t i = 0; i < t->told_n; i++)
        buf_fini(&t->told[i].bytes);
    free(t->told);
    free(t);
}

static void turn_add_out(struct turn *t, struct out *o)
{
    o->next = NULL;
    *t->outs_end = o;
    t->outs_end = &o->next;
}

/* Steps are many and read again only after a failure: not worth their place. */
static void turn_add_doc(struct broker *b, struct turn *t, const struct fx *f)
{
    if (f->field.n >= 5 && memcmp(f->field.p, "step/", 5) == 0)
        return;
    struct cached_doc *d = cached_doc_new(f->job, f->field, f->bytes);
    if (!d) {
        doc_cache_clear(&b->docs); /* it may hold what this one replaces */
        return;
    }
    d->next = t->docs;
    t->docs = d;
}

/* From here on it is what the store holds. */
static void cache_docs(struct broker *b, struct turn *t)
{
    struct cached_doc *in_order = NULL;
    while (t->docs) {
        struct cached_doc *d = t->docs;
        t->docs = d->next;
        d->next = in_order;
        in_order = d;
    }
    while (in_order) {
        struct cached_doc *d = in_order;
        in_order = d->next;
        doc_cache_put(&b->docs, d);
    }
}

static void fill_turn(struct broker *b, struct turn *t, struct batch *batch)
{
    char id[EVENT_ID_MAX];
    for (uint32_t i = 0; i < b->fx.n; i++) {
        struct fx *f = &b->fx.v[i];
        batch_add(batch, f, id);
        if (f->kind == FX_EVENT)
            add_told(t, id, f);
        if (f->kind == FX_DOC)
            turn_add_doc(b, t, f);
        if ((f->kind == FX_SEND && f->guarded) || f->kind == FX_TASK)
            turn_add_out(t, out_new(f));
        if (f->kind == FX_TASK)
            conn_tasks(b, f->peer, 1);
    }
    batch->n += b->extra.n;
    buf_view(&batch->ops, buf_get(&b->extra.ops));
    while (b->extra_outs) {
        struct out *o = b->extra_outs;
        b->extra_outs = o->next;
        turn_add_out(t, o);
    }
}

static void fly(struct broker *b, struct turn *t)
{
    *b->flying_end = t;
    b->flying_end = &t->next;
    b->flying_n++;
    b->flying_bytes += t->bytes;
    b->counters.turns++;
}

static void commit(struct broker *b)
{
    struct batch batch;
    struct buf bytes;
    struct turn *t = turn_new(b);
    batch_init(&batch, &b->epoch, &b->event_no, b->wall_ms,
               (uint32_t)conf_int(b->conf, CONF_RETAIN_EVENTS));
    buf_init(&bytes, BATCH_MAX);
    fill_turn(b, t, &batch);
    enum status st = b->fx.failed ? ERR_NOMEM : batch_encode(&batch, &bytes);
    t->bytes = bytes.len;
    t->sent_us = mono_now_us();
    fly(b, t);
    if (st == OK)
        st = b->store.ops->commit(b->store.self, t->number, buf_get(&bytes));
    if (st != OK) {
        struct err err = { 0 };
        err_set(&err, st, "turn not sent to the store: %s", status_text(st));
        broker_lost(b, st, &err);
    }
    batch_fini(&batch);
    buf_fini(&bytes);
}

static void throttle(struct broker *b)
{
    bool full = b->flying_n >= TURNS_MAX || b->flying_bytes >= FLYING_BYTES_MAX;
    if (full == b->paused)
        return;
    b->paused = full;
    if (full)
        mux_socket_remove(b->mux, peer_socket(b->peer));
    else if (mux_socket(b->mux, peer_socket(b->peer), loop_on_socket, b) != OK)
        mux_stop(b->mux);
}

static void forget_gone(struct broker *b)
{
    for (uint32_t i = 0; i < b->fx.n; i++) {
        if (b->fx.v[i].kind == FX_GONE)
            conn_forget(b, b->fx.v[i].peer);
    }
}

/* Messages that were refused while effects are said may add effects: say by index. */
static void say_all_now(struct broker *b)
{
    for (uint32_t i = 0; i < b->fx.n; i++) {
        struct fx f = b->fx.v[i];
        if (f.kind == FX_SEND && !f.guarded)
            say_now(b, &f);
        else if (f.kind == FX_LIVE)
            watch_live(b, &f);
    }
}

static void set_due(struct broker *b)
{
    int64_t at = b->core && !b->broken ? core_deadline(b->core) : INT64_MAX;
    if (b->some_gone)
        at = 0; /* in the next turn, which is now */
    if (at == INT64_MAX)
        mux_timer_stop(b->mux, &b->due);
    else
        mux_timer_at(b->mux, &b->due, (struct mono){ at });
}

void loop_seal(void *ctx)
{
    struct broker *b = ctx;
    conns_bury(b);
    if (b->core && !b->broken) {
        say_all_now(b);
        core_seal(b->core, &b->fx);
        if (needs_turn(&b->fx) || b->extra.n || b->extra_outs)
            commit(b);
        forget_gone(b);
    }
    effects_clear(&b->fx);
    buf_clear(&b->extra.ops);
    b->extra.n = 0;
    loop_free_inputs(b);
    set_due(b);
    throttle(b);
}

/* ---- release ------------------------------------------------------------------------------ */

static void unsent(struct broker *b, const struct out *o)
{
    struct event ev = broker_event(b, EV_UNSENT);
    ev.peer = o->peer;
    ev.task = (struct str){ o->task, strlen(o->task) };
    ev.fence = o->fence;
    if (b->core && !b->broken)
        broker_step(b, &ev);
}

struct task_sending {
    struct broker *b;
    struct out *out;
    uint64_t epoch;
};

static void on_docs(void *ctx, enum status st, struct buf *frames, uint32_t n)
{
    struct task_sending *s = ctx;
    struct broker *b = s->b;
    bool same =
        s->epoch == b->epoch.incarnation; /* a lease of an earlier epoch is nobody's promise */
    struct str key = { s->out->task, strlen(s->out->task) };
    if (same && b->core && !b->broken && !core_leased(b->core, key, s->out->fence))
        st = OK; /* it ended while its documents were read, and its DROP went ahead of it */
    else if (same && st == OK)
        st =
            loop_send(b, s->out->peer, (struct str){ s->out->header, s->out->header_n }, frames, n);
    if (same && st != OK)
        unsent(b, s->out);
    if (same)
        conn_tasks(b, s->out->peer, -1);
    out_free(s->out);
    free(s);
}

static void release_task(struct broker *b, struct out *o)
{
    struct task_sending *s = calloc(1, sizeof *s);
    assert(s);
    *s = (struct task_sending){ b, o, b->epoch.incarnation };
    fetch_docs(b, o->job, o->needs, o->needs_n, on_docs, s);
}

static void release(struct broker *b, struct turn *t)
{
    cache_docs(b, t);
    while (t->outs) {
        struct out *o = t->outs;
        t->outs = o->next;
        if (o->is_task) {
            release_task(b, o);
            continue;
        }
        enum status st =
            loop_send(b, o->peer, (struct str){ o->header, o->header_n }, o->frames, o->frames_n);
        if (st == ERR_BUSY)
            log_line(&b->log, LOG_WARN, "a peer does not read: message dropped", NULL);
        out_free(o);
    }
    for (uint32_t i = 0; i < t->told_n; i++) {
        memcpy(b->last_event, t->told[i].id, sizeof b->last_event);
        watch_kept(b, &t->told[i]);
    }
}

static struct turn *take_oldest(struct broker *b)
{
    struct turn *t = b->flying;
    if (!t)
        return NULL;
    b->flying = t->next;
    if (!b->flying)
        b->flying_end = &b->flying;
    b->flying_n--;
    b->flying_bytes -= t->bytes;
    return t;
}

void loop_committed(void *ctx, enum status st, const struct err *err)
{
    struct broker *b = ctx;
    if (b->broken || !b->core)
        return; /* the rest of a broken chain */
    if (st != OK) {
        broker_lost(b, st, err);
        return;
    }
    struct turn *t = take_oldest(b);
    assert(t);
    b->state.last_turn_us = mono_now_us() - t->sent_us;
    release(b, t);
    turn_free(t);
}

void loop_drop_turns(struct broker *b, const char *why)
{
    struct turn *t;
    while ((t = take_oldest(b)) != NULL) {
        for (struct out *o = t->outs; o; o = o->next) {
            if (o->req)
                loop_refuse(b, o->peer, o->req, ERR_UNAVAILABLE, why,
                            "say it again: what was done is not done twice");
        }
        turn_free(t);
    }
    assert(b->flying_n == 0);
    doc_cache_clear(&b->docs);
    conns_no_tasks(b);
}
