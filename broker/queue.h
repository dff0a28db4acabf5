/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_QUEUE_H
#define BROKER_QUEUE_H
/* queue: tasks of one stage that wait for a worker. Pure. Projects take turns, whatever they have
 * queued; inside a project: priority, then what is furthest (later runs and rounds), then age. */
#include "broker/job.h"

struct queue {
    struct shelf **shelves; /* by project number; NULL where there was never anything */
    uint32_t shelves_n;
    struct shelf *turn; /* ring of the projects that have something: whose turn it is */
    uint32_t len;
};

void queue_fini(struct queue *q); /* of an empty queue */
void queue_put(struct queue *q, struct task *t);
void queue_remove(struct queue *q, struct task *t); /* fine when absent */
struct task *queue_top(const struct queue *q);      /* NULL: empty */
/* Remove the top and let the next project have its turn. */
struct task *queue_take(struct queue *q);
#endif
