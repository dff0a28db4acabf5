/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MODEL_H
#define PAWL_MODEL_H
/* model: calls to a model server on behalf of tasks, shared by generate and review. Streams always,
 * at most `slots` requests at once (the others wait their turn, oldest task first), classifies every
 * failure, hashes the request, and reuses or records the step: a finished call is never paid twice. */
#include "common/http.h"
#include "workers/harness.h"

struct model;

struct model_conf {
    const char *url;      /* base, with or without /v1 */
    const char *name;     /* "" : the first that the server lists */
    const char *key_file; /* "" : none */
    int64_t slots, first_ms, stall_ms;
};

/* Starts to look for the server; until it answers the worker accepts no tasks. */
enum status model_open(struct model **out, struct worker *w, struct http *http,
                       const struct model_conf *conf, struct err *err) MUST_USE;
void model_close(struct model *m);
const char *model_name(const struct model *m); /* "" until known */
int64_t model_slots(const struct model *m);

struct model_request {
    json_t *messages;        /* borrowed: list of {role, content} */
    const json_t *schema;    /* NULL: free text; otherwise the reply must be JSON of this schema */
    const char *schema_name; /* for the wire and the note */
    int64_t tokens_max;
    double temperature;
    uint64_t seed;
    bool stream_text; /* pass the text on with task_text() */
};

struct model_reply {
    const char *text;    /* content, NUL-terminated */
    const json_t *value; /* with a schema: the parsed reply, shape checked; else NULL */
    bool truncated;      /* finish_reason length */
    bool reused;         /* from a step record */
    struct step_use use;
};

/* Exactly one call of fn follows, unless the task is cancelled or the call fails in a way that ends
 * the task (then model fails the task itself with the right class). A reply that is not JSON of the
 * schema is asked for again with another seed up to twice, then given with value NULL. */
typedef void model_fn(void *ctx, struct task *t, const struct model_reply *reply);
void model_call(struct model *m, struct task *t, const struct model_request *r, model_fn *fn,
                void *ctx);
/* Called right before a call fails its task, so that the stage lets go of what it holds for it. */
void model_on_fail(struct model *m, void (*fn)(void *ctx, struct task *t), void *ctx);
/* Forget every call of the task (cancel): closes its streams. */
void model_cancel(struct model *m, struct task *t);
#endif
