/* SPDX-License-Identifier: Apache-2.0 */
/* Who is given the next task: shares, classes, order, affinity. */
#include "world.h"

#include "broker/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- shares and order ------------------------------------------------------------------------ */

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

/* A worker of all stages, a worker of each stage: someone else's batch delays by one task each. */
static void batch_delays_by_one_task(void **s)
{
    static const char *const stages[][4] = { { all_stages },
                                             { "parse", "analyze", "generate", "review" },
                                             { "parse generate", "analyze review" } };
    struct world *w = *s;
    rules(w, (struct sched_rules){ 0 });
    submit_many(w, "a", 300);
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
    submit_many(w, "a", 100);
    submit_many(w, "b", 100);
    worker(w, 1, "parse", 1);
    for (int i = 0; i < 40; i++)
        n[next_project(w, 1) - 'a']++;
    assert_in_range(n[0], 29, 31);
    /* What was not used is not saved up: c comes late and gets its share from now on. */
    submit_many(w, "c", 100);
    int c = 0;
    for (int i = 0; i < 50; i++)
        c += next_project(w, 1) == 'c';
    assert_in_range(c, 9, 11);
}

static void priority_stays_inside_its_project(void **s)
{
    struct world *w = *s;
    submit_many(w, "a", 4);
    submit_as(w, (struct wish){ .project = "b", .key = "low", .priority = -5 });
    struct job_id high =
        submit_as(w, (struct wish){ .project = "a", .key = "high", .priority = 9 });
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
    submit_many(w, "c", 3);
    submit_many(w, "a", 3);
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
        m.SUBMIT =
            (struct msg_SUBMIT){ .req = ++w->req, .key = str_of(key), .class = str_of("urgent") };
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
    submit_many(w, "a", 5);
    worker(w, 1, all_stages, 1);
    char first[PAWL_KEY_MAX + 1] = "";
    for (int i = 0; i < 10; i++) { /* parse, then three rounds of three stages */
        assert_true(take(w, 1, &h));
        if (i == 0)
            memcpy(first, h.task, sizeof first);
        assert_memory_equal(h.task, first, ID_CHARS);
        finish(w, 1, &h, 100, 1);
    }
}

/* ---- affinity -------------------------------------------------------------------------------- */

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
            struct msg m = { .type = MSG_CANCEL,
                             .CANCEL = { ++w->req, str_of(id.text), str_of("") } };
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

/* ---- the queue alone ------------------------------------------------------------------------- */

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
    const struct CMUnitTest tests[] = {
        WORLD_TEST(projects_take_turns_then_priority_then_progress_then_age),
        WORLD_TEST(batch_delays_by_one_task),
        WORLD_TEST(shares_by_weight),
        WORLD_TEST(priority_stays_inside_its_project),
        WORLD_TEST(classes_go_before_projects),
        WORLD_TEST(urgent_is_for_administrators),
        WORLD_TEST(furthest_first),
        WORLD_TEST(prefers_its_worker),
        WORLD_TEST(waits_for_its_worker_no_longer_than_said),
        WORLD_TEST(what_is_set_aside_is_not_forgotten),
        cmocka_unit_test(position_is_kept),
        cmocka_unit_test(closed_projects_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
