/* SPDX-License-Identifier: Apache-2.0 */
/* A real pawl-broker, a real redis-server, parties over ipc: what only the whole can show. */
#include "rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct str problem(struct buf *b)
{
    buf_init(b, 4096);
    return doc_text(b, "Sensors die without warning; alert within 5 minutes.");
}

static void submit(struct party *c, const char *key, char id[16])
{
    struct buf doc, budget;
    struct msg m = { .type = MSG_SUBMIT };
    struct str frame = problem(&doc);
    buf_init(&budget, 256);
    mp_map(&budget, 1);
    mp_z(&budget, "rounds");
    mp_int(&budget, 3);
    m.SUBMIT = (struct msg_SUBMIT){
        .req = ++c->req, .key = str_of(key), .label = str_of("a test"), .budget = buf_get(&budget)
    };
    m.SUBMIT.docs.v[m.SUBMIT.docs.n++] = str_of("problem");
    party_say(c, &m, &frame, 1);
    const struct msg *s = party_expect(c, MSG_SUBMITTED);
    assert_int_equal(s->SUBMITTED.req, c->req);
    snprintf(id, 16, "%.*s", STR_ARG(s->SUBMITTED.job));
    buf_fini(&doc);
    buf_fini(&budget);
}

struct result {
    const char *docs; /* names separated by spaces */
    int measures;     /* of a verdict; -1: none */
};

struct held {
    char task[PAWL_KEY_MAX + 1];
    struct fence fence;
};

static struct held take_task(struct party *w, const char *stage)
{
    struct held h = { .task = "" };
    const struct msg *m = party_expect(w, MSG_TASK);
    if (stage && !str_is(m->TASK.stage, stage))
        fail_msg("wanted a task of %s, got %.*s", stage, STR_ARG(m->TASK.stage));
    snprintf(h.task, sizeof h.task, "%.*s", STR_ARG(m->TASK.task));
    h.fence = m->TASK.fence;
    return h;
}

static void say_done(struct party *w, const struct held *h, struct result r)
{
    struct buf doc, verdict;
    struct msg m = { .type = MSG_DONE };
    struct str frames[4], rest = str_of(r.docs);
    buf_init(&doc, 4096);
    buf_init(&verdict, 4096);
    struct str frame = doc_text(&doc, h->task);
    m.DONE = (struct msg_DONE){
        .task = str_of(h->task), .fence = h->fence, .tokens_in = 10, .tokens_out = 5
    };
    while (rest.n) {
        size_t n = 0;
        while (n < rest.n && rest.p[n] != ' ')
            n++;
        frames[m.DONE.docs.n] = frame;
        m.DONE.docs.v[m.DONE.docs.n++] = (struct str){ rest.p, n };
        n += n < rest.n;
        rest = (struct str){ rest.p + n, rest.n - n };
    }
    if (r.measures >= 0) {
        char candidate[HASH_HEX + 1];
        struct hash hash = hash_of(str_of(h->task));
        hash_hex(&hash, candidate);
        mp_map(&verdict, 6);
        mp_z(&verdict, "gates");
        mp_bool(&verdict, true);
        mp_z(&verdict, "measures");
        mp_int(&verdict, r.measures);
        mp_z(&verdict, "judge");
        mp_int(&verdict, -1);
        mp_z(&verdict, "errors");
        mp_int(&verdict, 0);
        mp_z(&verdict, "warnings");
        mp_int(&verdict, 1);
        mp_z(&verdict, "candidate");
        mp_z(&verdict, candidate);
        m.DONE.verdict = buf_get(&verdict);
    }
    party_say(w, &m, frames, m.DONE.docs.n);
    buf_fini(&doc);
    buf_fini(&verdict);
}

static void finish(struct party *w, const struct held *h, struct result r)
{
    say_done(w, h, r);
    const struct msg *t = party_expect(w, MSG_TAKEN);
    assert_true(str_is(t->TAKEN.task, h->task));
    assert_true(str_is(t->TAKEN.outcome, "committed"));
}

static void do_task(struct party *w, const char *stage, struct result r)
{
    struct held h = take_task(w, stage);
    finish(w, &h, r);
    party_ready(w, 4);
}

static void show(struct party *c, const char *id)
{
    struct msg m = { .type = MSG_SHOW, .SHOW = { ++c->req, str_of(id) } };
    party_say(c, &m, NULL, 0);
    party_expect(c, MSG_JOB);
}

