/* SPDX-License-Identifier: Apache-2.0 */
/* homes: affinity. A task of a stage with `affinity` prefers the worker that had that stage of its
 * job before, or else any stage of it: what it has unpacked or a model has in its cache is there.
 * When its turn comes and that worker is busy, it is set aside for so long at most; the worker's
 * next free slot brings it back to its place. Remembered in memory, for as many jobs as there is
 * room: what is forgotten costs time, nothing else. */
#include "broker/core_in.h"

#include "broker/retry.h"

#include <assert.h>
#include <stdlib.h>

enum { HOMES = 1 << 15 };

struct home {
    uint64_t job, peer;
    uint32_t lane; /* LANES_MAX: the last worker of any stage */
};

bool homes_init(struct core *c)
{
    const struct sched_rules *r = &c->conf.rules;
    bool wanted = false;
    for (uint32_t i = 0; i < r->stages_n; i++)
        wanted = wanted || r->stages[i].affinity_ms > 0;
    c->homes = wanted ? calloc(HOMES, sizeof *c->homes) : NULL;
    return !wanted || c->homes;
}

static struct home *place(const struct core *c, uint64_t job, uint32_t lane)
{
    return &c->homes[mix64(job + lane) & (HOMES - 1)];
}

void home_note(struct core *c, const struct task *t, const struct peer_state *p)
{
    const uint32_t lanes[] = { t->def->lane, LANES_MAX };
    for (size_t i = 0; c->homes && t->kind == TASK_STAGE && i < COUNT(lanes); i++)
        *place(c, t->job->id, lanes[i]) = (struct home){ t->job->id, p->id, lanes[i] };
}

struct peer_state *home_of(const struct core *c, const struct task *t)
{
    const uint32_t lanes[] = { t->def->lane, LANES_MAX };
    const struct stage_rule *rule = c->lanes[t->def->lane].rule;
    if (!c->homes || t->kind != TASK_STAGE || !rule || rule->affinity_ms == 0)
        return NULL;
    for (size_t i = 0; i < COUNT(lanes); i++) {
        const struct home *h = place(c, t->job->id, lanes[i]);
        struct peer_state *p =
            h->job == t->job->id && h->lane == lanes[i] ? roster_find(c, h->peer) : NULL;
        if (p && p->serves >> t->def->lane & 1)
            return p;
    }
    return NULL;
}

bool home_keep(struct core *c, struct task *t)
{
    struct lane *l = &c->lanes[t->def->lane];
    struct peer_state *p = home_of(c, t);
    if (!p || roster_credit(p) > 0 || (t->kept_until && t->kept_until <= c->now_ms))
        return false;
    if (!t->kept_until)
        t->kept_until = c->now_ms + l->rule->affinity_ms;
    assert(t->phase == PHASE_READY && !t->keeper);
    queue_remove(&l->ready, t);
    t->keeper = p->id;
    t->lease_next = NULL;
    t->lease_prev = p->kept_end;
    if (p->kept_end)
        p->kept_end->lease_next = t;
    else
        p->kept = t;
    p->kept_end = t;
    l->kept++;
    timer_set(&c->timers, &t->timer, TIMER_KEPT, t->kept_until);
    return true;
}

void home_unkeep(struct core *c, struct task *t)
{
    struct peer_state *p = roster_find(c, t->keeper);
    assert(p);
    if (t->lease_prev)
        t->lease_prev->lease_next = t->lease_next;
    else
        p->kept = t->lease_next;
    if (t->lease_next)
        t->lease_next->lease_prev = t->lease_prev;
    else
        p->kept_end = t->lease_prev;
    t->lease_prev = t->lease_next = NULL;
    t->keeper = 0;
    c->lanes[t->def->lane].kept--;
    timer_stop(&c->timers, &t->timer);
}

void home_return(struct core *c, struct task *t)
{
    home_unkeep(c, t);
    sched_queue(c, t);
}

void home_return_all(struct core *c, struct peer_state *p)
{
    while (p->kept)
        home_return(c, p->kept);
}
