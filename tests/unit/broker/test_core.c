/* SPDX-License-Identifier: Apache-2.0 */
/* The pure core over the store in memory: stages, rounds, runs, leases, people. */
#include "world.h"

#include "broker/policy.h"
#include "broker/queue.h"
#include "broker/retry.h"
#include "common/mp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char all_stages[] = "parse analyze generate review call ask";

static int setup(void **s)
{
    struct world *w = calloc(1, sizeof *w);
    world_open(w);
    *s = w;
    return 0;
}

static int teardown(void **s)
{
    world_close(*s);
    free(*s);
    return 0;
}

static void round_of(struct world *w, uint64_t peer, int measures)
{
    work(w, peer, -1);       /* analyze */
    work(w, peer, -1);       /* generate */
    work(w, peer, measures); /* review */
}

/* ---- states ------------------------------------------------------------------------------- */

static void every_transition_is_in_the_table(void **s)
{
    static const struct {
        enum job_state from, to;
    } allowed[] = {
#define T(from, to, when) { JOB_##from, JOB_##to },
#include "schemas/transitions.def"
#undef T
    };
    (void)s;
    size_t count = 0;
    for (int from = 0; from < JOB_STATES; from++) {
        for (int to = 0; to < JOB_STATES; to++) {
            bool listed = false;
            for (size_t i = 0; i < COUNT(allowed); i++)
                listed = listed || ((int)allowed[i].from == from && (int)allowed[i].to == to);
            assert_int_equal(job_may((enum job_state)from, (enum job_state)to), listed);
            count += listed;
            if (listed && job_state_ended((enum job_state)from))
                assert_int_equal(to, JOB_QUEUED); /* only a new run leaves an end */
        }
        assert_false(job_may((enum job_state)from, (enum job_state)from));
        enum job_state found;
        assert_true(job_state_find(str_of(job_state_name((enum job_state)from)), &found));
        assert_int_equal(found, from);
    }
    assert_int_equal(count, COUNT(allowed));
}

static void the_loop_runs_to_the_target(void **s)
{
    struct world *w = *s;
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", all_stages);
    work(w, 1, -1); /* parse: once per run */
    round_of(w, 1, 500);
    assert_int_equal(job(w, id)->round, 2);
    assert_true(job(w, id)->has_best);
    round_of(w, 1, 400);
    assert_int_equal(job(w, id)->best_round, 1);
    round_of(w, 1, 900);
    assert_int_equal(state(w, id), JOB_ACCEPTED);
    assert_int_equal(job(w, id)->best_round, 3);
    assert_int_equal(job(w, id)->ledger_n, 3);
    assert_int_equal(job(w, id)->tokens_in, 1000);
    assert_int_equal(job(w, id)->total_out, 100);
}

static void tasks_carry_the_documents_of_their_stage(void **s)
{
    struct world *w = *s;
    struct held h;
    submit(w, "k");
    hello(w, 1, "w", all_stages);
    assert_true(take(w, 1, &h));
    assert_true(has_doc(&h, "problem"));
    done(w, 1, &h, (struct outcome){ .docs = "brief", .measures = -1 });
    round_of(w, 1, 500);
    work(w, 1, -1);
    assert_true(take(w, 1, &h)); /* generate of round 2 */
    assert_true(has_doc(&h, "draft@best") && has_doc(&h, "review@best") &&
                has_doc(&h, "review@last"));
    assert_true(has_doc(&h, "brief") && has_doc(&h, "insights") && !has_doc(&h, "comments"));
    assert_int_equal(h.m.docs.n, 6);
}

/* ---- policy ------------------------------------------------------------------------------- */

static struct job loop_job(void)
{
    struct job j = { .run = 1, .round = 1, .has_last = true, .state = JOB_RUNNING };
    j.budget = (struct budget){
        .rounds = 4, .patience = 2, .measures = 800, .judge = 600, .tokens = 1000, .wall_ms = 60000
    };
    j.last = (struct verdict){ .gates = true, .measures = 500, .judge = -1, .warnings = 1 };
    return j;
}

