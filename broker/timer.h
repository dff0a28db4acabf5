/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_TIMER_H
#define BROKER_TIMER_H
/* timer: a deadline inside its owner, ordered on a heap. Pure; at_ms is monotonic time. */
#include "common/heap.h"

enum timer_kind { TIMER_LEASE, TIMER_DELAY, TIMER_QUESTION, TIMER_WALL, TIMER_PEER, TIMER_RATE, TIMER_KEPT };

struct timer {
    int64_t at_ms;
    uint32_t slot; /* HEAP_NONE: not set */
    enum timer_kind kind;
    void *owner; /* struct task, job, peer or lane, by kind */
};

void timer_heap_init(struct heap *h);
void timer_set(struct heap *h, struct timer *t, enum timer_kind kind, int64_t at_ms);
void timer_stop(struct heap *h, struct timer *t);
#endif
