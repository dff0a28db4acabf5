/* SPDX-License-Identifier: Apache-2.0 */
/* worker: a scripted worker that keeps to schemas/protocol.md, until it dies, hangs, forgets. It
 * makes each result of what it was given, so that the oracle can tell whether the parts belong
 * together, and keeps and repeats what is not acknowledged. */
#include "tests/sim/sim.h"

#include "common/hash.h"

#include <assert.h>
#include <stddef.h>

const char *const stage_names[STAGE_KINDS] = { "parse", "analyze", "generate", "review", "call",
                                               "ask" };
enum { PARSE, ANALYZE, GENERATE, REVIEW, CALL, ASK };
enum { SLOTS_MOST = 8, STEPS_MOST = 4, HEARTBEAT_US = 2000000, SILENT_US = 8000000 };
enum ending { GOING_ON, DONE, FAILED, RELEASED };

struct held {
    uint64_t serial; /* 0: free */
    char key[PAWL_KEY_MAX + 1];
    struct fence fence;
    int stage;
    uint32_t steps, step; /* how many calls it makes, how many are made */
    struct {
        uint8_t hash[HASH_BYTES];
        bool made, acked;
    } s[STEPS_MOST];
    uint64_t digest; /* of what the result is made of */
    char given[200]; /* CALL: text of the call document */
    enum ending ending;
    char fault[16], text[120];
    bool questions, malformed;
    uint64_t call; /* number of the tool call that it waits for; 0: none */
    uint64_t tokens_in, tokens_out;
    int measures;
};

struct worker {
    struct end end;
    uint32_t stages;
    uint64_t slots;
    char name[32], before[32]; /* before: of its last life, to be told; "": not */
    bool welcomed;
    uint64_t epoch, seen, life;
    int64_t said_credit;
    uint64_t said_seen;
    uint32_t hellos;
    int64_t heard_us, woken_us;
    uint32_t beats;
    struct held held[SLOTS_MOST];
    uint64_t said_results;
};

static void act(struct world *w, void *ctx, uint64_t serial);
static void hello(struct world *w, void *ctx, uint64_t arg);

static struct held *find(struct worker *k, struct str key)
{
    for (uint32_t i = 0; i < SLOTS_MOST; i++) {
        if (k->held[i].serial && str_is(key, k->held[i].key))
            return &k->held[i];
    }
    return NULL;
}

static uint32_t held_n(const struct worker *k)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < SLOTS_MOST; i++)
        n += k->held[i].serial != 0;
    return n;
}

static struct task_list holds(const struct worker *k, struct buf *raw)
{
    uint32_t n = held_n(k);
    buf_init(raw, PAWL_HEADER_MAX);
    mp_array(raw, n);
    for (uint32_t i = 0; i < SLOTS_MOST; i++) {
        if (k->held[i].serial)
            msg_task_put(raw, str_of(k->held[i].key), k->held[i].fence);
    }
    return (struct task_list){ buf_get(raw), n };
}

/* ---- saying ------------------------------------------------------------------------------- */

static void ready(struct worker *k)
{
    uint32_t n = held_n(k);
    int64_t credit = n < k->slots ? (int64_t)(k->slots - n) : 0;
    if (!k->welcomed || (credit == k->said_credit && k->seen == k->said_seen))
        return;
    struct msg m = { .type = MSG_READY, .READY = { (uint64_t)credit, k->seen } };
    k->said_credit = credit;
    k->said_seen = k->seen;
    end_say(&k->end, &m, NULL, 0);
}

static void say_step(struct worker *k, struct held *h, uint32_t i)
{
    char space[64];
    struct str frame = sim_frame("step", space);
    struct msg m = { .type = MSG_STEP };
    m.STEP = (struct msg_STEP){ .task = str_of(h->key),
                                .fence = h->fence,
                                .hash = { (const char *)h->s[i].hash, HASH_BYTES },
                                .tokens_in = 10,
                                .tokens_out = 5,
                                .ms = 7 };
    if (k->welcomed)
        end_say(&k->end, &m, &frame, 1);
}