static void policy_keeps_only_what_is_better(void **s)
{
    struct job j = loop_job();
    (void)s;
    assert_true(policy_round(&j, 0).keep);
    j.has_best = true;
    j.best = j.last;
    assert_false(policy_round(&j, 0).keep); /* equal is not better */
    j.last.measures = 501;
    assert_true(policy_round(&j, 0).keep);
    j.last.gates = false;
    j.last.measures = 1000;
    assert_false(policy_round(&j, 0).keep); /* gates first */
    j.last = (struct verdict){ .gates = true, .measures = 500, .judge = 700, .errors = 1 };
    assert_false(policy_round(&j, 0).keep); /* judged against not judged: no judgement */
    j.best.judge = 650;
    assert_true(policy_round(&j, 0).keep);
    j.last.judge = 100;
    j.best_stale = true;
    assert_true(policy_round(&j, 0).keep); /* what was asked has changed */
}

static void expect_end(struct job *j, int64_t wall_ms, enum job_state state, const char *reason)
{
    struct ruling r = policy_round(j, wall_ms);
    assert_true(r.end);
    assert_int_equal(r.state, state);
    if (!strstr(r.reason, reason))
        fail_msg("'%s' is not about '%s'", r.reason, reason);
}

static void policy_stops_for_each_reason(void **s)
{
    uint64_t seen[1];
    (void)s;
    struct job j = loop_job();
    assert_false(policy_round(&j, 0).end);
    j.last.measures = 800;
    expect_end(&j, 0, JOB_ACCEPTED, "target");
    j.last.judge = 599;
    assert_false(policy_round(&j, 0).end); /* judged, and the judge is not content */
    j.last.judge = 600;
    j.last.errors = 1;
    assert_false(policy_round(&j, 0).end); /* the score is met, but an error is open */
    j.last.errors = 0;
    expect_end(&j, 0, JOB_ACCEPTED, "target");
    j.comment_waits = true;
    assert_false(policy_round(&j, 0).end); /* a comment gets its round */
    j.round = 4;
    expect_end(&j, 0, JOB_ACCEPTED, "target"); /* unless the budget is spent */

    j = loop_job();
    j.last.warnings = 0;
    expect_end(&j, 0, JOB_EXHAUSTED, "nothing more to say");
    j = loop_job();
    j.round = 4;
    expect_end(&j, 0, JOB_EXHAUSTED, "rounds");
    j = loop_job();
    j.tokens_in = 1000;
    expect_end(&j, 0, JOB_EXHAUSTED, "tokens");
    j = loop_job();
    j.wall_used_ms = 60000;
    expect_end(&j, 0, JOB_EXHAUSTED, "wall");
    j = loop_job();
    j.wall_from_ms = 1;
    expect_end(&j, 60001, JOB_EXHAUSTED, "wall");
    j = loop_job();
    memcpy(j.last.candidate, "abc", 4);
    seen[0] = hash_prefix(str_of("abc"));
    j.seen = seen;
    j.seen_n = 1;
    expect_end(&j, 0, JOB_EXHAUSTED, "again");
    j = loop_job();
    j.last.gates = false;
    j.dry = 1;
    expect_end(&j, 0, JOB_FAILED, "patience"); /* no candidate passed the gates */
    j.has_best = true;
    j.best = (struct verdict){ .gates = true, .measures = 100, .judge = -1 };
    expect_end(&j, 0, JOB_EXHAUSTED, "patience");
    j = loop_job();
    j.has_last = false;
    expect_end(&j, 0, JOB_ACCEPTED, "no stage reviews");
}

static void tokens_and_wall_time_end_a_run(void **s)
{
    struct world *w = *s;
    w->conf.budget.tokens = 150;
    struct job_id a = submit(w, "tokens");
    hello(w, 1, "w", all_stages);
    work(w, 1, -1);
    round_of(w, 1, 300);
    assert_int_equal(state(w, a), JOB_EXHAUSTED);
    w->conf.budget.tokens = 100000;
    w->conf.budget.wall_ms = 5000;
    struct job_id b = submit(w, "wall");
    struct held h;
    assert_true(take(w, 1, &h));
    world_pass(w, 4999);
    assert_int_equal(state(w, b), JOB_RUNNING);
    world_pass(w, 1);
    assert_int_equal(state(w, b), JOB_FAILED); /* no candidate yet */
    assert_non_null(world_read(w, 1, MSG_DROP));
    assert_int_equal(job(w, b)->ledger_n, 1);
}

