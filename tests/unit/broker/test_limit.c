/* SPDX-License-Identifier: Apache-2.0 */
/* What holds a task back, and why it is said to wait: limits, rates, pauses, a later start. */
#include "world.h"

#include "broker/bucket.h"

#include <stdio.h>

/* ---- limits ---------------------------------------------------------------------------------- */

static void limit_of_a_project(void **s)
{
    static const struct project_rule projects[] = { { .name = "a", .weight = 1, .limit = 2 } };
    struct world *w = *s;
    struct held h[3];
    rules(w, (struct sched_rules){ .projects = projects, .projects_n = 1 });
    submit_many(w, "a", 5);
    worker(w, 1, all_stages, 16);
    assert_true(take(w, 1, &h[0]));
    assert_true(take(w, 1, &h[1]));
    assert_false(take(w, 1, &h[2]));
    submit_many(w, "b", 1);
    assert_true(take(w, 1, &h[2])); /* others are not held up */
    assert_int_equal(h[2].m.project.p[0], 'b');
    finish(w, 1, &h[0], 100, 16);
    assert_true(take(w, 1, &h[0]));
    assert_int_equal(h[0].m.project.p[0], 'a');
    finish(w, 1, &h[2], 100, 16); /* b goes on */
    assert_true(take(w, 1, &h[2]));
    assert_int_equal(h[2].m.project.p[0], 'b');
    assert_false(take(w, 1, &h[2]));
    /* what is held still counts after a restart */
    world_restart(w);
    worker(w, 2, "parse", 16);
    assert_false(take(w, 2, &h[2]));
}

static void limit_of_a_stage(void **s)
{
    static const struct stage_rule stages[] = { { .name = "parse", .limit = 2 } };
    struct world *w = *s;
    struct held h[3];
    rules(w, (struct sched_rules){ .stages = stages, .stages_n = 1 });
    submit_many(w, "a", 5);
    worker(w, 1, all_stages, 16);
    assert_true(take(w, 1, &h[0]));
    assert_true(take(w, 1, &h[1]));
    assert_false(take(w, 1, &h[2]));
    finish(w, 1, &h[0], 100, 16);
    assert_true(take(w, 1, &h[0]));
    assert_true(str_is(h[0].m.stage, "analyze")); /* the next stage of the first … */
    assert_true(take(w, 1, &h[2]));
    assert_true(str_is(h[2].m.stage, "parse")); /* … and a place that has become free */
    assert_false(take(w, 1, &h[2]));
}

/* A caller holds its project's only place: its call is given out all the same, as are asks. */
static void calls_and_asks_have_no_limit(void **s)
{
    static const struct project_rule projects[] = { { .name = "*", .weight = 1, .limit = 1 } };
    struct world *w = *s;
    struct held h, call;
    rules(w, (struct sched_rules){ .projects = projects, .projects_n = 1 });
    struct job_id id = submit_as(w, (struct wish){ .project = "a", .key = "k" });
    worker(w, 1, all_stages, 16);
    assert_true(take(w, 1, &h));
    struct str frame = { "\0\x80", 2 };
    struct msg m = { .type = MSG_CALL, .CALL = { str_of(h.task), h.fence, str_of("c1") } };
    struct event ev = { .kind = EV_MSG, .peer = 1, .msg = &m, .frames = &frame, .frames_n = 1 };
    world_step(w, &ev);
    assert_true(take(w, 1, &call));
    assert_true(str_is(call.m.stage, "call"));
    struct msg ask = { .type = MSG_ASK, .ASK = { ++w->req, str_of(id.text), str_of("why?") } };
    world_say(w, 99, &ask);
    assert_true(take(w, 1, &call));
    assert_true(str_is(call.m.stage, "ask"));
}

/* ---- a later start --------------------------------------------------------------------------- */

static void starts_later(void **s)
{
    struct world *w = *s;
    struct held h;
    int64_t at = w->wall_ms + 3600000;
    struct job_id id = submit_as(w, (struct wish){ .project = "a", .key = "k", .start_ms = at });
    assert_int_equal(state(w, id), JOB_DELAYED);
    world_pass(w, 3000000);
    assert_int_equal(state(w, id), JOB_DELAYED);
    assert_int_equal(job(w, id)->main.due_ms, at);
    world_restart(w);
    world_pass(w, 590000);
    /* pausing does not make it forget its start */
    struct msg m = { .type = MSG_PAUSE };
    m.PAUSE = (struct msg_PAUSE){ .req = ++w->req, .job = str_of(id.text), .hold = true };
    client(w, 99);
    world_say(w, 99, &m);
    assert_int_equal(state(w, id), JOB_PAUSED);
    m.PAUSE.hold = false;
    world_say(w, 99, &m);
    assert_int_equal(state(w, id), JOB_DELAYED);
    worker(w, 2, all_stages, 4);
    world_pass(w, 9000);
    assert_false(take(w, 2, &h));
    world_pass(w, 1000);
    assert_true(take(w, 2, &h));
    assert_int_equal(job_wall_used(job(w, id), w->wall_ms) / 10000, 0); /* nobody worked before */
    assert_null(
        say_submit(w, (struct wish){ .project = "a", .key = "far", .start_ms = w->wall_ms * 2 }));
}

