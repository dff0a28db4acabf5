/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/cli/link.h"

#include "common/endpoints.h"
#include "common/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    HELLO_MS = 200,
    TICK_MS = 100,
    CREDIT = 256,
    HEARTBEAT_MS = 2000,
    SILENCE_MS = 10000,
    BODY_MAX = 128 << 20
};

static void on_socket(void *ctx, void *socket);

struct question {
    struct question *next;
    uint64_t req;
    struct buf header;
    struct str frames[PAWL_FRAMES_MAX];
    uint32_t frames_n;
    char *bytes; /* what the frames point into */
    bool sent, again;
    int refused; /* times that a broker did not know us */
    link_fn *fn;
    void *ctx;
};

struct subscription {
    struct subscription *next;
    uint64_t req;
    char job[PAWL_NAME_MAX + 1], since[64];
    uint32_t left; /* credit that the broker still has */
    bool said;
    link_event_fn *fn;
    void *ctx;
};

struct link {
    struct mux *mux;
    struct peer *peer;
    struct endpoints ends;
    char name[96];
    uint64_t epoch, next_req;
    bool welcomed;
    int64_t heartbeat_ms, silence_ms;
    struct mono heard, pinged;
    struct mux_timer tick;
    struct mono hello_at;
    struct question *questions;
    struct subscription *subscriptions;
    void (*on_change)(void *, bool);
    void *on_change_ctx;
    struct err refusal;
    uint64_t
        status_req; /* STATUS, asked while nobody greets: it is answered without a store, too */
    int hellos;
    char trouble[512];
};

/* ---- sending --------------------------------------------------------------------------------- */

static void question_free(struct question *q)
{
    buf_fini(&q->header);
    free(q->bytes);
    free(q);
}

static enum status send_now(struct link *l, const struct msg *m)
{
    enum status st = peer_send(l->peer, (struct str){ 0 }, m, NULL, 0);
    if (st == OK)
        endpoints_sent(&l->ends, mono_now().ms);
    else if (st == ERR_BUSY)
        endpoints_unsent(&l->ends, mono_now().ms);
    return st;
}

static void flush(struct link *l)
{
    for (struct question *q = l->questions; q && l->welcomed; q = q->next) {
        if (!q->sent)
            q->sent = peer_send_raw(l->peer, (struct str){ 0 }, buf_get(&q->header), q->frames,
                                    q->frames_n) == OK;
    }
    for (struct subscription *s = l->subscriptions; s && l->welcomed; s = s->next) {
        if (s->said && s->left > CREDIT / 2)
            continue;
        struct msg m = { .type = MSG_WATCH };
        m.WATCH = (struct msg_WATCH){ s->req, str_of(s->job), str_of(s->since), CREDIT - s->left };
        if (send_now(l, &m) == OK) {
            s->said = true;
            s->left = CREDIT;
        }
    }
}

static void say_hello(struct link *l)
{
    struct msg m = { .type = MSG_HELLO };
    m.HELLO.role = str_of("client");
    m.HELLO.name = str_of(l->name);
    m.HELLO.version = str_of(PAWL_VERSION);
    enum status st = send_now(l, &m);
    l->hello_at = (struct mono){ mono_now().ms + (st == OK ? HELLO_MS * 5 : HELLO_MS / 4) };
    l->hellos += st == OK;
    if (st != OK || l->hellos < 2)
        return;
    struct msg status = { .type = MSG_STATUS, .STATUS = { ++l->next_req } };
    if (send_now(l, &status) == OK)
        l->status_req = l->next_req;
}

static void changed(struct link *l, bool up)
{
    bool was = l->welcomed;
    l->welcomed = up;
    if (was != up && l->on_change)
        l->on_change(l->on_change_ctx, up);
}

static void lost(struct link *l)
{
    if (l->welcomed)
        endpoints_greet(&l->ends, mono_now().ms);
    changed(l, false);
    say_hello(l);
}

/* The broker is silent or gone, and there are others: what WELCOME does not answer is asked again
 * there, as after any reconnection. */
static void move_on(struct link *l)
{
    struct err err = { 0 };
    mux_socket_remove(l->mux, peer_socket(l->peer));
    enum status st = peer_move(l->peer, endpoints_now(&l->ends), &err);
    if (st == OK) /* else it stays where it is, and moves on */
        l->hellos = 0;
    st = mux_socket(l->mux, peer_socket(l->peer), on_socket, l);
    if (st != OK)
        mux_stop(l->mux);
    endpoints_begin(&l->ends, mono_now().ms);
    lost(l);
}

