/* SPDX-License-Identifier: Apache-2.0 */
/* oracle_order: which job is given to a worker, and when: classes, shares of projects, the order in
 * a project, limits and pauses. */
#include "tests/sim/oracle_in.h"

static bool waited(const struct oracle *o, const struct job *q, uint64_t stage)
{
    return q->exists && q->r.state == S_QUEUED && q->r.stage == stage &&
           q->at_commit != o->commits; /* queued before this commit and after it */
}

static bool first_of(const struct record *a, const struct record *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->run != b->run)
        return a->run > b->run;
    return a->round != b->round ? a->round > b->round : a->age < b->age;
}

static void count_held(const struct oracle *o, struct held *h)
{
    *h = (struct held){ .counted = true };
    for (uint32_t i = 0; i < o->jobs_n; i++) {
        const struct job *q = &o->jobs[i];
        bool here = q->exists && q->r.phase == 2, touched = q->at_commit == o->commits;
        bool was = touched ? q->before.phase == 2 : here;
        bool back = here && touched && !was && !q->granted;
        h->most[q->project] += here;
        h->before[q->project] += was;
        h->project[q->project] += here && !back;
        if (q->r.stage < STAGES)
            h->stage[q->r.stage] += here && !back;
    }
    for (int p = 0; p < PROJECTS; p++)
        h->most[p] = h->before[p] > h->most[p] ? h->before[p] : h->most[p];
}

static bool at_limit(const struct oracle *o, const struct held *h, uint32_t project)
{
    if ((o->halted | o->halted_before) >> (STAGES + project) & 1)
        return true;
    uint32_t limit = o->conf.rules.limit[project];
    return limit && h->most[project] >= limit;
}

/* Before this commit and after it, and all the while: a resume and a pause may share a turn. */
static bool still_halted(const struct oracle *o, uint32_t queue)
{
    return (o->halted & o->halted_before) >> queue & 1 &&
           o->now_ms - o->resumed_ms[queue] > SETTLED_MS;
}

static void judge_limits(struct oracle *o, const struct job *j, const struct held *h)
{
    const struct oracle_rules *r = &o->conf.rules;
    char id[16];
    if (still_halted(o, STAGES + j->project))
        oracle_broken(o, "job %s was given to a worker while its project is paused",
                      job_name(j, id));
    if (j->r.stage < STAGES && still_halted(o, (uint32_t)j->r.stage))
        oracle_broken(o, "job %s was given to a worker while its stage is paused", job_name(j, id));
    if (r->limit[j->project] && h->project[j->project] > r->limit[j->project])
        oracle_broken(o, "job %s was given to a worker beyond the limit of its project",
                      job_name(j, id));
    if (j->r.stage < STAGES && r->stage_limit[j->r.stage] &&
        h->stage[j->r.stage] > r->stage_limit[j->r.stage])
        oracle_broken(o, "job %s was given to a worker beyond the limit of its stage",
                      job_name(j, id));
}

/* Every project has its share: of one that waits and has weight 1, another one of weight w is not
 * served more than w + 3 times: once each time its turn comes, and where two turns meet. */
static void judge_turns(struct oracle *o, const struct job *j, const bool waiting[PROJECTS])
{
    const uint32_t *weight = o->conf.rules.weight;
    uint64_t stage = j->before.stage;
    for (uint32_t p = 0; p < PROJECTS; p++) {
        uint32_t most = (weight[j->project] + weight[p] - 1) / weight[p] + 2;
        if (p == j->project || !waiting[p])
            memset(o->skipped[stage][p], 0, sizeof o->skipped[stage][p]);
        else if (++o->skipped[stage][p][j->project] > most)
            oracle_broken(o, "project %u waits while project %u has its turn again and again", p,
                          j->project);
    }
}

/* In a project: priority, then what is furthest, then age. Classes go before all of that. */
static void judge_order(struct oracle *o, const struct job *j, const struct held *h)
{
    uint64_t stage = j->before.stage;
    char a[16], b[16];
    bool waiting[PROJECTS] = { false };
    for (uint32_t s = 0; s < STAGES; s++)
        memset(o->skipped[s][j->project], 0, sizeof o->skipped[0][0]);
    if (o->conf.rules.affinity_ms || j->before.state != S_QUEUED || stage >= STAGES ||
        !same_position(&j->r, &j->before))
        return;
    for (uint32_t i = 0; i < o->jobs_n; i++) {
        const struct job *q = &o->jobs[i];
        if (!waited(o, q, stage) || at_limit(o, h, q->project) || q->r.klass > j->r.klass)
            continue;
        if (q->r.klass < j->r.klass)
            oracle_broken(o, "job %s was given to a worker before job %s of a higher class",
                          job_name(j, a), job_name(q, b));
        waiting[q->project] = true;
        if (q->project == j->project && first_of(&q->r, &j->before))
            oracle_broken(o, "job %s was given to a worker before job %s of its project",
                          job_name(j, a), job_name(q, b));
    }
    judge_turns(o, j, waiting);
}

void oracle_judge_turn(struct oracle *o, const struct job *j, struct held *h)
{
    if (j->before.state == S_QUEUED && j->before.stage < STAGES &&
        (j->r.state != S_QUEUED || !same_position(&j->r, &j->before)))
        memset(o->skipped[j->before.stage][j->project], 0, sizeof o->skipped[0][0]);
    if (!j->granted || !j->before.version)
        return;
    if (!h->counted)
        count_held(o, h);
    judge_limits(o, j, h);
    judge_order(o, j, h);
}
