/* SPDX-License-Identifier: Apache-2.0 */
/* loop: one turn. Gather what has arrived and step the core; seal: one batch to the store; release
 * the turn's messages when the store says that the batch is durable. */
#include "broker/broker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLYING_BYTES_MAX = 256 * 1024 * 1024, LOG_MALFORMED_MS = 1000 };

/* ---- messages out ----------------------------------------------------------------------------- */

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
    *o = (struct out){ .peer = f->peer, .req = f->req, .header = keep(f->header), .header_n = f->header.n,
                       .is_task = f->kind == FX_TASK, .job = f->job, .fence = f->fence };
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

enum status loop_send(struct broker *b, uint64_t peer, struct str header, const struct buf *frames, uint32_t n)
{
    struct conn *c = conn_find(b, peer);
    struct str views[PAWL_FRAMES_MAX];
    if (!c || c->gone)
        return ERR_NOT_FOUND;
    assert(n < PAWL_FRAMES_MAX);
    for (uint32_t i = 0; i < n; i++) {
        views[i] = buf_get(&frames[i]);
        if (views[i].n == 0)
            views[i] = (struct str){ "\0\xc0", 2 }; /* absent: nil */
    }
    return sent(b, c, peer_send_raw(b->peer, (struct str){ c->routing, c->routing_n }, header, views, n));
}

/* Answers that promise nothing: refusals, what was read. */
void loop_say(struct broker *b, uint64_t peer, struct msg *m, const struct str *frames, uint32_t n)
{
    struct conn *c = conn_find(b, peer);
    if (!c || c->gone)
        return;
    m->epoch = b->epoch.incarnation;
    enum status st = sent(b, c, peer_send(b->peer, (struct str){ c->routing, c->routing_n }, m, frames, n));
    if (st != OK && st != ERR_NOT_FOUND)
        log_line(&b->log, LOG_WARN, "message not sent", "type", msg_name(m->type), "peer", c->name, "why",
                 status_text(st), NULL);
}

void loop_refuse(struct broker *b, uint64_t peer, uint64_t req, enum status code, const char *text, const char *fix)
{
    struct msg m = { .type = MSG_REFUSED };
    bool later = code == ERR_BUSY || code == ERR_UNAVAILABLE;
    m.REFUSED = (struct msg_REFUSED){ .req = req, .code = str_of(status_name(code)), .text = str_of(text),
                                      .fix = str_of(fix), .retry_after_ms = later ? 1000 : 0 };
    b->counters.refused++;
    loop_say(b, peer, &m, NULL, 0);
}

/* ---- messages in ------------------------------------------------------------------------------ */

void loop_keep_input(struct broker *b, struct peer_in *in)
{
    struct input *i = calloc(1, sizeof *i);
    assert(i);
    i->in = *in;
    i->next = b->inputs;
    b->inputs = i;
    in->frames = NULL;
    in->n = 0;
}

static void free_inputs(struct broker *b)
{
    while (b->inputs) {
        struct input *i = b->inputs;
        b->inputs = i->next;
        peer_in_free(&i->in);
        free(i);
    }
}

static void malformed(struct broker *b, struct conn *c, enum status code, const char *why)
{
    b->counters.malformed++;
    if (b->now_ms - b->malformed_logged_ms >= LOG_MALFORMED_MS) {
        b->malformed_logged_ms = b->now_ms;
        char n[24];
        snprintf(n, sizeof n, "%llu", (unsigned long long)b->counters.malformed);
        log_line(&b->log, LOG_WARN, "malformed message", "why", why, "peer", c && c->name[0] ? c->name : "?",
                 "so_far", n, NULL);
    }
    if (c)
        loop_refuse(b, c->id, 0, code == ERR_LIMIT ? ERR_LIMIT : ERR_PROTOCOL, why, "");
}

static uint64_t request_number(const struct msg *m)
{
    return m->type >= MSG_SUBMIT || m->type == MSG_PING ? m->PING.req : 0;
}

static void note_hello(struct conn *c, const struct msg *m)
{
    if (m->type != MSG_HELLO)
        return;
    c->worker = str_is(m->HELLO.role, "worker");
    c->client = str_is(m->HELLO.role, "client");
    snprintf(c->name, sizeof c->name, "%.*s", STR_ARG(m->HELLO.name));
    snprintf(c->version, sizeof c->version, "%.*s", STR_ARG(m->HELLO.version));
}

