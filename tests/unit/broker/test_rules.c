/* SPDX-License-Identifier: Apache-2.0 */
/* The eight rules that keep the broker correct (docs/architecture.md), one test each at least, and a
 * hostile world from a seed: lost turns, restarts, dead and deaf workers, results said twice. */
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status commit_doc(struct world *w, const struct epoch *epoch, uint64_t turn,
                              const char *field)
{
    struct batch b;
    struct str bytes;
    struct err err = { 0 };
    uint64_t events = 0;
    batch_init(&b, epoch, &events, 0, 100);
    struct fx fx = { .kind = FX_DOC, .job = 1, .field = str_of(field), .bytes = str_of("x") };
    batch_add(&b, &fx, NULL);
    assert_int_equal(batch_encode(&b, &bytes), OK);
    enum status st = store_fake_commit(&w->fake, epoch, turn, bytes, &err);
    batch_fini(&b);
    return st;
}

static void rule1_turns_are_a_chain(void **s)
{
    struct world *w = *s;
    uint64_t n = w->turn;
    assert_int_not_equal(commit_doc(w, &w->epoch, n + 2, "a"), OK); /* a gap */
    assert_null(store_fake_get(&w->fake, "d:000000000001", "a"));
    assert_int_equal(commit_doc(w, &w->epoch, n + 1, "a"), OK);
    assert_int_equal(commit_doc(w, &w->epoch, n + 1, "a"),
                     OK); /* the identical batch, said again */
    assert_int_not_equal(commit_doc(w, &w->epoch, n + 1, "b"), OK); /* the number for other bytes */
    assert_null(store_fake_get(&w->fake, "d:000000000001", "b"));
    w->turn++;
    /* a lost turn: nothing of it is said, the core reloads, the client says it again */
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", all_stages);
    struct held h;
    assert_true(take(w, 1, &h));
    w->crash_before_commit = true;
    struct msg m = { .type = MSG_CANCEL, .CANCEL = { 1, str_of(id.text), str_of("") } };
    world_say(w, 99, &m);
    assert_null(world_read(w, 99, MSG_OKAY));
    assert_int_equal(state(w, id), JOB_RUNNING);
}

static void count_cell(void *ctx, const char *key, const char *field, struct str value)
{
    size_t *n = ctx;
    (void)key;
    (void)field;
    (void)value;
    ++*n;
}

static void rule2_validate_all_then_write(void **s)
{
    struct world *w = *s;
    struct batch b;
    struct str bytes;
    struct err err = { 0 };
    size_t before = 0, after = 0;
    store_fake_each(&w->fake, count_cell, &before);
    batch_init(&b, &w->epoch, &w->events, 0, 100);
    struct fx good = { .kind = FX_DOC, .job = 1, .field = str_of("a"), .bytes = str_of("x") };
    struct fx bad = {
        .kind = FX_RECORD, .job = 2, .bytes = str_of("r"), .expect = 5, .version = 6
    };
    batch_add(&b, &good, NULL);
    batch_add(&b, &bad, NULL); /* no record of job 2 has version 5 */
    assert_int_equal(batch_encode(&b, &bytes), OK);
    assert_int_not_equal(store_fake_commit(&w->fake, &w->epoch, w->turn + 1, bytes, &err),
                         OK);
    assert_non_null(strstr(err.text, "CONFLICT"));
    store_fake_each(&w->fake, count_cell, &after);
    assert_int_equal(after, before);
    batch_fini(&b);
}

