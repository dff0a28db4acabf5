/* SPDX-License-Identifier: Apache-2.0 */
/* What workers hold: credit, failures, silence, calls of tools, results that come too late. */
#include "world.h"

#include "broker/retry.h"
#include "common/mp.h"

#include <stdio.h>
#include <string.h>

/* ---- credit ---------------------------------------------------------------------------------- */

static void credit_is_absolute_and_tagged(void **s)
{
    struct world *w = *s;
    struct held h[4];
    for (int i = 0; i < 4; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        submit(w, key);
    }
    struct msg m = { .type = MSG_HELLO,
                     .HELLO = { .role = str_of("worker"), .name = str_of("w"), .slots = 2 } };
    m.HELLO.stages.v[m.HELLO.stages.n++] = str_of("parse");
    world_say(w, 1, &m);
    assert_false(take(w, 1, &h[0])); /* no READY, no task */
    struct msg ready = { .type = MSG_READY, .READY = { 2, 0 } };
    world_say(w, 1, &ready);
    assert_true(take(w, 1, &h[0]) && take(w, 1, &h[1]));
    assert_false(take(w, 1, &h[2]));
    world_say(w, 1, &ready); /* said before it saw the two: crosses them on the wire */
    assert_false(take(w, 1, &h[2]));
    ready.READY = (struct msg_READY){ 1, 2 };
    world_say(w, 1, &ready);
    assert_true(take(w, 1, &h[2]));
    assert_false(take(w, 1, &h[3]));
    ready.READY = (struct msg_READY){ 1, 900 }; /* a number nobody has seen */
    world_say(w, 1, &ready);
    assert_true(take(w, 1, &h[3]));
}

