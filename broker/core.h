/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_CORE_H
#define BROKER_CORE_H
/* core: the broker as a function, event in, effects out. No socket, clock, log or random source
 * inside; time arrives in the event. The same events in the same order give the same effects.
 *
 * A turn is any number of core_step() calls, then one core_seal(), which adds the records of all
 * jobs that changed. The shell makes the turn durable and only then says its messages. */
#include "broker/effects.h"
#include "broker/sched.h"

struct core;

struct core_conf {
    uint64_t incarnation; /* of this epoch: random, never used before; not 0 */
    uint64_t seed;        /* of the jitter */
    struct budget budget; /* defaults of a submission */
    struct str pipeline;  /* encoded, of new submissions; checked before */
    int64_t heartbeat_ms, silence_ms;
    uint32_t retain_jobs;
    int64_t retain_age_ms;
    uint32_t open_jobs_max;
    uint32_t hot_jobs; /* queues longer than this are kept cold */
    struct sched_rules rules;
};

/* NULL: out of memory or a malformed pipeline. */
struct core *core_new(const struct core_conf *conf, struct err *err);
void core_free(struct core *c); /* NULL is fine */

/* Recovery, before the first step: pipelines (and what is paused) first, then every record. */
enum status core_load_pipeline(struct core *c, struct str bytes, struct err *err) MUST_USE;
enum status core_load_job(struct core *c, struct str record, struct err *err) MUST_USE;
/* After the last record: leases get their full grace, delays and questions their deadlines. */
void core_loaded(struct core *c, int64_t now_ms, int64_t wall_ms);
/* The encoded pipeline of new submissions, for the store. */
struct str core_pipeline(const struct core *c, uint64_t *id);
/* A pipeline_find_fn over the pipelines of a core: ctx is the struct core. */
const struct pipeline *core_find_pipeline(void *ctx, uint64_t id);

enum event_kind {
    EV_TICK,   /* time went by */
    EV_MSG,    /* a decoded message of a peer */
    EV_GONE,   /* a peer cannot be reached any more */
    EV_UNSENT, /* a TASK could not be sent: task, fence */
};

struct asked { /* one question of a `questions` document, decoded at the edge */
    struct str id, text, otherwise, raw;
    int64_t deadline_ms; /* 0: the default */
};

struct new_job { /* one job of a SUBMIT_ALL, decoded at the edge */
    struct str key, label, problem; /* problem: its frame */
};

struct event {
    enum event_kind kind;
    int64_t now_ms, wall_ms; /* monotonic, wall clock; neither goes back */
    uint64_t peer;           /* connection number given by the shell; not 0 */
    const struct msg *msg;
    const struct str *frames; /* documents of msg, as many as its docs say (checked by the shell) */
    uint32_t frames_n;
    struct str access; /* project that the peer is bound to; empty: all */
    struct str role;   /* of its key; "" without CURVE: for people */
    /* What the edge has read out of documents and maps: */
    bool has_verdict;
    struct verdict verdict;
    const struct asked *asked; /* DONE with a questions document */
    uint32_t asked_n;
    struct str reply, reply_question; /* DONE of an ask: out of the reply document */
    const char *wrong;           /* DONE, FAIL: why its documents cannot be used; NULL: they can */
    const struct budget *budget; /* SUBMIT: defaults filled in */
    const struct new_job *jobs; /* SUBMIT_ALL */
    uint32_t jobs_n;
    struct str died;             /* EV_GONE: how its process ended, where that is known */
    struct str task;             /* EV_UNSENT */
    struct fence fence;
};

void core_step(struct core *c, const struct event *ev, struct effects *fx);
void core_seal(struct core *c, struct effects *fx);
/* Monotonic time of the next thing that is due; INT64_MAX: nothing. */
int64_t core_deadline(const struct core *c);
/* Abort if an invariant does not hold. O(everything): tests call it after every step. */
void core_check(const struct core *c);

/* Reading, for people. */
struct core_stage {
    const char *name;
    uint32_t ready, running, delayed, workers;
    uint32_t limit; /* tasks at once; 0: none */
    bool paused;
    uint64_t slots, credit;
};
bool core_stage_at(const struct core *c, uint32_t i, struct core_stage *out);
struct core_counts {
    uint64_t by_state[JOB_STATES];
    uint64_t ended, workers, clients, jobs;
    uint64_t committed, retried, lost; /* since start */
};
struct core_counts core_counts(const struct core *c);
/* The map of WORKERS, appended to out; tasks of other projects than `access` are left out. */
void core_workers_map(const struct core *c, int64_t now_ms, struct str access, struct buf *out);
/* Full id of a prefix of at least four characters, or of a whole id. ERR_NOT_FOUND; ERR_DATA:
 * several jobs begin so. `access` as in struct event. */
enum status core_find(const struct core *c, struct str prefix, struct str access,
                      uint64_t *id) MUST_USE;
/* The job, for reading only, valid until the next step or seal. NULL: unknown. */
const struct job *core_job(struct core *c, uint64_t id);
/* The one condition that a job waits for; what is free of it goes on. */
#define WHYS(X)                                                                                    \
    X(ENDED, "ended")                                                                              \
    X(RUNNING, "running")                                                                          \
    X(RETURN, "return")                 /* name: its worker */                                     \
    X(ANSWER, "answer")                 /* name: the question; until_ms: the default holds */      \
    X(PAUSED, "paused")                                                                            \
    X(START, "start")                   /* until_ms */                                             \
    X(BACKOFF, "backoff")               /* until_ms, name: what failed */                          \
    X(ASKED, "asked")                   /* until_ms, name: what its worker said */                 \
    X(PROJECT_PAUSED, "project-paused")                                                            \
    X(STAGE_PAUSED, "stage-paused")                                                                \
    X(NO_WORKER, "no-worker")                                                                      \
    X(PROJECT_LIMIT, "project-limit")   /* n of `of` run */                                        \
    X(STAGE_LIMIT, "stage-limit")                                                                  \
    X(RATE, "rate")                     /* until_ms: of the stage's next task */                   \
    X(AFFINITY, "affinity")             /* until_ms, name: the worker that it prefers */           \
    X(SLOTS, "slots")                   /* n: its position among `of` */
enum why_kind {
#define X(id, code) WHY_##id,
    WHYS(X)
#undef X
};
const char *why_code(enum why_kind k);
struct why { /* strings are valid until the next step */
    enum why_kind kind;
    const char *stage, *project, *name;
    int64_t until_ms; /* wall clock; 0: not by itself */
    uint32_t n, of;
};
void core_why(const struct core *c, const struct job *j, struct why *out);
/* … as a map {code, text, stage, project, until_ms, n, of}, appended to out. */
void core_why_map(const struct core *c, const struct job *j, struct buf *out);
/* Paused stages and projects: a map {stages, projects}, appended to out. */
bool core_halts_good(struct str bytes); /* as kept in the store */
void core_halts_map(const struct core *c, struct buf *out);
/* Is the task held under this fence? */
bool core_leased(struct core *c, struct str task, struct fence fence);
/* Every lease of a job; of all jobs with 0. */
typedef void core_lease_fn(void *ctx, uint64_t peer, struct str task);
void core_each_lease(const struct core *c, uint64_t job, core_lease_fn *fn, void *ctx);
bool core_peer_known(const struct core *c, uint64_t peer);
/* A sign of life that the core has nothing else to do with. */
void core_peer_heard(struct core *c, uint64_t peer, int64_t now_ms);
bool core_peer_worker(const struct core *c, uint64_t peer);
#endif