static void rule3_numbers_do_not_come_back(void **s)
{
    struct world *w = *s;
    struct held first, second;
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", "parse");
    assert_true(take(w, 1, &first));
    struct epoch old = w->epoch;
    /* the newest writes are lost: the core starts again from the same number */
    world_restart(w);
    assert_true(w->epoch.generation > old.generation);
    world_pass(w, 15000); /* nobody names the task */
    hello(w, 2, "v", "parse");
    hello(w, 1, "w", "parse");
    assert_true(take(w, 2, &second));
    assert_int_equal(second.fence.counter, first.fence.counter); /* the counter began again … */
    assert_false(fence_eq(second.fence, first.fence));           /* … under another incarnation */
    assert_string_equal(failed(w, 1, &first, "retryable", 0), "stale");
    assert_int_equal(state(w, id), JOB_RUNNING);
    assert_int_not_equal(commit_doc(w, &old, w->turn + 1, "a"), OK);
}

/* Whatever abandons, cancels or acknowledges waits for the epoch's check, also without a write. */
static void rule4_only_the_leader_speaks(void **s)
{
    struct world *w = *s;
    static const enum msg_type guarded[] = { MSG_TASK,   MSG_TAKEN,     MSG_DROP, MSG_STEPPED,
                                             MSG_CALLED, MSG_SUBMITTED, MSG_OKAY };
    struct held h;
    submit(w, "k");
    hello(w, 1, "w", all_stages);
    assert_true(take(w, 1, &h));
    struct msg gone = { .type = MSG_RELEASE,
                        .RELEASE = { str_of("000000000009/1/1/parse/0"), h.fence, str_of("") } };
    world_say(w, 1, &gone); /* writes nothing */
    struct msg step = { .type = MSG_STEP,
                        .STEP = { .task = str_of("000000000009/1/1/parse/0"), .fence = h.fence } };
    world_say(w, 1, &step);
    done(w, 1, &h, (struct outcome){ .docs = "brief", .measures = -1 });
    for (uint32_t i = 0; i < w->out_n; i++) {
        for (size_t k = 0; k < COUNT(guarded); k++)
            assert_true(w->out[i].m.type != guarded[k] || w->out[i].guarded);
    }
    /* and such a turn, though it writes nothing, is refused to who leads no more */
    struct epoch old = w->epoch;
    struct err err = { 0 };
    struct str nothing = { "\x90", 1 };
    uint64_t turn = w->turn;
    world_restart(w);
    assert_int_equal(store_fake_commit(&w->fake, &old, turn + 1, nothing, &err), ERR_DENIED);
    assert_int_equal(store_fake_commit(&w->fake, &w->epoch, w->turn + 1, nothing, &err), OK);
}

static void rule5_deadlines_live_in_memory(void **s)
{
    struct world *w = *s;
    struct held h, late;
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", all_stages);
    assert_true(take(w, 1, &h));
    world_pass(w, 14000);
    world_restart(w);
    world_pass(w, 14000); /* the full grace again */
    assert_int_equal(state(w, id), JOB_RUNNING);
    world_pass(w, 1000); /* nobody has announced it: lost */
    assert_int_equal(state(w, id), JOB_QUEUED);
    hello(w, 2, "v", all_stages);
    assert_true(take(w, 2, &late));
    /* the old worker's result comes after all: it is taken, the newer lease is cancelled */
    hello(w, 1, "w", "call");
    assert_string_equal(done(w, 1, &h, (struct outcome){ .docs = "brief", .measures = -1 }),
                        "committed");
    const struct letter *drop = world_read(w, 2, MSG_DROP);
    assert_true(drop && str_is(drop->m.DROP.reason, "superseded"));
    assert_string_equal(done(w, 2, &late, (struct outcome){ .docs = "brief", .measures = -1 }),
                        "already");
    assert_true(take(w, 2, &late));
    assert_true(str_is(late.m.stage, "analyze"));
}

