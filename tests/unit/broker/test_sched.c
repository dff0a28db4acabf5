/* SPDX-License-Identifier: Apache-2.0 */
/* Who is given the next task: shares, classes, limits. */
#include "world.h"

#include "broker/bucket.h"
#include "broker/queue.h"
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

/* The core anew, under these rules. */
static void rules(struct world *w, struct sched_rules r)
{
    w->conf.rules = r;
    w->conf.open_jobs_max = 100000;
    world_restart(w);
}

struct wish {
    const char *project, *key, *klass;
    int64_t priority, start_ms;
};

static const struct letter *say_submit(struct world *w, struct wish x)
{
    struct str frame = { "\0\x81\xa4text\xa1x", 9 };
    struct msg m = { .type = MSG_SUBMIT };
    m.SUBMIT = (struct msg_SUBMIT){ .req = ++w->req,
                                    .key = str_of(x.key),
                                    .project = str_of(x.project),
                                    .priority = x.priority,
                                    .class = str_of(x.klass),
                                    .start_ms = x.start_ms };
    m.SUBMIT.docs.v[m.SUBMIT.docs.n++] = str_of("problem");
    struct event ev = { .kind = EV_MSG,
                        .peer = 99,
                        .msg = &m,
                        .frames = &frame,
                        .frames_n = 1,
                        .budget = &w->conf.budget };
    if (!core_peer_known(w->core, 99))
        client(w, 99);
    world_step(w, &ev);
    return world_read(w, 99, MSG_SUBMITTED);
}

static struct job_id submit_as(struct world *w, struct wish x)
{
    struct job_id id = { .text = "" };
    const struct letter *l = say_submit(w, x);
    assert_non_null(l);
    snprintf(id.text, sizeof id.text, "%.*s", STR_ARG(l->m.SUBMITTED.job));
    assert_true(id_parse(l->m.SUBMITTED.job, &id.id));
    return id;
}

static void batch(struct world *w, const char *project, int n)
{
    for (int i = 0; i < n; i++) {
        char key[32];
        snprintf(key, sizeof key, "batch %d", i);
        submit_as(w, (struct wish){ .project = project, .key = key });
    }
}

static void worker(struct world *w, uint64_t peer, const char *stages, uint64_t slots)
{
    char name[16];
    snprintf(name, sizeof name, "w%d", (int)peer);
    struct msg m = { .type = MSG_HELLO };
    m.HELLO = (struct msg_HELLO){ .role = str_of("worker"), .name = str_of(name), .slots = slots };
    for (const char *at = stages; *at;) {
        size_t n = strcspn(at, " ");
        m.HELLO.stages.v[m.HELLO.stages.n++] = (struct str){ at, n };
        at += n + (at[n] == ' ');
    }
    world_say(w, peer, &m);
    struct msg ready = { .type = MSG_READY, .READY = { slots, 0 } };
    world_say(w, peer, &ready);
}

static void finish(struct world *w, uint64_t peer, const struct held *h, uint64_t slots)
{
    struct outcome o = { .docs = "brief", .measures = -1, .judge = -1 };
    if (str_is(h->m.stage, "analyze"))
        o.docs = "insights";
    if (str_is(h->m.stage, "generate"))
        o.docs = "draft change";
    if (str_is(h->m.stage, "review"))
        o = (struct outcome){ .docs = "review", .measures = 100, .judge = -1 };
    assert_string_equal(done(w, peer, h, o), "committed");
    struct msg ready = { .type = MSG_READY, .READY = { slots, h->m.seq } };
    world_say(w, peer, &ready);
}

/* The project of the next task of a worker with one slot, which it finishes. */
static char next_project(struct world *w, uint64_t peer)
{
    struct held h;
    if (!take(w, peer, &h))
        return '-';
    char p = h.m.project.p[0];
    finish(w, peer, &h, 1);
    return p;
}