static void put_verdict(struct buf *b, const struct held *h)
{
    buf_init(b, 1024);
    mp_map(b, 6);
    mp_z(b, "gates");
    mp_bool(b, h->measures >= 100);
    mp_z(b, "measures");
    mp_int(b, h->measures);
    mp_z(b, "judge");
    mp_int(b, h->measures % 3 ? -1 : h->measures);
    mp_z(b, "errors");
    mp_int(b, h->measures % 5 == 1);
    mp_z(b, "warnings");
    mp_int(b, 1);
    mp_z(b, "candidate");
    mp_z(b, h->text + strlen(h->text) % 7);
}

static struct str put_questions(struct buf *b)
{
    buf_init(b, 1024);
    buf_char(b, '\0');
    mp_map(b, 1);
    mp_z(b, "items");
    mp_array(b, 1);
    mp_map(b, 3);
    mp_z(b, "id");
    mp_z(b, "q1");
    mp_z(b, "text");
    mp_z(b, "which?");
    mp_z(b, "otherwise");
    mp_z(b, "neither");
    return buf_get(b);
}

static void say_done(struct worker *k, const struct held *h)
{
    static const char *const docs[STAGE_KINDS] = { "brief",  "insights", "draft",
                                                   "review", "result",   "reply" };
    char space[300];
    struct str frames[3] = { sim_frame(h->text, space) };
    struct buf verdict = { 0 }, questions = { 0 };
    struct msg m = { .type = MSG_DONE };
    m.DONE = (struct msg_DONE){ .task = str_of(h->key),
                                .fence = h->fence,
                                .tokens_in = h->tokens_in,
                                .tokens_out = h->tokens_out };
    struct strs *names = &m.DONE.docs;
    names->v[names->n++] = str_of(docs[h->stage]);
    if (h->stage == GENERATE) {
        frames[names->n] = frames[0];
        names->v[names->n++] = str_of("change");
    }
    if (h->questions) {
        frames[names->n] = put_questions(&questions);
        names->v[names->n++] = str_of("questions");
    }
    if (h->stage == REVIEW && !h->malformed) {
        put_verdict(&verdict, h);
        m.DONE.verdict = buf_get(&verdict);
    }
    end_say(&k->end, &m, frames, names->n);
    if (verdict.data)
        buf_fini(&verdict);
    if (questions.data)
        buf_fini(&questions);
}

static void say_ending(struct worker *k, const struct held *h)
{
    struct msg m = { .type = MSG_FAIL };
    if (!k->welcomed)
        return;
    if (h->ending == DONE) {
        say_done(k, h);
        return;
    }
    if (h->ending == RELEASED) {
        m = (struct msg){ .type = MSG_RELEASE,
                          .RELEASE = { str_of(h->key), h->fence, str_of("no room") } };
    } else {
        m.FAIL = (struct msg_FAIL){ .task = str_of(h->key),
                                    .fence = h->fence,
                                    .fault = str_of(h->fault),
                                    .text = str_of("it broke"),
                                    .tokens_in = h->tokens_in,
                                    .tokens_out = h->tokens_out };
    }
    end_say(&k->end, &m, NULL, 0);
}

static void say_call(struct worker *k, const struct held *h)
{
    char space[100], text[60], id[32];
    snprintf(text, sizeof text, "call %llu", (unsigned long long)h->call);
    snprintf(id, sizeof id, "k%llu", (unsigned long long)h->call);
    struct str frame = sim_frame(text, space);
    struct msg m = { .type = MSG_CALL, .CALL = { str_of(h->key), h->fence, str_of(id) } };
    if (k->welcomed)
        end_say(&k->end, &m, &frame, 1);
}

