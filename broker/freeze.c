/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that wait in a long queue are kept cold (cold.h), and thawed when somebody wants them: by
 * the same reading of a record as after a restart. Between turns nothing is warm without need. */
#include "broker/core_in.h"

#include <assert.h>
#include <stdlib.h>

/* Is all that is in memory of it also in its record? */
static bool freezable(const struct core *c, const struct job *j)
{
    const struct task *t = &j->main;
    return j->known && !j->dirty && j->state == JOB_QUEUED && t->phase == PHASE_READY &&
           t->rank.slot != HEAP_NONE && t->timer.slot == HEAP_NONE && j->wall.slot == HEAP_NONE &&
           !job_begun(j) && !j->asks && !t->calls && !t->note && !t->lost && j->project_no != 0 &&
           c->lanes[t->def->lane].ready.len > c->conf.hot_jobs;
}

void core_freeze(struct core *c, struct job *j, struct str record)
{
    struct cold *k = freezable(c, j) ? cold_new(&c->models, j, record) : NULL;
    if (!k)
        return;
    k->project_no = j->project_no;
    k->lane = (uint16_t)j->main.def->lane;
    queue_freeze(&c->lanes[k->lane].ready, &j->main, k);
    prefix_change(&c->by_prefix, j, cold_item(k));
    idmap_change(&c->jobs, j->id, cold_item(k));
    job_free(j);
}

static struct job *decode(struct core *c, const struct cold *k)
{
    struct buf b;
    struct err err = { 0 };
    buf_init(&b, RECORD_MAX);
    cold_record(&c->models, k, &b);
    struct job *j = b.status == OK ? record_decode(buf_get(&b), core_find_pipeline, c, &err) : NULL;
    buf_fini(&b);
    assert(j && j->id == k->id); /* it was read before, or written by ourselves */
    return j;
}

static void note_warm(struct core *c, struct job *j)
{
    if (c->warm_n == c->warm_cap) {
        uint32_t cap = c->warm_cap ? c->warm_cap * 2 : 64;
        struct job **more = realloc(c->warm, cap * sizeof *more);
        assert(more);
        c->warm = more;
        c->warm_cap = cap;
    }
    c->warm[c->warm_n++] = j;
}

struct job *core_thaw(struct core *c, struct cold *k)
{
    struct job *j = decode(c, k);
    j->project_no = k->project_no;
    j->main.def = &j->pipe->stages[j->stage];
    assert(j->main.def->lane == k->lane);
    queue_thaw(&c->lanes[k->lane].ready, k, &j->main);
    prefix_change(&c->by_prefix, cold_item(k), j);
    idmap_change(&c->jobs, j->id, j);
    free(k);
    note_warm(c, j);
    return j;
}

struct job *core_get(struct core *c, uint64_t id)
{
    void *item = idmap_get(&c->jobs, id);
    return item && item_is_cold(item) ? core_thaw(c, item_cold(item)) : item;
}

void core_cool(struct core *c)
{
    for (uint32_t i = 0; i < c->warm_n; i++) {
        struct job *j = c->warm[i];
        struct buf b;
        if (!j || !freezable(c, j))
            continue;
        buf_init(&b, RECORD_MAX);
        record_encode(j, &b);
        if (b.status == OK)
            core_freeze(c, j, buf_get(&b));
        buf_fini(&b);
    }
    c->warm_n = 0;
}

void core_not_warm(struct core *c, const struct job *j)
{
    for (uint32_t i = 0; i < c->warm_n; i++) {
        if (c->warm[i] == j)
            c->warm[i] = NULL;
    }
}

/* ---- recovery ----------------------------------------------------------------------------- */

/* A record just read: is it to be armed as a cold one? j is freed then. */
bool core_load_cold(struct core *c, struct job *j, struct str record)
{
    const struct task *t = &j->main;
    struct project *p = project_of(c, j->project);
    bool cold = j->state == JOB_QUEUED && !j->asks && !job_begun(j) && p->no != 0 &&
                c->cold_loaded >= c->conf.hot_jobs;
    c->cold_loaded += j->state == JOB_QUEUED;
    struct cold *k = cold ? cold_new(&c->models, j, record) : NULL;
    if (!k)
        return false;
    k->project_no = p->no;
    k->lane = (uint16_t)j->pipe->stages[j->stage].lane;
    k->rank = (struct rank){ .priority = j->priority,
                             .age = t->age,
                             .slot = HEAP_NONE,
                             .run = (uint16_t)t->run,
                             .round = (uint16_t)t->round,
                             .cold = true };
    prefix_change(&c->by_prefix, j, cold_item(k));
    idmap_change(&c->jobs, j->id, cold_item(k));
    job_free(j);
    return true;
}

void core_arm_cold(struct core *c, struct cold *k)
{
    c->ages = k->rank.age > c->ages ? k->rank.age : c->ages;
    c->counts.by_state[JOB_QUEUED]++;
    queue_put_cold(&c->lanes[k->lane].ready, c->projects[k->project_no], k);
}