static int64_t ping_ms(const struct link *l)
{
    bool soon = endpoints_several(&l->ends) && l->heartbeat_ms > ENDPOINT_PING_MS;
    return soon ? ENDPOINT_PING_MS : l->heartbeat_ms;
}

static void on_tick(void *ctx)
{
    struct link *l = ctx;
    int64_t now = mono_now().ms;
    if (endpoints_due(&l->ends, now)) {
        move_on(l);
    } else if (!l->welcomed) {
        if (now >= l->hello_at.ms)
            say_hello(l);
    } else if (now - l->heard.ms > l->silence_ms) {
        lost(l);
    } else if (now - l->pinged.ms > ping_ms(l)) {
        struct msg m = { .type = MSG_PING }; /* also while events come: the broker must hear us */
        if (send_now(l, &m) == OK)
            l->pinged.ms = now;
    }
    flush(l);
    mux_timer_in(l->mux, &l->tick, l->welcomed ? TICK_MS : HELLO_MS / 4);
}

/* ---- receiving ------------------------------------------------------------------------------- */

static struct question *take(struct link *l, uint64_t req)
{
    for (struct question **at = &l->questions; *at; at = &(*at)->next) {
        struct question *q = *at;
        if (q->req == req) {
            *at = q->next;
            return q;
        }
    }
    return NULL;
}

static void fail(struct question *q, struct err *err, int64_t retry_ms)
{
    struct link_reply reply = { .err = err, .retry_ms = retry_ms };
    q->fn(q->ctx, &reply);
    question_free(q);
}

/* Another broker, or the same one that forgot us: what may be said twice is said again. */
static void on_welcome(struct link *l, const struct msg *m)
{
    struct question *gone = NULL;
    l->epoch = m->epoch;
    endpoints_welcome(&l->ends, mono_now().ms);
    l->hellos = 0;
    l->trouble[0] = '\0';
    l->heartbeat_ms = m->WELCOME.heartbeat_ms ? (int64_t)m->WELCOME.heartbeat_ms : HEARTBEAT_MS;
    l->silence_ms = m->WELCOME.silence_ms ? (int64_t)m->WELCOME.silence_ms : SILENCE_MS;
    for (struct question **at = &l->questions; *at;) {
        struct question *q = *at;
        if (q->sent && !q->again) {
            *at = q->next;
            q->next = gone;
            gone = q;
            continue;
        }
        q->sent = false;
        at = &q->next;
    }
    for (struct subscription *s = l->subscriptions; s; s = s->next) {
        s->said = false;
        s->left = 0;
        s->req = ++l->next_req;
    }
    changed(l, true);
    flush(l);
    while (gone) {
        struct question *q = gone;
        struct err err = { 0 };
        gone = q->next;
        err_set(&err, ERR_UNAVAILABLE, "the broker was restarted before it answered");
        err_fix(&err, "`pawl show` tells whether it was done");
        fail(q, &err, 0);
    }
}

static enum status status_of(struct str code)
{
    for (int i = 0; i < STATUS_COUNT; i++) {
        if (str_is(code, status_name((enum status)i)))
            return (enum status)i;
    }
    return ERR_INTERNAL;
}

static void on_refused(struct link *l, const struct msg_REFUSED *r)
{
    struct question *q = r->req ? take(l, r->req) : NULL;
    struct err err = { 0 };
    bool unknown = str_is(r->code, "protocol") && l->welcomed && (!q || ++q->refused < 4);
    if (q && q->again && endpoints_several(&l->ends) && str_is(r->code, "unavailable"))
        unknown = ++q->refused < 4; /* it has lost its store: another one may have it */
    if (!r->req && !l->welcomed && endpoints_several(&l->ends) && str_is(r->code, "unavailable"))
        snprintf(l->trouble, sizeof l->trouble, "%.*s", STR_ARG(r->text));
    if (unknown && q && q->again) { /* it does not know us (any more): greet, then ask again */
        q->sent = false;
        q->next = l->questions;
        l->questions = q;
        q = NULL;
    }
    if (unknown)
        lost(l);
    err_set(&err, status_of(r->code), "%.*s", STR_ARG(r->text));
    err_fix(&err, "%.*s", STR_ARG(r->fix));
    if (q)
        fail(q, &err, (int64_t)r->retry_after_ms);
    else if (!r->req && !unknown && (err.status == ERR_DENIED || err.status == ERR_PROTOCOL))
        l->refusal = err;
}