static void expect_shown(struct party *c, const char *id, const char *key, const char *want)
{
    char have[1024];
    show(c, id);
    map_text(party_frame(c, 0), key, have, sizeof have);
    assert_string_equal(have, want);
}

/* One ended job in the list and in the status, one worker. */
static void expect_counted(struct party *c)
{
    char text[256];
    struct msg list = { .type = MSG_LIST,
                        .LIST = { .req = 8, .state = str_of("accepted"), .limit = 10 } };
    party_say(c, &list, NULL, 0);
    party_expect(c, MSG_PAGE);
    struct mp in;
    struct mp_value v;
    mp_init(&in, party_frame(c, 0));
    assert_int_equal(mp_want(&in, MP_ARRAY, &v), OK);
    assert_int_equal(v.n, 1);

    struct msg status = { .type = MSG_STATUS, .STATUS = { 9 } };
    party_say(c, &status, NULL, 0);
    party_expect(c, MSG_ANSWERED);
    map_text(map_raw(party_frame(c, 0), "jobs"), "ended", text, sizeof text);
    assert_string_equal(text, "1");
    struct msg workers = { .type = MSG_WORKERS, .WORKERS = { 10 } };
    party_say(c, &workers, NULL, 0);
    party_expect(c, MSG_ANSWERED);
    map_text(party_frame(c, 0), "workers", text, sizeof text);
    assert_string_equal(text, "#1");
}

/* Durable already: each answer above came after its turn. */
static void a_job_runs_to_accepted(void **state)
{
    struct rig rig;
    struct party w, c;
    char id[16], text[256];
    (void)state;
    rig_open(&rig);
    rig_redis_start(&rig);
    rig_broker_start(&rig, NULL);
    party_open(&c, &rig, "client", "cli", "");
    struct msg watch = { .type = MSG_WATCH,
                         .WATCH = { .req = 900, .since = str_of("0"), .credit = 1000 } };
    party_say(&c, &watch, NULL, 0);
    submit(&c, "k1", id);
    party_open(&w, &rig, "worker", "w1", "parse analyze generate review");
    party_ready(&w, 4);
    do_task(&w, "parse", (struct result){ "brief", -1 });
    do_task(&w, "analyze", (struct result){ "insights", -1 });
    do_task(&w, "generate", (struct result){ "draft change", -1 });
    do_task(&w, "review", (struct result){ "review", 500 });
    do_task(&w, "analyze", (struct result){ "insights", -1 });
    struct held h = take_task(&w, "generate");
    bool best = false, last = false;
    for (uint32_t i = 0; i < w.m.TASK.docs.n; i++) {
        best = best || str_is(w.m.TASK.docs.v[i], "draft@best");
        last = last || str_is(w.m.TASK.docs.v[i], "review@last");
        assert_true(peer_frame(&w.in, i + 1).n > 2);
    }
    assert_true(best && last);
    finish(&w, &h, (struct result){ "draft change", -1 });
    party_ready(&w, 4);
    do_task(&w, "review", (struct result){ "review", 900 });
    expect_shown(&c, id, "state", "accepted");
    expect_shown(&c, id, "reason", "the target is met");
    expect_shown(&c, id, "ledger", "#2");
    expect_shown(&c, id, "tokens_in", "70");
    map_text(map_raw(party_frame(&c, 0), "best"), "round", text, sizeof text);
    assert_string_equal(text, "2");

    struct msg get = { .type = MSG_GET,
                       .GET = { .req = 7, .job = str_of(id), .name = str_of("change@best") } };
    party_say(&c, &get, NULL, 0);
    const struct msg *d = party_expect(&c, MSG_DOC);
    assert_int_equal(d->DOC.round, 2);
    struct str frame = party_frame(&c, 0);
    map_text((struct str){ frame.p + 1, frame.n - 1 }, "text", text, sizeof text);
    assert_non_null(strstr(text, "/1/2/generate/0"));

    expect_counted(&c);

    party_close(&w);
    party_close(&c);
    rig_close(&rig);
}

