/* SPDX-License-Identifier: Apache-2.0 */
/* client: people, scripted: they submit, say the same again until it is answered, cancel, retry,
 * pause, comment, ask, answer. */
#include "tests/sim/sim.h"

#include <assert.h>
#include <stddef.h>

enum { REQUESTS = 16, AGAIN_US = 5000000, BLOBS = 4 };

struct request {
    uint64_t req; /* 0: free */
    enum msg_type type;
    uint32_t key; /* SUBMIT */
    bool hold;
    char job[16], text[64];
    int64_t start_ms; /* SUBMIT */
    int queue; /* PAUSE: -1 a job, a stage, or RULED_STAGES and a project */
    int blob; /* SUBMIT with a workspace, PUT: which; -1: none */
};

struct client {
    struct end end;
    bool welcomed, calm;
    uint64_t epoch;
    uint32_t keys, hellos;
    int64_t heard_us;
    struct request r[REQUESTS];
};

static struct str blob_frame(int no, char space[64], struct hash *h)
{
    char text[32];
    snprintf(text, sizeof text, "workspace %d", no);
    struct str frame = sim_frame(text, space);
    *h = hash_of((struct str){ frame.p + 1, frame.n - 1 });
    return frame;
}

static void say_submit(struct client *c, const struct request *r)
{
    char key[32], project[16], text[64], space[100], blob[64];
    struct hash h;
    snprintf(key, sizeof key, "key%u", r->key);
    snprintf(project, sizeof project, "p%u", r->key % c->end.w->conf.projects);
    snprintf(text, sizeof text, "problem %u", r->key);
    struct str frame = sim_frame(text, space);
    struct msg m = { .type = MSG_SUBMIT };
    m.SUBMIT = (struct msg_SUBMIT){ .req = r->req,
                                    .key = str_of(key),
                                    .project = str_of(project),
                                    .priority = r->key % 7 == 0 ? 5 : 0,
                                    .class = str_of(r->key % 13 == 5   ? "urgent"
                                                    : r->key % 11 == 4 ? "background"
                                                                       : "") };
    if (r->key % 17 == 3)
        m.SUBMIT.start_ms = r->start_ms;
    m.SUBMIT.docs.v[m.SUBMIT.docs.n++] = str_of("problem");
    if (r->blob >= 0) {
        blob_frame(r->blob, blob, &h);
        m.SUBMIT.workspace = (struct str){ (const char *)h.b, HASH_BYTES };
    }
    end_say(&c->end, &m, &frame, 1);
}

static void say(struct client *c, const struct request *r)
{
    struct str job = str_of(r->job), text = str_of(r->text), frame = { 0 };
    struct msg m = { .type = r->type };
    char space[64];
    struct hash h;
    if (r->type == MSG_SUBMIT) {
        say_submit(c, r);
        return;
    }
    if (r->type == MSG_CANCEL) {
        m.CANCEL = (struct msg_CANCEL){ r->req, job, text };
    } else if (r->type == MSG_RETRY) {
        m.RETRY = (struct msg_RETRY){ r->req, job };
    } else if (r->type == MSG_PAUSE) {
        char project[16] = "";
        if (r->queue >= RULED_STAGES)
            snprintf(project, sizeof project, "p%d", r->queue - RULED_STAGES);
        m.PAUSE = (struct msg_PAUSE){ .req = r->req, .job = job, .hold = r->hold };
        m.PAUSE.project = str_of(project);
        m.PAUSE.stage = str_of(r->queue >= 0 && !project[0] ? stage_names[r->queue] : "");
        end_say(&c->end, &m, NULL, 0);
        return;
    } else if (r->type == MSG_COMMENT) {
        m.COMMENT = (struct msg_COMMENT){ r->req, job, text };
    } else if (r->type == MSG_ASK) {
        m.ASK = (struct msg_ASK){ r->req, job, text };
    } else if (r->type == MSG_ANSWER) {
        m.ANSWER = (struct msg_ANSWER){ r->req, job, { 0 }, text, { 0 } };
    } else {
        frame = blob_frame(r->blob, space, &h);
        m.PUT = (struct msg_PUT){ r->req, { (const char *)h.b, HASH_BYTES } };
    }
    end_say(&c->end, &m, &frame, frame.n ? 1 : 0);
}

