/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_MODEL_IN_H
#define PAWL_MODEL_IN_H
/* model_in: the inside of model. model_host.c finds the server and learns what it can, model.c makes
 * the calls. Stages include workers/model.h, never this. */
#include "common/llm/chat.h"
#include "workers/model.h"

enum { MODEL_ORDERS_MAX = 256 }; /* tasks whose order is remembered */

struct model_order {
    uint64_t key, order;
};

struct mcall;

struct model {
    struct worker *worker;
    struct http *http;
    struct mux *mux;
    struct model_conf conf;
    /* of the host */
    char url[1024];  /* base, ending in /v1 */
    char root[1024]; /* without /v1 */
    char key[4096 + 32];
    struct chat_model found;
    int64_t slots, running;
    bool ready, find, warned;
    size_t find_at;
    struct mux_timer probe;
    int64_t backoff_ms;
    struct http_call *probing;
    struct buf probe_body;
    /* of the calls */
    struct mcall *calls; /* in the order of their making */
    struct model_order orders[MODEL_ORDERS_MAX];
    size_t orders_n;
    uint64_t orders_next;
    struct mux_timer tell;
    void (*on_fail)(void *ctx, struct task *t);
    void *on_fail_ctx;
};

enum status model_host_open(struct model *m, struct err *err);
void model_host_close(struct model *m);
/* The server went away under a call: take no tasks until it is back. */
void model_host_lost(struct model *m);
/* The host is there: start what waits. */
void model_run_waiting(struct model *m);
#endif