/* ---- credit, scheduling ------------------------------------------------------------------- */

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

static void projects_take_turns_then_priority_then_progress_then_age(void **s)
{
    struct world *w = *s;
    struct job jobs[6] = { { .id = 0 } };
    struct task tasks[6];
    struct queue q;
    struct project projects[2] = { { .no = 0, .weight = 1 }, { .no = 1, .weight = 1 } };
    const struct {
        uint32_t project;
        int64_t priority;
        uint32_t round;
    } in[6] = {
        { 0, 0, 1 }, { 0, 0, 1 }, { 0, 0, 2 }, { 0, 5, 1 }, { 1, 0, 1 }, { 1, 9, 1 },
    };
    static const int want[6] = { 3, 5, 2, 4, 0, 1 };
    (void)w;
    queue_init(&q);
    for (uint32_t i = 0; i < 6; i++) {
        jobs[i].project_no = in[i].project;
        jobs[i].priority = in[i].priority;
        tasks[i] = (struct task){
            .job = &jobs[i], .run = 1, .round = in[i].round, .age = i, .rank.slot = HEAP_NONE
        };
        queue_put(&q, &projects[in[i].project], &tasks[i]);
    }
    for (uint32_t i = 0; i < 6; i++) {
        assert_ptr_equal(queue_top(&q), &tasks[want[i]]);
        queue_take(&q, i + 1);
    }
    queue_fini(&q);
}

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

/* ---- failing ------------------------------------------------------------------------------ */

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

/* ---- people ------------------------------------------------------------------------------- */

static void answer(struct world *w, struct job_id id, const char *question, const char *text)
{
    struct msg m = { .type = MSG_ANSWER,
                     .ANSWER = { ++w->req, str_of(id.text), str_of(question), str_of(text),
                                 str_of("mcp") } };
    world_say(w, 99, &m);
}

static void questions_wait_and_the_first_answer_wins(void **s)
{
    struct world *w = *s;
    struct held h;
    static const char raw[] = "\x83\xa2id\xa2q1\xa4text\xa1?\xa9otherwise\xa1x";
    struct asked asked[2] = {
        { str_of("q1"), str_of("?"), str_of("x"), { raw, sizeof raw - 1 }, 5000 },
        { str_of("q2"), str_of("??"), str_of("y"), { raw, sizeof raw - 1 }, 0 },
    };
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", all_stages);
    assert_true(take(w, 1, &h));
    done(w, 1, &h,
         (struct outcome){
             .docs = "brief questions", .measures = -1, .asked = asked, .asked_n = 2 });
    assert_int_equal(state(w, id), JOB_WAITING);
    int64_t used = job_wall_used(job(w, id), w->wall_ms);
    answer(w, id, "", "which?");
    assert_non_null(world_read(w, 99, MSG_REFUSED)); /* two are open */
    answer(w, id, "q2", "mi\nne");
    assert_non_null(world_read(w, 99, MSG_OKAY));
    answer(w, id, "q2", "late");
    const struct letter *late = world_read(w, 99, MSG_REFUSED);
    assert_true(late && str_is(late->m.REFUSED.text, "already answered by the user (mcp): mi ne"));
    assert_int_equal(state(w, id), JOB_WAITING);
    world_restart(w); /* open questions survive */
    assert_int_equal(state(w, id), JOB_WAITING);
    client(w, 99);
    answer(w, id, "q2", "later");
    late = world_read(w, 99, MSG_REFUSED); /* and whose answer holds */
    assert_true(late && str_is(late->m.REFUSED.text, "already answered by the user (mcp): mi ne"));
    world_pass(w, 5000); /* the default of q1 holds */
    assert_int_equal(state(w, id), JOB_QUEUED);
    assert_int_equal(job(w, id)->answers_n, 2);
    assert_in_range(job_wall_used(job(w, id), w->wall_ms), used, used + 1); /* it stood still */
    hello(w, 1, "w", all_stages);
    assert_true(take(w, 1, &h));
    assert_true(has_doc(&h, "answers"));
}