static void rule5_workers_announce_what_they_hold(void **s)
{
    struct world *w = *s;
    struct held h;
    struct buf raw;
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", "parse");
    assert_true(take(w, 1, &h));
    world_restart(w);
    buf_init(&raw, 4096);
    mp_array(&raw, 1);
    assert_int_equal(msg_task_put(&raw, str_of(h.task), h.fence), OK);
    struct msg m = { .type = MSG_HELLO };
    m.HELLO = (struct msg_HELLO){
        .role = str_of("worker"), .name = str_of("w"), .slots = 1, .holds = { buf_get(&raw), 1 }
    };
    m.HELLO.stages.v[m.HELLO.stages.n++] = str_of("parse");
    world_say(w, 7, &m); /* another connection */
    assert_null(world_read(w, 7, MSG_DROP));
    for (int i = 0; i < 5; i++) {
        struct msg beat = { .type = MSG_BEAT, .BEAT = { .holds = { buf_get(&raw), 1 } } };
        world_pass(w, 10000);
        world_say(w, 7, &beat);
    }
    assert_int_equal(state(w, id), JOB_RUNNING);
    assert_int_equal(job(w, id)->main.crashes, 0);
    assert_string_equal(done(w, 7, &h, (struct outcome){ .docs = "brief", .measures = -1 }),
                        "committed");
    buf_fini(&raw);
}

static void rule6_answer_twice_commit_once(void **s)
{
    struct world *w = *s;
    struct held h;
    struct job_id id = submit(w, "k"), again = submit(w, "k");
    assert_string_equal(id.text, again.text);
    assert_int_equal(core_counts(w->core).jobs, 1);
    hello(w, 1, "w", "parse");
    assert_true(take(w, 1, &h));
    assert_string_equal(done(w, 1, &h, (struct outcome){ .docs = "brief", .measures = -1 }),
                        "committed");
    uint32_t kept = w->kept;
    h.fence.counter = 12345; /* whatever its fence */
    assert_string_equal(done(w, 1, &h, (struct outcome){ .docs = "brief", .measures = -1 }),
                        "already");
    world_restart(w);
    hello(w, 1, "w", "parse");
    assert_string_equal(done(w, 1, &h, (struct outcome){ .docs = "brief", .measures = -1 }),
                        "already");
    assert_int_equal(w->kept, kept);
    assert_int_equal(job(w, id)->tokens_in, 100);
    again = submit(w, "k"); /* also after a recovery */
    assert_string_equal(id.text, again.text);
}

static void rule6_a_step_is_paid_for_once(void **s)
{
    struct world *w = *s;
    struct held h;
    char hash[HASH_BYTES] = "request";
    struct str frame = { "\0\x01", 2 };
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", "parse");
    assert_true(take(w, 1, &h));
    struct msg m = { .type = MSG_STEP };
    m.STEP = (struct msg_STEP){ .task = str_of(h.task),
                                .fence = h.fence,
                                .hash = { hash, HASH_BYTES },
                                .tokens_in = 40,
                                .tokens_out = 4 };
    struct event ev = { .kind = EV_MSG, .peer = 1, .msg = &m, .frames = &frame, .frames_n = 1 };
    world_step(w, &ev);
    world_step(w, &ev);
    assert_non_null(world_read(w, 1, MSG_STEPPED));
    assert_non_null(world_read(w, 1, MSG_STEPPED));
    assert_int_equal(job(w, id)->tokens_in, 40);
    struct event gone = { .kind = EV_GONE, .peer = 1 };
    world_step(w, &gone);
    world_restart(w);
    hello(w, 2, "v", "parse");
    assert_true(take(w, 2, &h));
    assert_true(has_doc(&h, "steps")); /* the successor gets it */
    assert_string_equal(done(w, 2, &h, (struct outcome){ .docs = "brief", .measures = -1 }),
                        "committed");
    assert_int_equal(job(w, id)->tokens_in, 140); /* failed attempts count too */
    char key[64];
    snprintf(key, sizeof key, "d:%s", id.text);
    assert_null(store_fake_get(&w->fake, key, "step/1/1/parse/0#1"));
}

