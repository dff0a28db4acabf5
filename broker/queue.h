/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_QUEUE_H
#define BROKER_QUEUE_H
/* queue: tasks of one stage that wait for a worker. Pure; O(log n) each.
 *
 * Between projects: start-time fair queuing (P. Goyal, H. M. Vin, H. Cheng, "Start-time Fair
 * Queueing: A Scheduling Algorithm for Integrated Services Packet Switching Networks", SIGCOMM
 * 1996), a task being a packet of length 1. Each project has a virtual start, the least is served,
 * and being served costs it 1 / weight. Who comes back after a while begins at the virtual time of
 * now: what was not used is not saved up. So a project's only task waits for one task of each
 * other project at most, however many those have queued.
 * Classes are apart: something of a higher class goes before everything of a lower one.
 * Inside a project: priority, then what is furthest (later runs and rounds), then age.
 * The virtual times live in memory: after a restart all projects begin anew, as equals. */
#include "broker/cold.h"

/* A project in all queues. `closed` is changed by queue_turn() alone. */
struct project {
    char name[PAWL_NAME_MAX + 1];
    uint32_t no;
    uint32_t weight;      /* 1 … WEIGHT_MAX */
    uint32_t limit;       /* tasks at once, in all stages; 0: no limit */
    uint32_t running;     /* tasks held by workers; not calls and asks */
    enum job_class klass; /* of its jobs, if their submission does not say */
    bool paused;
    bool closed; /* none of its tasks is given out */
};

struct queue {
    struct shelf **shelves; /* by project and class; NULL where there was never anything */
    uint32_t shelves_n;
    struct heap rings[CLASSES]; /* of the shelves that have something and are not closed */
    uint64_t now[CLASSES];      /* the virtual time of each ring */
    uint32_t len;               /* tasks, also those of closed projects */
    bool always;                /* it does not heed struct project.closed */
};

void queue_init(struct queue *q);
void queue_fini(struct queue *q); /* of an empty queue */
void queue_put(struct queue *q, struct project *p, struct task *t);
void queue_remove(struct queue *q, struct task *t);                      /* fine when absent */
void queue_put_cold(struct queue *q, struct project *p, struct cold *k); /* its rank is filled in */
void queue_remove_cold(struct queue *q, struct cold *k);                 /* fine when absent */
/* The one takes the place of the other, which is in the queue: they are the same job. */
void queue_freeze(struct queue *q, struct task *t, struct cold *k);
void queue_thaw(struct queue *q, struct cold *k, struct task *t);
/* Whose turn it is; NULL: nothing is here, or only what is closed. */
const struct rank *queue_next(const struct queue *q);
struct task *queue_top(const struct queue *q);      /* NULL also when that is cold */
struct cold *queue_top_cold(const struct queue *q); /* NULL unless it is */
/* The top is served: remove it and charge its project. `order` grows with each task given out.
 * Returns its virtual start. */
uint64_t queue_take(struct queue *q, uint64_t order);
/* A worker that could have served this queue, too, has served a task like t elsewhere, which
 * started at `start`: charge its project here as well, so that workers of several stages are
 * shared fairly as a whole. Only for a queue whose top could have been taken. */
void queue_charge(struct queue *q, const struct task *t, uint64_t start, uint64_t order);
/* Should the top of queue a be given to a worker of both before that of b? Both have one. */
bool queue_first(const struct queue *a, const struct queue *b);
/* p->closed has changed: its tasks are hidden, or are there again. */
void queue_turn(struct queue *q, struct project *p);
/* How many of the tasks here would be given out before t, if nothing changed; O(len). */
uint32_t queue_ahead(const struct queue *q, const struct task *t);
#endif