/* Events: all of them, in order, from the history, once; then live ones. */
static void watching_misses_nothing(void **state)
{
    struct rig rig;
    struct party w, c, o;
    char id[16], last[64] = "";
    int states = 0, n = 0;
    (void)state;
    rig_open(&rig);
    rig_redis_start(&rig);
    rig_broker_start(&rig, NULL);
    party_open(&c, &rig, "client", "cli", "");
    submit(&c, "k1", id);
    party_open(&w, &rig, "worker", "w1", "parse analyze generate review");
    party_ready(&w, 1);
    do_task(&w, "parse", (struct result){ "brief", -1 });
    party_open(&o, &rig, "client", "watcher", "");
    /* credit of three: three events and no more */
    struct msg watch = { .type = MSG_WATCH,
                         .WATCH = {
                             .req = 1, .job = str_of(id), .since = str_of("0"), .credit = 3 } };
    party_say(&o, &watch, NULL, 0);
    for (int i = 0; i < 3; i++)
        party_expect(&o, MSG_EVENT);
    assert_false(party_poll(&o, 200));
    watch.WATCH.credit = 1000;
    party_say(&o, &watch, NULL, 0);
    do_task(&w, "analyze", (struct result){ "insights", -1 });
    do_task(&w, "generate", (struct result){ "draft change", -1 });
    do_task(&w, "review", (struct result){ "review", 900 });
    for (bool ended = false; !ended; n++) {
        const struct msg *e = party_expect(&o, MSG_EVENT);
        char now[64], to[32];
        snprintf(now, sizeof now, "%.*s", STR_ARG(e->EVENT.id));
        assert_string_not_equal(now, last);
        memcpy(last, now, sizeof last);
        map_text(e->EVENT.facts, "to", to, sizeof to);
        states += str_is(e->EVENT.kind, "job.state");
        ended = str_is(e->EVENT.kind, "job.state") && strcmp(to, "accepted") == 0;
    }
    assert_true(states >= 6 && n > 10);
    /* resume after the last: nothing; after an unknown older place: a reset first */
    party_close(&o);
    party_open(&o, &rig, "client", "watcher", "");
    watch.WATCH = (struct msg_WATCH){ .req = 2, .since = str_of(last), .credit = 10 };
    party_say(&o, &watch, NULL, 0);
    assert_false(party_poll(&o, 200));
    watch.WATCH = (struct msg_WATCH){ .req = 3, .since = str_of("1-1"), .credit = 10 };
    party_say(&o, &watch, NULL, 0);
    assert_true(str_is(party_expect(&o, MSG_EVENT)->EVENT.kind, "reset"));
    party_close(&o);
    party_close(&w);
    party_close(&c);
    rig_close(&rig);
}

/* Text that nobody watches is not sent: the first piece is answered, the first watcher wakes it. */
static void text_flows_while_somebody_watches(void **state)
{
    struct rig rig;
    struct party w, c;
    char id[16], text[32];
    (void)state;
    rig_open(&rig);
    rig_redis_start(&rig);
    rig_broker_start(&rig, NULL);
    party_open(&c, &rig, "client", "cli", "");
    submit(&c, "k1", id);
    party_open(&w, &rig, "worker", "w1", "parse");
    party_ready(&w, 1);
    struct held h = take_task(&w, "parse");
    struct msg tokens = { .type = MSG_TOKENS, .TOKENS = { str_of(h.task), 0, str_of("unheard") } };
    party_say(&w, &tokens, NULL, 0);
    const struct msg *m = party_expect(&w, MSG_LISTEN);
    assert_true(str_is(m->LISTEN.task, h.task) && !m->LISTEN.wanted);
    struct msg watch = { .type = MSG_WATCH,
                         .WATCH = { .req = 1, .job = str_of(id), .credit = 10 } };
    party_say(&c, &watch, NULL, 0);
    m = party_expect(&w, MSG_LISTEN);
    assert_true(str_is(m->LISTEN.task, h.task) && m->LISTEN.wanted);
    tokens.TOKENS = (struct msg_TOKENS){ str_of(h.task), 7, str_of("heard") };
    party_say(&w, &tokens, NULL, 0);
    do /* after what became durable meanwhile */
        m = party_expect(&c, MSG_EVENT);
    while (!str_is(m->EVENT.kind, "task.tokens"));
    map_text(m->EVENT.facts, "text", text, sizeof text);
    assert_string_equal(text, "heard");
    party_close(&w);
    party_close(&c);
    rig_close(&rig);
}

/* kill -9 of the broker while a worker holds a task: the worker says what it holds, its result is
 * taken, the job goes on; what was submitted is there. */