static void rule7_existence_is_checked_where_it_matters(void **s)
{
    struct world *w = *s;
    struct err err = { 0 };
    for (int with = 0; with < 2; with++) {
        struct batch b;
        struct str bytes;
        batch_init(&b, &w->epoch, &w->events, 5, 100);
        struct fx fx = { .kind = FX_RECORD,
                         .job = 2,
                         .bytes = str_of("r"),
                         .version = 1,
                         .workspace = str_of("abc") };
        if (with)
            batch_blob(&b, str_of("abc"), str_of("bytes"));
        batch_add(&b, &fx, NULL);
        assert_int_equal(batch_encode(&b, &bytes), OK);
        enum status st = store_fake_commit(&w->fake, &w->epoch, w->turn + 1, bytes, &err);
        assert_int_equal(st == OK, with);
        assert_true(with || strstr(err.text, "MISSING blob abc"));
        batch_fini(&b);
    }
}

/* Rule 8 needs a real Redis: see test_store.c. Records carry a version too. */
static void rule8_records_carry_a_version(void **s)
{
    struct world *w = *s;
    struct job_id id = submit(w, "k");
    char key[64];
    struct err err = { 0 };
    snprintf(key, sizeof key, "j:%s", id.text);
    const struct buf *b = store_fake_get(&w->fake, key, "");
    struct buf other;
    buf_init(&other, RECORD_MAX);
    buf_append(&other, b->data + VERSION_DIGITS, b->len - VERSION_DIGITS);
    assert_int_equal(other.data[0], RECORD_VERSION);
    other.data[0] = RECORD_VERSION + 1;
    assert_null(record_decode(buf_get(&other), core_find_pipeline, w->core, &err));
    assert_non_null(strstr(err.text, "another version"));
    /* cut at every byte: an error, never a crash */
    for (size_t n = 0; n + 1 < b->len - VERSION_DIGITS; n++)
        assert_null(record_decode((struct str){ b->data + VERSION_DIGITS, n }, core_find_pipeline,
                                  w->core, &err));
    buf_fini(&other);
}

/* ---- the hostile world -------------------------------------------------------------------- */

struct chaos {
    struct world *w;
    uint64_t seed;
    struct job_id jobs[8];
    int jobs_n;
    struct {
        struct held h;
        bool valid;
    } hands[6][8]; /* what workers 1..5 hold */
    char committed[4096][PAWL_KEY_MAX + 1];
    int committed_n;
};

static uint32_t chance(struct chaos *c, uint32_t n)
{
    c->seed ^= c->seed << 13;
    c->seed ^= c->seed >> 7;
    c->seed ^= c->seed << 17;
    return (uint32_t)(c->seed >> 33) % n;
}

/* The oracle: no key is committed twice, whatever happens. */
static void note_commit(struct chaos *c, const char *task)
{
    if (strstr(task, "/call/"))
        return;
    for (int i = 0; i < c->committed_n; i++) {
        if (strcmp(c->committed[i], task) == 0)
            fail_msg("%s is committed twice", task);
    }
    assert_true(c->committed_n < 4096);
    memcpy(c->committed[c->committed_n++], task, strlen(task) + 1);
}

static void collect(struct chaos *c, uint64_t peer)
{
    struct held h;
    while (take(c->w, peer, &h)) {
        for (int i = 0; i < 8; i++) {
            if (c->hands[peer][i].valid)
                continue;
            c->hands[peer][i].h = h;
            c->hands[peer][i].valid = true;
            break;
        }
    }
    world_forget_letters(c->w);
}

static struct outcome outcome_for(struct chaos *c, const struct held *h)
{
    struct task_key k;
    struct outcome o = { .docs = "brief", .measures = -1, .judge = -1 };
    task_key_parse(str_of(h->task), &k);
    if (str_is(k.stage, "analyze"))
        o.docs = "insights";
    if (str_is(k.stage, "generate"))
        o.docs = "draft change";
    if (str_is(k.stage, "ask"))
        o.docs = "reply";
    if (str_is(k.stage, "call"))
        o.docs = "result";
    if (str_is(k.stage, "review"))
        o = (struct outcome){ .docs = "review",
                              .measures = (int)chance(c, 1000),
                              .judge = -1,
                              .gates_fail = chance(c, 3) == 0 };
    return o;
}

