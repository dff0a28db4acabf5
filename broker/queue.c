/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { TASK_COST = 1 << 20 }; /* of one task, at weight 1 */

struct shelf { /* the tasks of one project and class */
    struct heap heap;
    struct project *project;
    uint64_t start;  /* virtual: of its next task */
    uint64_t served; /* order of its last task: among equals the longest not served is first */
    uint32_t slot;   /* in the ring */
    enum job_class klass;
};

static struct task *task_of(const struct rank *r)
{
    return (struct task *)((uintptr_t)r - offsetof(struct task, rank));
}

static struct cold *cold_of(const struct rank *r)
{
    return (struct cold *)((uintptr_t)r - offsetof(struct cold, rank));
}

static bool before(const void *va, const void *vb)
{
    const struct rank *a = va, *b = vb;
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->run != b->run)
        return a->run > b->run;
    if (a->round != b->round)
        return a->round > b->round;
    return a->age < b->age;
}

static uint32_t *slot(void *r)
{
    return &((struct rank *)r)->slot;
}

static bool shelf_before(const void *va, const void *vb)
{
    const struct shelf *a = va, *b = vb;
    if (a->start != b->start)
        return a->start < b->start;
    if (a->served != b->served)
        return a->served < b->served;
    return a->project->no < b->project->no;
}

static uint32_t *shelf_slot(void *s)
{
    return &((struct shelf *)s)->slot;
}

void queue_init(struct queue *q)
{
    *q = (struct queue){ 0 };
    for (int i = 0; i < CLASSES; i++)
        heap_init(&q->rings[i], shelf_before, shelf_slot);
}

void queue_fini(struct queue *q)
{
    assert(q->len == 0);
    for (uint32_t i = 0; i < q->shelves_n; i++) {
        if (q->shelves[i])
            heap_fini(&q->shelves[i]->heap);
        free(q->shelves[i]);
    }
    free(q->shelves);
    for (int i = 0; i < CLASSES; i++)
        heap_fini(&q->rings[i]);
    *q = (struct queue){ 0 };
}

static struct shelf *shelf_at(const struct queue *q, uint32_t project, enum job_class k)
{
    uint32_t at = project * CLASSES + (uint32_t)k;
    return at < q->shelves_n ? q->shelves[at] : NULL;
}

static struct shelf *shelf_of(const struct queue *q, const struct task *t)
{
    return shelf_at(q, t->job->project_no, t->job->klass);
}

static struct shelf *shelf_make(struct queue *q, struct project *p, enum job_class k)
{
    uint32_t at = p->no * CLASSES + (uint32_t)k;
    if (at >= q->shelves_n) {
        uint32_t n = at + 16 * CLASSES;
        struct shelf **more = realloc(q->shelves, n * sizeof *more);
        assert(more);
        memset(more + q->shelves_n, 0, (n - q->shelves_n) * sizeof *more);
        q->shelves = more;
        q->shelves_n = n;
    }
    if (!q->shelves[at]) {
        struct shelf *s = calloc(1, sizeof *s);
        assert(s);
        heap_init(&s->heap, before, slot);
        s->project = p;
        s->klass = k;
        s->slot = HEAP_NONE;
        q->shelves[at] = s;
    }
    return q->shelves[at];
}

/* Into the ring or to its new place there; or out of it. */
static void place(struct queue *q, struct shelf *s)
{
    struct heap *ring = &q->rings[s->klass];
    bool out = s->heap.len == 0 || (s->project->closed && !q->always);
    if (out) {
        heap_remove(ring, s);
        return;
    }
    if (s->slot == HEAP_NONE && s->start < q->now[s->klass])
        s->start = q->now[s->klass];
    bool put = heap_put(ring, s);
    assert(put);
    (void)put;
}

static void put(struct queue *q, struct shelf *s, struct rank *r)
{
    bool put = heap_put(&s->heap, r);
    assert(put);
    (void)put;
    q->len++;
    if (s->slot == HEAP_NONE)
        place(q, s);
}

void queue_put(struct queue *q, struct project *p, struct task *t)
{
    assert(t->rank.slot == HEAP_NONE && p->no == t->job->project_no);
    t->rank = (struct rank){ .priority = t->job->priority,
                             .age = t->age,
                             .slot = HEAP_NONE,
                             .run = (uint16_t)t->run,
                             .round = (uint16_t)t->round };
    put(q, shelf_make(q, p, t->job->klass), &t->rank);
}

void queue_put_cold(struct queue *q, struct project *p, struct cold *k)
{
    assert(k->rank.cold && k->rank.slot == HEAP_NONE && p->no == k->project_no);
    put(q, shelf_make(q, p, (enum job_class)k->klass), &k->rank);
}

static void change(struct shelf *s, struct rank *from, struct rank *to)
{
    assert(s->heap.items[from->slot] == from);
    s->heap.items[from->slot] = to;
    to->slot = from->slot;
    from->slot = HEAP_NONE;
}

void queue_freeze(struct queue *q, struct task *t, struct cold *k)
{
    k->rank = t->rank;
    k->rank.cold = true;
    change(shelf_of(q, t), &t->rank, &k->rank);
}

