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

static void *take(struct turn *t, size_t n)
{
    void *p = arena_alloc(&t->arena, n);
    assert(p); /* a broker without memory for a message cannot say so either */
    return p;
}

static struct str keep(struct turn *t, struct str s)
{
    if (s.n == 0)
        return (struct str){ "", 0 };
    char *p = arena_dup(&t->arena, s.p, s.n);
    assert(p);
    return (struct str){ p, s.n };
}

static void add_out(struct turn *t, const struct fx *f)
{
    struct out *o = take(t, sizeof *o);
    *o = (struct out){ .turn = t,
                       .peer = f->peer,
                       .req = f->req,
                       .header = keep(t, f->header),
                       .frames = take(t, f->frames_n * sizeof *o->frames),
                       .frames_n = f->frames_n,
                       .is_task = f->kind == FX_TASK,
                       .job = f->job,
                       .needs = take(t, f->needs_n * sizeof *o->needs),
                       .needs_n = f->needs_n,
                       .task = keep(t, f->task),
                       .fence = f->fence };
    for (uint32_t i = 0; i < f->frames_n; i++)
        o->frames[i] = keep(t, f->frames[i]);
    for (uint32_t i = 0; i < f->needs_n; i++) {
        o->needs[i] = f->needs[i];
        o->needs[i].name = keep(t, f->needs[i].name);
        o->needs[i].bytes = keep(t, f->needs[i].bytes);
    }
    *t->outs_end = o;
    t->outs_end = &o->next;
}

/* Not forgotten here: whoever sends may be walking over connections or subscriptions. */
static enum status sent(struct broker *b, struct conn *c, enum status st)
{
    if (st == ERR_NOT_FOUND)
        c->gone = b->some_gone = true;
    return st;
}

enum status loop_send(struct broker *b, uint64_t peer, struct str header, const struct str *frames,
                      uint32_t n)
{
    struct conn *c = conn_find(b, peer);
    struct str views[PAWL_FRAMES_MAX];
    if (!c || c->gone)
        return ERR_NOT_FOUND;
    if (!broker_sure(b))
        return ERR_UNAVAILABLE;
    assert(n < PAWL_FRAMES_MAX);
    for (uint32_t i = 0; i < n; i++)
        views[i] = frames[i].n ? frames[i] : (struct str){ "\0\xc0", 2 }; /* absent: nil */
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

static struct turn *turn_new(struct broker *b)
{
    struct turn *t = calloc(1, sizeof *t);
    assert(t);
    t->b = b;
    t->number = ++b->turn_no;
    t->incarnation = b->epoch.incarnation;
    t->users = 1;
    t->outs_end = &t->outs;
    arena_init(&t->arena, SIZE_MAX / 2);
    return t;
}

static void turn_leave(struct turn *t)
{
    if (--t->users > 0)
        return;
    while (t->docs) {
        struct cached_doc *d = t->docs;
        t->docs = d->next;
        free(d);
    }
    arena_fini(&t->arena);
    free(t);
}

static void add_told(struct turn *t, const struct told *told)
{
    t->told[t->told_n] = *told;
    t->told[t->told_n++].bytes = keep(t, told->bytes);
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

static void fill_turn(struct broker *b, struct turn *t)
{
    struct told told;
    uint32_t events = 0;
    for (uint32_t i = 0; i < b->fx.n; i++)
        events += b->fx.v[i].kind == FX_EVENT;
    t->told = take(t, events * sizeof *t->told);
    for (uint32_t i = 0; i < b->fx.n; i++) {
        struct fx *f = &b->fx.v[i];
        batch_add(&b->batch, f, &told);
        if (f->kind == FX_EVENT)
            add_told(t, &told);
        if (f->kind == FX_DOC)
            turn_add_doc(b, t, f);
        if ((f->kind == FX_SEND && f->guarded) || f->kind == FX_TASK)
            add_out(t, f);
        if (f->kind == FX_TASK)
            conn_tasks(b, f->peer, 1);
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
    struct str bytes = { 0 };
    struct turn *t = turn_new(b);
    b->batch.epoch = b->epoch;
    b->batch.now_ms = b->wall_ms;
    b->batch.events_max = (uint32_t)conf_int(b->conf, CONF_RETAIN_EVENTS);
    fill_turn(b, t);
    enum status st = b->fx.failed ? ERR_NOMEM : batch_encode(&b->batch, &bytes);
    t->bytes = bytes.n;
    t->sent_us = mono_now_us();
    fly(b, t);
    if (st == OK)
        st = b->store.ops->commit(b->store.self, t->number, bytes);
    if (st != OK) {
        struct err err = { 0 };
        err_set(&err, st, "turn not sent to the store: %s", status_text(st));
        broker_lost(b, st, &err);
    }
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
        if (needs_turn(&b->fx) || b->batch.n)
            commit(b);
        forget_gone(b);
    }
    effects_clear(&b->fx);
    batch_clear(&b->batch);
    loop_free_inputs(b);
    set_due(b);
    throttle(b);
}

/* ---- release ------------------------------------------------------------------------------ */

static void unsent(struct broker *b, const struct out *o)
{
    struct event ev = broker_event(b, EV_UNSENT);
    ev.peer = o->peer;
    ev.task = o->task;
    ev.fence = o->fence;
    if (b->core && !b->broken)
        broker_step(b, &ev);
}

static void on_docs(void *ctx, enum status st, const struct str *frames, uint32_t n)
{
    struct out *o = ctx;
    struct broker *b = o->turn->b;
    /* A lease of an earlier epoch is nobody's promise. */
    bool same = o->turn->incarnation == b->epoch.incarnation;
    if (same && b->core && !b->broken && !core_leased(b->core, o->task, o->fence))
        st = OK; /* it ended while its documents were read, and its DROP went ahead of it */
    else if (same && st == OK)
        st = loop_send(b, o->peer, o->header, frames, n);
    if (same && st != OK)
        unsent(b, o);
    if (same)
        conn_tasks(b, o->peer, -1);
    turn_leave(o->turn);
}

static void release(struct broker *b, struct turn *t)
{
    cache_docs(b, t);
    while (t->outs) {
        struct out *o = t->outs;
        t->outs = o->next;
        if (o->is_task) {
            t->users++;
            fetch_docs(b, o->job, o->needs, o->needs_n, on_docs, o);
        } else if (loop_send(b, o->peer, o->header, o->frames, o->frames_n) == ERR_BUSY) {
            log_line(&b->log, LOG_WARN, "a peer does not read: message dropped", NULL);
        }
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
    turn_leave(t);
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
        turn_leave(t);
    }
    assert(b->flying_n == 0);
    doc_cache_clear(&b->docs);
    conns_no_tasks(b);
}
