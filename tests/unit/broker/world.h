/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_BROKER_WORLD_H
#define TEST_BROKER_WORLD_H
/* world: the pure core over the store in memory, driven by hand. Every step is one turn: step,
 * check the invariants, seal, commit, then the turn's messages go to the outbox. */
#include "broker/core.h"
#include "broker/store_fake.h"

enum { OUTBOX_MAX = 4096 };

struct letter {
    uint64_t peer;
    bool guarded, task, taken;
    struct buf header;
    struct buf frame; /* the first, if any */
    struct msg m;
};

struct world {
    struct core *core;
    struct core_conf conf;
    struct buf pipeline;
    struct store_fake fake;
    struct effects fx;
    struct epoch epoch;
    uint64_t turn, events, req;
    int64_t now_ms, wall_ms;
    struct letter out[OUTBOX_MAX];
    uint32_t out_n;
    uint32_t kept;            /* events since the start */
    bool crash_before_commit; /* the next turn is lost: nothing of it is stored or said */
    bool crashed;             /* the last one was */
};

void world_open(struct world *w);
void world_close(struct world *w);
/* Forget the core, lead anew, load from the store. Peers must say HELLO again. */
void world_restart(struct world *w);
void world_step(struct world *w, struct event *ev);
void world_pass(struct world *w, int64_t ms); /* time goes by */
void world_stall(struct world *w, int64_t ms); /* … while the broker does not run */
void world_say(struct world *w, uint64_t peer, struct msg *m);
/* The oldest unread letter of that type to that peer; NULL: none. */
const struct letter *world_read(struct world *w, uint64_t peer, enum msg_type type);
void world_forget_letters(struct world *w);

/* Shorthands. */
void hello(struct world *w, uint64_t peer, const char *name,
           const char *stages); /* worker, READY 16 */
void client(struct world *w, uint64_t peer);
struct held {
    char task[PAWL_KEY_MAX + 1];
    struct fence fence;
    struct msg_TASK m;
};
/* Submits under the key with the conf's budget; id gets the job's. */
struct job_id {
    char text[16];
    uint64_t id;
};
struct job_id submit(struct world *w, const char *key);
bool take(struct world *w, uint64_t peer, struct held *h); /* next TASK */
struct outcome {
    const char *docs;    /* names separated by spaces */
    int measures, judge; /* measures -1: no verdict */
    bool gates_fail, clean;
    const char *candidate;
    const struct asked *asked;
    uint32_t asked_n;
};
const char *done(struct world *w, uint64_t peer, const struct held *h,
                 struct outcome o); /* TAKEN.outcome, "lost" after a crash */
const char *failed(struct world *w, uint64_t peer, const struct held *h, const char *fault,
                   uint64_t after_ms);
/* Take the next task and finish it as its stage would; a review with these measures. */
void work(struct world *w, uint64_t peer, int measures);
const struct job *job(struct world *w, struct job_id id);
enum job_state state(struct world *w, struct job_id id);
bool has_doc(const struct held *h, const char *name);
#endif