static void act_on_hand(struct chaos *c, uint64_t peer, int i)
{
    struct held h = c->hands[peer][i].h;
    struct world *w = c->w;
    if (!c->hands[peer][i].valid)
        return;
    static const char *const faults[] = { "retryable", "permanent", "overloaded", "cancelled" };
    if (!core_peer_known(w->core, peer))
        return;
    uint32_t what = chance(c, 10);
    if (what < 6) {
        const char *outcome = done(w, peer, &h, outcome_for(c, &h));
        if (strcmp(outcome, "committed") == 0)
            note_commit(c, h.task);
        c->hands[peer][i].valid = chance(c, 4) == 0; /* sometimes said again */
    } else if (what < 8) {
        failed(w, peer, &h, faults[chance(c, 8) == 0 ? 1 : chance(c, 2) * 2], chance(c, 100));
        c->hands[peer][i].valid = false;
    } else if (what == 8) {
        struct msg m = { .type = MSG_RELEASE, .RELEASE = { str_of(h.task), h.fence, str_of("") } };
        world_say(w, peer, &m);
        c->hands[peer][i].valid = false;
    } else {
        struct str frame = { "\0\x80", 2 };
        struct msg m = { .type = MSG_CALL, .CALL = { str_of(h.task), h.fence, str_of("c") } };
        struct event ev = {
            .kind = EV_MSG, .peer = peer, .msg = &m, .frames = &frame, .frames_n = 1
        };
        world_step(w, &ev);
    }
    world_forget_letters(w);
}

static void say_holds(struct chaos *c, uint64_t peer, bool as_hello)
{
    struct buf raw;
    uint32_t n = 0;
    char name[16];
    snprintf(name, sizeof name, "w%d", (int)peer);
    for (int i = 0; i < 8; i++)
        n += c->hands[peer][i].valid;
    buf_init(&raw, 65536);
    mp_array(&raw, n);
    for (int i = 0; i < 8; i++) {
        if (c->hands[peer][i].valid)
            assert_int_equal(
                msg_task_put(&raw, str_of(c->hands[peer][i].h.task), c->hands[peer][i].h.fence),
                OK);
    }
    struct msg m = { .type = MSG_BEAT, .BEAT = { .holds = { buf_get(&raw), n } } };
    if (as_hello) {
        m = (struct msg){ .type = MSG_HELLO };
        m.HELLO = (struct msg_HELLO){ .role = str_of("worker"),
                                      .name = str_of(name),
                                      .slots = 4,
                                      .holds = { buf_get(&raw), n } };
        static const char *const stages[] = { "parse",  "analyze", "generate",
                                              "review", "call",    "ask" };
        for (int i = 0; i < 6; i++)
            m.HELLO.stages.v[m.HELLO.stages.n++] = str_of(stages[i]);
    }
    world_say(c->w, peer, &m);
    struct msg ready = { .type = MSG_READY, .READY = { 4, UINT64_MAX } };
    world_say(c->w, peer, &ready);
    buf_fini(&raw);
    collect(c, peer);
}

static void someone_asks(struct chaos *c)
{
    struct world *w = c->w;
    if (!core_peer_known(w->core, 99))
        client(w, 99);
    struct str id = str_of(c->jobs[chance(c, (uint32_t)c->jobs_n)].text);
    struct msg m = { .type = MSG_PAUSE, .PAUSE = { .req = 1, .job = id, .hold = chance(c, 2) == 0 } };
    uint32_t what = chance(c, 12);
    if (what == 0)
        m = (struct msg){ .type = MSG_CANCEL, .CANCEL = { 1, id, str_of("") } };
    else if (what < 4)
        m = (struct msg){ .type = MSG_RETRY, .RETRY = { 1, id } };
    else if (what < 6)
        m = (struct msg){ .type = MSG_COMMENT, .COMMENT = { 1, id, str_of("more") } };
    else if (what < 9)
        m = (struct msg){ .type = MSG_ASK, .ASK = { 1, id, str_of("why") } };
    world_say(w, 99, &m);
    world_forget_letters(w);
}