/* A worker of all stages, a worker of each stage: someone else's batch delays by one task each. */
static void batch_delays_by_one_task(void **s)
{
    static const char *const stages[][4] = { { all_stages },
                                             { "parse", "analyze", "generate", "review" },
                                             { "parse generate", "analyze review" } };
    struct world *w = *s;
    rules(w, (struct sched_rules){ 0 });
    batch(w, "a", 300);
    for (size_t i = 0; i < COUNT(stages); i++) {
        uint64_t workers = 0;
        for (size_t k = 0; k < 4 && stages[i][k]; k++)
            worker(w, 10 * i + 1 + workers++, stages[i][k], 1);
        for (int k = 0; k < 40; k++) {
            for (uint64_t p = 10 * i + 1; p <= 10 * i + workers; p++)
                next_project(w, p);
        }
        char key[16];
        snprintf(key, sizeof key, "single %d", (int)i);
        struct job_id id = submit_as(w, (struct wish){ .project = "b", .key = key });
        uint32_t waited = 0;
        while (!job_state_ended(state(w, id))) {
            bool queued = state(w, id) == JOB_QUEUED;
            uint64_t at = job(w, id)->version;
            for (uint64_t p = 10 * i + 1; p <= 10 * i + workers; p++)
                next_project(w, p);
            waited = queued && job(w, id)->version == at ? waited + 1 : 0;
            assert_true(waited <= 1);
        }
        for (uint64_t p = 10 * i + 1; p <= 10 * i + workers; p++) {
            struct event gone = { .kind = EV_GONE, .peer = p };
            world_step(w, &gone);
        }
    }
}

static void shares_by_weight(void **s)
{
    static const struct project_rule projects[] = { { .name = "a", .weight = 3 },
                                                    { .name = "*", .weight = 1 } };
    struct world *w = *s;
    int n[2] = { 0 };
    rules(w, (struct sched_rules){ .projects = projects, .projects_n = 2 });
    batch(w, "a", 100);
    batch(w, "b", 100);
    worker(w, 1, "parse", 1);
    for (int i = 0; i < 40; i++)
        n[next_project(w, 1) - 'a']++;
    assert_in_range(n[0], 29, 31);
    /* What was not used is not saved up: c comes late and gets its share from now on. */
    batch(w, "c", 100);
    int c = 0;
    for (int i = 0; i < 50; i++)
        c += next_project(w, 1) == 'c';
    assert_in_range(c, 9, 11);
}

static void priority_stays_inside_its_project(void **s)
{
    struct world *w = *s;
    batch(w, "a", 4);
    submit_as(w, (struct wish){ .project = "b", .key = "low", .priority = -5 });
    struct job_id high = submit_as(w, (struct wish){ .project = "a", .key = "high", .priority = 9 });
    worker(w, 1, "parse", 1);
    assert_int_equal(state(w, high), JOB_RUNNING);
    assert_int_equal(next_project(w, 1), 'a');
    assert_int_equal(next_project(w, 1), 'b');
}

static void classes_go_before_projects(void **s)
{
    static const struct project_rule projects[] = {
        { .name = "c", .weight = 1, .klass = CLASS_BACKGROUND },
        { .name = "*", .weight = 1, .klass = CLASS_NORMAL }
    };
    struct world *w = *s;
    rules(w, (struct sched_rules){ .projects = projects, .projects_n = 2 });
    batch(w, "c", 3);
    batch(w, "a", 3);
    submit_as(w, (struct wish){ .project = "b", .key = "u1", .klass = "urgent" });
    submit_as(w, (struct wish){ .project = "b", .key = "u2", .klass = "urgent" });
    worker(w, 1, "parse", 1);
    char order[9] = "";
    for (int i = 0; i < 8; i++)
        order[i] = next_project(w, 1);
    assert_string_equal(order, "bbaaaccc");
    assert_null(say_submit(w, (struct wish){ .project = "b", .key = "u3", .klass = "soon" }));
    world_restart(w); /* the class is in the record */
    client(w, 99);
    assert_int_equal(job(w, submit_as(w, (struct wish){ .project = "b", .key = "u1" }))->klass,
                     CLASS_URGENT);
}

static void urgent_is_for_administrators(void **s)
{
    static const char *const roles[] = { "", "admin", "client", "client:b" };
    struct world *w = *s;
    client(w, 99);
    for (size_t i = 0; i < COUNT(roles); i++) {
        char key[16];
        struct str frame = { "\0\x81\xa4text\xa1x", 9 };
        struct msg m = { .type = MSG_SUBMIT };
        snprintf(key, sizeof key, "k%d", (int)i);
        m.SUBMIT = (struct msg_SUBMIT){ .req = ++w->req,
                                        .key = str_of(key),
                                        .class = str_of("urgent") };
        m.SUBMIT.docs.v[m.SUBMIT.docs.n++] = str_of("problem");
        struct event ev = { .kind = EV_MSG,
                            .peer = 99,
                            .msg = &m,
                            .frames = &frame,
                            .frames_n = 1,
                            .role = str_of(roles[i]),
                            .budget = &w->conf.budget };
        world_step(w, &ev);
        assert_true(!!world_read(w, 99, MSG_SUBMITTED) == (i < 2));
    }
}

