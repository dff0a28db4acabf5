/* SPDX-License-Identifier: Apache-2.0 */
/* The harness against a scripted broker: this program is the broker, the worker is a child process
 * with a stage whose behaviour is in its name. Every wait is for a message, with a deadline. */
#include "tests/unit/unit.h"

#include "common/peer.h"
#include "workers/harness.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

enum { PATIENCE_MS = 10000, EPOCH = 11 };

/* ---- the worker ------------------------------------------------------------------------------ */

static enum status stage_open(struct worker *w, void **self, struct err *err)
{
    (void)err;
    worker_tag(w, "kind", "test");
    *self = NULL;
    return OK;
}

static void finish(struct task *t, const json_t *doc)
{
    task_put(t, "echo", json_incref((json_t *)(uintptr_t)doc));
    task_done(t);
}

static void on_step(void *ctx, struct task *t, const json_t *result)
{
    (void)ctx;
    finish(t, result);
}

static void on_call(void *ctx, struct task *t, const json_t *result, const char *fault)
{
    (void)ctx;
    if (result)
        finish(t, result);
    else
        task_fail(t, FAULT_RETRYABLE, 0, "call: %s", fault);
}

static void begin_step(struct task *t)
{
    struct hash h = hash_of(str_of("the request"));
    const json_t *known = task_step_find(t, &h);
    if (known)
        finish(t, known);
    else
        task_step(t, &h, json_pack("{s:s}", "paid", "once"), (struct step_use){ 10, 5, 1 }, on_step,
                  NULL);
}

/* Text without end, a piece each few milliseconds. */
struct talk {
    struct task *task;
    struct mux_timer timer;
};

static void talk_on(void *ctx)
{
    struct talk *k = ctx;
    task_text(k->task, str_of("word "));
    mux_timer_in(worker_mux(task_worker(k->task)), &k->timer, 3);
}

static void begin(void *self, struct task *t)
{
    (void)self;
    struct err err = { 0 };
    const char *stage = task_stage(t);
    if (strcmp(stage, "step") == 0) {
        begin_step(t);
    } else if (strcmp(stage, "call") == 0) {
        task_call(t, json_pack("{s:s,s:s,s:{}}", "server", "s", "tool", "t", "arguments"), on_call,
                  NULL);
    } else if (strcmp(stage, "slow") == 0) {
        task_note(t, "working on %s", task_key_of(t));
    } else if (strcmp(stage, "talk") == 0) {
        struct talk *k = arena_alloc(task_arena(t), sizeof *k);
        assert_non_null(k);
        *k = (struct talk){ .task = t };
        k->timer = MUX_TIMER(talk_on, k);
        task_set_user(t, k);
        talk_on(k);
    } else if (strcmp(stage, "bad") == 0) {
        task_put(t, "review", json_object());
        task_done(t);
    } else if (task_doc(t, "problem", &err)) {
        finish(t, task_doc(t, "problem", NULL));
    } else {
        task_fail(t, FAULT_PERMANENT, 0, "no problem: %s", err.text);
    }
}

static void cancel(void *self, struct task *t)
{
    struct talk *k = task_user(t);
    (void)self;
    if (k)
        mux_timer_stop(worker_mux(task_worker(t)), &k->timer);
}

static void stage_close(void *self)
{
    (void)self;
}

static const char *const stages[] = { "echo", "step", "call", "slow", "bad", "talk", NULL };
static const struct stage_ops ops = { "test", stages, 3, stage_open, begin, cancel, stage_close };

/* ---- the broker ------------------------------------------------------------------------------ */

struct rig {
    char dir[64], endpoint[128], other[128];
    struct peer *router, *silent;
    pid_t worker;
    char from[ROUTING_ID_MAX];
    size_t from_n;
    struct peer_in in; /* of the last expect() */
    struct msg m;
};