static void change_host(struct worker *k)
{
    struct world *w = k->end.w;
    if (w->conf.hosts > 1)
        k->end.host = !k->end.host;
    end_relink(&k->end);
    k->hellos = 0;
}

static void hello(struct world *w, void *ctx, uint64_t arg)
{
    struct worker *k = ctx;
    struct buf raw;
    struct msg m = { .type = MSG_HELLO };
    if (k->life != arg || k->welcomed || k->end.hung)
        return;
    if (++k->hellos % 4 == 0)
        change_host(k);
    m.HELLO = (struct msg_HELLO){ .role = str_of("worker"),
                                  .name = str_of(k->name),
                                  .version = str_of("sim"),
                                  .slots = k->slots,
                                  .holds = holds(k, &raw),
                                  .before = str_of(k->before),
                                  .died = str_of(k->before[0] ? "signal 9" : "") };
    for (int i = 0; i < STAGE_KINDS; i++) {
        if (k->stages >> i & 1)
            m.HELLO.stages.v[m.HELLO.stages.n++] = str_of(stage_names[i]);
    }
    end_say(&k->end, &m, NULL, 0);
    buf_fini(&raw);
    world_in(w, 1000000, hello, k, k->life);
}

static void greet(struct worker *k)
{
    if (!k->welcomed)
        return; /* it is being said */
    k->welcomed = false;
    k->hellos = 0;
    world_in(k->end.w, 1, hello, k, k->life);
}

/* ---- working ------------------------------------------------------------------------------ */

static void finish(struct worker *k, struct held *h)
{
    static const char *const faults[] = { "retryable", "retryable", "overloaded", "permanent",
                                          "cancelled" };
    struct world *w = k->end.w;
    h->ending = DONE;
    if (world_fault(w, FAULT_FAIL)) {
        uint32_t kind = chance_below(w, 12);
        h->ending = kind < 9 ? FAILED : kind < 11 ? RELEASED : DONE;
        h->malformed = kind == 11;
        snprintf(h->fault, sizeof h->fault, "%s",
                 faults[kind == 3 && chance_below(w, 4) ? 0 : kind % 5]);
    }
    if (h->stage == CALL)
        snprintf(h->text, sizeof h->text, "result %.80s", h->given);
    else
        snprintf(h->text, sizeof h->text, "by %llu in %016llx", (unsigned long long)++w->names,
                 (unsigned long long)h->digest);
    h->questions = h->stage < REVIEW && chance_below(w, 25) == 0;
    h->measures = (int)chance_below(w, 1000);
}

static void make_step(struct worker *k, struct held *h)
{
    uint32_t i = h->step++;
    if (h->s[i].made)
        return; /* somebody has paid for it */
    h->s[i].made = true;
    h->tokens_in += 10;
    h->tokens_out += 5;
    oracle_executed(k->end.w->oracle, str_of(h->key), 10, 5);
    say_step(k, h, i);
}

static int64_t pace_us(struct world *w)
{
    if (world_fault(w, FAULT_LAZY))
        return chance_between(w, 16000000, 60000000);
    return chance_between(w, 1000, chance_below(w, 10) ? 40000 : 3000000);
}

static void act(struct world *w, void *ctx, uint64_t serial)
{
    struct worker *k = ctx;
    struct held *h = NULL;
    for (uint32_t i = 0; i < SLOTS_MOST; i++) {
        if (k->held[i].serial == serial)
            h = &k->held[i];
    }
    if (!h)
        return;
    if (k->end.hung) {
        if (k->woken_us < INT64_MAX)
            world_at(w, k->woken_us, act, k, serial);
        return;
    }
    int64_t next = pace_us(w);
    if (h->ending != GOING_ON) {
        for (uint32_t i = 0; i < h->step; i++) { /* first what belongs to it */
            if (h->s[i].made && !h->s[i].acked)
                say_step(k, h, i);
        }
        say_ending(k, h);
        next = 3000000;
    } else if (h->call) {
        say_call(k, h);
        next = 4000000;
    } else if (h->step < h->steps) {
        make_step(k, h);
    } else {
        finish(k, h);
        say_ending(k, h);
        next = 3000000;
    }
    world_in(w, next, act, k, serial);
}