static void again(struct world *w, void *ctx, uint64_t req)
{
    struct client *c = ctx;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        if (c->r[i].req != req)
            continue;
        if (c->welcomed)
            say(c, &c->r[i]);
        world_in(w, AGAIN_US, again, c, req);
    }
}

static struct request *request(struct client *c, enum msg_type type)
{
    /* Submissions that wait for others to end must not keep out what lets those go on. */
    uint32_t n = type == MSG_SUBMIT ? REQUESTS - 6 : REQUESTS;
    for (uint32_t i = 0; i < n; i++) {
        if (c->r[i].req)
            continue;
        c->r[i] = (struct request){ .req = ++c->end.w->names, .type = type, .queue = -1, .blob = -1 };
        world_in(c->end.w, 1, again, c, c->r[i].req);
        return &c->r[i];
    }
    return NULL;
}

static void submit(struct client *c, uint32_t key)
{
    struct request *r = request(c, MSG_SUBMIT);
    if (!r)
        return;
    r->key = key;
    r->blob = key % 3 == 0 ? (int)(key % BLOBS) : -1;
    r->start_ms = sim_wall_ms(c->end.w) + (int64_t)(r->req * 7919 % 30000);
}

static void about_a_job(struct client *c)
{
    static const enum msg_type types[] = { MSG_CANCEL, MSG_RETRY,   MSG_PAUSE, MSG_PAUSE,
                                           MSG_PAUSE,  MSG_COMMENT, MSG_ASK,   MSG_ANSWER };
    struct world *w = c->end.w;
    uint32_t n = oracle_jobs(w->oracle);
    bool ended, paused;
    char id[16];
    if (n == 0 || !oracle_job_at(w->oracle, chance_below(w, n), id, &ended, &paused))
        return;
    enum msg_type type = types[chance_below(w, COUNT(types))];
    if (type == MSG_CANCEL && chance_below(w, 3))
        return;
    if (ended && type != MSG_COMMENT && type != MSG_ASK && chance_below(w, 3))
        type = MSG_RETRY;
    struct request *r = request(c, type);
    if (!r)
        return;
    memcpy(r->job, id, sizeof r->job);
    r->hold = !paused;
    snprintf(r->text, sizeof r->text, "text %llu", (unsigned long long)r->req);
}

/* Stages and projects are paused rarely, and resumed more often. */
static void about_a_queue(struct client *c, int queue, bool hold)
{
    struct request *r = request(c, MSG_PAUSE);
    if (!r)
        return;
    r->queue = queue;
    r->hold = hold;
}

static void wish(struct world *w, void *ctx, uint64_t arg)
{
    struct client *c = ctx;
    (void)arg;
    if (c->calm)
        return;
    if (c->keys < w->conf.jobs && chance_below(w, 3))
        submit(c, c->keys++);
    else if (c->keys && chance_below(w, 4) == 0)
        submit(c, chance_below(w, c->keys));
    else if (chance_below(w, 8) == 0)
        about_a_queue(c, (int)chance_below(w, RULED_STAGES + w->conf.projects),
                      chance_below(w, 3) == 0);
    else
        about_a_job(c);
    int64_t most = c->keys < w->conf.jobs ? 100000 : 600000;
    world_in(w, chance_between(w, 1000, most), wish, c, 0);
}

/* ---- the connection ----------------------------------------------------------------------- */

