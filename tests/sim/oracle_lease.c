/* SPDX-License-Identifier: Apache-2.0 */
/* oracle_lease: what workers hold, how long it is theirs, and how much they may be given. */
#include "tests/sim/oracle_in.h"

enum { STALL_MS = 5000 };

struct lease *oracle_lease(struct oracle *o, uint64_t key)
{
    for (size_t i = 0; i < o->leases_n; i++) {
        if (o->leases[i].key == key)
            return &o->leases[i];
    }
    return NULL;
}

void oracle_lease_over(struct oracle *o, struct str task, const struct fence *f)
{
    struct lease *l = oracle_lease(o, digest(task));
    if (l && (!f || fence_eq(l->fence, *f)))
        l->over = l->ended = true;
}

bool lease_living(struct oracle *o, const struct lease *l, int64_t at_ms)
{
    int64_t heard = (int64_t)*table_slot(&o->heard, l->peer);
    return !l->over && at_ms - heard < SILENCE_MS - NEAR_MS &&
           at_ms - l->beat_ms < SILENCE_MS - NEAR_MS && at_ms - l->since_ms < l->total_ms - NEAR_MS;
}

void lease_heard_holds(struct oracle *o, uint64_t peer, const struct task_list *list, int64_t at)
{
    struct task_ref ref;
    size_t i = 0;
    while (msg_task_next(list, &i, &ref)) {
        struct lease *l = oracle_lease(o, digest(ref.task));
        if (l && fence_eq(l->fence, ref.fence) && l->peer == peer)
            l->beat_ms = at;
        if (l && fence_eq(l->fence, ref.fence) && l->grace_ms) /* it is held on from elsewhere */
            l->grace_ms = 0;
    }
}

/* A worker that lives and does not name a lease has lost it. */
void oracle_judge_unnamed(struct oracle *o, uint64_t peer, int64_t at_ms)
{
    char id[16];
    for (size_t i = 0; i < o->leases_n; i++) {
        const struct lease *l = &o->leases[i];
        const struct job *j = l->peer == peer && !l->over ? oracle_job(o, l->job, false) : NULL;
        if (j && j->exists && j->r.phase == 2 && fence_eq(j->r.fence, l->fence) &&
            at_ms - l->beat_ms > 3 * SILENCE_MS)
            oracle_broken(o, "a lease of job %s is kept by a worker that does not name it",
                          job_name(j, id));
    }
}

void oracle_stalled(struct oracle *o, uint64_t incarnation, int64_t from_ms, int64_t to_ms)
{
    for (size_t i = 0; i < o->leases_n && o->leader == incarnation; i++) {
        struct lease *l = &o->leases[i];
        uint64_t *heard = table_slot(&o->heard, l->peer);
        if (to_ms - from_ms < STALL_MS || !lease_living(o, l, from_ms))
            continue;
        if (l->beat_ms + SILENCE_MS <= to_ms || (int64_t)*heard + SILENCE_MS <= to_ms) {
            l->beat_ms = to_ms;
            *heard = (uint64_t)to_ms;
        }
    }
}

void oracle_peer_lost(struct oracle *o, uint64_t peer)
{
    for (size_t i = 0; i < o->leases_n; i++)
        o->leases[i].over = o->leases[i].over || o->leases[i].peer == peer;
}

static struct credit *credit_of(struct oracle *o, uint64_t peer)
{
    for (uint32_t i = 0; i < PEERS; i++) {
        if (o->credits[i].peer == peer)
            return &o->credits[i];
    }
    return NULL;
}

void credit_heard_hello(struct oracle *o, uint64_t peer, const struct msg_HELLO *m)
{
    struct credit *c = credit_of(o, peer);
    if (!c) {
        c = &o->credits[o->credits_n++ % PEERS];
        *c = (struct credit){ .peer = peer };
    }
    c->hellos++;
    c->serves = 0;
    for (uint32_t s = 0; s < STAGES; s++) {
        for (uint32_t i = 0; i < m->stages.n; i++)
            c->serves |= str_is(m->stages.v[i], oracle_stages[s]) ? 1u << s : 0;
    }
}

bool oracle_serves(struct oracle *o, uint64_t peer, uint64_t stage)
{
    const struct credit *c = credit_of(o, peer);
    return c && stage < STAGES && c->serves >> stage & 1;
}

void credit_heard_ready(struct oracle *o, uint64_t peer, const struct msg_READY *m)
{
    struct credit *c = credit_of(o, peer);
    if (!c)
        return;
    c->credit[c->n % READIES] = m->credit;
    c->seen[c->n++ % READIES] = m->seen;
}

/* Some READY allowed for it. */
void oracle_judge_credit(struct oracle *o, uint64_t peer, const struct msg_TASK *m)
{
    struct credit *c = credit_of(o, peer);
    if (!c || c->hellos > 1)
        return;
    c->said[c->said_n++ % SAID] = m->seq;
    for (uint32_t i = 0; i < READIES && i < c->n; i++) {
        uint64_t since = 0;
        for (uint32_t k = 0; k < SAID && k < c->said_n; k++)
            since += c->said[k] > c->seen[i];
        if (since <= c->credit[i])
            return;
    }
    oracle_broken(o, "a worker was given task %.*s beyond its credit", STR_ARG(m->task));
}

void oracle_judge_taken_away(struct oracle *o, const struct job *j, struct fence f)
{
    char id[16];
    for (size_t i = 0; i < o->leases_n; i++) {
        const struct lease *l = &o->leases[i];
        if (l->job == j->id && fence_eq(l->fence, f) && lease_living(o, l, o->now_ms))
            oracle_broken(o, "job %s is taken from a worker that lives", job_name(j, id));
    }
}

uint32_t oracle_leases_late(const struct oracle *o, uint64_t job)
{
    uint32_t n = 0;
    for (size_t i = 0; i < o->leases_n; i++) {
        const struct lease *l = &o->leases[i];
        n += l->job == job && o->now_ms - l->since_ms > l->total_ms - NEAR_MS;
    }
    return n;
}

void lease_returned(struct oracle *o, struct lease *l)
{
    l->returned = l->returned || lease_living(o, l, o->now_ms);
}

bool oracle_lease_returned(const struct oracle *o, uint64_t job, struct fence f)
{
    for (size_t i = 0; i < o->leases_n; i++) {
        if (o->leases[i].job == job && fence_eq(o->leases[i].fence, f))
            return o->leases[i].returned;
    }
    return false;
}