/* A worker of all stages finishes what is begun before it begins something new. */
static void furthest_first(void **s)
{
    struct world *w = *s;
    struct held h;
    batch(w, "a", 5);
    worker(w, 1, all_stages, 1);
    char first[PAWL_KEY_MAX + 1] = "";
    for (int i = 0; i < 10; i++) { /* parse, then three rounds of three stages */
        assert_true(take(w, 1, &h));
        if (i == 0)
            memcpy(first, h.task, sizeof first);
        assert_memory_equal(h.task, first, ID_CHARS);
        finish(w, 1, &h, 1);
    }
}

static void limit_of_a_project(void **s)
{
    static const struct project_rule projects[] = { { .name = "a", .weight = 1, .limit = 2 } };
    struct world *w = *s;
    struct held h[3];
    rules(w, (struct sched_rules){ .projects = projects, .projects_n = 1 });
    batch(w, "a", 5);
    worker(w, 1, all_stages, 16);
    assert_true(take(w, 1, &h[0]));
    assert_true(take(w, 1, &h[1]));
    assert_false(take(w, 1, &h[2]));
    batch(w, "b", 1);
    assert_true(take(w, 1, &h[2])); /* others are not held up */
    assert_int_equal(h[2].m.project.p[0], 'b');
    finish(w, 1, &h[0], 16);
    assert_true(take(w, 1, &h[0]));
    assert_int_equal(h[0].m.project.p[0], 'a');
    finish(w, 1, &h[2], 16); /* b goes on */
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
    batch(w, "a", 5);
    worker(w, 1, all_stages, 16);
    assert_true(take(w, 1, &h[0]));
    assert_true(take(w, 1, &h[1]));
    assert_false(take(w, 1, &h[2]));
    finish(w, 1, &h[0], 16);
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

/* ---- start later -------------------------------------------------------------------------- */

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
    assert_null(say_submit(
        w, (struct wish){ .project = "a", .key = "far", .start_ms = w->wall_ms * 2 }));
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

/* ---- pause and why ------------------------------------------------------------------------ */

static enum why_kind why(struct world *w, struct job_id id)
{
    struct why out;
    core_why(w->core, job(w, id), &out);
    return out.kind;
}

static bool pause_said(struct world *w, struct msg_PAUSE p, const char *role, const char *access)
{
    struct msg m = { .type = MSG_PAUSE, .PAUSE = p };
    struct event ev = { .kind = EV_MSG,
                        .peer = 99,
                        .msg = &m,
                        .role = str_of(role),
                        .access = str_of(access) };
    m.PAUSE.req = ++w->req;
    if (!core_peer_known(w->core, 99))
        client(w, 99);
    world_step(w, &ev);
    return world_read(w, 99, MSG_OKAY) != NULL;
}

static void pause_what(struct world *w, const char *stage, const char *project, bool hold)
{
    struct msg_PAUSE p = { .hold = hold, .stage = str_of(stage), .project = str_of(project) };
    assert_true(pause_said(w, p, "", ""));
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
    finish(w, 1, &h[1], 1); /* b goes on: the only slot is taken by the next stage */
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
                  late = submit_as(w, (struct wish){ .project = "a",
                                                     .key = "2",
                                                     .start_ms = w->wall_ms + 5000 });
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
    batch(w, "a", 2);
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

/* ---- rates -------------------------------------------------------------------------------- */

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
    batch(w, "a", 3);
    worker(w, 1, "parse", 1);
    assert_true(take(w, 1, &h));
    finish(w, 1, &h, 1); /* 110 tokens: ten seconds' worth, but for the one that was there */
    from = w->now_ms;
    while (!take(w, 1, &h)) {
        world_pass(w, 100);
        struct msg beat = { .type = MSG_PING, .PING = { 1 } };
        world_say(w, 1, &beat);
        assert_true(w->now_ms - from < 20000);
    }
    assert_in_range(w->now_ms - from, 8900, 9200);
}

/* ---- affinity ----------------------------------------------------------------------------- */

static const struct stage_rule near[] = { { .name = "analyze", .affinity_ms = 5000 } };

static void ready_again(struct world *w, uint64_t peer, uint64_t credit, const struct held *h)
{
    struct msg m = { .type = MSG_READY, .READY = { credit, h->m.seq } };
    world_say(w, peer, &m);
}

static void parsed(struct world *w, uint64_t peer, const struct held *h)
{
    struct outcome o = { .docs = "brief", .measures = -1, .judge = -1 };
    assert_string_equal(done(w, peer, h, o), "committed");
}

static void prefers_its_worker(void **s)
{
    struct world *w = *s;
    struct held h;
    rules(w, (struct sched_rules){ .stages = near, .stages_n = 1 });
    struct job_id id = submit_as(w, (struct wish){ .project = "a", .key = "1" });
    worker(w, 1, "parse analyze", 1);
    assert_true(take(w, 1, &h));
    worker(w, 2, "parse analyze", 9); /* idle, and with more room */
    parsed(w, 1, &h);
    struct why out;
    core_why(w->core, job(w, id), &out);
    assert_int_equal(out.kind, WHY_AFFINITY);
    assert_string_equal(out.name, "w1");
    assert_int_equal(out.until_ms, w->wall_ms + 5000);
    world_pass(w, 4000);
    assert_false(take(w, 2, &h));
    ready_again(w, 1, 1, &h);
    assert_true(take(w, 1, &h));
    assert_true(str_is(h.m.stage, "analyze"));
}

static void waits_for_its_worker_no_longer_than_said(void **s)
{
    struct world *w = *s;
    struct held h;
    rules(w, (struct sched_rules){ .stages = near, .stages_n = 1 });
    struct job_id id = submit_as(w, (struct wish){ .project = "a", .key = "1" });
    worker(w, 1, "parse analyze", 1);
    assert_true(take(w, 1, &h));
    worker(w, 2, "parse analyze", 9);
    parsed(w, 1, &h);
    world_pass(w, 4999);
    assert_false(take(w, 2, &h));
    world_pass(w, 1);
    assert_true(take(w, 2, &h));
    assert_int_equal(state(w, id), JOB_RUNNING);
}

/* Set aside, then: the worker goes, the job is cancelled, its project is paused. */
static void what_is_set_aside_is_not_forgotten(void **s)
{
    for (int i = 0; i < 4; i++) {
        struct world *w = *s;
        struct held h;
        rules(w, (struct sched_rules){ .stages = near, .stages_n = 1 });
        char key[8];
        snprintf(key, sizeof key, "%d", i);
        struct job_id id = submit_as(w, (struct wish){ .project = "a", .key = key });
        worker(w, 1, "parse analyze", 1);
        assert_true(take(w, 1, &h));
        parsed(w, 1, &h);
        assert_int_equal(state(w, id), JOB_QUEUED);
        worker(w, 2, "analyze", 1);
        if (i == 0) {
            struct event gone = { .kind = EV_GONE, .peer = 1 };
            world_step(w, &gone);
            assert_true(take(w, 2, &h));
        } else if (i == 1) {
            struct msg m = { .type = MSG_CANCEL, .CANCEL = { ++w->req, str_of(id.text), str_of("") } };
            world_say(w, 99, &m);
            assert_int_equal(state(w, id), JOB_CANCELLED);
        } else if (i == 2) {
            pause_what(w, "", "a", true);
            world_pass(w, 6000);
            assert_false(take(w, 2, &h));
            pause_what(w, "", "a", false);
            assert_true(take(w, 2, &h));
        } else {
            worker(w, 1, "parse", 1); /* it says HELLO again, for other stages */
            assert_true(take(w, 2, &h));
        }
    }
}

/* ---- workers that die, or do not begin ---------------------------------------------------- */

static void hello_again(struct world *w, uint64_t peer, const char *died)
{
    struct msg m = { .type = MSG_HELLO };
    m.HELLO = (struct msg_HELLO){ .role = str_of("worker"),
                                  .name = str_of("host/parse-1"),
                                  .slots = 1 };
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

/* ---- the queue alone ---------------------------------------------------------------------- */

enum { TASKS = 60, FLOWS = 4 };

struct fixture {
    struct queue q;
    struct project p[FLOWS];
    struct job *jobs[TASKS];
    uint64_t order;
};

static uint32_t chance(uint64_t *seed, uint32_t n)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*seed >> 33) % n);
}

