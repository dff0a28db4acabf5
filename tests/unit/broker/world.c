/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include "common/mp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status load_pipeline(void *ctx, struct str bytes, struct err *err)
{
    return core_load_pipeline(ctx, bytes, err);
}

static enum status load_job(void *ctx, struct str bytes, struct err *err)
{
    return core_load_job(ctx, bytes, err);
}

static void commit(struct world *w, bool with_pipeline)
{
    struct batch b;
    struct str bytes;
    struct err err = { 0 };
    uint64_t id;
    batch_init(&b, &w->epoch, &w->events, w->wall_ms, 1000000);
    if (with_pipeline)
        batch_pipeline(&b, core_pipeline(w->core, &id).n ? id : 0, core_pipeline(w->core, &id));
    for (uint32_t i = 0; i < w->fx.n; i++) {
        batch_add(&b, &w->fx.v[i], NULL);
        w->kept += w->fx.v[i].kind == FX_EVENT;
    }
    assert_int_equal(batch_encode(&b, &bytes), OK);
    if (store_fake_commit(&w->fake, &w->epoch, ++w->turn, bytes, &err) != OK)
        fail_msg("commit: %s", err.text);
    batch_fini(&b);
}

static void lead(struct world *w)
{
    static uint64_t incarnations = 1000;
    struct err err = { 0 };
    struct store s = store_fake_ops(&w->fake);
    w->epoch = (struct epoch){ .incarnation = ++incarnations };
    w->fake.now_ms = w->wall_ms;
    assert_int_equal(s.ops->lead(s.self, &w->epoch, &err), OK);
    w->conf.incarnation = w->epoch.incarnation;
    w->core = core_new(&w->conf, &err);
    assert_non_null(w->core);
    if (s.ops->load(s.self, load_pipeline, load_job, w->core, &err) != OK)
        fail_msg("load: %s", err.text);
    core_loaded(w->core, w->now_ms, w->wall_ms);
    core_check(w->core);
    w->turn = w->events = 0;
    w->fx.epoch = w->epoch.incarnation;
    commit(w, true);
}

void world_open(struct world *w)
{
    memset(w, 0, sizeof *w);
    buf_init(&w->pipeline, 65536);
    assert_int_equal(pipeline_default(&w->pipeline), OK);
    store_fake_init(&w->fake, "here", NULL);
    effects_init(&w->fx, 0);
    w->now_ms = 1000;
    w->wall_ms = 1700000000000;
    w->conf = (struct core_conf){
        .seed = 7,
        .pipeline = buf_get(&w->pipeline),
        .heartbeat_ms = 2000,
        .silence_ms = 15000,
        .retain_jobs = 1000,
        .retain_age_ms = 86400000,
        .open_jobs_max = 1000,
        .budget = { .rounds = 4,
                    .patience = 2,
                    .measures = 800,
                    .judge = 600,
                    .tokens = 200000,
                    .wall_ms = 1800000,
                    .question_ms = 600000 },
    };
    lead(w);
}

void world_forget_letters(struct world *w)
{
    for (uint32_t i = 0; i < w->out_n; i++) {
        buf_fini(&w->out[i].header);
        buf_fini(&w->out[i].frame);
    }
    w->out_n = 0;
}

void world_close(struct world *w)
{
    world_forget_letters(w);
    core_free(w->core);
    effects_fini(&w->fx);
    store_fake_fini(&w->fake);
    buf_fini(&w->pipeline);
}

void world_restart(struct world *w)
{
    core_free(w->core);
    w->core = NULL;
    effects_clear(&w->fx);
    world_forget_letters(w);
    lead(w);
}

static void post(struct world *w, const struct fx *f)
{
    struct err err = { 0 };
    if (w->out_n == OUTBOX_MAX)
        world_forget_letters(w);
    struct letter *l = &w->out[w->out_n++];
    *l = (struct letter){ .peer = f->peer, .guarded = f->guarded, .task = f->kind == FX_TASK };
    buf_init(&l->header, PAWL_HEADER_MAX);
    buf_init(&l->frame, PAWL_FRAME_MAX);
    buf_view(&l->header, f->header);
    if (f->frames_n)
        buf_view(&l->frame, f->frames[0]);
    assert_int_equal(msg_decode(buf_get(&l->header), &l->m, &err), OK);
    assert_int_equal(l->m.epoch, w->epoch.incarnation);
}

void world_step(struct world *w, struct event *ev)
{
    ev->now_ms = w->now_ms;
    ev->wall_ms = w->wall_ms;
    core_step(w->core, ev, &w->fx);
    core_check(w->core);
    core_seal(w->core, &w->fx);
    assert_false(w->fx.failed);
    w->crashed = w->crash_before_commit;
    if (w->crash_before_commit) {
        w->crash_before_commit = false;
        world_restart(w);
        return;
    }
    commit(w, false);
    for (uint32_t i = 0; i < w->fx.n; i++) {
        if (w->fx.v[i].kind == FX_SEND || w->fx.v[i].kind == FX_TASK)
            post(w, &w->fx.v[i]);
    }
    effects_clear(&w->fx);
}

