/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_HARNESS_H
#define PAWL_HARNESS_H
/* harness: what every worker does besides its stage. Connects, says HELLO, gives credit, beats for
 * the tasks it holds, keeps a result until it is TAKEN, says everything again after a reconnection
 * or a new broker, drains on SIGTERM (finishes or gives back, uncharged) and stops at once on a
 * second one. A stage is a state machine over struct task: begin, the callbacks of its calls, and
 * at the end exactly one task_done() or task_fail(). One thread; begin must not block. */
#include "common/conf.h"
#include "common/arena.h"
#include "common/doc.h"
#include "common/hash.h"
#include "common/logline.h"
#include "common/msg.h"
#include "common/mux.h"

struct worker;
struct task;

struct stage_ops {
    const char *role;            /* "generate": log role, executable pawl-<role> */
    const char *const *stages;   /* stages and lanes served, NULL-terminated */
    int slots;                   /* tasks at once unless worker.slots says otherwise */
    /* Once at start, before HELLO. *self is passed to the others. Failure ends the process. */
    enum status (*open)(struct worker *w, void **self, struct err *err);
    void (*begin)(void *self, struct task *t);
    /* The lease is gone or the job cancelled: stop all work on t; do not answer. t dies on return. */
    void (*cancel)(void *self, struct task *t);
    void (*close)(void *self);
};

/* main() of a worker: flags, configuration, loop. Returns the process's exit code. */
int worker_main(int argc, char **argv, const struct stage_ops *ops);

struct mux *worker_mux(struct worker *w);
struct log *worker_log(struct worker *w);
const struct conf *worker_conf(struct worker *w);
/* A fact for HELLO's tags, such as model=…; call it in open. */
void worker_tag(struct worker *w, const char *key, const char *value);
/* Take tasks, or not for the moment (no model server, say). Starts as true. */
void worker_accept(struct worker *w, bool yes);

/* What the task is. Pointers live as long as the task. */
const char *task_stage(const struct task *t);
const char *task_key_of(const struct task *t); /* job/run/round/stage/pass */
struct task_key task_parts(const struct task *t);
uint64_t task_seed(const struct task *t); /* of the run and round: equal for every attempt */
const json_t *task_facts(const struct task *t);
/* A document sent with the task, unpacked and checked on first use; NULL when it was not sent or is
 * malformed (then *err, which may be NULL, says how). */
const json_t *task_doc(struct task *t, const char *name, struct err *err);
/* The plain bytes of a blob frame (workspace); empty when not sent. */
struct str task_blob(struct task *t, const char *name, size_t max, struct err *err);
/* Room for the stage's own state; freed with the task. */
struct arena *task_arena(struct task *t);
void task_set_user(struct task *t, void *user);
void *task_user(const struct task *t);
struct worker *task_worker(const struct task *t);

/* One line about where the task stands ("requirement 2 of 4"); shown live. */
void task_note(struct task *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Text as it is generated; shown live, may be dropped. */
void task_text(struct task *t, struct str text);

/* Steps: finished calls. Look first, then call, then record; the record is durable when fn is
 * called, and whoever continues the task finds it. fn is not called if the task is cancelled. */
const json_t *task_step_find(struct task *t, const struct hash *request);
struct step_use {
    int64_t tokens_in, tokens_out, ms;
};
typedef void step_fn(void *ctx, struct task *t, const json_t *result);
void task_step(struct task *t, const struct hash *request, json_t *result /* taken */,
               struct step_use use, step_fn *fn, void *ctx);

/* A tool call through the broker to an analyze worker. Recorded as a step by the harness. On
 * failure result is NULL and fault says why. `call` is a document (documents.def), taken. */
typedef void call_fn(void *ctx, struct task *t, const json_t *result, const char *fault);
void task_call(struct task *t, json_t *call, call_fn *fn, void *ctx);

/* Results. task_put() checks the document's shape: a malformed one is our bug and fails the task. */
void task_put(struct task *t, const char *name, json_t *doc /* taken */);
void task_verdict(struct task *t, const json_t *verdict);
/* The end, one way or the other; t is gone afterwards. Tokens are the sums of the steps. */
void task_done(struct task *t);
enum fault { FAULT_RETRYABLE, FAULT_PERMANENT, FAULT_OVERLOADED };
void task_fail(struct task *t, enum fault fault, int64_t retry_after_ms, const char *fmt, ...) PRINTF_LIKE(4, 5);
#endif