/* ---- hearing ------------------------------------------------------------------------------ */

static void read_steps(struct held *h, struct str frame)
{
    struct mp in;
    struct mp_value v, hash;
    mp_init(&in, (struct str){ frame.p + 1, frame.n - 1 });
    if (mp_want(&in, MP_MAP, &v) != OK || mp_want(&in, MP_STR, &v) != OK ||
        mp_want(&in, MP_ARRAY, &v) != OK)
        return;
    for (uint32_t n = v.n; n; n--) {
        struct str rest;
        struct hash have;
        if (mp_want(&in, MP_MAP, &v) != OK || mp_want(&in, MP_STR, &hash) != OK ||
            mp_want(&in, MP_STR, &hash) != OK)
            return;
        for (uint32_t i = 0; i < h->steps; i++) {
            if (hash_from_hex(hash.str, &have) && memcmp(have.b, h->s[i].hash, HASH_BYTES) == 0)
                h->s[i].made = h->s[i].acked = true;
        }
        for (uint32_t i = 2; i < 2 * v.n; i++) {
            if (mp_skip(&in, &rest) != OK)
                return;
        }
    }
}

/* What the result depends on; the oracle knows the same from the store. */
static bool counts(int stage, struct str name)
{
    return (stage == PARSE && str_is(name, "problem")) ||
           (stage == ANALYZE && str_is(name, "brief")) ||
           (stage == GENERATE && (str_is(name, "brief") || str_is(name, "insights"))) ||
           (stage == REVIEW && str_is(name, "draft"));
}

static void name_steps(struct held *h)
{
    struct task_key key;
    bool parsed = task_key_parse(str_of(h->key), &key);
    assert(parsed);
    (void)parsed;
    uint64_t chance = key.job * 31 + key.run * 7 + key.round * 3 + key.pass;
    h->steps = (uint32_t)(h->stage == CALL ? 0 : chance % (STEPS_MOST + 1));
    for (uint32_t i = 0; i < h->steps; i++) {
        uint64_t v = chance * 0x9e3779b97f4a7c15u + i * 77 + (uint64_t)h->stage;
        for (size_t at = 0; at < HASH_BYTES; at++)
            h->s[i].hash[at] = (uint8_t)((v >> (at % 8 * 8)) + at);
        memcpy(h->s[i].hash, &(uint64_t){ v * 0xbf58476d1ce4e5b9u + i }, 8);
    }
}

static void on_task(struct worker *k, const struct msg_TASK *m, const struct str *frames, uint32_t n)
{
    struct world *w = k->end.w;
    k->seen = m->seq;
    struct held *h = find(k, m->task);
    if (h && (h->ending == FAILED || h->ending == RELEASED)) {
        h->serial = 0; /* the broker has taken that, and wants another try */
        h = NULL;
    }
    if (h) {
        h->fence = m->fence; /* given to us again: go on under the new number */
        h->tokens_in = h->tokens_out = 0;
        world_in(w, 1000, act, k, h->serial);
        return;
    }
    for (uint32_t i = 0; i < SLOTS_MOST && !h; i++)
        h = k->held[i].serial ? NULL : &k->held[i];
    if (!h) {
        struct msg back = { .type = MSG_RELEASE,
                            .RELEASE = { m->task, m->fence, str_of("no slot") } };
        end_say(&k->end, &back, NULL, 0);
        return;
    }
    *h = (struct held){ .serial = ++w->names, .fence = m->fence, .stage = -1 };
    snprintf(h->key, sizeof h->key, "%.*s", STR_ARG(m->task));
    for (int i = 0; i < STAGE_KINDS; i++)
        h->stage = str_is(m->stage, stage_names[i]) ? i : h->stage;
    if (h->stage < 0 || !(k->stages >> h->stage & 1))
        world_broken(w, "a worker was given a stage that it does not serve");
    name_steps(h);
    for (uint32_t i = 0; i < m->docs.n && i < n; i++) {
        struct str text;
        if (str_is(m->docs.v[i], "steps"))
            read_steps(h, frames[i]);
        if (counts(h->stage, m->docs.v[i]))
            h->digest = oracle_digest(h->digest, frames[i]);
        if (h->stage == CALL && str_is(m->docs.v[i], "call") && sim_text(frames[i], &text))
            snprintf(h->given, sizeof h->given, "%.*s", STR_ARG(text));
    }
    if ((h->stage == GENERATE || h->stage == REVIEW) && chance_below(w, 2))
        h->call = ++w->names;
    bool slow = h->stage == CALL && chance_below(w, 3) == 0;
    world_in(w, slow ? chance_between(w, 500000, 8000000) : pace_us(w), act, k, h->serial);
    ready(k);
}