void world_pass(struct world *w, int64_t ms)
{
    enum { TICK_MS = 1000 };
    do {
        struct event ev = { .kind = EV_TICK };
        int64_t part = ms < TICK_MS ? ms : TICK_MS;
        w->now_ms += part;
        w->wall_ms += part;
        world_step(w, &ev);
        ms -= part;
    } while (ms > 0);
}

void world_stall(struct world *w, int64_t ms)
{
    struct event ev = { .kind = EV_TICK };
    w->now_ms += ms;
    w->wall_ms += ms;
    world_step(w, &ev);
}

void world_say(struct world *w, uint64_t peer, struct msg *m)
{
    struct event ev = { .kind = EV_MSG, .peer = peer, .msg = m };
    world_step(w, &ev);
}

const struct letter *world_read(struct world *w, uint64_t peer, enum msg_type type)
{
    for (uint32_t i = 0; i < w->out_n; i++) {
        struct letter *l = &w->out[i];
        if (!l->taken && l->peer == peer && l->m.type == type) {
            l->taken = true;
            return l;
        }
    }
    return NULL;
}

int world_setup(void **s)
{
    struct world *w = calloc(1, sizeof *w);
    world_open(w);
    *s = w;
    return 0;
}

int world_teardown(void **s)
{
    world_close(*s);
    free(*s);
    return 0;
}

/* ---- shorthands --------------------------------------------------------------------------- */

void rules(struct world *w, struct sched_rules r)
{
    w->conf.rules = r;
    w->conf.open_jobs_max = 100000;
    world_restart(w);
}

static void words(struct strs *to, const char *text)
{
    struct str rest = str_of(text);
    while (rest.n) {
        size_t n = 0;
        while (n < rest.n && rest.p[n] != ' ')
            n++;
        to->v[to->n++] = (struct str){ rest.p, n };
        n += n < rest.n;
        rest = (struct str){ rest.p + n, rest.n - n };
    }
}

static void worker_named(struct world *w, uint64_t peer, const char *name, const char *stages,
                         uint64_t slots)
{
    struct msg m = { .type = MSG_HELLO };
    m.HELLO = (struct msg_HELLO){ .role = str_of("worker"), .name = str_of(name), .slots = slots };
    words(&m.HELLO.stages, stages);
    world_say(w, peer, &m);
    assert_non_null(world_read(w, peer, MSG_WELCOME));
    struct msg ready = { .type = MSG_READY, .READY = { slots, 0 } };
    world_say(w, peer, &ready);
}

void hello(struct world *w, uint64_t peer, const char *name, const char *stages)
{
    worker_named(w, peer, name, stages, 16);
}

void worker(struct world *w, uint64_t peer, const char *stages, uint64_t slots)
{
    char name[16];
    snprintf(name, sizeof name, "w%d", (int)peer);
    worker_named(w, peer, name, stages, slots);
}

void client(struct world *w, uint64_t peer)
{
    struct msg m = { .type = MSG_HELLO,
                     .HELLO = { .role = str_of("client"), .name = str_of("cli") } };
    world_say(w, peer, &m);
    assert_true(w->crashed || world_read(w, peer, MSG_WELCOME));
}

const struct letter *say_submit(struct world *w, struct wish x)
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

struct job_id submit_as(struct world *w, struct wish x)
{
    struct job_id id = { .text = "" };
    const struct letter *l = say_submit(w, x);
    assert_non_null(l);
    assert_true(l->guarded);
    snprintf(id.text, sizeof id.text, "%.*s", STR_ARG(l->m.SUBMITTED.job));
    assert_true(id_parse(l->m.SUBMITTED.job, &id.id));
    return id;
}

struct job_id submit(struct world *w, const char *key)
{
    return submit_as(w, (struct wish){ .key = key });
}

void submit_many(struct world *w, const char *project, int n)
{
    for (int i = 0; i < n; i++) {
        char key[32];
        snprintf(key, sizeof key, "batch %d", i);
        submit_as(w, (struct wish){ .project = project, .key = key });
    }
}

bool pause_said(struct world *w, struct msg_PAUSE p, const char *role, const char *access)
{
    struct msg m = { .type = MSG_PAUSE, .PAUSE = p };
    struct event ev = {
        .kind = EV_MSG, .peer = 99, .msg = &m, .role = str_of(role), .access = str_of(access)
    };
    m.PAUSE.req = ++w->req;
    if (!core_peer_known(w->core, 99))
        client(w, 99);
    world_step(w, &ev);
    return world_read(w, 99, MSG_OKAY) != NULL;
}

