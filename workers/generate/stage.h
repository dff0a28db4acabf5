/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_GENERATE_STAGE_H
#define PAWL_GENERATE_STAGE_H
/* stage: the I/O half of generate: tasks of the stage `generate` and of the lane `ask`. */
#include "workers/model.h"

extern const struct stage_ops generate_ops;

/* What the process has, for all its tasks. */
struct generate {
    struct worker *worker;
    struct http *http;
    struct model *model;
    double temperature;
};

/* What a task holds besides its arena; let go of when it ends, however it ends. */
json_t *task_hold(struct task *t, json_t *v /* taken */); /* borrowed from then on */
void task_let_go(struct task *t);

/* ---- ask.c ------------------------------------------------------------------------------------ */
void ask_begin(struct generate *s, struct task *t);

/* ---- agent.c ----------------------------------------------------------------------------------
 * Lets the model call tools that are on offer, by a schema-constrained step (small models cannot use
 * native tool calls): {"call", "arguments"} or {"answer": "enough"}, at most calls_max times. Tools
 * come from insights.tools, cut down to analyze.allow where this host has one; the analyze worker
 * enforces its own list again at the call. */
typedef void agent_fn(void *ctx, struct task *t, json_t *found);
struct agent_want {
    const char *about; /* sections of the prompt: the problem, the question */
    const json_t *insights;
    int calls_max;
    uint64_t seed;
};
/* found: list of insights (documents.def), t1, t2, …; empty at once when no tool is on offer.
 * Borrowed during the call of fn. */
void agent_start(struct generate *s, struct task *t, const struct agent_want *want, agent_fn *fn,
                 void *ctx);

/* A result of a tool as an insight; new reference. */
json_t *insight_of(struct arena *a, const char *id, const json_t *call, const json_t *result);
#endif