static void a_killed_broker_comes_back(void **state)
{
    struct rig rig;
    struct party w, c;
    char id[16];
    (void)state;
    rig_open(&rig);
    rig_redis_start(&rig);
    rig_broker_start(&rig, NULL);
    party_open(&c, &rig, "client", "cli", "");
    submit(&c, "k1", id);
    party_open(&w, &rig, "worker", "w1", "parse analyze generate review");
    party_ready(&w, 1);
    struct held h = take_task(&w, "parse");
    uint64_t before = w.epoch;
    rig_broker_stop(&rig, SIGKILL);
    rig_broker_start(&rig, NULL); /* the dead leader's lease is void at once: same machine */
    mp_array(&w.holds, 1);
    assert_int_equal(msg_task_put(&w.holds, str_of(h.task), h.fence), OK);
    w.holds_n = 1;
    party_hello(&w);
    assert_int_not_equal(w.epoch, before);
    party_hello(&c);
    expect_shown(&c, id, "state", "running");
    finish(&w, &h, (struct result){ "brief", -1 });
    w.holds_n = 0;
    w.seen = 0;
    party_ready(&w, 1);
    do_task(&w, "analyze", (struct result){ "insights", -1 });
    /* the same result again: already */
    say_done(&w, &h, (struct result){ "brief", -1 });
    while (!str_is(party_expect(&w, MSG_TAKEN)->TAKEN.task, h.task))
        ;
    assert_true(str_is(w.m.TAKEN.outcome, "already"));
    party_close(&w);
    party_close(&c);
    rig_close(&rig);
}

static void redis_gone_and_back(void **state)
{
    struct rig rig;
    struct party w, c;
    char id[16], again[16];
    (void)state;
    rig_open(&rig);
    rig_redis_start(&rig);
    rig_broker_start(&rig, NULL);
    party_open(&c, &rig, "client", "cli", "");
    submit(&c, "k1", id);
    party_open(&w, &rig, "worker", "w1", "parse analyze generate review");
    party_ready(&w, 1);
    struct held h = take_task(&w, "parse");
    rig_redis_stop(&rig, SIGKILL);
    rig_wait_log(&rig, "Redis at unix");
    struct buf doc;
    struct str frame = problem(&doc);
    struct msg m = { .type = MSG_SUBMIT, .SUBMIT = { .req = 77, .key = str_of("k2") } };
    m.SUBMIT.docs.v[m.SUBMIT.docs.n++] = str_of("problem");
    party_say(&c, &m, &frame, 1);
    while (party_poll(&c, 10000) && c.m.type != MSG_REFUSED)
        ;
    assert_int_equal(c.m.type, MSG_REFUSED);
    assert_true(str_is(c.m.REFUSED.code, "unavailable"));
    assert_int_equal(c.m.REFUSED.req, 77);
    assert_true(c.m.REFUSED.retry_after_ms > 0);
    buf_fini(&doc);
    say_done(&w, &h, (struct result){ "brief", -1 }); /* held, unacknowledged */
    rig_redis_start(&rig);
    rig_wait_log(&rig, "msg=leading");
    mp_array(&w.holds, 1);
    assert_int_equal(msg_task_put(&w.holds, str_of(h.task), h.fence), OK);
    w.holds_n = 1;
    party_hello(&w);
    finish(&w, &h, (struct result){ "brief", -1 });
    submit(&c, "k1", again); /* without a new HELLO: the client is known */
    assert_string_equal(again, id);
    party_close(&w);
    party_close(&c);
    rig_close(&rig);
}

/* Read-only and out of memory: refused with the reason, and it resumes when it is over. */
static void redis_that_cannot_write(void **state)
{
    struct rig rig;
    struct party c;
    char id[16], cmd[512];
    (void)state;
    rig_open(&rig);
    rig_redis_start(&rig);
    rig_broker_start(&rig, NULL);
    party_open(&c, &rig, "client", "cli", "");
    submit(&c, "k1", id);
    snprintf(cmd, sizeof cmd, "redis-cli -s %s/redis.sock replicaof 127.0.0.1 1 >/dev/null",
             rig.dir);
    assert_int_equal(system(cmd), 0);
    struct buf doc;
    struct str frame = problem(&doc);
    struct msg m = { .type = MSG_SUBMIT, .SUBMIT = { .req = 5, .key = str_of("k2") } };
    m.SUBMIT.docs.v[m.SUBMIT.docs.n++] = str_of("problem");
    party_say(&c, &m, &frame, 1);
    while (party_poll(&c, 10000) && !(c.m.type == MSG_REFUSED && c.m.REFUSED.req == 5))
        ;
    assert_true(str_is(c.m.REFUSED.code, "unavailable"));
    snprintf(cmd, sizeof cmd, "redis-cli -s %s/redis.sock replicaof no one >/dev/null", rig.dir);
    assert_int_equal(system(cmd), 0);
    rig_wait_log(&rig, "msg=leading");
    submit(&c, "k2", id);
    buf_fini(&doc);
    party_close(&c);
    rig_close(&rig);
}