static void on_called(struct worker *k, const struct msg_CALLED *m)
{
    struct held *h = find(k, m->task);
    char id[32];
    if (!h || !h->call || !fence_eq(h->fence, m->fence))
        return;
    snprintf(id, sizeof id, "k%llu", (unsigned long long)h->call);
    if (str_is(m->call, id))
        h->call = 0;
}

static void on_drop(struct worker *k, const struct msg_DROP *m)
{
    struct held *h = find(k, m->task);
    if (!h || !fence_eq(h->fence, m->fence))
        return;
    if (h->ending != GOING_ON && str_is(m->reason, "expired"))
        return;
    h->serial = 0;
    ready(k);
}

static void on_welcome(struct worker *k, const struct msg *m)
{
    k->epoch = m->epoch;
    k->welcomed = true;
    k->before[0] = '\0';
    k->seen = k->said_seen = 0;
    k->said_credit = -1;
    k->hellos = 0;
    for (uint32_t i = 0; i < SLOTS_MOST; i++) {
        struct held *h = &k->held[i];
        for (uint32_t s = 0; h->serial && s < h->step; s++) {
            if (h->s[s].made && !h->s[s].acked)
                say_step(k, h, s);
        }
        if (h->serial && h->ending != GOING_ON)
            say_ending(k, h);
        else if (h->serial && h->call)
            say_call(k, h); /* calls are not durable: asked again */
    }
    ready(k);
}

static void hear(struct end *e, const struct msg *m, const struct str *frames, uint32_t n)
{
    struct worker *k = (struct worker *)e;
    struct held *h;
    k->heard_us = e->w->now_us;
    if (m->type == MSG_WELCOME) {
        on_welcome(k, m);
    } else if (m->type == MSG_REFUSED) {
        greet(k);
    } else if (m->epoch != k->epoch || !k->welcomed) {
        greet(k);
    } else if (m->type == MSG_TASK) {
        on_task(k, &m->TASK, frames, n);
    } else if (m->type == MSG_TAKEN) {
        h = find(k, m->TAKEN.task);
        if (h && h->ending != GOING_ON && fence_eq(h->fence, m->TAKEN.fence))
            h->serial = 0;
        ready(k);
    } else if (m->type == MSG_STEPPED) {
        h = find(k, m->STEPPED.task);
        for (uint32_t i = 0; h && i < h->steps; i++) {
            if (m->STEPPED.hash.n == HASH_BYTES &&
                memcmp(m->STEPPED.hash.p, h->s[i].hash, HASH_BYTES) == 0)
                h->s[i].acked = true;
        }
    } else if (m->type == MSG_CALLED) {
        on_called(k, &m->CALLED);
    } else if (m->type == MSG_DROP) {
        on_drop(k, &m->DROP);
    }
}

/* ---- life --------------------------------------------------------------------------------- */

static void beat(struct world *w, void *ctx, uint64_t arg);