/* The wall clock is set: what counts is the time of day. */
static void start_follows_the_clock(void **s)
{
    struct world *w = *s;
    struct held h;
    struct wish x = { .project = "a", .key = "k", .start_ms = w->wall_ms + 7200000 };
    submit_as(w, x);
    worker(w, 1, all_stages, 4);
    w->wall_ms += 7188000; /* summer time, say */
    world_pass(w, 11000);
    assert_false(take(w, 1, &h));
    world_pass(w, 1000);
    assert_true(take(w, 1, &h));
}

/* A job may wait long for its first worker: its wall time has not begun. */
static void waiting_costs_no_wall_time(void **s)
{
    struct world *w = *s;
    struct job_id id = submit_as(w, (struct wish){ .project = "a", .key = "k" });
    world_pass(w, w->conf.budget.wall_ms + 60000);
    assert_int_equal(state(w, id), JOB_QUEUED);
    worker(w, 1, "parse", 1);
    next_project(w, 1);
    world_pass(w, w->conf.budget.wall_ms + 60000);
    assert_true(job_state_ended(state(w, id)));
}

/* ---- pause and why --------------------------------------------------------------------------- */

static enum why_kind why(struct world *w, struct job_id id)
{
    struct why out;
    core_why(w->core, job(w, id), &out);
    return out.kind;
}

/* For every condition: it is named, and when it alone is taken away, the task is given out. */
static void why_names_what_holds_it_back(void **s)
{
    static const struct project_rule projects[] = { { .name = "a", .weight = 1, .limit = 1 } };
    static const struct stage_rule stages[] = { { .name = "parse", .limit = 2 } };
    struct world *w = *s;
    struct held h[4];
    rules(w, (struct sched_rules){ stages, 1, projects, 1 });
    struct job_id a1 = submit_as(w, (struct wish){ .project = "a", .key = "1" }),
                  a2 = submit_as(w, (struct wish){ .project = "a", .key = "2" }),
                  b1 = submit_as(w, (struct wish){ .project = "b", .key = "1" }),
                  b2 = submit_as(w, (struct wish){ .project = "b", .key = "2" });
    assert_int_equal(why(w, a1), WHY_NO_WORKER);
    pause_what(w, "", "a", true);
    assert_int_equal(why(w, a1), WHY_PROJECT_PAUSED);
    assert_int_equal(why(w, b1), WHY_NO_WORKER);
    pause_what(w, "", "b", true);
    pause_what(w, "parse", "", true);
    worker(w, 1, all_stages, 16);
    assert_false(take(w, 1, &h[0]));
    pause_what(w, "parse", "", false);
    assert_false(take(w, 1, &h[0]));
    pause_what(w, "", "a", false);
    assert_true(take(w, 1, &h[0])); /* a1 */
    assert_int_equal(why(w, a1), WHY_RUNNING);
    assert_int_equal(why(w, a2), WHY_PROJECT_LIMIT);
    assert_int_equal(why(w, b1), WHY_PROJECT_PAUSED);
    pause_what(w, "parse", "", true);
    assert_int_equal(why(w, b1), WHY_PROJECT_PAUSED);
    assert_int_equal(why(w, a2), WHY_STAGE_PAUSED);
    pause_what(w, "", "b", false);
    assert_int_equal(why(w, b1), WHY_STAGE_PAUSED);
    pause_what(w, "parse", "", false);
    assert_true(take(w, 1, &h[1])); /* b1 */
    assert_int_equal(why(w, b2), WHY_STAGE_LIMIT);
    assert_false(take(w, 1, &h[2]));
    struct msg full = { .type = MSG_READY, .READY = { 0, h[1].m.seq } };
    world_say(w, 1, &full);
    finish(w, 1, &h[1], 100, 1); /* b goes on: the only slot is taken by the next stage */
    assert_true(take(w, 1, &h[1]));
    assert_int_equal(why(w, b2), WHY_SLOTS);
    struct why out;
    core_why(w->core, job(w, b2), &out);
    assert_int_equal(out.n, 1);
    assert_int_equal(failed(w, 1, &h[0], "retryable", 0)[0], 'c');
    assert_int_equal(why(w, a1), WHY_BACKOFF);
    core_why(w->core, job(w, a1), &out);
    assert_true(out.until_ms > w->wall_ms);
    struct buf map;
    buf_init(&map, 65536);
    for (int i = 0; i < 2; i++)
        core_why_map(w->core, job(w, i ? a1 : b2), &map);
    assert_int_equal(map.status, OK);
    buf_fini(&map);
}