static bool submission_passes(struct party *c, const char *key)
{
    struct buf doc;
    struct str frame = problem(&doc);
    struct msg m = { .type = MSG_SUBMIT, .SUBMIT = { .req = ++c->req, .key = str_of(key) } };
    m.SUBMIT.docs.v[m.SUBMIT.docs.n++] = str_of("problem");
    party_say(c, &m, &frame, 1);
    while (party_poll(c, 10000)) {
        if (c->m.type == MSG_SUBMITTED && c->m.SUBMITTED.req == c->req)
            break;
        if (c->m.type != MSG_REFUSED || c->m.REFUSED.req != c->req)
            continue;
        assert_true(str_is(c->m.REFUSED.code, "busy"));
        assert_true(c->m.REFUSED.retry_after_ms > 0);
        break;
    }
    buf_fini(&doc);
    return c->m.type == MSG_SUBMITTED;
}

/* Above 90 % of maxmemory submissions are refused; what runs goes on, even above the limit. */
static void redis_out_of_memory(void **state)
{
    struct rig rig;
    struct party c, w;
    char id[16], cmd[512];
    (void)state;
    rig_open(&rig);
    rig_redis_start(&rig);
    rig_broker_start(&rig, NULL);
    party_open(&c, &rig, "client", "cli", "");
    submit(&c, "k1", id);
    snprintf(cmd, sizeof cmd, "redis-cli -s %s/redis.sock config set maxmemory 100000 >/dev/null",
             rig.dir);
    assert_int_equal(system(cmd), 0);
    for (int64_t until = mono_now().ms + 15000; submission_passes(&c, "k1");)
        assert_true(mono_now().ms < until);
    party_open(&w, &rig, "worker", "w1", "parse analyze generate review");
    party_ready(&w, 1);
    do_task(&w, "parse", (struct result){ "brief", -1 });
    snprintf(cmd, sizeof cmd, "redis-cli -s %s/redis.sock config set maxmemory 0 >/dev/null",
             rig.dir);
    assert_int_equal(system(cmd), 0);
    for (int64_t until = mono_now().ms + 15000; !submission_passes(&c, "k2");)
        assert_true(mono_now().ms < until);
    party_close(&w);
    party_close(&c);
    rig_close(&rig);
}

static void a_second_broker_is_refused(void **state)
{
    struct rig rig;
    (void)state;
    rig_open(&rig);
    rig_redis_start(&rig);
    rig_broker_start(&rig, NULL);
    assert_int_equal(rig_broker_run(&rig, NULL), 69); /* same endpoint */
    assert_non_null(strstr(rig.log, "another broker listens"));
    char other[160];
    snprintf(other, sizeof other, "ipc://%s/other.sock", rig.dir);
    const char *args[] = { "--endpoint", other, "--wait-store", "100", NULL };
    assert_int_equal(rig_broker_run(&rig, args), 69); /* same Redis */
    assert_non_null(strstr(rig.log, "another broker leads"));
    assert_non_null(strstr(rig.log, rig.endpoint));
    rig_close(&rig);
}

static void no_redis_at_start(void **state)
{
    struct rig rig;
    const char *args[] = { "--wait-store", "300", NULL };
    (void)state;
    rig_open(&rig);
    assert_int_equal(rig_broker_run(&rig, args), 69);
    assert_non_null(strstr(rig.log, "redis.sock"));
    rig_close(&rig);
}

static void a_public_address_needs_keys(void **state)
{
    struct rig rig;
    const char *args[] = { "--endpoint", "tcp://0.0.0.0:*", NULL };
    (void)state;
    rig_open(&rig);
    assert_int_equal(rig_broker_run(&rig, args), 78);
    assert_non_null(strstr(rig.log, "public address"));
    rig_close(&rig);
}