static void born(struct world *w, void *ctx, uint64_t arg)
{
    struct worker *k = ctx;
    if (k->life != arg)
        return;
    k->end.deaf = k->end.hung = k->welcomed = false;
    k->epoch = 0;
    k->slots = 1 + chance_below(w, 4);
    k->heard_us = w->now_us;
    if (k->name[0] && chance_below(w, 2)) /* who starts it again knows how it died */
        memcpy(k->before, k->name, sizeof k->before);
    snprintf(k->name, sizeof k->name, "w%u/%llu", k->end.no, (unsigned long long)k->life);
    world_in(w, 1, hello, k, k->life);
    world_in(w, HEARTBEAT_US, beat, k, k->life);
}

static void die(struct worker *k)
{
    k->life++;
    k->end.deaf = true;
    k->welcomed = false;
    memset(k->held, 0, sizeof k->held);
    end_relink(&k->end);
    world_in(k->end.w, chance_between(k->end.w, 1000, 10000000), born, k, k->life);
}

static void awake(struct world *w, void *ctx, uint64_t arg)
{
    struct worker *k = ctx;
    if (k->life != arg || !k->end.hung)
        return;
    k->end.hung = false;
    k->heard_us = w->now_us;
    if (!k->welcomed)
        world_in(w, 1, hello, k, k->life);
}

static void say_beat(struct worker *k)
{
    struct buf raw;
    struct msg m = { .type = MSG_BEAT };
    m.BEAT.holds = holds(k, &raw);
    m.BEAT.notes = (struct str){ "\x80", 1 };
    end_say(&k->end, &m, NULL, 0);
    buf_fini(&raw);
    if (++k->beats % 3 == 0) {
        struct msg ping = { .type = MSG_PING, .PING = { k->beats } };
        end_say(&k->end, &ping, NULL, 0);
    }
}

static void beat(struct world *w, void *ctx, uint64_t arg)
{
    struct worker *k = ctx;
    if (k->life != arg)
        return;
    if (k->end.hung) {
        if (k->woken_us < INT64_MAX)
            world_at(w, k->woken_us + 1, beat, k, arg);
        return;
    }
    if (world_fault(w, FAULT_DIE)) {
        die(k);
        return;
    }
    if (world_fault(w, FAULT_HANG)) {
        bool ever = chance_below(w, 3) == 0;
        k->end.hung = true;
        k->woken_us = ever ? INT64_MAX : w->now_us + chance_between(w, 1000000, 90000000);
        if (!ever)
            world_at(w, k->woken_us, awake, k, k->life);
        world_in(w, 0, beat, k, arg);
        return;
    }
    struct held *h = &k->held[chance_below(w, SLOTS_MOST)];
    if (h->serial && world_fault(w, FAULT_AMNESIA))
        h->serial = 0;
    ready(k);
    if (k->welcomed && w->now_us - k->heard_us > SILENT_US) {
        change_host(k);
        greet(k);
    } else if (k->welcomed) {
        say_beat(k);
    }
    world_in(w, HEARTBEAT_US, beat, k, arg);
}

struct worker *worker_new(struct world *w, uint32_t no, uint32_t stages)
{
    struct worker *k = calloc(1, sizeof *k);
    assert(k);
    k->stages = stages;
    k->end.hear = hear;
    end_add(w, &k->end);
    k->end.host = no % w->conf.hosts;
    world_in(w, chance_below(w, 20000), born, k, k->life);
    return k;
}

void worker_free(struct worker *k)
{
    free(k);
}

/* What is broken stays broken, but somebody is left to work. */
void worker_calm(struct worker *k)
{
    struct world *w = k->end.w;
    if (k->end.no < 2 && k->end.hung && k->woken_us == INT64_MAX) {
        k->life++;
        memset(k->held, 0, sizeof k->held);
        end_relink(&k->end);
        world_in(w, 1000, born, k, k->life);
    }
}
