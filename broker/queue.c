/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct shelf {
    struct heap heap;
    struct shelf *prev, *next; /* ring; NULL when empty */
};

static bool before(const void *va, const void *vb)
{
    const struct task *a = va, *b = vb;
    if (a->job->priority != b->job->priority)
        return a->job->priority > b->job->priority;
    if (a->run != b->run)
        return a->run > b->run;
    if (a->round != b->round)
        return a->round > b->round;
    return a->age < b->age;
}

static uint32_t *slot(void *t)
{
    return &((struct task *)t)->ready_slot;
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
    *q = (struct queue){ 0 };
}

static struct shelf *shelf_of(struct queue *q, uint32_t project)
{
    if (project >= q->shelves_n) {
        uint32_t n = project + 16;
        struct shelf **more = realloc(q->shelves, n * sizeof *more);
        assert(more);
        memset(more + q->shelves_n, 0, (n - q->shelves_n) * sizeof *more);
        q->shelves = more;
        q->shelves_n = n;
    }
    if (!q->shelves[project]) {
        q->shelves[project] = calloc(1, sizeof **q->shelves);
        assert(q->shelves[project]);
        heap_init(&q->shelves[project]->heap, before, slot);
    }
    return q->shelves[project];
}

/* A project that comes in waits until all others had their turn. */
static void ring_in(struct queue *q, struct shelf *s)
{
    assert(!s->next);
    if (!q->turn) {
        q->turn = s->prev = s->next = s;
        return;
    }
    s->next = q->turn;
    s->prev = q->turn->prev;
    s->prev->next = s;
    q->turn->prev = s;
}

static void ring_out(struct queue *q, struct shelf *s)
{
    assert(s->next);
    if (q->turn == s)
        q->turn = s->next == s ? NULL : s->next;
    s->prev->next = s->next;
    s->next->prev = s->prev;
    s->prev = s->next = NULL;
}

void queue_put(struct queue *q, struct task *t)
{
    assert(t->ready_slot == HEAP_NONE);
    struct shelf *s = shelf_of(q, t->job->project_no);
    bool put = heap_put(&s->heap, t);
    assert(put);
    (void)put;
    q->len++;
    if (!s->next)
        ring_in(q, s);
}

void queue_remove(struct queue *q, struct task *t)
{
    if (t->ready_slot == HEAP_NONE)
        return;
    struct shelf *s = shelf_of(q, t->job->project_no);
    heap_remove(&s->heap, t);
    q->len--;
    if (s->heap.len == 0)
        ring_out(q, s);
}

struct task *queue_top(const struct queue *q)
{
    return q->turn ? heap_top(&q->turn->heap) : NULL;
}

struct task *queue_take(struct queue *q)
{
    struct task *t = queue_top(q);
    assert(t);
    q->turn = q->turn->next;
    queue_remove(q, t);
    return t;
}
