/* SPDX-License-Identifier: Apache-2.0 */
/* check: what must hold after every step. */
#include "broker/core_in.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct sums {
    uint64_t states[JOB_STATES];
    uint32_t kept[LANES_MAX], ready[LANES_MAX], running[LANES_MAX], delayed[LANES_MAX];
    uint64_t held; /* leases of connected workers */
    uint64_t timers, ended;
    uint32_t *projects; /* tasks of stages that are held */
};

static void check_task(const struct core *c, const struct task *t, struct sums *s)
{
    assert(t->def && t->def->lane < c->lanes_n);
    uint32_t lane = t->def->lane;
    assert((t->rank.slot != HEAP_NONE) == (t->phase == PHASE_READY && !t->keeper));
    assert(!t->keeper || t->phase == PHASE_READY);
    assert(t->attempts <= t->def->attempts);
    assert(t->crashes <= CRASHES_MAX);
    assert(t->steps_n <= PAWL_STEPS_MAX);
    s->timers += t->timer.slot != HEAP_NONE;
    if (t->phase == PHASE_READY) {
        s->ready[lane]++;
        s->kept[lane] += t->keeper != 0;
        assert((t->timer.slot != HEAP_NONE) == (t->keeper != 0));
        assert(!t->keeper || (t->timer.kind == TIMER_KEPT && roster_find(c, t->keeper)));
    } else if (t->phase == PHASE_LEASED) {
        s->running[lane]++;
        s->projects[t->job->project_no] += t->kind == TASK_STAGE;
        assert(t->timer.slot != HEAP_NONE && t->timer.kind == TIMER_LEASE);
        assert(t->timer.at_ms > c->now_ms && t->timer.at_ms <= t->until_ms);
        assert(!t->peer || roster_find(c, t->peer));
        s->held += t->peer != 0;
    } else if (t->phase == PHASE_DELAYED) {
        s->delayed[lane]++;
        assert(t->timer.slot != HEAP_NONE && t->timer.kind == TIMER_DELAY);
    }
    assert(t->phase == PHASE_LEASED || !t->calls);
    for (const struct task *call = t->calls; call; call = call->next) {
        assert(call->kind == TASK_CALL && call->call->caller == t && call->job == t->job);
        assert(call->phase != PHASE_IDLE);
        check_task(c, call, s);
    }
}

static void check_phase(const struct job *j)
{
    enum task_phase p = j->main.phase;
    assert((j->state == JOB_QUEUED) == (p == PHASE_READY));
    assert((j->state == JOB_RUNNING) == (p == PHASE_LEASED));
    assert((j->state == JOB_DELAYED) == (p == PHASE_DELAYED));
}

/* A job that nothing holds back but the slots of its stage: there are none. */
static void check_why(const struct core *c, const struct job *j)
{
    if (j->state == JOB_QUEUED && sched_obstacle(c, &j->main) == WHY_SLOTS)
        assert(!roster_pick(c, j->main.def->lane));
}

static void check_job(const struct core *c, const struct job *j, struct sums *s)
{
    bool ended = job_state_ended(j->state), still = !job_wall_runs(c, j);
    assert(idmap_get(&c->jobs, j->id) == j);
    check_phase(j);
    check_why(c, j);
    assert(j->run >= 1 && j->round >= 1 && j->round <= j->budget.rounds);
    assert(ended || j->stage < j->pipe->stages_n);
    assert(j->main.run == j->run || ended);
    assert((j->wall_from_ms != 0) == !still);
    assert((j->wall.slot != HEAP_NONE) == (ended || !still));
    assert((j->ended_ms != 0) == ended);
    assert(!j->has_best || j->best.gates);
    assert(j->state != JOB_ACCEPTED || j->has_best || !j->has_last);
    assert(!j->hold || j->state == JOB_RUNNING || j->state == JOB_WAITING);
    if (ended)
        s->ended++;
    else
        s->states[j->state]++;
    s->timers += !ended && j->wall.slot != HEAP_NONE;
    check_task(c, &j->main, s);
    for (const struct task *t = j->asks; t; t = t->next) {
        assert(t->kind == TASK_ASK && t->phase != PHASE_IDLE && t->pass >= 1 &&
               t->pass <= j->asks_n);
        check_task(c, t, s);
    }
}

static void check_cold(const struct core *c, const struct cold *k, struct sums *s)
{
    assert(item_cold(idmap_get(&c->jobs, k->id)) == k);
    assert(k->rank.cold && k->rank.slot != HEAP_NONE && k->lane < c->lanes_n);
    assert(k->project_no > 0 && k->project_no < c->projects_n);
    s->states[JOB_QUEUED]++;
    s->ready[k->lane]++;
}

static uint64_t check_peers(const struct core *c, struct sums *s)
{
    uint64_t leases = 0, n = 0;
    for (const struct peer_state *p = c->workers; p; p = p->next, n++) {
        uint32_t here = 0;
        for (const struct task *t = p->leases; t; t = t->lease_next, here++)
            assert(t->peer == p->id && t->phase == PHASE_LEASED);
        assert(here == p->leases_n && p->worker);
        assert(p->credit_seq <= p->seq && roster_credit(p) <= p->slots);
        leases += here;
        for (const struct task *t = p->kept; t; t = t->lease_next)
            assert(t->keeper == p->id && (t->lease_next || t == p->kept_end));
        assert(!p->kept || roster_credit(p) == 0);
    }
    for (const struct peer_state *p = c->clients; p; p = p->next, n++)
        assert(!p->worker && !p->leases);
    assert(n == c->peers.len && n == c->counts.workers + c->counts.clients);
    s->timers += n;
    return leases;
}

void core_check(const struct core *c)
{
    struct sums s;
    size_t at = 0;
    const void *item;
    memset(&s, 0, sizeof s);
    s.projects = calloc(c->projects_n + 1, sizeof *s.projects);
    assert(s.projects);
    while ((item = idmap_next(&c->jobs, &at)) != NULL) {
        if (item_is_cold(item))
            check_cold(c, item_cold(item), &s);
        else
            check_job(c, item, &s);
    }
    assert(check_peers(c, &s) == s.held);
    for (uint32_t i = 0; i < c->projects_n; i++)
        assert(c->projects[i]->running == s.projects[i]);
    free(s.projects);
    for (uint32_t i = 0; i < c->lanes_n; i++) {
        assert(c->lanes[i].ready.len + c->lanes[i].kept == s.ready[i]);
        assert(c->lanes[i].kept == s.kept[i]);
        s.timers += c->lanes[i].rate.slot != HEAP_NONE;
        assert(c->lanes[i].running == s.running[i]);
        assert(c->lanes[i].delayed == s.delayed[i]);
    }
    for (int i = 0; i < JOB_STATES; i++)
        assert(c->counts.by_state[i] == s.states[i]);
    assert(c->ended.len == s.ended);
    assert(sched_quiet(c));
    assert(c->timers.len == s.timers);
}
