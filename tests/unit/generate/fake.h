/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_TEST_GENERATE_FAKE_H
#define PAWL_TEST_GENERATE_FAKE_H
/* fake: the generate stage without a broker. Tasks are put in by hand, step records are acknowledged
 * at once, tool calls are answered by a function, results are read back. */
#include "workers/task.h"

struct fake {
    struct worker worker;
    /* Answer of a tool: text, or NULL for a fault. */
    const char *(*tool)(void *ctx, const char *server, const char *tool, const json_t *arguments);
    void *tool_ctx;
    int64_t steps, calls, tokens_out;
    struct buf live; /* the text that tasks told as it came */
};

/* Opens the stage with these settings ("model.url", "http://…", …, NULL). False: *err says why. */
bool fake_open(struct fake *f, const struct stage_ops *ops, struct err *err, ...)
    __attribute__((sentinel));
void fake_close(struct fake *f);
/* A task with the documents of an object {name: document}; its stage is in the key's place. */
struct task *fake_task(struct fake *f, const char *stage, int round, const json_t *docs,
                       const json_t *facts);
/* Turn the loop until the task has ended, or the deadline has passed (then false). */
bool fake_run(struct fake *f, struct task *t, int64_t wait_ms);
/* Until the worker accepts tasks. */
bool fake_ready(struct fake *f, int64_t wait_ms);
/* One turn. */
void fake_turn(struct fake *f, int64_t wait_ms);
/* A document of the result; new reference, NULL: not there. */
json_t *fake_result(struct task *t, const char *name);
/* The task is TAKEN: it goes away. */
void fake_take(struct task *t);
#endif