static void step_message(struct broker *b, struct conn *c, const struct msg *m, struct peer_in *in)
{
    struct edge e = { .ev = broker_event(b, EV_MSG) };
    struct str frames[PAWL_FRAMES_MAX];
    struct err err = { 0 };
    uint32_t n = in->n - 1;
    for (uint32_t i = 0; i < n; i++)
        frames[i] = peer_frame(in, i + 1);
    e.ev.peer = c->id;
    e.ev.access = access_project(c->role);
    e.ev.role = str_of(c->role);
    enum status st = edge_fill(b, &e, m, frames, n, &err);
    if (st != OK && (m->type == MSG_DONE || m->type == MSG_FAIL)) {
        e.ev.wrong = err.text; /* the task fails by it: refusing would be heard again and again */
        st = OK;
    }
    if (st == OK)
        broker_step(b, &e.ev);
    else
        loop_refuse(b, c->id, request_number(m), st, err.text, err.fix);
    edge_fini(&e);
}

/* Whether the blob is there is asked in line with the commits, and checked again by the commit. */
struct submission {
    struct broker *b;
    uint64_t conn;
    struct peer_in in;
};

static void on_has_blob(void *ctx, enum status st, const struct str *v, uint32_t n)
{
    struct submission *s = ctx;
    struct broker *b = s->b;
    struct conn *c = conn_find(b, s->conn);
    struct msg m;
    if (c && msg_decode(peer_frame(&s->in, 0), &m, NULL) == OK) {
        if (st != OK || !b->core || b->broken) {
            loop_refuse(b, c->id, m.SUBMIT.req, ERR_UNAVAILABLE, "the store cannot be reached", "try again");
        } else if (n == 0 || !str_is(v[0], "1")) {
            struct msg need = { .type = MSG_NEED, .NEED = { m.SUBMIT.req, m.SUBMIT.workspace } };
            loop_say(b, c->id, &need, NULL, 0);
        } else {
            step_message(b, c, &m, &s->in);
            loop_keep_input(b, &s->in);
        }
    }
    peer_in_free(&s->in);
    free(s);
}

static void submit_with_blob(struct broker *b, struct conn *c, const struct msg *m, struct peer_in *in)
{
    struct submission *s = calloc(1, sizeof *s);
    char hex[HASH_HEX + 1];
    struct hash h;
    assert(s);
    memcpy(h.b, m->SUBMIT.workspace.p, sizeof h.b);
    hash_hex(&h, hex);
    struct str name = str_of(hex);
    *s = (struct submission){ b, c->id, *in };
    struct store_get g = { .kind = GET_HAS, .names = &name, .names_n = 1 };
    enum status st = b->store.ops->get(b->store.self, &g, on_has_blob, s);
    if (st != OK) {
        loop_refuse(b, c->id, m->SUBMIT.req, ERR_UNAVAILABLE, "the store cannot be reached", "try again");
        free(s);
        return;
    }
    in->frames = NULL;
    in->n = 0;
}

static bool memory_short(const struct broker *b)
{
    return b->state.max_bytes > 0 && b->state.used_bytes / 9 >= b->state.max_bytes / 10;
}

static void take_change(struct broker *b, struct conn *c, const struct msg *m, struct peer_in *in)
{
    if (memory_short(b) && (m->type == MSG_SUBMIT || m->type == MSG_PUT)) {
        loop_refuse(b, c->id, request_number(m), ERR_BUSY, "the store's memory is more than 90 % full",
                    "remove jobs, or raise Redis's maxmemory");
    } else if (m->type == MSG_PUT) {
        serve_put(b, c, &m->PUT, in);
    } else if (m->type == MSG_SUBMIT && m->SUBMIT.workspace.n == HASH_BYTES && core_peer_known(b->core, c->id)) {
        submit_with_blob(b, c, m, in);
    } else {
        step_message(b, c, m, in);
    }
}

/* While the store is away nothing can be promised. Workers keep their results and say them again. */
static void take_while_down(struct broker *b, struct conn *c, const struct msg *m)
{
    struct msg pong = { .type = MSG_PONG, .PONG = { m->type == MSG_PING ? m->PING.req : 0 } };
    if (m->type == MSG_PING)
        loop_say(b, c->id, &pong, NULL, 0);
    else if (m->type == MSG_STATUS)
        serve_status(b, c, m->STATUS.req);
    else if (m->type >= MSG_SUBMIT)
        loop_refuse(b, c->id, request_number(m), ERR_UNAVAILABLE, b->state.reason, b->state.fix);
}