void queue_thaw(struct queue *q, struct cold *k, struct task *t)
{
    t->rank = k->rank;
    t->rank.cold = false;
    change(shelf_of(q, t), &k->rank, &t->rank);
}

static void take_out(struct queue *q, struct shelf *s, struct rank *r)
{
    heap_remove(&s->heap, r);
    q->len--;
    if (s->heap.len == 0)
        place(q, s);
}

void queue_remove(struct queue *q, struct task *t)
{
    if (t->rank.slot != HEAP_NONE)
        take_out(q, shelf_of(q, t), &t->rank);
}

void queue_remove_cold(struct queue *q, struct cold *k)
{
    if (k->rank.slot != HEAP_NONE)
        take_out(q, shelf_at(q, k->project_no, (enum job_class)k->klass), &k->rank);
}

static struct shelf *first_shelf(const struct queue *q)
{
    struct shelf *s = NULL;
    for (int i = 0; i < CLASSES && !s; i++)
        s = heap_top(&q->rings[i]);
    return s;
}

const struct rank *queue_next(const struct queue *q)
{
    const struct shelf *s = first_shelf(q);
    return s ? heap_top(&s->heap) : NULL;
}

struct task *queue_top(const struct queue *q)
{
    const struct rank *r = queue_next(q);
    return r && !r->cold ? task_of(r) : NULL;
}

struct cold *queue_top_cold(const struct queue *q)
{
    const struct rank *r = queue_next(q);
    return r && r->cold ? cold_of(r) : NULL;
}

static uint64_t cost(const struct shelf *s)
{
    return TASK_COST / s->project->weight;
}

static void charge(struct queue *q, struct shelf *s, uint64_t start, uint64_t order)
{
    if (s->start < start + cost(s))
        s->start = start + cost(s);
    s->served = order;
    if (s->slot != HEAP_NONE)
        place(q, s);
}

uint64_t queue_take(struct queue *q, uint64_t order)
{
    struct shelf *s = first_shelf(q);
    assert(s);
    uint64_t start = s->start;
    q->now[s->klass] = start > q->now[s->klass] ? start : q->now[s->klass];
    queue_remove(q, task_of(heap_top(&s->heap)));
    charge(q, s, start, order);
    return start;
}

void queue_charge(struct queue *q, const struct task *t, uint64_t start, uint64_t order)
{
    struct shelf *s = shelf_of(q, t);
    uint64_t *now = &q->now[t->job->klass];
    *now = start > *now ? start : *now;
    if (s)
        charge(q, s, start, order);
}

/* The stage that its job is at. */
static uint32_t stage_at(const struct rank *r)
{
    return r->cold ? cold_of(r)->stage : task_of(r)->job->stage;
}

bool queue_first(const struct queue *a, const struct queue *b)
{
    const struct shelf *s = first_shelf(a), *r = first_shelf(b);
    if (s->klass != r->klass)
        return s->klass < r->klass;
    if (s->project != r->project || s->start != r->start)
        return shelf_before(s, r);
    const struct rank *t = heap_top(&s->heap), *u = heap_top(&r->heap);
    if (t->priority != u->priority || t->run != u->run || t->round != u->round)
        return before(t, u);
    return stage_at(t) != stage_at(u) ? stage_at(t) > stage_at(u) : t->age < u->age;
}

void queue_turn(struct queue *q, struct project *p)
{
    for (int i = 0; i < CLASSES; i++) {
        struct shelf *s = shelf_at(q, p->no, (enum job_class)i);
        if (s)
            place(q, s);
    }
}

/* ---- for people --------------------------------------------------------------------------- */

static uint32_t ahead_inside(const struct shelf *s, const struct task *t)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->heap.len; i++)
        n += s->heap.items[i] != &t->rank && before(s->heap.items[i], &t->rank);
    return n;
}

/* Both have a task that starts at `start`: is that of r served first? The shelf that was served
 * longer ago is; one that was served on the way there is later than one that was not. */
static bool wins_tie(const struct shelf *r, const struct shelf *s, uint64_t start)
{
    if (start > r->start && start > s->start && cost(r) != cost(s))
        return cost(r) > cost(s); /* its task before this one started earlier */
    if (r->start != s->start)
        return r->start > s->start;
    return shelf_before(r, s);
}

/* Tasks of r that are served before the one of s that starts at `start`. */
static uint64_t ahead_beside(const struct shelf *r, const struct shelf *s, uint64_t start)
{
    if (r->start > start)
        return 0;
    uint64_t n = (start - r->start + cost(r) - 1) / cost(r);
    bool tie = (start - r->start) % cost(r) == 0;
    n += tie && wins_tie(r, s, start);
    return n < r->heap.len ? n : r->heap.len;
}

uint32_t queue_ahead(const struct queue *q, const struct task *t)
{
    const struct shelf *s = shelf_of(q, t);
    uint64_t n = ahead_inside(s, t), start = s->start + n * cost(s);
    for (int k = 0; k <= (int)s->klass; k++) {
        for (uint32_t i = 0; i < q->rings[k].len; i++) {
            const struct shelf *r = q->rings[k].items[i];
            if (r != s)
                n += k < (int)s->klass ? r->heap.len : ahead_beside(r, s, start);
        }
    }
    return (uint32_t)n;
}