static void why_of_jobs_that_are_not_queued(void **s)
{
    struct world *w = *s;
    struct held h;
    struct asked q = { str_of("q1"), str_of("?"), str_of("no"), { "\x80", 1 }, 0 };
    struct job_id id = submit_as(w, (struct wish){ .project = "a", .key = "1" }),
                  late = submit_as(
                      w,
                      (struct wish){ .project = "a", .key = "2", .start_ms = w->wall_ms + 5000 });
    assert_int_equal(why(w, late), WHY_START);
    worker(w, 1, all_stages, 1);
    assert_true(take(w, 1, &h));
    struct outcome o = { .docs = "brief questions", .measures = -1, .asked = &q, .asked_n = 1 };
    assert_string_equal(done(w, 1, &h, o), "committed");
    assert_int_equal(why(w, id), WHY_ANSWER);
    struct msg_PAUSE p = { .job = str_of(id.text), .hold = true };
    assert_true(pause_said(w, p, "", ""));
    assert_int_equal(why(w, id), WHY_PAUSED);
    struct msg m = { .type = MSG_CANCEL, .CANCEL = { ++w->req, str_of(id.text), str_of("") } };
    world_say(w, 99, &m);
    assert_int_equal(why(w, id), WHY_ENDED);
    world_pass(w, 6000);
    struct msg ready = { .type = MSG_READY, .READY = { 1, 1 } };
    world_say(w, 1, &ready);
    assert_int_equal(why(w, late), WHY_RUNNING);
    world_restart(w);
    assert_int_equal(why(w, late), WHY_RETURN);
}

static void pauses_survive_a_restart(void **s)
{
    struct world *w = *s;
    struct held h;
    submit_many(w, "a", 2);
    pause_what(w, "parse", "", true);
    pause_what(w, "", "a", true);
    world_restart(w);
    worker(w, 1, all_stages, 2);
    assert_false(take(w, 1, &h));
    pause_what(w, "parse", "", false);
    world_restart(w);
    worker(w, 2, all_stages, 2);
    assert_false(take(w, 2, &h));
    pause_what(w, "", "a", false);
    assert_true(take(w, 2, &h));
    world_restart(w);
    struct buf map;
    buf_init(&map, 4096);
    core_halts_map(w->core, &map);
    assert_true(core_halts_good(buf_get(&map)));
    assert_int_equal(map.len, 1 + 7 + 1 + 9 + 1); /* nothing is paused */
    buf_fini(&map);
}

/* A paused project costs its jobs no wall time, also over a restart. */
static void wall_time_stands_still_while_paused(void **s)
{
    struct world *w = *s;
    struct job_id id = submit_as(w, (struct wish){ .project = "a", .key = "1" });
    worker(w, 1, "parse", 1);
    next_project(w, 1);
    world_pass(w, 60000);
    pause_what(w, "", "a", true);
    int64_t used = job_wall_used(job(w, id), w->wall_ms);
    assert_in_range(used, 60000, 61000);
    world_pass(w, w->conf.budget.wall_ms);
    world_restart(w);
    world_pass(w, w->conf.budget.wall_ms);
    assert_int_equal(state(w, id), JOB_QUEUED);
    assert_int_equal(job_wall_used(job(w, id), w->wall_ms), used);
    pause_what(w, "", "a", false);
    world_pass(w, 30000);
    assert_in_range(job_wall_used(job(w, id), w->wall_ms), used + 30000, used + 31000);
}

static void who_may_pause(void **s)
{
    struct world *w = *s;
    struct msg_PAUSE stage = { .hold = true, .stage = str_of("parse") },
                     project = { .hold = true, .project = str_of("a") },
                     both = { .hold = true, .stage = str_of("parse"), .project = str_of("a") },
                     unknown = { .hold = true, .stage = str_of("pars") },
                     call = { .hold = true, .stage = str_of("call") };
    assert_false(pause_said(w, stage, "client", ""));
    assert_false(pause_said(w, stage, "client:a", "a"));
    assert_true(pause_said(w, stage, "admin", ""));
    assert_true(pause_said(w, project, "client", ""));
    assert_true(pause_said(w, project, "client:a", "a"));
    assert_false(pause_said(w, project, "client:b", "b"));
    assert_false(pause_said(w, both, "", ""));
    assert_false(pause_said(w, unknown, "", ""));
    assert_false(pause_said(w, call, "", ""));
}

