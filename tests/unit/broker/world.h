/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_BROKER_WORLD_H
#define TEST_BROKER_WORLD_H
/* world: the pure core over the store in memory, driven by hand. Every step is one turn: step,
 * check the invariants, seal, commit, then the turn's messages go to the outbox. */
#include "broker/core.h"
#include "broker/store_fake.h"
#include "tests/unit/unit.h"

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
void world_pass(struct world *w, int64_t ms);  /* time goes by */
void world_stall(struct world *w, int64_t ms); /* … while the broker does not run */
void world_say(struct world *w, uint64_t peer, struct msg *m);
/* The oldest unread letter of that type to that peer; NULL: none. */
const struct letter *world_read(struct world *w, uint64_t peer, enum msg_type type);
void world_forget_letters(struct world *w);

/* A test that begins with a new world: *s. */
int world_setup(void **s);
int world_teardown(void **s);
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

/* ---- shorthands */
#define all_stages "parse analyze generate review call ask"
/* Peers, who say HELLO. A worker is READY for 16 tasks, or for as many as it has slots. */
void hello(struct world *w, uint64_t peer, const char *name, const char *stages);
void worker(struct world *w, uint64_t peer, const char *stages, uint64_t slots);
void client(struct world *w, uint64_t peer);
void rules(struct world *w, struct sched_rules r); /* the core anew, under these */

struct held {
    char task[PAWL_KEY_MAX + 1];
    struct fence fence;
    struct msg_TASK m;
};
struct job_id {
    char text[16];
    uint64_t id;
};
struct wish {
    const char *project, *key, *klass;
    int64_t priority, start_ms;
};
/* Submits with the conf's budget; NULL: refused. */
const struct letter *say_submit(struct world *w, struct wish x);
struct job_id submit_as(struct world *w, struct wish x);
struct job_id submit(struct world *w, const char *key);
void submit_many(struct world *w, const char *project, int n);
/* Peer 99 says it, in a role and with access to a project; true: OKAY. */
bool pause_said(struct world *w, struct msg_PAUSE p, const char *role, const char *access);
void pause_what(struct world *w, const char *stage, const char *project, bool hold);
void pause_job(struct world *w, struct job_id id, bool hold);
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
/* As its stage would, a review with these measures; then READY with this credit. */
void finish(struct world *w, uint64_t peer, const struct held *h, int measures, uint64_t credit);
/* Take the next task and finish it. */
void work(struct world *w, uint64_t peer, int measures);
/* The project of the next task of a worker with one slot, which it finishes. */
char next_project(struct world *w, uint64_t peer);
const struct job *job(struct world *w, struct job_id id);
enum job_state state(struct world *w, struct job_id id);
bool has_doc(const struct held *h, const char *name);
#endif