static void take_message(struct broker *b, struct conn *c, const struct msg *m, struct peer_in *in)
{
    struct err err = { 0 };
    if (msg_from_broker(m->type)) {
        malformed(b, c, ERR_PROTOCOL, "not a message for the broker");
        return;
    }
    if (access_check(c->role, m, &err) != OK) {
        loop_refuse(b, c->id, request_number(m), ERR_DENIED, err.text, "ask for another role in the allow file");
        return;
    }
    note_hello(c, m);
    if (!b->core || b->broken)
        take_while_down(b, c, m);
    else if (!serve(b, c, m))
        take_change(b, c, m, in);
}

static bool take_one(struct broker *b)
{
    struct peer_in in;
    struct msg m;
    struct err err = { 0 };
    enum status st = peer_recv(b->peer, &in);
    if (st == ERR_BUSY)
        return false;
    struct conn *c = in.from.n ? conn_of(b, &in) : NULL;
    if (st == ERR_DENIED && c) {
        loop_refuse(b, c->id, 0, ERR_DENIED, "the key of this connection is not in the allow file", "");
    } else if (st != OK) {
        malformed(b, c, st, "too many frames");
    } else if (c) {
        b->counters.messages++;
        c->heard_ms = b->now_ms;
        st = msg_decode(peer_frame(&in, 0), &m, &err);
        if (st == OK)
            take_message(b, c, &m, &in);
        else
            malformed(b, c, st, err.text);
    }
    if (st == OK && in.n)
        loop_keep_input(b, &in);
    peer_in_free(&in);
    return true;
}

void loop_on_socket(void *ctx, void *socket)
{
    struct broker *b = ctx;
    (void)socket;
    if (mux_now(b->mux).ms > b->now_ms)
        b->now_ms = mux_now(b->mux).ms;
    for (int i = 0; i < GATHER_MAX && take_one(b); i++)
        ;
}

/* ---- sealing ---------------------------------------------------------------------------------- */

static bool needs_turn(const struct effects *fx)
{
    for (uint32_t i = 0; i < fx->n; i++) {
        enum fx_kind k = fx->v[i].kind;
        if (fx->v[i].guarded || k == FX_RECORD || k == FX_DOC || k == FX_UNDOC || k == FX_EVENT || k == FX_FORGET)
            return true;
    }
    return false;
}

/* What promises nothing goes out at once. */
static void say_now(struct broker *b, struct fx *f)
{
    struct buf frames[1];
    assert(f->frames_n == 0);
    enum status st = loop_send(b, f->peer, f->header, frames, 0);
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

static void fill_turn(struct broker *b, struct turn *t, struct batch *batch)
{
    char id[EVENT_ID_MAX];
    for (uint32_t i = 0; i < b->fx.n; i++) {
        struct fx *f = &b->fx.v[i];
        batch_add(batch, f, id);
        if (f->kind == FX_EVENT)
            add_told(t, id, f);
        if ((f->kind == FX_SEND && f->guarded) || f->kind == FX_TASK)
            turn_add_out(t, out_new(f));
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
    batch_init(&batch, &b->epoch, &b->event_no, b->wall_ms, (uint32_t)conf_int(b->conf, CONF_RETAIN_EVENTS));
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
    int64_t at = b->core ? core_deadline(b->core) : INT64_MAX;
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
    free_inputs(b);
    set_due(b);
    throttle(b);
}

/* ---- release ---------------------------------------------------------------------------------- */

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
    bool same = s->epoch == b->epoch.incarnation; /* a lease of an earlier epoch is nobody's promise */
    if (same && st == OK)
        st = loop_send(b, s->out->peer, (struct str){ s->out->header, s->out->header_n }, frames, n);
    if (same && st != OK)
        unsent(b, s->out);
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
    while (t->outs) {
        struct out *o = t->outs;
        t->outs = o->next;
        if (o->is_task) {
            release_task(b, o);
            continue;
        }
        enum status st = loop_send(b, o->peer, (struct str){ o->header, o->header_n }, o->frames, o->frames_n);
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
                loop_refuse(b, o->peer, o->req, ERR_UNAVAILABLE, why, "say it again: what was done is not done twice");
        }
        turn_free(t);
    }
    assert(b->flying_n == 0);
}