static void fill(struct fixture *f, uint64_t *seed)
{
    memset(f, 0, sizeof *f);
    queue_init(&f->q);
    for (uint32_t i = 0; i < FLOWS; i++)
        f->p[i] = (struct project){ .no = i, .weight = 1 + chance(seed, 3) };
    for (uint32_t i = 0; i < TASKS; i++) {
        struct job *j = f->jobs[i] = job_new(i + 1);
        assert_non_null(j);
        j->project_no = chance(seed, FLOWS);
        j->priority = chance(seed, 3);
        j->klass = chance(seed, 5) ? CLASS_NORMAL : (enum job_class)chance(seed, CLASSES);
        j->main.round = 1 + chance(seed, 3);
        j->main.age = i;
        queue_put(&f->q, &f->p[j->project_no], &j->main);
        if (chance(seed, 3) == 0)
            queue_take(&f->q, ++f->order);
    }
}

static void drain(struct fixture *f)
{
    while (queue_top(&f->q))
        queue_take(&f->q, ++f->order);
    for (uint32_t i = 0; i < TASKS; i++)
        job_free(f->jobs[i]);
    queue_fini(&f->q);
}

/* What queue_ahead() foretells comes true, for every task of many queues. */
static void position_is_kept(void **s)
{
    (void)s;
    for (uint64_t world = 1; world <= 300; world++) {
        uint64_t seed = world;
        struct fixture f;
        uint32_t said[TASKS];
        fill(&f, &seed);
        for (uint32_t i = 0; i < TASKS; i++)
            said[i] = f.jobs[i]->main.rank.slot == HEAP_NONE ? UINT32_MAX
                                                              : queue_ahead(&f.q, &f.jobs[i]->main);
        for (uint32_t n = 0; queue_top(&f.q); n++) {
            uint64_t id = queue_top(&f.q)->job->id;
            if (said[id - 1] != n)
                fail_msg("world %d: the task of job %d was said to be number %u, it is %u",
                         (int)world, (int)id, said[id - 1], n);
            queue_take(&f.q, ++f.order);
        }
        drain(&f);
    }
}