static void on_event(struct link *l, const struct msg_EVENT *e)
{
    struct subscription *s = l->subscriptions;
    char id[64], kind[PAWL_NAME_MAX + 1], job[PAWL_NAME_MAX + 1];
    json_t *facts = NULL;
    struct err err = { 0 };
    while (s && s->req != e->req)
        s = s->next;
    if (!s || (e->facts.n && js_from_mp(e->facts, &facts, &err) != OK))
        return;
    snprintf(id, sizeof id, "%.*s", STR_ARG(e->id));
    snprintf(kind, sizeof kind, "%.*s", STR_ARG(e->kind));
    snprintf(job, sizeof job, "%.*s", STR_ARG(e->job));
    s->left -= s->left > 0;
    if (*id)
        memcpy(s->since, id, sizeof s->since);
    struct link_event ev = { id, kind, job, (int64_t)e->at_ms, facts };
    s->fn(s->ctx, &ev); /* may unwatch */
    json_decref(facts);
}

static void on_status(struct link *l, struct str frame)
{
    json_t *map = NULL;
    if (js_from_mp(frame, &map, NULL) != OK)
        return;
    const json_t *store = js_obj(map, "store");
    if (!js_bool(store, "ok", true))
        snprintf(l->trouble, sizeof l->trouble, "the store %.200s is away: %.200s",
                 js_str(store, "url"), js_str(store, "reason"));
    json_decref(map);
}

static void handle(struct link *l, const struct msg *m, struct peer_in *in)
{
    bool away = m->type == MSG_REFUSED && m->REFUSED.req == 0 &&
                str_is(m->REFUSED.code, "unavailable");
    l->heard = mono_now();
    if (away)
        endpoints_away(&l->ends, l->heard.ms);
    else
        endpoints_heard(&l->ends, l->heard.ms);
    if (m->type == MSG_ANSWERED && !l->welcomed && m->ANSWERED.req == l->status_req) {
        on_status(l, peer_frame(in, 1));
        return;
    }
    if (m->type == MSG_WELCOME) {
        on_welcome(l, m);
    } else if (m->type == MSG_REFUSED) {
        on_refused(l, &m->REFUSED);
    } else if (m->epoch != l->epoch) {
        if (l->welcomed)
            lost(l); /* another broker speaks: greet it first */
    } else if (m->type == MSG_EVENT) {
        on_event(l, &m->EVENT);
    } else {
        struct question *q = take(l, m->PONG.req); /* req is the first field of every answer */
        if (!q)
            return;
        struct link_reply reply = { .m = m, .in = in };
        q->fn(q->ctx, &reply);
        question_free(q);
    }
}

static void on_socket(void *ctx, void *socket)
{
    struct link *l = ctx;
    (void)socket;
    for (int i = 0; i < 64; i++) {
        struct peer_in in;
        struct msg m;
        enum status st = peer_recv(l->peer, &in);
        if (st == ERR_BUSY)
            break;
        if (st != OK)
            continue;
        if (msg_decode(peer_frame(&in, 0), &m, NULL) == OK && msg_from_broker(m.type))
            handle(l, &m, &in);
        peer_in_free(&in);
    }
    flush(l);
}

/* ---- life ------------------------------------------------------------------------------------ */

void link_endpoint(const struct conf *conf, char *out, size_t size)
{
    struct endpoints ends;
    struct err err = { 0 };
    bool good = endpoints_parse(&ends, conf_endpoint(conf), 0, &err) == OK;
    snprintf(out, size, "%s", good ? endpoints_now(&ends) : conf_endpoint(conf));
}