/* Its record says which round hears it first. */
static void heard_in(struct world *w, struct job_id id, int number, char round)
{
    char key[64], field[32], wanted[] = "\xa5heard?";
    snprintf(key, sizeof key, "d:%s", id.text);
    snprintf(field, sizeof field, "comments#%d", number);
    wanted[sizeof wanted - 2] = round;
    const struct buf *item = store_fake_get(&w->fake, key, field);
    assert_non_null(item);
    assert_non_null(memmem(item->data, item->len, wanted, sizeof wanted - 1));
}

static void comments_are_heard_by_the_next_round(void **s)
{
    struct world *w = *s;
    struct held h;
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", all_stages);
    work(w, 1, -1);
    work(w, 1, -1);
    work(w, 1, -1); /* generate of round 1 is done */
    struct msg m = { .type = MSG_COMMENT, .COMMENT = { 1, str_of(id.text), str_of("shorter") } };
    client(w, 99);
    world_say(w, 99, &m);
    const struct letter *okay = world_read(w, 99, MSG_OKAY);
    assert_true(okay && str_is(okay->m.OKAY.id, "c1"));
    heard_in(w, id, 1, 2);
    work(w, 1, 950); /* meets the target, but the comment has not been heard */
    assert_int_equal(state(w, id), JOB_RUNNING);
    assert_int_equal(job(w, id)->round, 2);
    work(w, 1, -1);
    assert_true(take(w, 1, &h));
    assert_true(has_doc(&h, "comments"));
    done(w, 1, &h, (struct outcome){ .docs = "draft change", .measures = -1 });
    work(w, 1, 960);
    assert_int_equal(state(w, id), JOB_ACCEPTED);
    /* on an ended job: the next run, fresh budget, the best as parent */
    world_say(w, 99, &m);
    heard_in(w, id, 2, 3);
    assert_int_equal(job(w, id)->run, 2);
    assert_int_equal(job(w, id)->tokens_in, 0);
    world_say(w, 99, &m); /* before anything of the new run has begun */
    heard_in(w, id, 3, 1);
    work(w, 1, -1);
    work(w, 1, -1);
    assert_true(take(w, 1, &h));
    assert_true(has_doc(&h, "draft@best"));
    done(w, 1, &h, (struct outcome){ .docs = "draft change", .measures = -1 });
    work(w, 1, 820); /* lower than before, yet the first that knows the comment */
    assert_int_equal(state(w, id), JOB_ACCEPTED);
    assert_int_equal(job(w, id)->best_run, 2);
}

static void asks_do_not_disturb_the_job(void **s)
{
    struct world *w = *s;
    struct held h;
    char key[64];
    struct job_id id = submit(w, "k");
    struct msg m = { .type = MSG_ASK, .ASK = { 1, str_of(id.text), str_of("why?") } };
    world_say(w, 99, &m);
    const struct letter *okay = world_read(w, 99, MSG_OKAY);
    assert_true(okay && str_is(okay->m.OKAY.id, "a1"));
    world_restart(w); /* durable */
    hello(w, 1, "w", "ask");
    assert_true(take(w, 1, &h));
    assert_true(str_is(h.m.stage, "ask") && has_doc(&h, "ask") && has_doc(&h, "problem"));
    assert_int_equal(state(w, id), JOB_QUEUED);
    assert_string_equal(done(w, 1, &h, (struct outcome){ .docs = "reply", .measures = -1 }),
                        "committed");
    assert_string_equal(done(w, 1, &h, (struct outcome){ .docs = "reply", .measures = -1 }),
                        "already");
    snprintf(key, sizeof key, "d:%s", id.text);
    assert_non_null(store_fake_get(&w->fake, key, "reply/a1"));
    assert_null(job(w, id)->asks);
    /* one that cannot be answered says so, and it is on an ended job */
    struct msg cancel = { .type = MSG_CANCEL, .CANCEL = { 2, str_of(id.text), str_of("") } };
    client(w, 99);
    world_say(w, 99, &cancel);
    world_say(w, 99, &m);
    assert_true(take(w, 1, &h));
    failed(w, 1, &h, "permanent", 0);
    assert_non_null(store_fake_get(&w->fake, key, "reply/a2"));
    assert_int_equal(state(w, id), JOB_CANCELLED);
}

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