/* ---- rates ----------------------------------------------------------------------------------- */

static void bucket_flows_evenly(void **s)
{
    static const uint64_t rates[] = { 1, 7, 60, 6000, 100000, (uint64_t)1 << 40 };
    (void)s;
    for (size_t i = 0; i < COUNT(rates); i++) {
        struct bucket b;
        uint64_t n = 0;
        int64_t now = 5000, end = now + 10 * 60000;
        bucket_init(&b, rates[i], now);
        for (; now <= end && n < 200000; n++) {
            int64_t when = bucket_when(&b, 1, now);
            assert_true(when >= now && (when == now || bucket_when(&b, 1, when - 1) == when));
            now = when;
            bucket_take(&b, 1, now);
        }
        if (n < 200000)
            assert_in_range(n, rates[i] * 10, rates[i] * 10 + rates[i] / 60 + 2);
    }
    struct bucket b;
    bucket_init(&b, 600, 0);
    bucket_take(&b, 1200, 1000); /* two minutes' worth at once, and what a second holds is there */
    assert_int_equal(bucket_when(&b, 1, 1000), 1000 + 119100);
    assert_int_equal(bucket_when(&b, 1, 1000000), 1000000);
    bucket_take(&b, UINT64_MAX, 1000000);
    bucket_take(&b, UINT64_MAX, 1000000);
    assert_true(bucket_when(&b, 1, 1000000) > 1000000);
    bucket_init(&b, 0, 0);
    bucket_take(&b, 1000000, 0);
    assert_int_equal(bucket_when(&b, 1, 0), 0);
}

static void rate_of_tasks(void **s)
{
    static const struct stage_rule stages[] = { { .name = "parse", .tasks_per_minute = 6 } };
    struct world *w = *s;
    struct held h;
    struct job_id id[30];
    int n = 0;
    rules(w, (struct sched_rules){ .stages = stages, .stages_n = 1 });
    for (int i = 0; i < 30; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        id[i] = submit_as(w, (struct wish){ .project = "a", .key = key });
    }
    worker(w, 1, "parse", 100);
    for (int second = 0; second < 60; second++) {
        while (take(w, 1, &h)) {
            n++;
            struct msg beat = { .type = MSG_PING, .PING = { 1 } };
            world_say(w, 1, &beat);
        }
        struct why out;
        core_why(w->core, job(w, id[29]), &out);
        assert_int_equal(out.kind, WHY_RATE);
        assert_in_range(out.until_ms - w->wall_ms, 1, 10000);
        assert_true(core_deadline(w->core) <= w->now_ms + 10000);
        world_pass(w, 1000);
        hello(w, 2, "other", "review"); /* nothing that helps */
        struct msg beat = { .type = MSG_PING, .PING = { 1 } };
        world_say(w, 1, &beat);
    }
    assert_in_range(n, 6, 7);
}

static void rate_of_tokens(void **s)
{
    static const struct stage_rule stages[] = { { .name = "parse", .tokens_per_minute = 660 } };
    struct world *w = *s;
    struct held h;
    int64_t from;
    rules(w, (struct sched_rules){ .stages = stages, .stages_n = 1 });
    submit_many(w, "a", 3);
    worker(w, 1, "parse", 1);
    assert_true(take(w, 1, &h));
    finish(w, 1, &h, 100, 1); /* 110 tokens: ten seconds' worth, but for the one that was there */
    from = w->now_ms;
    while (!take(w, 1, &h)) {
        world_pass(w, 100);
        struct msg beat = { .type = MSG_PING, .PING = { 1 } };
        world_say(w, 1, &beat);
        assert_true(w->now_ms - from < 20000);
    }
    assert_in_range(w->now_ms - from, 8900, 9200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(limit_of_a_project),
        WORLD_TEST(limit_of_a_stage),
        WORLD_TEST(calls_and_asks_have_no_limit),
        WORLD_TEST(starts_later),
        WORLD_TEST(start_follows_the_clock),
        WORLD_TEST(waiting_costs_no_wall_time),
        WORLD_TEST(why_names_what_holds_it_back),
        WORLD_TEST(why_of_jobs_that_are_not_queued),
        WORLD_TEST(pauses_survive_a_restart),
        WORLD_TEST(wall_time_stands_still_while_paused),
        WORLD_TEST(who_may_pause),
        cmocka_unit_test(bucket_flows_evenly),
        WORLD_TEST(rate_of_tasks),
        WORLD_TEST(rate_of_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
