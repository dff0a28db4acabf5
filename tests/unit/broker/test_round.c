/* SPDX-License-Identifier: Apache-2.0 */
/* Stages, rounds and runs: what a job goes through until it ends, and is forgotten. */
#include "world.h"

#include "broker/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void round_of(struct world *w, uint64_t peer, int measures)
{
    work(w, peer, -1);       /* analyze */
    work(w, peer, -1);       /* generate */
    work(w, peer, measures); /* review */
}

/* ---- states ---------------------------------------------------------------------------------- */

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

/* ---- policy ---------------------------------------------------------------------------------- */

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

/* ---- kept and found -------------------------------------------------------------------------- */

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
        enum status st =
            core_find(w->core, (struct str){ ids[i].text, 8 }, (struct str){ 0 }, &found);
        assert_int_equal(st, OK);
        assert_true(found == ids[i].id);
        for (int k = 0; k < 300; k++) {
            bool alike = k != i && strncmp(ids[i].text, ids[k].text, 4) == 0;
            if (alike)
                assert_int_equal(
                    core_find(w->core, (struct str){ ids[i].text, 4 }, (struct str){ 0 }, &found),
                    ERR_DATA);
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
    const struct CMUnitTest tests[] = {
        WORLD_TEST(every_transition_is_in_the_table),
        WORLD_TEST(the_loop_runs_to_the_target),
        WORLD_TEST(tasks_carry_the_documents_of_their_stage),
        WORLD_TEST(policy_keeps_only_what_is_better),
        WORLD_TEST(policy_stops_for_each_reason),
        WORLD_TEST(tokens_and_wall_time_end_a_run),
        WORLD_TEST(ended_jobs_are_kept_by_count_and_age),
        WORLD_TEST(jobs_are_found_by_a_unique_prefix),
        WORLD_TEST(strangers_and_wrong_requests_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