/* What is closed is passed over, what is opened again has not saved up turns. */
static void closed_projects_are_passed_over(void **s)
{
    struct fixture f;
    uint64_t seed = 7;
    (void)s;
    fill(&f, &seed);
    for (uint32_t i = 0; i < FLOWS; i++) {
        f.p[i].closed = true;
        queue_turn(&f.q, &f.p[i]);
        for (int n = 0; n < 3 && queue_top(&f.q); n++) {
            assert_false(f.p[queue_top(&f.q)->job->project_no].closed);
            queue_take(&f.q, ++f.order);
        }
    }
    assert_null(queue_top(&f.q));
    assert_true(f.q.len > 0);
    for (uint32_t i = 0; i < FLOWS; i++) {
        f.p[i].closed = false;
        queue_turn(&f.q, &f.p[i]);
    }
    drain(&f);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(batch_delays_by_one_task),
        T(shares_by_weight),
        T(priority_stays_inside_its_project),
        T(classes_go_before_projects),
        T(urgent_is_for_administrators),
        T(furthest_first),
        T(limit_of_a_project),
        T(limit_of_a_stage),
        T(calls_and_asks_have_no_limit),
        T(why_names_what_holds_it_back),
        T(why_of_jobs_that_are_not_queued),
        T(pauses_survive_a_restart),
        T(wall_time_stands_still_while_paused),
        T(who_may_pause),
        cmocka_unit_test(bucket_flows_evenly),
        T(rate_of_tasks),
        T(rate_of_tokens),
        T(prefers_its_worker),
        T(waits_for_its_worker_no_longer_than_said),
        T(what_is_set_aside_is_not_forgotten),
        T(last_words_are_kept),
        T(begin_is_awaited_apart),
        T(starts_later),
        T(start_follows_the_clock),
        T(waiting_costs_no_wall_time),
        cmocka_unit_test(position_is_kept),
        cmocka_unit_test(closed_projects_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