/* Random bytes on the port, and well-framed nonsense: counted, refused, survived. */
static void garbage_is_survived(void **state)
{
    struct rig rig;
    struct party c;
    char id[16];
    uint64_t seed = 42;
    (void)state;
    rig_open(&rig);
    rig_redis_start(&rig);
    rig_broker_start(&rig, NULL);
    for (int i = 0; i < 20; i++) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        char noise[512];
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        snprintf(a.sun_path, sizeof a.sun_path, "%s/broker.sock", rig.dir);
        assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (char)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 56);
        assert_true(write(fd, noise, sizeof noise) > 0 || true);
        close(fd);
    }
    party_open(&c, &rig, "client", "cli", "");
    for (int i = 0; i < 200; i++) {
        char noise[64];
        for (size_t k = 0; k < sizeof noise; k++)
            noise[k] = (char)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 56);
        assert_int_equal(
            peer_send_raw(c.peer, (struct str){ 0 }, (struct str){ noise, sizeof noise }, NULL, 0),
            OK);
    }
    struct msg lie = { .type = MSG_WELCOME };
    party_say(&c, &lie, NULL, 0);
    struct msg early = { .type = MSG_DONE, .DONE = { .task = str_of("x") } };
    party_say(&c, &early, NULL, 0);
    for (int refused = 0; refused < 202;) {
        assert_true(party_poll(&c, 10000));
        refused += c.m.type == MSG_REFUSED;
    }
    submit(&c, "k1", id);
    party_close(&c);
    rig_close(&rig);
}

/* A worker killed with a task: its connection is gone, the task goes on elsewhere, counted. */
static void a_dead_worker_gives_its_task_back(void **state)
{
    struct rig rig;
    struct party w, x, c;
    char id[16];
    (void)state;
    rig_open(&rig);
    rig_redis_start(&rig);
    rig_broker_start(&rig, NULL);
    party_open(&c, &rig, "client", "cli", "");
    submit(&c, "k1", id);
    party_open(&w, &rig, "worker", "w1", "parse");
    party_ready(&w, 1);
    struct held h = take_task(&w, "parse");
    struct buf result;
    buf_init(&result, 4096);
    struct str frame = doc_text(&result, "a finished call");
    struct hash hash = hash_of(str_of("request"));
    struct msg step = { .type = MSG_STEP };
    step.STEP = (struct msg_STEP){ .task = str_of(h.task),
                                   .fence = h.fence,
                                   .tokens_in = 100,
                                   .tokens_out = 20,
                                   .hash = { (const char *)hash.b, HASH_BYTES } };
    party_say(&w, &step, &frame, 1);
    party_expect(&w, MSG_STEPPED);
    party_close(&w);
    party_open(&x, &rig, "worker", "w2", "parse");
    party_ready(&x, 1);
    struct held again = take_task(&x, "parse");
    assert_string_equal(again.task, h.task);
    assert_false(fence_eq(again.fence, h.fence));
    assert_int_equal(x.m.TASK.attempt, 2);
    bool steps = false;
    for (uint32_t i = 0; i < x.m.TASK.docs.n; i++) {
        if (!str_is(x.m.TASK.docs.v[i], "steps"))
            continue;
        struct str f = peer_frame(&x.in, i + 1);
        char n[32];
        map_text((struct str){ f.p + 1, f.n - 1 }, "items", n, sizeof n);
        assert_string_equal(n, "#1");
        steps = true;
    }
    assert_true(steps);
    expect_shown(&c, id, "crashes", "1");
    expect_shown(&c, id, "tokens_in", "100");
    expect_shown(&c, id, "failures", "#1");
    buf_fini(&result);
    party_close(&x);
    party_close(&c);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_runs_to_accepted),
        cmocka_unit_test(watching_misses_nothing),
        cmocka_unit_test(text_flows_while_somebody_watches),
        cmocka_unit_test(a_killed_broker_comes_back),
        cmocka_unit_test(redis_gone_and_back),
        cmocka_unit_test(redis_that_cannot_write),
        cmocka_unit_test(redis_out_of_memory),
        cmocka_unit_test(a_second_broker_is_refused),
        cmocka_unit_test(no_redis_at_start),
        cmocka_unit_test(a_public_address_needs_keys),
        cmocka_unit_test(garbage_is_survived),
        cmocka_unit_test(a_dead_worker_gives_its_task_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