enum status link_new(struct link **out, struct mux *mux, const struct conf *conf, struct err *err)
{
    struct peer_keys keys = { 0 };
    enum status st = conf_keys(conf, false, &keys, err);
    if (st != OK)
        return st;
    struct link *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(err, ERR_NOMEM, "out of memory");
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    snprintf(l->name, sizeof l->name, "%.30s/pawl/%ld", host, (long)getpid());
    l->mux = mux;
    l->heartbeat_ms = HEARTBEAT_MS;
    l->silence_ms = SILENCE_MS;
    l->tick = MUX_TIMER(on_tick, l);
    st = endpoints_parse(&l->ends, conf_endpoint(conf), random_u64(), err);
    if (st == OK && !(l->peer = peer_connect(endpoints_now(&l->ends), &keys, err)))
        st = err->status;
    if (st != OK) {
        free(l);
        return st;
    }
    st = mux_socket(mux, peer_socket(l->peer), on_socket, l);
    if (st != OK) {
        peer_close(l->peer);
        free(l);
        return err_set(err, st, "too many sockets");
    }
    endpoints_begin(&l->ends, mono_now().ms);
    on_tick(l);
    *out = l;
    return OK;
}

void link_free(struct link *l)
{
    if (!l)
        return;
    struct msg bye = { .type = MSG_BYE, .BYE = { str_of("done") } };
    if (l->welcomed && peer_send(l->peer, (struct str){ 0 }, &bye, NULL, 0) != OK)
        l->welcomed = false;
    mux_socket_remove(l->mux, peer_socket(l->peer));
    mux_timer_stop(l->mux, &l->tick);
    peer_close(l->peer);
    for (struct question *q = l->questions, *next; q; q = next) {
        next = q->next;
        question_free(q);
    }
    for (struct subscription *s = l->subscriptions, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    free(l);
}

bool link_up(const struct link *l)
{
    return l->welcomed;
}

const struct err *link_refusal(const struct link *l)
{
    return l->refusal.status != OK ? &l->refusal : NULL;
}

const char *link_trouble(const struct link *l)
{
    return l->trouble;
}

void link_on_change(struct link *l, void (*fn)(void *, bool), void *ctx)
{
    l->on_change = fn;
    l->on_change_ctx = ctx;
}

/* Copy the frames behind each other, so that they outlive the caller's. */
static bool copy_frames(struct question *q, const struct str *frames, uint32_t n)
{
    size_t total = 0;
    for (uint32_t i = 0; i < n; i++)
        total += frames[i].n;
    if (n > PAWL_FRAMES_MAX - 1 || total > BODY_MAX || !(q->bytes = malloc(total + 1)))
        return false;
    char *at = q->bytes;
    for (uint32_t i = 0; i < n; i++) {
        if (frames[i].n)
            memcpy(at, frames[i].p, frames[i].n);
        q->frames[i] = (struct str){ at, frames[i].n };
        at += frames[i].n;
    }
    q->frames_n = n;
    return true;
}

enum status link_ask(struct link *l, struct msg *m, const struct str *frames, uint32_t frames_n,
                     bool again, link_fn *fn, void *ctx)
{
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        return ERR_NOMEM;
    q->req = ++l->next_req;
    q->again = again;
    q->fn = fn;
    q->ctx = ctx;
    m->PING.req = q->req; /* the first field of every request */
    buf_init(&q->header, PAWL_HEADER_MAX);
    enum status st = msg_encode(m, &q->header);
    if (st == OK && !copy_frames(q, frames, frames_n))
        st = ERR_LIMIT;
    for (uint32_t i = 0; st == OK && i < frames_n; i++)
        st = frames[i].n > PAWL_FRAME_MAX ? ERR_LIMIT : OK;
    if (st != OK) {
        question_free(q);
        return st;
    }
    struct question **at = &l->questions;
    while (*at)
        at = &(*at)->next;
    *at = q;
    flush(l);
    return OK;
}

enum status link_watch(struct link *l, const char *job, const char *since, link_event_fn *fn,
                       void *ctx)
{
    struct subscription *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    s->req = ++l->next_req;
    snprintf(s->job, sizeof s->job, "%s", job);
    snprintf(s->since, sizeof s->since, "%s", since);
    s->fn = fn;
    s->ctx = ctx;
    s->next = l->subscriptions;
    l->subscriptions = s;
    flush(l);
    return OK;
}

void link_unwatch(struct link *l, void *ctx)
{
    for (struct subscription **at = &l->subscriptions; *at;) {
        struct subscription *s = *at;
        if (s->ctx != ctx) {
            at = &s->next;
            continue;
        }
        struct msg m = { .type = MSG_UNWATCH, .UNWATCH = { s->req } };
        if (l->welcomed && peer_send(l->peer, (struct str){ 0 }, &m, NULL, 0) != OK)
            s->said = false; /* what still comes finds no subscription and is dropped */
        *at = s->next;
        free(s);
    }
}