static void hello(struct world *w, void *ctx, uint64_t arg)
{
    struct client *c = ctx;
    struct msg m = { .type = MSG_HELLO };
    (void)arg;
    if (c->welcomed)
        return;
    if (++c->hellos % 4 == 0) {
        if (w->conf.hosts > 1)
            c->end.host = !c->end.host;
        end_relink(&c->end);
    }
    m.HELLO = (struct msg_HELLO){ .role = str_of("client"), .name = str_of("people") };
    end_say(&c->end, &m, NULL, 0);
    world_in(w, 1000000, hello, c, 0);
}

static void greet(struct client *c)
{
    if (!c->welcomed)
        return;
    c->welcomed = false;
    world_in(c->end.w, 1, hello, c, 0);
}

static void ping(struct world *w, void *ctx, uint64_t arg)
{
    struct client *c = ctx;
    struct msg m = { .type = MSG_PING, .PING = { 1 } };
    (void)arg;
    if (c->welcomed && w->now_us - c->heard_us > 8000000) {
        if (w->conf.hosts > 1)
            c->end.host = !c->end.host;
        end_relink(&c->end);
        greet(c);
    } else if (c->welcomed) {
        end_say(&c->end, &m, NULL, 0);
    }
    world_in(w, 3000000, ping, c, 0);
}

static struct request *answered(struct client *c, uint64_t req)
{
    for (uint32_t i = 0; req && i < REQUESTS; i++) {
        if (c->r[i].req == req)
            return &c->r[i];
    }
    return NULL;
}

static void on_refused(struct client *c, const struct msg_REFUSED *m)
{
    struct request *r = answered(c, m->req);
    if (str_is(m->code, "protocol"))
        greet(c);
    else if (r && !str_is(m->code, "unavailable") && !str_is(m->code, "busy"))
        r->req = 0;
}

static void hear(struct end *e, const struct msg *m, const struct str *frames, uint32_t n)
{
    struct client *c = (struct client *)e;
    struct request *r = NULL;
    (void)frames;
    (void)n;
    c->heard_us = e->w->now_us;
    if (m->type == MSG_WELCOME) {
        c->epoch = m->epoch;
        c->welcomed = true;
        c->hellos = 0;
    } else if (m->type == MSG_REFUSED) {
        on_refused(c, &m->REFUSED);
    } else if (m->epoch != c->epoch) {
        greet(c);
    } else if (m->type == MSG_NEED) {
        struct request *s = answered(c, m->NEED.req);
        int blob = s ? s->blob : -1;
        if (blob >= 0 && (r = request(c, MSG_PUT)) != NULL)
            r->blob = blob;
    } else if (m->type == MSG_SUBMITTED || m->type == MSG_OKAY) {
        r = answered(c, m->PING.req);
        if (r)
            r->req = 0;
    }
}

static void let_go_on(struct world *w, void *ctx, uint64_t arg)
{
    struct client *c = ctx;
    char id[16];
    bool ended, paused;
    (void)arg;
    for (uint32_t i = 0; i < RULED_STAGES + w->conf.projects; i++) {
        if (oracle_halted(w->oracle, i))
            about_a_queue(c, (int)i, false);
    }
    for (uint32_t i = 0; i < oracle_jobs(w->oracle); i++) {
        if (!oracle_job_at(w->oracle, i, id, &ended, &paused) || ended || !paused)
            continue;
        struct request *r = request(c, MSG_PAUSE);
        if (r)
            memcpy(r->job, id, sizeof r->job);
    }
    world_in(w, 10000000, let_go_on, c, 0);
}

void client_calm(struct client *c)
{
    c->calm = true;
    world_in(c->end.w, 1, let_go_on, c, 0);
}

struct client *client_new(struct world *w, uint32_t no)
{
    struct client *c = calloc(1, sizeof *c);
    assert(c);
    (void)no;
    c->end.hear = hear;
    end_add(w, &c->end);
    c->heard_us = w->now_us;
    world_in(w, 1000, hello, c, 0);
    world_in(w, 2000, wish, c, 0);
    world_in(w, 3000000, ping, c, 0);
    return c;
}

void client_free(struct client *c)
{
    free(c);
}