static void one_step(struct chaos *c)
{
    struct world *w = c->w;
    uint64_t peer = 1 + chance(c, 5);
    uint32_t what = chance(c, 100);
    w->crash_before_commit = chance(c, 50) == 0;
    if (what < 55) {
        act_on_hand(c, peer, (int)chance(c, 8));
    } else if (what < 70) {
        if (core_peer_known(w->core, peer))
            say_holds(c, peer, false);
    } else if (what < 80) {
        say_holds(c, peer, true);
    } else if (what < 85) {
        world_pass(w, chance(c, 20000));
    } else if (what < 88) {
        struct event ev = { .kind = EV_GONE, .peer = peer };
        world_step(w, &ev);
    } else if (what < 90) {
        world_restart(w);
    } else {
        someone_asks(c);
    }
    w->crash_before_commit = false;
    for (uint64_t p = 1; p <= 5; p++)
        collect(c, p);
}

static void run_chaos(uint64_t seed)
{
    struct chaos *c = calloc(1, sizeof *c);
    struct world *w = calloc(1, sizeof *w);
    fprintf(stderr, "seed %" PRIu64 "\n", seed);
    world_open(w);
    c->w = w;
    c->seed = seed * 0x9e3779b97f4a7c15u + 1;
    for (int i = 0; i < 8; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        c->jobs[c->jobs_n++] = submit(w, key);
    }
    for (int i = 0; i < 600; i++)
        one_step(c);
    /* faults stop: every job must end */
    for (int i = 0; i < 3000; i++) {
        bool open = false;
        for (int k = 0; k < c->jobs_n; k++) {
            struct msg m = { .type = MSG_PAUSE, .PAUSE = { .req = 1, .job = str_of(c->jobs[k].text) } };
            open = open || !job_state_ended(state(w, c->jobs[k]));
            if (!core_peer_known(w->core, 99))
                client(w, 99);
            if (state(w, c->jobs[k]) == JOB_PAUSED)
                world_say(w, 99, &m);
        }
        if (!open)
            break;
        assert_int_not_equal(i, 2999);
        world_pass(w, 5000);
        say_holds(c, 1, true);
        for (int k = 0; k < 8; k++) {
            if (!c->hands[1][k].valid)
                continue;
            if (strcmp(done(w, 1, &c->hands[1][k].h, outcome_for(c, &c->hands[1][k].h)),
                       "committed") == 0)
                note_commit(c, c->hands[1][k].h.task);
            c->hands[1][k].valid = false;
        }
        collect(c, 1);
    }
    world_close(w);
    free(w);
    free(c);
}

static void nothing_is_lost_or_done_twice(void **s)
{
    (void)s;
    for (uint64_t seed = 1; seed <= 60; seed++)
        run_chaos(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(rule1_turns_are_a_chain),
        WORLD_TEST(rule2_validate_all_then_write),
        WORLD_TEST(rule3_numbers_do_not_come_back),
        WORLD_TEST(rule4_only_the_leader_speaks),
        WORLD_TEST(rule5_deadlines_live_in_memory),
        WORLD_TEST(rule5_workers_announce_what_they_hold),
        WORLD_TEST(rule6_answer_twice_commit_once),
        WORLD_TEST(rule6_a_step_is_paid_for_once),
        WORLD_TEST(rule7_existence_is_checked_where_it_matters),
        WORLD_TEST(rule8_records_carry_a_version),
        cmocka_unit_test(nothing_is_lost_or_done_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
