/* SPDX-License-Identifier: Apache-2.0 */
/* gather: what has arrived, decoded once, checked against the sender's role, given to the core. */
#include "broker/broker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_MALFORMED_MS = 1000 };

void loop_keep_input(struct broker *b, struct peer_in *in)
{
    struct input *i = malloc(sizeof *i);
    assert(i);
    *i = (struct input){ b->inputs, *in };
    b->inputs = i;
    in->frames = NULL;
    in->n = 0;
}

void loop_free_inputs(struct broker *b)
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
        log_line(&b->log, LOG_WARN, "malformed message", "why", why, "peer",
                 c && c->name[0] ? c->name : "?", "so_far", n, NULL);
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

/* The blob that a submission needs; empty: none. */
static struct str workspace_of(const struct msg *m)
{
    struct str w = { 0 };
    if (m->type == MSG_SUBMIT)
        w = m->SUBMIT.workspace;
    else if (m->type == MSG_SUBMIT_ALL)
        w = m->SUBMIT_ALL.workspace;
    return w.n == HASH_BYTES ? w : (struct str){ 0 };
}

static void on_has_blob(void *ctx, enum status st, const struct str *v, uint32_t n)
{
    struct submission *s = ctx;
    struct broker *b = s->b;
    struct conn *c = conn_find(b, s->conn);
    struct msg m;
    if (c && msg_decode(peer_frame(&s->in, 0), &m, NULL) == OK) {
        if (st != OK || !b->core || b->broken) {
            loop_refuse(b, c->id, request_number(&m), ERR_UNAVAILABLE,
                        "the store cannot be reached", "try again");
        } else if (n == 0 || !str_is(v[0], "1")) {
            struct msg need = { .type = MSG_NEED,
                                .NEED = { request_number(&m), workspace_of(&m) } };
            loop_say(b, c->id, &need, NULL, 0);
        } else {
            step_message(b, c, &m, &s->in);
            loop_keep_input(b, &s->in);
        }
    }
    peer_in_free(&s->in);
    free(s);
}

static void submit_with_blob(struct broker *b, struct conn *c, const struct msg *m,
                             struct peer_in *in)
{
    struct submission *s = calloc(1, sizeof *s);
    char hex[HASH_HEX + 1];
    struct hash h;
    assert(s);
    memcpy(h.b, workspace_of(m).p, sizeof h.b);
    hash_hex(&h, hex);
    struct str name = str_of(hex);
    *s = (struct submission){ b, c->id, *in };
    struct store_get g = { .kind = GET_HAS, .names = &name, .names_n = 1 };
    enum status st = b->store.ops->get(b->store.self, &g, on_has_blob, s);
    if (st != OK) {
        loop_refuse(b, c->id, request_number(m), ERR_UNAVAILABLE, "the store cannot be reached",
                    "try again");
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
    bool adds = m->type == MSG_SUBMIT || m->type == MSG_SUBMIT_ALL || m->type == MSG_PUT;
    if (memory_short(b) && adds) {
        loop_refuse(b, c->id, request_number(m), ERR_BUSY,
                    "the store's memory is more than 90 % full",
                    "remove jobs, or raise Redis's maxmemory");
    } else if (m->type == MSG_PUT) {
        serve_put(b, c, &m->PUT, in);
    } else if (workspace_of(m).n && core_peer_known(b->core, c->id)) {
        submit_with_blob(b, c, m, in);
    } else {
        step_message(b, c, m, in);
    }
}

/* While the store is away nothing can be promised. Workers keep their results and repeat them. */
static void take_while_down(struct broker *b, struct conn *c, const struct msg *m)
{
    if (m->type == MSG_STATUS)
        serve_status(b, c, m->STATUS.req);
    else if (m->type >= MSG_SUBMIT || m->type == MSG_PING || m->type == MSG_HELLO)
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
        loop_refuse(b, c->id, request_number(m), ERR_DENIED, err.text,
                    "ask for another role in the allow file");
        return;
    }
    note_hello(c, m);
    if (m->type == MSG_HELLO && c->worker && m->HELLO.before.n)
        conns_died(b, c, &m->HELLO);
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
        loop_refuse(b, c->id, 0, ERR_DENIED, "the key of this connection is not in the allow file",
                    "");
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