static int start_with(void **state, bool two)
{
    struct rig *r = calloc(1, sizeof *r);
    char all[300];
    snprintf(r->dir, sizeof r->dir, "/tmp/pawl-harness-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->endpoint, sizeof r->endpoint, "ipc://%s/broker", r->dir);
    snprintf(r->other, sizeof r->other, "ipc://%s/other", r->dir);
    snprintf(all, sizeof all, "%s%s%s", r->endpoint, two ? "," : "", two ? r->other : "");
    r->worker = fork();
    if (r->worker == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        assert_int_equal(chdir(r->dir), 0);
        char name[] = "pawl-test", broker[] = "--broker", set[] = "--set",
             drain[] = "worker.drain=50ms", level[] = "log.level=error";
        char *argv[] = { name, broker, all, set, drain, set, level, NULL };
        exit(worker_main(7, argv,
                         &ops)); /* exit, not _exit: a leak in the worker fails it under ASan */
    }
    r->router = peer_bind(r->endpoint, NULL, NULL, NULL);
    assert_non_null(r->router);
    *state = r;
    return 0;
}

static int rig_start(void **state)
{
    return start_with(state, false);
}

static int rig_start_two(void **state)
{
    return start_with(state, true);
}

static int rig_stop(void **state)
{
    struct rig *r = *state;
    char cmd[128];
    peer_in_free(&r->in);
    if (r->worker > 0) {
        kill(r->worker, SIGKILL);
        waitpid(r->worker, NULL, 0);
    }
    peer_close(r->router);
    peer_close(r->silent);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", r->dir);
    free(r);
    return system(cmd);
}

/* The next message of this type; BEAT and what else comes meanwhile is passed over. */
static const struct msg *expect(struct rig *r, enum msg_type type)
{
    int64_t until = mono_now().ms + PATIENCE_MS;
    while (mono_now().ms < until) {
        zmq_pollitem_t item = { .socket = peer_socket(r->router), .events = ZMQ_POLLIN };
        if (zmq_poll(&item, 1, 100) <= 0)
            continue;
        peer_in_free(&r->in);
        if (peer_recv(r->router, &r->in) != OK)
            continue;
        assert_int_equal(msg_decode(peer_frame(&r->in, 0), &r->m, NULL), OK);
        memcpy(r->from, r->in.from.p, r->in.from.n);
        r->from_n = r->in.from.n;
        if (r->m.type == type)
            return &r->m;
    }
    fail_msg("no %s came", msg_name(type));
    return NULL;
}

static void say(struct rig *r, struct msg m, const struct str *frames, uint32_t n)
{
    if (!m.epoch)
        m.epoch = EPOCH;
    assert_int_equal(peer_send(r->router, (struct str){ r->from, r->from_n }, &m, frames, n), OK);
}

static void greet(struct rig *r, uint64_t epoch)
{
    expect(r, MSG_HELLO);
    say(r,
        (struct msg){ .type = MSG_WELCOME,
                      .epoch = epoch,
                      .WELCOME = { .heartbeat_ms = 100, .silence_ms = 1000 } },
        NULL, 0);
}

static void give(struct rig *r, uint64_t seq, const char *stage, const char *doc_name, json_t *doc)
{
    struct buf frame, key;
    buf_init(&frame, PAWL_FRAME_MAX);
    buf_init(&key, 100);
    buf_printf(&key, "0123456789ab/1/1/%s/0", stage);
    struct msg m = { .type = MSG_TASK };
    m.TASK = (struct msg_TASK){ .seq = seq,
                                .task = buf_get(&key),
                                .fence = { 7, seq },
                                .stage = str_of(stage),
                                .attempt = 1,
                                .total_ms = 60000 };
    if (doc) {
        m.TASK.docs = (struct strs){ { str_of(doc_name) }, 1 };
        assert_int_equal(doc_pack(doc_name, doc, &frame, NULL), OK);
        json_decref(doc);
    }
    struct str view = buf_get(&frame);
    say(r, m, &view, doc ? 1 : 0);
    buf_fini(&frame);
    buf_fini(&key);
}

static void take(struct rig *r, struct str task, struct fence fence)
{
    char key[PAWL_KEY_MAX];
    memcpy(key, task.p, task.n);
    say(r,
        (struct msg){ .type = MSG_TAKEN, .TAKEN = { { key, task.n }, fence, str_of("committed") } },
        NULL, 0);
}

static json_t *problem(const char *text)
{
    return json_pack("{s:s}", "text", text);
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void it_says_who_it_is_and_what_it_takes(void **state)
{
    struct rig *r = *state;
    const struct msg *m = expect(r, MSG_HELLO);
    assert_true(str_is(m->HELLO.role, "worker"));
    assert_int_equal(m->HELLO.stages.n, 6);
    assert_int_equal(m->HELLO.slots, 3);
    assert_true(str_is(m->HELLO.tags.v[0], "kind=test"));
    greet(r, EPOCH);
    m = expect(r, MSG_READY);
    assert_int_equal(m->READY.credit, 3);
    assert_int_equal(m->READY.seen, 0);
    give(r, 1, "slow", NULL, NULL);
    m = expect(r, MSG_READY); /* the absolute number, tagged with what it has seen */
    assert_int_equal(m->READY.credit, 2);
    assert_int_equal(m->READY.seen, 1);
}

static void a_result_is_said_until_it_is_taken_also_to_a_new_broker(void **state)
{
    struct rig *r = *state;
    greet(r, EPOCH);
    expect(r, MSG_READY);
    give(r, 1, "echo", "problem", problem("why"));
    const struct msg *m = expect(r, MSG_DONE);
    assert_true(str_is(m->DONE.docs.v[0], "echo"));
    json_t *doc = NULL;
    assert_int_equal(doc_unpack("problem", peer_frame(&r->in, 1), &doc, NULL), OK);
    assert_string_equal(js_str(doc, "text"), "why");
    json_decref(doc);
    /* Another incarnation speaks: it is greeted, told what is held, and given the result. */
    say(r, (struct msg){ .type = MSG_PONG, .epoch = 99 }, NULL, 0);
    m = expect(r, MSG_HELLO);
    assert_int_equal(m->HELLO.holds.n, 1);
    say(r, (struct msg){ .type = MSG_WELCOME, .epoch = 99, .WELCOME = { .heartbeat_ms = 100 } },
        NULL, 0);
    m = expect(r, MSG_DONE);
    struct msg taken = { .type = MSG_TAKEN,
                         .epoch = 99,
                         .TAKEN = { m->DONE.task, m->DONE.fence, str_of("committed") } };
    say(r, taken, NULL, 0);
    do
        m = expect(r, MSG_READY);
    while (m->READY.credit != 3);
    m = expect(r, MSG_BEAT);
    assert_int_equal(m->BEAT.holds.n, 0);
}

static void lead_elsewhere(struct rig *r)
{
    r->silent = r->router;
    r->router = peer_bind(r->other, NULL, NULL, NULL);
    assert_non_null(r->router);
}

/* It is connected and says nothing, as a process that was stopped. */
static void a_silent_broker_is_left_with_all_that_is_held(void **state)
{
    struct rig *r = *state;
    bool done = false, step = false;
    char from[ROUTING_ID_MAX];
    greet(r, EPOCH);
    expect(r, MSG_READY);
    give(r, 1, "echo", "problem", problem("why"));
    expect(r, MSG_DONE);
    give(r, 2, "step", NULL, NULL);
    expect(r, MSG_STEP);
    give(r, 3, "slow", NULL, NULL);
    expect(r, MSG_PING); /* nothing was heard for a while: it asks */
    size_t from_n = r->from_n;
    memcpy(from, r->from, from_n);
    lead_elsewhere(r);
    const struct msg *m = expect(r, MSG_HELLO);
    assert_int_equal(m->HELLO.holds.n, 3);
    say(r, (struct msg){ .type = MSG_WELCOME, .epoch = 99, .WELCOME = { .heartbeat_ms = 100 } },
        NULL, 0);
    for (int i = 0; i < 50 && !(done && step); i++) {
        zmq_pollitem_t item = { .socket = peer_socket(r->router), .events = ZMQ_POLLIN };
        peer_in_free(&r->in);
        if (zmq_poll(&item, 1, 100) <= 0 || peer_recv(r->router, &r->in) != OK)
            continue;
        assert_int_equal(msg_decode(peer_frame(&r->in, 0), &r->m, NULL), OK);
        done = done || (r->m.type == MSG_DONE && r->m.DONE.fence.counter == 1);
        step = step || (r->m.type == MSG_STEP && r->m.STEP.fence.counter == 2);
    }
    assert_true(done && step); /* what the old one never acknowledged */
    struct msg drop = { .type = MSG_DROP, .epoch = EPOCH };
    assert_int_equal(peer_send(r->silent, (struct str){ from, from_n }, &drop, NULL, 0),
                     ERR_NOT_FOUND); /* nobody is there to hear it */
}

static void a_broker_that_is_gone_is_left(void **state)
{
    struct rig *r = *state;
    greet(r, EPOCH);
    give(r, 1, "slow", NULL, NULL);
    while (expect(r, MSG_READY)->READY.credit != 2)
        ;
    lead_elsewhere(r);
    peer_close(r->silent);
    r->silent = NULL;
    assert_int_equal(expect(r, MSG_HELLO)->HELLO.holds.n, 1);
}

/* It is there and has lost its store: another one may have it. */
static void a_broker_without_a_store_is_left(void **state)
{
    struct rig *r = *state;
    char from[ROUTING_ID_MAX];
    greet(r, EPOCH);
    expect(r, MSG_PING);
    size_t from_n = r->from_n;
    memcpy(from, r->from, from_n);
    lead_elsewhere(r);
    struct msg away = { .type = MSG_REFUSED, .epoch = EPOCH };
    away.REFUSED.code = str_of("unavailable");
    for (int64_t until = mono_now().ms + PATIENCE_MS; mono_now().ms < until;) {
        zmq_pollitem_t item = { .socket = peer_socket(r->router), .events = ZMQ_POLLIN };
        if (zmq_poll(&item, 1, 100) > 0)
            break;
        if (peer_send(r->silent, (struct str){ from, from_n }, &away, NULL, 0) != OK)
            continue; /* it has gone */
    }
    expect(r, MSG_HELLO);
}

static void an_old_broker_is_not_heard(void **state)
{
    struct rig *r = *state;
    greet(r, EPOCH);
    expect(r, MSG_READY);
    struct msg task = { .type = MSG_TASK, .epoch = EPOCH + 1 };
    task.TASK = (struct msg_TASK){ .seq = 1,
                                   .task = str_of("0123456789ab/1/1/slow/0"),
                                   .fence = { 1, 1 },
                                   .stage = str_of("slow") };
    say(r, task, NULL, 0);
    const struct msg *m =
        expect(r, MSG_HELLO); /* it greets whoever that is, and has begun nothing */
    assert_int_equal(m->HELLO.holds.n, 0);
}

static void a_finished_call_is_recorded_before_it_is_used(void **state)
{
    struct rig *r = *state;
    greet(r, EPOCH);
    expect(r, MSG_READY);
    give(r, 1, "step", NULL, NULL);
    const struct msg *m = expect(r, MSG_STEP);
    assert_int_equal(m->STEP.tokens_in, 10);
    assert_int_equal(m->STEP.hash.n, HASH_BYTES);
    char key[PAWL_KEY_MAX], hash[HASH_BYTES];
    struct str task = { key, m->STEP.task.n };
    memcpy(key, m->STEP.task.p, task.n);
    memcpy(hash, m->STEP.hash.p, HASH_BYTES);
    struct fence fence = m->STEP.fence;
    say(r, (struct msg){ .type = MSG_STEPPED, .STEPPED = { task, fence, { hash, HASH_BYTES } } },
        NULL, 0);
    m = expect(r, MSG_DONE);
    assert_int_equal(m->DONE.tokens_out, 5);
    take(r, m->DONE.task, m->DONE.fence);
    /* Whoever continues gets the record, and pays nothing. */
    struct hash h = hash_of(str_of("the request"));
    char hex[HASH_HEX + 1];
    hash_hex(&h, hex);
    json_t *steps =
        json_pack("{s:[{s:s,s:{s:s}}]}", "items", "hash", hex, "result", "paid", "earlier");
    give(r, 2, "step", "steps", steps);
    m = expect(r, MSG_DONE);
    assert_int_equal(m->DONE.tokens_out, 0);
    json_t *doc = NULL;
    assert_int_equal(doc_unpack("echo", peer_frame(&r->in, 1), &doc, NULL), OK);
    assert_string_equal(js_str(doc, "paid"), "earlier");
    json_decref(doc);
}

static void a_tool_call_goes_through_the_broker(void **state)
{
    struct rig *r = *state;
    greet(r, EPOCH);
    expect(r, MSG_READY);
    give(r, 1, "call", NULL, NULL);
    const struct msg *m = expect(r, MSG_CALL);
    json_t *call = NULL;
    assert_int_equal(doc_unpack("call", peer_frame(&r->in, 1), &call, NULL), OK);
    json_decref(call);
    struct buf frame;
    buf_init(&frame, PAWL_FRAME_MAX);
    json_t *result = json_pack("{s:b,s:s}", "ok", 1, "text", "42");
    assert_int_equal(doc_pack("result", result, &frame, NULL), OK);
    json_decref(result);
    struct str view = buf_get(&frame);
    struct msg called = { .type = MSG_CALLED,
                          .CALLED = { m->CALL.task, m->CALL.fence, m->CALL.call, { 0 }, { 0 } } };
    say(r, called, &view, 1);
    buf_fini(&frame);
    m = expect(r, MSG_STEP);
    say(r,
        (struct msg){ .type = MSG_STEPPED,
                      .STEPPED = { m->STEP.task, m->STEP.fence, m->STEP.hash } },
        NULL, 0);
    expect(r, MSG_DONE);
}

static void a_call_that_fails_is_the_stages_to_judge(void **state)
{
    struct rig *r = *state;
    greet(r, EPOCH);
    expect(r, MSG_READY);
    give(r, 1, "call", NULL, NULL);
    const struct msg *m = expect(r, MSG_CALL);
    struct msg called = { .type = MSG_CALLED };
    called.CALLED = (struct msg_CALLED){ m->CALL.task, m->CALL.fence, m->CALL.call,
                                         str_of("permanent"), str_of("no such tool") };
    say(r, called, NULL, 0);
    m = expect(r, MSG_FAIL);
    assert_true(str_is(m->FAIL.text, "call: no such tool"));
    assert_true(str_is(m->FAIL.fault, "retryable"));
}

/* A result is good under any number; a failure is of its attempt alone. */
static void a_failed_task_that_comes_again_is_tried_again(void **state)
{
    struct rig *r = *state;
    greet(r, EPOCH);
    expect(r, MSG_READY);
    give(r, 1, "echo", NULL, NULL);
    const struct msg *m = expect(r, MSG_FAIL);
    assert_int_equal(m->FAIL.fence.counter, 1);
    give(r, 2, "echo", "problem", problem("why")); /* not TAKEN: the broker never heard of it */
    m = expect(r, MSG_DONE);
    assert_int_equal(m->DONE.fence.counter, 2);
    give(r, 3, "echo", "problem", problem("why"));
    m = expect(r, MSG_DONE);
    assert_int_equal(m->DONE.fence.counter, 3);
}

static void a_dropped_task_is_forgotten(void **state)
{
    struct rig *r = *state;
    greet(r, EPOCH);
    expect(r, MSG_READY);
    give(r, 1, "slow", NULL, NULL);
    const struct msg *m;
    do
        m = expect(r, MSG_BEAT);
    while (m->BEAT.holds.n != 1);
    struct msg drop = { .type = MSG_DROP };
    drop.DROP =
        (struct msg_DROP){ str_of("0123456789ab/1/1/slow/0"), { 7, 2 }, str_of("cancelled") };
    say(r, drop, NULL, 0); /* another lease: not ours */
    drop.DROP.fence.counter = 1;
    say(r, drop, NULL, 0);
    do
        m = expect(r, MSG_READY);
    while (m->READY.credit != 3);
    m = expect(r, MSG_BEAT);
    assert_int_equal(m->BEAT.holds.n, 0);
}

/* No TOKENS among the next messages, as far as three BEATs. */
static void expect_silence(struct rig *r)
{
    for (int beats = 0; beats < 3; beats += r->m.type == MSG_BEAT) {
        zmq_pollitem_t item = { .socket = peer_socket(r->router), .events = ZMQ_POLLIN };
        assert_true(zmq_poll(&item, 1, PATIENCE_MS) > 0);
        peer_in_free(&r->in);
        assert_int_equal(peer_recv(r->router, &r->in), OK);
        assert_int_equal(msg_decode(peer_frame(&r->in, 0), &r->m, NULL), OK);
        assert_int_not_equal(r->m.type, MSG_TOKENS);
    }
}

static void text_is_kept_back_while_nobody_listens(void **state)
{
    struct rig *r = *state;
    struct msg listen = { .type = MSG_LISTEN,
                          .LISTEN = { str_of("0123456789ab/1/1/talk/0"), false } };
    greet(r, EPOCH);
    expect(r, MSG_READY);
    give(r, 1, "talk", NULL, NULL);
    const struct msg *m = expect(r, MSG_TOKENS);
    uint64_t end = m->TOKENS.offset + m->TOKENS.text.n;
    assert_int_equal(m->TOKENS.offset, 0);
    say(r, listen, NULL, 0);
    expect(r, MSG_BEAT); /* what was on its way is here before the second */
    expect(r, MSG_BEAT);
    expect_silence(r);
    listen.LISTEN.wanted = true;
    say(r, listen, NULL, 0);
    m = expect(r, MSG_TOKENS);
    assert_true(m->TOKENS.offset > end); /* what was not sent is counted */
    assert_int_equal(m->TOKENS.offset % strlen("word "), 0);
}

static void our_own_malformed_document_is_a_permanent_failure(void **state)
{
    struct rig *r = *state;
    greet(r, EPOCH);
    expect(r, MSG_READY);
    give(r, 1, "bad", NULL, NULL);
    const struct msg *m = expect(r, MSG_FAIL);
    assert_true(str_is(m->FAIL.fault, "permanent"));
    char text[512];
    snprintf(text, sizeof text, "%.*s", STR_ARG(m->FAIL.text));
    assert_non_null(strstr(text, "review.verdict: missing"));
}

static void a_task_it_does_not_serve_goes_back(void **state)
{
    struct rig *r = *state;
    greet(r, EPOCH);
    expect(r, MSG_READY);
    give(r, 1, "other", NULL, NULL);
    expect(r, MSG_RELEASE);
}

static void term_gives_back_what_does_not_finish_and_leaves(void **state)
{
    struct rig *r = *state;
    int status = 0;
    greet(r, EPOCH);
    expect(r, MSG_READY);
    give(r, 1, "slow", NULL, NULL);
    const struct msg *m;
    do
        m = expect(r, MSG_READY);
    while (m->READY.credit != 2);
    kill(r->worker, SIGTERM);
    m = expect(r, MSG_READY);
    assert_int_equal(m->READY.credit, 0);
    m = expect(r, MSG_RELEASE);
    take(r, m->RELEASE.task, m->RELEASE.fence);
    expect(r, MSG_BYE);
    assert_int_equal(waitpid(r->worker, &status, 0), r->worker);
    r->worker = 0;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_start, rig_stop)
#define T2(f) cmocka_unit_test_setup_teardown(f, rig_start_two, rig_stop)
    const struct CMUnitTest tests[] = {
        T(it_says_who_it_is_and_what_it_takes),
        T(a_result_is_said_until_it_is_taken_also_to_a_new_broker),
        T(an_old_broker_is_not_heard),
        T2(a_silent_broker_is_left_with_all_that_is_held),
        T2(a_broker_that_is_gone_is_left),
        T2(a_broker_without_a_store_is_left),
        T(a_finished_call_is_recorded_before_it_is_used),
        T(a_tool_call_goes_through_the_broker),
        T(a_call_that_fails_is_the_stages_to_judge),
        T(a_failed_task_that_comes_again_is_tried_again),
        T(a_dropped_task_is_forgotten),
        T(text_is_kept_back_while_nobody_listens),
        T(our_own_malformed_document_is_a_permanent_failure),
        T(a_task_it_does_not_serve_goes_back),
        T(term_gives_back_what_does_not_finish_and_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
