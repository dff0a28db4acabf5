/* SPDX-License-Identifier: Apache-2.0 */
/* sched: projects, and which task is next. */
#include "broker/core_in.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- lanes and projects ------------------------------------------------------------------- */

static const struct stage_rule *stage_rule(const struct core *c, const char *name)
{
    const struct sched_rules *r = &c->conf.rules;
    for (uint32_t i = 0; i < r->stages_n; i++) {
        if (strcmp(r->stages[i].name, name) == 0)
            return &r->stages[i];
    }
    return NULL;
}

uint32_t lane_of(struct core *c, const char *name)
{
    for (uint32_t i = 0; i < c->lanes_n; i++) {
        if (strcmp(c->lanes[i].name, name) == 0)
            return i;
    }
    if (c->lanes_n == LANES_MAX)
        return LANES_MAX;
    struct lane *l = &c->lanes[c->lanes_n];
    memcpy(l->name, name, strlen(name) + 1);
    queue_init(&l->ready);
    l->calls = strcmp(name, "call") == 0;
    l->ready.always = l->calls || strcmp(name, "ask") == 0;
    l->rule = stage_rule(c, name);
    bucket_init(&l->tasks, l->rule ? l->rule->tasks_per_minute : 0, c->now_ms);
    bucket_init(&l->tokens, l->rule ? l->rule->tokens_per_minute : 0, c->now_ms);
    l->rate = (struct timer){ .slot = HEAP_NONE, .owner = l };
    roster_init_lane(l);
    return c->lanes_n++;
}

static void apply_rule(const struct core *c, struct project *p)
{
    const struct sched_rules *r = &c->conf.rules;
    const struct project_rule *mine = NULL;
    for (uint32_t i = 0; i < r->projects_n; i++) {
        if (strcmp(r->projects[i].name, p->name) == 0)
            mine = &r->projects[i];
        else if (!mine && strcmp(r->projects[i].name, "*") == 0)
            mine = &r->projects[i];
    }
    if (!mine)
        return;
    p->weight = mine->weight ? mine->weight : 1;
    p->limit = mine->limit;
    p->klass = mine->klass;
}

static struct project *project_new(struct core *c, const char *name)
{
    struct project *p = calloc(1, sizeof *p);
    if (c->projects_n == c->projects_cap) {
        uint32_t cap = c->projects_cap ? c->projects_cap * 2 : 16;
        struct project **more = realloc(c->projects, cap * sizeof *more);
        assert(more);
        c->projects = more;
        c->projects_cap = cap;
    }
    assert(p);
    *p = (struct project){ .no = c->projects_n, .weight = 1, .klass = CLASS_NORMAL };
    memcpy(p->name, name, strlen(name) + 1);
    apply_rule(c, p);
    c->projects[c->projects_n++] = p;
    return p;
}

struct project *project_of(struct core *c, const char *name)
{
    uint64_t hash = hash_prefix(str_of(name));
    struct project *p = idmap_get(&c->by_project, hash);
    if (p)
        return p; /* two names of one hash share a turn */
    if (c->projects_n == 0)
        project_new(c, "");
    if (c->projects_n == PROJECTS_MAX)
        return c->projects[0]; /* and so do those beyond that many */
    p = project_new(c, name);
    bool put = idmap_put(&c->by_project, hash, p);
    assert(put);
    (void)put;
    return p;
}

struct project *project_at(const struct core *c, const struct job *j)
{
    return c->projects[j->project_no];
}

void projects_free(struct core *c)
{
    for (uint32_t i = 0; i < c->projects_n; i++)
        free(c->projects[i]);
    free(c->projects);
    idmap_fini(&c->by_project);
}

/* ---- what holds a task back --------------------------------------------------------------- */

static enum why_kind project_obstacle(const struct project *p)
{
    if (p->paused)
        return WHY_PROJECT_PAUSED;
    return p->limit > 0 && p->running >= p->limit ? WHY_PROJECT_LIMIT : WHY_SLOTS;
}

int64_t sched_rate_over(const struct core *c, uint32_t lane)
{
    int64_t tasks = bucket_when(&c->lanes[lane].tasks, 1, c->now_ms),
            tokens = bucket_when(&c->lanes[lane].tokens, 1, c->now_ms);
    return tasks > tokens ? tasks : tokens;
}

/* Known when it is used, not before: a stage that has used too much pauses until that is made up. */
void sched_spent(struct core *c, const struct task *t, uint64_t tokens)
{
    bucket_take(&c->lanes[t->def->lane].tokens, tokens, c->now_ms);
}

static enum why_kind stage_obstacle(const struct core *c, uint32_t lane)
{
    const struct lane *l = &c->lanes[lane];
    if (l->paused)
        return WHY_STAGE_PAUSED;
    if (roster_serving(c, lane) == 0)
        return WHY_NO_WORKER;
    if (l->rule && l->rule->limit > 0 && l->running >= l->rule->limit)
        return WHY_STAGE_LIMIT;
    return sched_rate_over(c, lane) > c->now_ms ? WHY_RATE : WHY_SLOTS;
}