static void pause_waits_for_the_stage_and_resumes(void **s)
{
    struct world *w = *s;
    struct held h;
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", all_stages);
    assert_true(take(w, 1, &h));
    struct msg m = { .type = MSG_PAUSE, .PAUSE = { .req = 1, .job = str_of(id.text), .hold = true } };
    world_say(w, 99, &m);
    assert_int_equal(state(w, id), JOB_RUNNING);
    done(w, 1, &h, (struct outcome){ .docs = "brief", .measures = -1 });
    assert_int_equal(state(w, id), JOB_PAUSED);
    world_restart(w);
    world_pass(w, 3600000 * 10); /* the wall budget stands still */
    assert_int_equal(state(w, id), JOB_PAUSED);
    client(w, 99);
    hello(w, 1, "w", all_stages);
    m.PAUSE.hold = false;
    world_say(w, 99, &m);
    assert_true(take(w, 1, &h));
    assert_true(str_is(h.m.stage, "analyze"));
}

static void cancel_drops_the_lease(void **s)
{
    struct world *w = *s;
    struct held h;
    struct job_id id = submit(w, "k");
    hello(w, 1, "w", all_stages);
    assert_true(take(w, 1, &h));
    struct msg m = { .type = MSG_CANCEL, .CANCEL = { 1, str_of(id.text), str_of("not needed") } };
    world_say(w, 99, &m);
    const struct letter *drop = world_read(w, 1, MSG_DROP);
    assert_true(drop && drop->guarded && str_is(drop->m.DROP.reason, "cancelled"));
    assert_int_equal(state(w, id), JOB_CANCELLED);
    assert_string_equal(job(w, id)->reason, "not needed");
    assert_string_equal(done(w, 1, &h, (struct outcome){ .docs = "brief", .measures = -1 }),
                        "gone");
}

static void ended_jobs_are_kept_by_count_and_age(void **s)
{
    struct world *w = *s;
    struct job_id id[3];
    core_free(w->core);
    w->core = NULL;
    w->conf.retain_jobs = 2;
    world_restart(w);
    for (int i = 0; i < 3; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        id[i] = submit(w, key);
        struct msg m = { .type = MSG_CANCEL, .CANCEL = { 1, str_of(id[i].text), str_of("") } };
        world_pass(w, 10);
        world_say(w, 99, &m);
    }
    assert_null(core_job(w->core, id[0].id));
    assert_non_null(core_job(w->core, id[1].id));
    char key[64];
    snprintf(key, sizeof key, "j:%s", id[0].text);
    assert_null(store_fake_get(&w->fake, key, ""));
    assert_null(store_fake_get(&w->fake, "x:all", id[0].text));
    world_pass(w, w->conf.retain_age_ms);
    assert_null(core_job(w->core, id[2].id));
}

/* ---- what the simulator found ------------------------------------------------------------- */