void pause_what(struct world *w, const char *stage, const char *project, bool hold)
{
    struct msg_PAUSE p = { .hold = hold, .stage = str_of(stage), .project = str_of(project) };
    assert_true(pause_said(w, p, "", ""));
}

void pause_job(struct world *w, struct job_id id, bool hold)
{
    pause_said(w, (struct msg_PAUSE){ .job = str_of(id.text), .hold = hold }, "", "");
}

bool take(struct world *w, uint64_t peer, struct held *h)
{
    const struct letter *l = world_read(w, peer, MSG_TASK);
    if (!l)
        return false;
    *h = (struct held){ .fence = l->m.TASK.fence, .m = l->m.TASK };
    snprintf(h->task, sizeof h->task, "%.*s", STR_ARG(l->m.TASK.task));
    return true;
}

bool has_doc(const struct held *h, const char *name)
{
    for (uint32_t i = 0; i < h->m.docs.n; i++) {
        if (str_is(h->m.docs.v[i], name))
            return true;
    }
    return false;
}

static const char *taken(struct world *w, uint64_t peer)
{
    const struct letter *l = world_read(w, peer, MSG_TAKEN), *next;
    if (!l && w->crashed)
        return "lost";
    static const char *const outcomes[] = { "committed", "already", "stale", "gone" };
    while (l && (next = world_read(w, peer, MSG_TAKEN)) != NULL)
        l = next;
    assert_non_null(l);
    assert_true(l->guarded);
    for (size_t i = 0; i < COUNT(outcomes); i++) {
        if (str_is(l->m.TAKEN.outcome, outcomes[i]))
            return outcomes[i];
    }
    return "?";
}

const char *done(struct world *w, uint64_t peer, const struct held *h, struct outcome o)
{
    struct str frames[8];
    struct msg m = { .type = MSG_DONE };
    m.DONE = (struct msg_DONE){
        .task = str_of(h->task), .fence = h->fence, .tokens_in = 100, .tokens_out = 10
    };
    words(&m.DONE.docs, o.docs);
    for (uint32_t i = 0; i < m.DONE.docs.n; i++)
        frames[i] = (struct str){ "\0\x80", 2 };
    struct event ev = { .kind = EV_MSG,
                        .peer = peer,
                        .msg = &m,
                        .frames = frames,
                        .frames_n = m.DONE.docs.n,
                        .has_verdict = o.measures >= 0,
                        .asked = o.asked,
                        .asked_n = o.asked_n };
    ev.verdict = (struct verdict){ .gates = !o.gates_fail,
                                   .measures = o.measures,
                                   .judge = o.judge,
                                   .warnings = o.clean ? 0 : 1 };
    snprintf(ev.verdict.candidate, sizeof ev.verdict.candidate, "%.64s",
             o.candidate ? o.candidate : h->task);
    ev.reply = str_of("because");
    world_step(w, &ev);
    return taken(w, peer);
}

const char *failed(struct world *w, uint64_t peer, const struct held *h, const char *fault,
                   uint64_t after_ms)
{
    struct msg m = { .type = MSG_FAIL };
    m.FAIL = (struct msg_FAIL){ .task = str_of(h->task),
                                .fence = h->fence,
                                .fault = str_of(fault),
                                .text = str_of("it broke"),
                                .retry_after_ms = after_ms };
    world_say(w, peer, &m);
    return taken(w, peer);
}

void finish(struct world *w, uint64_t peer, const struct held *h, int measures, uint64_t credit)
{
    struct outcome o = { .docs = "brief", .measures = -1, .judge = -1 };
    if (str_is(h->m.stage, "analyze"))
        o.docs = "insights";
    if (str_is(h->m.stage, "generate"))
        o.docs = "draft change";
    if (str_is(h->m.stage, "review"))
        o = (struct outcome){ .docs = "review", .measures = measures, .judge = -1 };
    assert_string_equal(done(w, peer, h, o), "committed");
    struct msg ready = { .type = MSG_READY, .READY = { credit, h->m.seq } };
    world_say(w, peer, &ready);
}

void work(struct world *w, uint64_t peer, int measures)
{
    struct held h;
    if (!take(w, peer, &h))
        fail_msg("no task for peer %d", (int)peer);
    finish(w, peer, &h, measures, 16);
}

char next_project(struct world *w, uint64_t peer)
{
    struct held h;
    if (!take(w, peer, &h))
        return '-';
    char p = h.m.project.p[0];
    finish(w, peer, &h, 100, 1);
    return p;
}

const struct job *job(struct world *w, struct job_id id)
{
    const struct job *j = core_job(w->core, id.id);
    assert_non_null(j);
    return j;
}

enum job_state state(struct world *w, struct job_id id)
{
    return job(w, id)->state;
}