enum why_kind sched_obstacle(const struct core *c, const struct task *t)
{
    enum why_kind stage = stage_obstacle(c, t->def->lane),
                  project = c->lanes[t->def->lane].ready.always
                                ? WHY_SLOTS
                                : project_obstacle(project_at(c, t->job));
    if (project == WHY_SLOTS && stage == WHY_SLOTS && t->keeper)
        return WHY_AFFINITY;
    return project == WHY_PROJECT_PAUSED || stage == WHY_SLOTS ? project : stage;
}

bool sched_halted(const struct core *c, const struct job *j)
{
    return project_at(c, j)->paused || c->lanes[j->main.def->lane].paused;
}

void sched_turn(struct core *c, struct project *p)
{
    bool closed = project_obstacle(p) != WHY_SLOTS;
    if (closed == p->closed)
        return;
    p->closed = closed;
    for (uint32_t i = 0; i < c->lanes_n; i++)
        queue_turn(&c->lanes[i].ready, p);
}

void sched_queue(struct core *c, struct task *t)
{
    queue_put(&c->lanes[t->def->lane].ready, project_at(c, t->job), t);
}

void sched_unqueue(struct core *c, struct task *t)
{
    if (t->keeper)
        home_unkeep(c, t);
    else
        queue_remove(&c->lanes[t->def->lane].ready, t);
}

void sched_held(struct core *c, struct task *t)
{
    struct project *p = project_at(c, t->job);
    c->lanes[t->def->lane].running++;
    if (t->kind != TASK_STAGE)
        return;
    p->running++;
    sched_turn(c, p);
}

void sched_let_go(struct core *c, struct task *t)
{
    struct project *p = project_at(c, t->job);
    c->lanes[t->def->lane].running--;
    if (t->kind != TASK_STAGE)
        return;
    p->running--;
    sched_turn(c, p);
}

/* ---- the next task ------------------------------------------------------------------------ */

static bool can_give(const struct core *c, uint32_t lane)
{
    const struct lane *l = &c->lanes[lane];
    return l->ready.len > 0 && queue_next(&l->ready) && stage_obstacle(c, lane) == WHY_SLOTS &&
           roster_pick(c, lane);
}

bool sched_quiet(const struct core *c)
{
    for (uint32_t i = 0; i < c->lanes_n; i++) {
        if (can_give(c, i))
            return false;
    }
    return true;
}

/* Tool calls first: a worker waits for each of them. */
static bool goes_before(const struct lane *a, const struct lane *b)
{
    if (a->calls != b->calls)
        return a->calls;
    return queue_first(&a->ready, &b->ready);
}

/* Nothing else happens when a rate lets the next task out. */
static void wake_for_rates(struct core *c)
{
    for (uint32_t i = 0; i < c->lanes_n; i++) {
        struct lane *l = &c->lanes[i];
        if (l->ready.len > 0 && stage_obstacle(c, i) == WHY_RATE)
            timer_set(&c->timers, &l->rate, TIMER_RATE, sched_rate_over(c, i));
        else
            timer_stop(&c->timers, &l->rate);
    }
}

static struct lane *best_lane(struct core *c, uint64_t *open)
{
    struct lane *best = NULL;
    *open = 0;
    for (uint32_t i = 0; i < c->lanes_n; i++) {
        if (!can_give(c, i))
            continue;
        *open |= (uint64_t)1 << i;
        if (!best || goes_before(&c->lanes[i], best))
            best = &c->lanes[i];
    }
    return best;
}

static struct task *top_task(struct core *c, const struct lane *l)
{
    struct cold *cold = queue_top_cold(&l->ready);
    return cold ? &core_thaw(c, cold)->main : queue_top(&l->ready);
}

struct task *sched_next(struct core *c, struct peer_state **p)
{
    uint64_t open; /* lanes from which a task could be given */
    struct lane *best;
    struct task *t;
    do {
        best = best_lane(c, &open);
        if (!best) {
            wake_for_rates(c);
            return NULL;
        }
        t = top_task(c, best);
    } while (home_keep(c, t));
    bucket_take(&best->tasks, 1, c->now_ms);
    uint64_t order = ++c->picks, start = queue_take(&best->ready, order);
    struct peer_state *home = home_of(c, t);
    *p = home && roster_credit(home) > 0 ? home : roster_pick(c, (uint32_t)(best - c->lanes));
    for (uint32_t i = 0; i < (*p)->seats_n && !best->calls; i++) {
        const uint32_t lane = (*p)->seats[i].lane;
        struct lane *other = &c->lanes[lane];
        bool idle = other->ready.len == 0;
        if (other != best && !other->calls && (idle || open >> lane & 1))
            queue_charge(&other->ready, t, start, order);
    }
    return t;
}