static void pause_job(struct world *w, struct job_id id, bool hold)
{
    struct msg m = { .type = MSG_PAUSE, .PAUSE = { .req = ++w->req, .job = str_of(id.text), .hold = hold } };
    world_say(w, 99, &m);
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

static void a_pause_outlasts_the_question_of_its_stage(void **s)
{
    struct world *w = *s;
    struct held h;
    struct asked q = { .id = str_of("q"), .text = str_of("?"), .otherwise = str_of("no"),
                       .raw = { "\x80", 1 } };
    hello(w, 1, "w", all_stages);
    struct job_id id = submit(w, "k");
    assert_true(take(w, 1, &h));
    pause_job(w, id, true);
    struct outcome o = { .docs = "brief questions", .measures = -1, .judge = -1 };
    o.asked = &q;
    o.asked_n = 1;
    assert_string_equal(done(w, 1, &h, o), "committed");
    assert_int_equal(state(w, id), JOB_WAITING);
    answer(w, id, "q", "yes");
    assert_int_equal(state(w, id), JOB_PAUSED);
    pause_job(w, id, false);
    assert_int_equal(state(w, id), JOB_RUNNING);
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

static void jobs_are_found_by_a_unique_prefix(void **s)
{
    struct world *w = *s;
    struct job_id ids[300];
    for (int i = 0; i < 300; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        ids[i] = submit(w, key);
    }
    for (int i = 0; i < 300; i++) {
        uint64_t found;
        enum status st = core_find(w->core, (struct str){ ids[i].text, 8 }, (struct str){ 0 }, &found);
        assert_int_equal(st, OK);
        assert_true(found == ids[i].id);
        for (int k = 0; k < 300; k++) {
            bool alike = k != i && strncmp(ids[i].text, ids[k].text, 4) == 0;
            if (alike)
                assert_int_equal(core_find(w->core, (struct str){ ids[i].text, 4 },
                                           (struct str){ 0 }, &found), ERR_DATA);
        }
    }
    uint64_t none;
    assert_int_equal(core_find(w->core, str_of("0000"), (struct str){ 0 }, &none), ERR_NOT_FOUND);
    assert_int_equal(core_find(w->core, str_of("!!!!"), (struct str){ 0 }, &none), ERR_NOT_FOUND);
}

static void strangers_and_wrong_requests_are_refused(void **s)
{
    struct world *w = *s;
    struct msg done_m = { .type = MSG_DONE, .DONE = { .task = str_of("x") } };
    world_say(w, 5, &done_m);
    const struct letter *l = world_read(w, 5, MSG_REFUSED);
    assert_true(l && str_is(l->m.REFUSED.code, "protocol"));
    client(w, 5);
    world_say(w, 5, &done_m);
    assert_non_null(world_read(w, 5, MSG_REFUSED)); /* a client is no worker */
    struct msg ask = { .type = MSG_ASK, .ASK = { 1, str_of("000000000000"), str_of("?") } };
    world_say(w, 5, &ask);
    l = world_read(w, 5, MSG_REFUSED);
    assert_true(l && str_is(l->m.REFUSED.code, "not-found"));
    hello(w, 6, "w", all_stages);
    struct msg junk = { .type = MSG_DONE, .DONE = { .task = str_of("no/such/key") } };
    world_say(w, 6, &junk);
    assert_true(str_is(world_read(w, 6, MSG_TAKEN)->m.TAKEN.outcome, "gone"));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_transition_is_in_the_table),
        TEST(the_loop_runs_to_the_target),
        TEST(tasks_carry_the_documents_of_their_stage),
        TEST(policy_keeps_only_what_is_better),
        TEST(policy_stops_for_each_reason),
        TEST(tokens_and_wall_time_end_a_run),
        TEST(credit_is_absolute_and_tagged),
        TEST(projects_take_turns_then_priority_then_progress_then_age),
        TEST(delays_grow_with_jitter),
        TEST(retryable_failures_spend_attempts),
        TEST(a_permanent_failure_ends_with_its_findings),
        TEST(overload_is_not_charged_but_bounded),
        TEST(a_task_that_kills_three_workers_is_quarantined),
        TEST(a_hung_worker_loses_its_lease),
        TEST(release_gives_back_uncharged),
        TEST(questions_wait_and_the_first_answer_wins),
        TEST(comments_are_heard_by_the_next_round),
        TEST(asks_do_not_disturb_the_job),
        TEST(calls_go_to_another_worker_and_back),
        TEST(pause_waits_for_the_stage_and_resumes),
        TEST(cancel_drops_the_lease),
        TEST(ended_jobs_are_kept_by_count_and_age),
        TEST(a_call_of_an_earlier_epoch_is_not_answered_for_a_new_one),
        TEST(a_stalled_broker_keeps_its_leases),
        TEST(one_worker_that_comes_and_goes_is_one),
        TEST(an_unsent_task_costs_no_slot_and_heeds_a_pause),
        TEST(a_pause_outlasts_the_question_of_its_stage),
        TEST(a_result_of_a_lost_past_is_not_taken),
        TEST(a_retry_does_not_wait_for_a_clock_that_was_set_back),
        TEST(jobs_are_found_by_a_unique_prefix),
        TEST(strangers_and_wrong_requests_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