static void an_unsent_task_costs_no_slot_and_heeds_a_pause(void **s)
{
    struct world *w = *s;
    struct held h;
    struct msg m = { .type = MSG_HELLO };
    m.HELLO = (struct msg_HELLO){ .role = str_of("worker"), .name = str_of("w"), .slots = 1 };
    m.HELLO.stages.v[m.HELLO.stages.n++] = str_of("parse");
    world_say(w, 1, &m);
    struct msg ready = { .type = MSG_READY, .READY = { 1, 0 } };
    world_say(w, 1, &ready);
    struct job_id id = submit(w, "k");
    for (int i = 0; i < 20; i++) {
        assert_true(take(w, 1, &h));
        if (i == 19)
            pause_job(w, id, true);
        struct event unsent = {
            .kind = EV_UNSENT, .peer = 1, .task = str_of(h.task), .fence = h.fence
        };
        world_step(w, &unsent);
        struct msg beat = { .type = MSG_BEAT };
        world_say(w, 1, i % 2 ? &ready : &beat); /* it has seen none of them */
    }
    assert_int_equal(state(w, id), JOB_PAUSED);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void delays_grow_with_jitter(void **s)
{
    int64_t most = 0;
    (void)s;
    for (uint64_t seed = 0; seed < 200; seed++) {
        int64_t ms = retry_delay_ms(1, seed), later = retry_delay_ms(30, seed);
        assert_in_range(ms, 1, RETRY_BASE_MS);
        assert_in_range(later, 1, RETRY_CAP_MS);
        most = later > most ? later : most;
        assert_int_equal(ms, retry_delay_ms(1, seed));
    }
    assert_true(most > RETRY_CAP_MS / 2);
    assert_int_equal(overload_delay_ms(1234, 5, 1), 1234);
    assert_in_range(overload_delay_ms(0, 0, 3), OVERLOAD_BASE_MS / 2, OVERLOAD_BASE_MS);
}

static void retryable_failures_spend_attempts(void **s)
{
    struct world *w = *s;
    struct held h;
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", all_stages);
    for (int i = 0; i < 2; i++) {
        assert_true(take(w, 1, &h));
        assert_int_equal(h.m.attempt, i + 1);
        assert_string_equal(failed(w, 1, &h, "retryable", 0), "committed");
        assert_int_equal(state(w, id), JOB_DELAYED);
        world_pass(w, RETRY_CAP_MS > 14000 ? 14000 : RETRY_CAP_MS);
        struct msg beat = { .type = MSG_BEAT };
        world_say(w, 1, &beat);
    }
    assert_true(take(w, 1, &h));
    failed(w, 1, &h, "retryable", 0);
    assert_int_equal(state(w, id), JOB_FAILED);
    assert_string_equal(job(w, id)->reason, "it broke");
    assert_int_equal(job(w, id)->failures_n, 3);
    /* the dead set is left by retry only */
    struct msg retry = { .type = MSG_RETRY, .RETRY = { 5, str_of(id.text) } };
    client(w, 99);
    world_say(w, 99, &retry);
    assert_int_equal(job(w, id)->run, 2);
    assert_true(take(w, 1, &h));
    assert_int_equal(h.m.attempt, 1);
}

static void a_permanent_failure_ends_with_its_findings(void **s)
{
    struct world *w = *s;
    struct held h;
    struct str frame = { "\0\x80", 2 };
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", all_stages);
    assert_true(take(w, 1, &h));
    struct msg m = { .type = MSG_FAIL };
    m.FAIL = (struct msg_FAIL){ .task = str_of(h.task),
                                .fence = h.fence,
                                .fault = str_of("permanent"),
                                .text = str_of("spec.md:3: malformed") };
    m.FAIL.docs.v[m.FAIL.docs.n++] = str_of("findings");
    struct event ev = { .kind = EV_MSG, .peer = 1, .msg = &m, .frames = &frame, .frames_n = 1 };
    world_step(w, &ev);
    assert_int_equal(state(w, id), JOB_FAILED);
    char key[64];
    snprintf(key, sizeof key, "d:%s", id.text);
    assert_non_null(store_fake_get(&w->fake, key, "1/1/findings"));
}

static void overload_is_not_charged_but_bounded(void **s)
{
    struct world *w = *s;
    struct held h;
    struct job_id id = submit(w, "k");
    w->conf.budget.wall_ms = 1800000;
    hello(w, 1, "w", all_stages);
    for (int i = 0; i < OVERLOADS_MAX; i++) {
        assert_true(take(w, 1, &h));
        assert_int_equal(h.m.attempt, 1);
        failed(w, 1, &h, "overloaded", 10);
        world_pass(w, 10);
        struct msg ready = { .type = MSG_READY, .READY = { 16, h.m.seq } };
        world_say(w, 1, &ready);
    }
    assert_true(take(w, 1, &h));
    failed(w, 1, &h, "overloaded", 10);
    assert_int_equal(job(w, id)->main.attempts, 1);
}

static void a_retry_does_not_wait_for_a_clock_that_was_set_back(void **s)
{
    struct world *w = *s;
    struct held h;
    hello(w, 1, "w", all_stages);
    struct job_id id = submit(w, "k");
    assert_true(take(w, 1, &h));
    assert_string_equal(failed(w, 1, &h, "retryable", 0), "committed");
    assert_int_equal(state(w, id), JOB_DELAYED);
    w->wall_ms -= (int64_t)30 * 86400000;
    world_restart(w);
    world_pass(w, DELAY_MAX_MS + 1000);
    assert_int_equal(state(w, id), JOB_QUEUED);
}

/* ---- workers that die, are silent, or do not begin ------------------------------------------- */

static void a_task_that_kills_three_workers_is_quarantined(void **s)
{
    struct world *w = *s;
    struct held h;
    struct job_id id = submit(w, "k");
    for (uint64_t i = 1; i <= 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", (int)i);
        hello(w, i, name, all_stages);
        assert_true(take(w, i, &h));
        struct event gone = { .kind = EV_GONE, .peer = i };
        world_step(w, &gone);
    }
    assert_int_equal(state(w, id), JOB_FAILED);
    assert_non_null(strstr(job(w, id)->reason, "quarantined"));
    assert_int_equal(job(w, id)->main.attempts, 0);
}

static void hello_again(struct world *w, uint64_t peer, const char *died)
{
    struct msg m = { .type = MSG_HELLO };
    m.HELLO =
        (struct msg_HELLO){ .role = str_of("worker"), .name = str_of("host/parse-1"), .slots = 1 };
    struct event gone = { .kind = EV_GONE, .peer = peer - 1, .died = str_of(died) };
    if (died)
        world_step(w, &gone);
    m.HELLO.stages.v[m.HELLO.stages.n++] = str_of("parse");
    world_say(w, peer, &m);
    struct msg ready = { .type = MSG_READY, .READY = { 1, 0 } };
    world_say(w, peer, &ready);
}

/* Its next life says what it wrote last: at once, and it is in the record of what it killed. */
static void last_words_are_kept(void **s)
{
    struct world *w = *s;
    struct held h;
    struct job_id id = submit_as(w, (struct wish){ .project = "a", .key = "1" });
    hello_again(w, 1, NULL);
    worker(w, 50, "analyze", 1); /* somebody else's name: it stays */
    for (uint64_t life = 2; life <= 4; life++) {
        assert_true(take(w, life - 1, &h));
        hello_again(w, life, "signal 11 (Segmentation fault); it wrote last: \xc3\xa4h");
        assert_false(core_peer_known(w->core, life - 1));
    }
    assert_true(core_peer_known(w->core, 50));
    assert_int_equal(state(w, id), JOB_FAILED);
    assert_non_null(strstr(job(w, id)->reason, "quarantined"));
    assert_non_null(strstr(job(w, id)->reason, "signal 11"));
    assert_int_equal(job(w, id)->failures_n, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(job(w, id)->failures[i].fault, "lost");
        assert_non_null(strstr(job(w, id)->failures[i].text, "it wrote last: \xc3\xa4h"));
    }
}

static void a_hung_worker_loses_its_lease(void **s)
{
    struct world *w = *s;
    struct held h, again;
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", all_stages);
    assert_true(take(w, 1, &h));
    struct buf raw;
    buf_init(&raw, 4096);
    mp_array(&raw, 1);
    assert_int_equal(msg_task_put(&raw, str_of(h.task), h.fence), OK);
    for (int i = 0; i < 8; i++) { /* named in BEAT: extended */
        struct msg beat = { .type = MSG_BEAT, .BEAT = { .holds = { buf_get(&raw), 1 } } };
        world_pass(w, 10000);
        world_say(w, 1, &beat);
        assert_int_equal(state(w, id), JOB_RUNNING);
    }
    for (int i = 0; i < 2; i++) { /* alive, but it does not name the task */
        struct msg beat = { .type = MSG_BEAT };
        world_pass(w, 8000);
        world_say(w, 1, &beat);
    }
    assert_int_equal(job(w, id)->main.crashes, 1);
    assert_non_null(world_read(w, 1, MSG_DROP));
    assert_true(take(w, 1, &again));
    assert_false(fence_eq(again.fence, h.fence));
    /* total_ms ends it in any case, and that is charged */
    buf_clear(&raw);
    mp_array(&raw, 1);
    assert_int_equal(msg_task_put(&raw, str_of(again.task), again.fence), OK);
    for (int i = 0; i < 13; i++) {
        struct msg beat = { .type = MSG_BEAT, .BEAT = { .holds = { buf_get(&raw), 1 } } };
        world_pass(w, 10000);
        world_say(w, 1, &beat);
    }
    assert_int_equal(job(w, id)->main.attempts, 1);
    buf_fini(&raw);
}

static void begin_is_awaited_apart(void **s)
{
    struct world *w = *s;
    struct buf bytes;
    struct held h;
    buf_init(&bytes, 4096);
    mp_array(&bytes, 1);
    struct stage_text text = { .name = str_of("parse"),
                               .each = str_of("run"),
                               .writes = str_of("brief"),
                               .attempts = 3,
                               .silence_ms = 4000,
                               .total_ms = 3600000,
                               .start_ms = 60000 };
    pipeline_put(&bytes, &text);
    w->conf.pipeline = buf_get(&bytes);
    world_restart(w);
    struct job_id id = submit_as(w, (struct wish){ .project = "a", .key = "1" });
    worker(w, 1, "parse", 1);
    assert_true(take(w, 1, &h));
    struct msg ping = { .type = MSG_PING, .PING = { 1 } };
    for (int i = 0; i < 59; i++) { /* loading a model, say: longer than it may be silent later */
        world_pass(w, 1000);
        world_say(w, 1, &ping);
    }
    assert_int_equal(state(w, id), JOB_RUNNING);
    struct buf raw;
    buf_init(&raw, 4096);
    mp_array(&raw, 1);
    assert_int_equal(msg_task_put(&raw, str_of(h.task), h.fence), OK);
    struct msg beat = { .type = MSG_BEAT, .BEAT = { .holds = { buf_get(&raw), 1 } } };
    world_say(w, 1, &beat);
    for (int i = 0; i < 3; i++) {
        world_pass(w, 1000);
        world_say(w, 1, &ping);
    }
    assert_int_equal(job(w, id)->main.crashes, 0);
    world_pass(w, 1000); /* begun, and silent since */
    assert_int_equal(job(w, id)->main.crashes, 1);
    assert_string_equal(job(w, id)->failures[0].text, "nothing was heard of it for too long");
    struct msg ready = { .type = MSG_READY, .READY = { 1, h.m.seq } };
    world_say(w, 1, &ready);
    assert_true(take(w, 1, &h));
    for (int i = 0; i < 60; i++) {
        world_pass(w, 1000);
        world_say(w, 1, &ping);
    }
    assert_string_equal(job(w, id)->failures[1].text, "its worker did not begin it in time");
    buf_fini(&raw);
    w->conf.pipeline = buf_get(&w->pipeline);
    world_restart(w); /* nothing points to ours any more */
    buf_fini(&bytes);
}

static void a_stalled_broker_keeps_its_leases(void **s)
{
    struct world *w = *s;
    struct held h;
    hello(w, 1, "w", all_stages);
    struct job_id id = submit(w, "k");
    assert_true(take(w, 1, &h));
    world_stall(w, 60000);
    assert_int_equal(state(w, id), JOB_RUNNING);
    assert_true(core_peer_known(w->core, 1));
    assert_int_equal(job(w, id)->main.crashes, 0);
    world_pass(w, 14000);
    assert_int_equal(state(w, id), JOB_RUNNING);
    world_pass(w, 4000); /* now it was listened for */
    assert_int_equal(job(w, id)->main.crashes, 1);
}

static void one_worker_that_comes_and_goes_is_one(void **s)
{
    struct world *w = *s;
    struct held h;
    hello(w, 1, "w", all_stages);
    struct job_id id = submit(w, "k");
    assert_true(take(w, 1, &h));
    for (uint64_t peer = 1; peer <= 5; peer++) {
        struct event gone = { .kind = EV_GONE, .peer = peer };
        struct buf raw;
        struct msg m = { .type = MSG_HELLO };
        world_step(w, &gone);
        buf_init(&raw, 1024);
        mp_array(&raw, 1);
        msg_task_put(&raw, str_of(h.task), h.fence);
        m.HELLO = (struct msg_HELLO){ .role = str_of("worker"), .name = str_of("w"), .slots = 1 };
        m.HELLO.stages.v[m.HELLO.stages.n++] = str_of("parse");
        m.HELLO.holds = (struct task_list){ buf_get(&raw), 1 };
        world_say(w, peer + 1, &m);
        buf_fini(&raw);
    }
    assert_int_equal(state(w, id), JOB_RUNNING);
    assert_int_equal(job(w, id)->main.crashes, 1);
}

static void release_gives_back_uncharged(void **s)
{
    struct world *w = *s;
    struct held h, again;
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", all_stages);
    assert_true(take(w, 1, &h));
    struct msg m = { .type = MSG_RELEASE,
                     .RELEASE = { str_of(h.task), h.fence, str_of("draining") } };
    world_say(w, 1, &m);
    assert_true(str_is(world_read(w, 1, MSG_TAKEN)->m.TAKEN.outcome, "committed"));
    assert_true(take(w, 1, &again));
    assert_int_equal(again.m.attempt, 1);
    world_say(w, 1, &m); /* the old one again */
    assert_true(str_is(world_read(w, 1, MSG_TAKEN)->m.TAKEN.outcome, "stale"));
    assert_int_equal(state(w, id), JOB_RUNNING);
    /* a TASK that could not be sent is given back at once */
    struct event unsent = {
        .kind = EV_UNSENT, .peer = 1, .task = str_of(again.task), .fence = again.fence
    };
    world_step(w, &unsent);
    assert_int_equal(state(w, id), JOB_QUEUED);
    assert_int_equal(job(w, id)->main.crashes, 0);
}

/* Its fence was given in a past that a failover took away: it was made of other things. */
static void a_result_of_a_lost_past_is_not_taken(void **s)
{
    struct world *w = *s;
    struct held h, lost;
    hello(w, 1, "w", all_stages);
    submit(w, "k");
    assert_true(take(w, 1, &h));
    lost = h;
    lost.fence.incarnation ^= 0x5555;
    struct outcome o = { .docs = "brief", .measures = -1, .judge = -1 };
    assert_string_equal(done(w, 1, &lost, o), "stale");
    world_restart(w); /* an older fence of this very task is good */
    hello(w, 1, "w", all_stages);
    assert_string_equal(done(w, 1, &h, o), "committed");
}

/* ---- calls of tools -------------------------------------------------------------------------- */

static void say_call(struct world *w, uint64_t peer, const struct held *h, const char *call)
{
    struct str frame = { "\0\x80", 2 };
    struct msg m = { .type = MSG_CALL, .CALL = { str_of(h->task), h->fence, str_of(call) } };
    struct event ev = { .kind = EV_MSG, .peer = peer, .msg = &m, .frames = &frame, .frames_n = 1 };
    world_step(w, &ev);
}

static void calls_go_to_another_worker_and_back(void **s)
{
    struct world *w = *s;
    struct held h, c;
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", "parse");
    assert_true(take(w, 1, &h));
    say_call(w, 1, &h, "c-1");
    const struct letter *l = world_read(w, 1, MSG_CALLED); /* nobody serves calls: said at once */
    assert_true(l && str_is(l->m.CALLED.fault, "retryable"));
    hello(w, 2, "tools", "call");
    say_call(w, 1, &h, "c-2");
    say_call(w, 1, &h, "c-2"); /* said again: one task */
    assert_true(take(w, 2, &c));
    assert_true(has_doc(&c, "call"));
    assert_false(take(w, 2, &c));
    assert_string_equal(done(w, 2, &c, (struct outcome){ .docs = "result", .measures = -1 }),
                        "committed");
    l = world_read(w, 1, MSG_CALLED);
    assert_true(l && str_is(l->m.CALLED.call, "c-2") && l->m.CALLED.fault.n == 0 &&
                l->frame.len == 2);
    /* the caller ends: its call is dropped */
    say_call(w, 1, &h, "c-3");
    assert_true(take(w, 2, &c));
    struct msg cancel = { .type = MSG_CANCEL, .CANCEL = { 2, str_of(id.text), str_of("") } };
    world_say(w, 99, &cancel);
    assert_non_null(world_read(w, 1, MSG_DROP));
    assert_non_null(world_read(w, 2, MSG_DROP));
    assert_string_equal(done(w, 2, &c, (struct outcome){ .docs = "result", .measures = -1 }),
                        "gone");
}

static void a_call_of_an_earlier_epoch_is_not_answered_for_a_new_one(void **s)
{
    struct world *w = *s;
    struct held h, old, new;
    submit(w, "k");
    hello(w, 1, "w", "parse");
    hello(w, 2, "tools", "call");
    assert_true(take(w, 1, &h));
    say_call(w, 1, &h, "c-1");
    assert_true(take(w, 2, &old));
    world_restart(w);
    struct buf raw;
    struct msg m = { .type = MSG_HELLO };
    buf_init(&raw, 1024);
    mp_array(&raw, 1);
    msg_task_put(&raw, str_of(h.task), h.fence);
    m.HELLO = (struct msg_HELLO){ .role = str_of("worker"), .name = str_of("w"), .slots = 1 };
    m.HELLO.stages.v[m.HELLO.stages.n++] = str_of("parse");
    m.HELLO.holds = (struct task_list){ buf_get(&raw), 1 };
    world_say(w, 1, &m);
    buf_fini(&raw);
    hello(w, 2, "tools", "call");
    say_call(w, 1, &h, "c-2");
    assert_true(take(w, 2, &new));
    assert_string_equal(new.task, old.task); /* numbers of calls begin anew */
    struct outcome o = { .docs = "result", .measures = -1 };
    assert_string_equal(done(w, 2, &old, o), "stale");
    assert_null(world_read(w, 1, MSG_CALLED));
    assert_string_equal(done(w, 2, &new, o), "committed");
    assert_non_null(world_read(w, 1, MSG_CALLED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(credit_is_absolute_and_tagged),
        WORLD_TEST(an_unsent_task_costs_no_slot_and_heeds_a_pause),
        WORLD_TEST(delays_grow_with_jitter),
        WORLD_TEST(retryable_failures_spend_attempts),
        WORLD_TEST(a_permanent_failure_ends_with_its_findings),
        WORLD_TEST(overload_is_not_charged_but_bounded),
        WORLD_TEST(a_retry_does_not_wait_for_a_clock_that_was_set_back),
        WORLD_TEST(a_task_that_kills_three_workers_is_quarantined),
        WORLD_TEST(last_words_are_kept),
        WORLD_TEST(a_hung_worker_loses_its_lease),
        WORLD_TEST(begin_is_awaited_apart),
        WORLD_TEST(a_stalled_broker_keeps_its_leases),
        WORLD_TEST(one_worker_that_comes_and_goes_is_one),
        WORLD_TEST(release_gives_back_uncharged),
        WORLD_TEST(a_result_of_a_lost_past_is_not_taken),
        WORLD_TEST(calls_go_to_another_worker_and_back),
        WORLD_TEST(a_call_of_an_earlier_epoch_is_not_answered_for_a_new_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
